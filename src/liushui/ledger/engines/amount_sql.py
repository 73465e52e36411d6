"""Comparing amounts inside the database, exactly: as numbers where it has exact ones, else by their digits."""

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from liushui.money import to_plain_string


class _Either(FunctionElement[bool]):
    """A condition that is said in one way where amounts are text, and in another where they are numbers."""

    inherit_cache = True  # both ways are its clauses: a statement with it is compiled once
    type = sa.Boolean()


@compiles(_Either)
def _as_number(element: _Either, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    return f"({compiler.process(list(element.clauses)[1], **options)})"


@compiles(_Either, "sqlite")
def _as_text(element: _Either, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    return f"({compiler.process(next(iter(element.clauses)), **options)})"


def at_least(column: ColumnElement[Any], bound: Decimal) -> ColumnElement[bool]:
    """Whether the amount in a column is `bound` or more."""
    if bound < 0:
        text = sa.or_(sa.not_(_is_negative(column)), _no_larger(column, bound, negative=True))
    elif bound:
        text = sa.and_(sa.not_(_is_negative(column)), _no_smaller(column, bound, negative=False))
    else:
        text = sa.or_(sa.not_(_is_negative(column)), _no_larger(column, bound, negative=True))
    return _Either(text, sa.cast(column, sa.Numeric) >= bound)


def at_most(column: ColumnElement[Any], bound: Decimal) -> ColumnElement[bool]:
    """Whether the amount in a column is `bound` or less."""
    if bound < 0:
        text = sa.and_(_is_negative(column), _no_smaller(column, bound, negative=True))
    else:
        text = sa.or_(_is_negative(column), _no_larger(column, bound, negative=False))
    return _Either(text, sa.cast(column, sa.Numeric) <= bound)


def _is_negative(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether there is a sign: it sorts before every digit."""
    return sa.type_coerce(column, sa.Text()) < "0"


def _no_larger(column: ColumnElement[Any], bound: Decimal, *, negative: bool) -> ColumnElement[bool]:
    """Whether the digits of an amount of that sign come to no more than those of `bound`.

    Of plain decimal texts without zeros at either end the one with more whole digits is larger, and of two with as
    many the one that sorts later.
    """
    whole, short, bound_whole, bound_short = _digits(column, bound, negative=negative)
    return sa.or_(whole < bound_whole, sa.and_(whole == bound_whole, short <= bound_short))


def _no_smaller(column: ColumnElement[Any], bound: Decimal, *, negative: bool) -> ColumnElement[bool]:
    """Whether the digits of an amount of that sign come to no less than those of `bound`."""
    whole, short, bound_whole, bound_short = _digits(column, bound, negative=negative)
    return sa.or_(whole > bound_whole, sa.and_(whole == bound_whole, short >= bound_short))


def _digits(
    column: ColumnElement[Any], bound: Decimal, *, negative: bool
) -> tuple[ColumnElement[int], ColumnElement[str], int, str]:
    """How many characters stand before the point, and the text without zeros at its end: of the column, of `bound`."""
    amount = sa.type_coerce(column, sa.Text())
    whole = sa.func.instr(amount.op("||")("."), ".") - 1
    short = sa.case((sa.func.instr(amount, ".") > 0, sa.func.rtrim(sa.func.rtrim(amount, "0"), ".")), else_=amount)
    text = ("-" if negative else "") + to_plain_string(bound.copy_abs())
    return whole, short, len(text.partition(".")[0]), text.rstrip("0").rstrip(".") if "." in text else text
