"""Comparing texts inside the database without regard to case, alike on every engine.

Case is folded by upper-casing: it maps the two small sigmas, and "ß" and "SS", to one. A text of ASCII letters is
compared by ASCII case alone, which the databases do themselves.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

FOLD_FUNCTION: Final = "liushui_fold"
"""SQLite's upper() knows ASCII only: its connections have this function, which is `fold`."""


def fold(text: str | None) -> str | None:
    """A text as `_Folded` makes it of a column."""
    return None if text is None else text.upper()


class _Folded(FunctionElement[str]):
    """A text column in upper case by Unicode's full mapping, in every script."""

    inherit_cache = True
    type = sa.Text()


@compiles(_Folded)
def _fold_by_icu(element: _Folded, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    # ICU, because the database's own locale may be "C", whose upper() knows ASCII only.
    return f'upper({compiler.process(element.clauses, **options)} COLLATE "und-x-icu")'


@compiles(_Folded, "sqlite")
def _fold_by_python(element: _Folded, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    return f"{FOLD_FUNCTION}({compiler.process(element.clauses, **options)})"


class _AsciiFolded(FunctionElement[str]):
    """A text column with its ASCII letters in upper case. Much cheaper than `_Folded`, on both engines."""

    inherit_cache = True
    type = sa.Text()


@compiles(_AsciiFolded)
def _fold_ascii_by_c(element: _AsciiFolded, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    return f'upper({compiler.process(element.clauses, **options)} COLLATE "C")'


@compiles(_AsciiFolded, "sqlite")
def _fold_ascii_by_sqlite(element: _AsciiFolded, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    return f"upper({compiler.process(element.clauses, **options)})"  # SQLite's own: ASCII only


def equals_folded(column: sa.ColumnElement[Any], text: str) -> sa.ColumnElement[bool]:
    """Whether a column is a text, whatever the case of either."""
    return (_AsciiFolded(column) if text.isascii() else _Folded(column)) == fold(text)


def contains_folded(column: sa.ColumnElement[Any], text: str) -> sa.ColumnElement[bool]:
    """Whether a text is found in a column, whatever the case of either."""
    folded = _AsciiFolded(column) if text.isascii() else _Folded(column)
    return folded.contains(fold(text), autoescape=True)
