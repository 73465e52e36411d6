"""Comparing amounts inside the database, exactly: as numbers where it has exact ones, else by their digits."""

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement

from liushui.money import plain


class _Either(ColumnElement[bool]):
    """A condition that is said in one way where amounts are text, and in another where they are numbers."""

    inherit_cache = False
    type = sa.Boolean()

    def __init__(self, text: ColumnElement[bool], number: ColumnElement[bool]) -> None:
        self.text, self.number = text, number


@compiles(_Either)
def _as_number(element: _Either, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    return f"({compiler.process(element.number, **options)})"


@compiles(_Either, "sqlite")
def _as_text(element: _Either, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    return f"({compiler.process(element.text, **options)})"


def at_least(column: ColumnElement[Any], bound: Decimal) -> ColumnElement[bool]:
    """Whether the amount in a column is `bound` or more."""
    negative = sa.type_coerce(column, sa.Text).like("-%")
    if bound < 0:
        text = sa.or_(sa.not_(negative), _magnitude(column, bound, at_most=True))
    else:
        is_zero = _magnitude(column, Decimal(0), at_most=True)
        text = sa.or_(sa.and_(sa.not_(negative), _magnitude(column, bound)), is_zero if not bound else sa.false())
    return _Either(text, sa.cast(column, sa.Numeric) >= bound)


def at_most(column: ColumnElement[Any], bound: Decimal) -> ColumnElement[bool]:
    """Whether the amount in a column is `bound` or less."""
    negative = sa.type_coerce(column, sa.Text).like("-%")
    if bound < 0:
        text: ColumnElement[bool] = sa.and_(negative, _magnitude(column, bound))
    else:
        text = sa.or_(negative, _magnitude(column, bound, at_most=True))
    return _Either(text, sa.cast(column, sa.Numeric) <= bound)


def _magnitude(column: ColumnElement[Any], bound: Decimal, *, at_most: bool = False) -> ColumnElement[bool]:
    """Whether the digits of an amount, its sign aside, come to as much as those of `bound`, or to no more.

    Of plain decimal texts without zeros at either end the one with more whole digits is larger, and of two with as
    many the one that sorts later.
    """
    digits = sa.func.ltrim(column, "-")
    whole = sa.func.instr(digits.op("||")("."), ".") - 1
    short = sa.case((sa.func.instr(digits, ".") > 0, sa.func.rtrim(sa.func.rtrim(digits, "0"), ".")), else_=digits)
    text = plain(abs(bound))
    bound_whole = len(text.partition(".")[0])
    bound_short = text.rstrip("0").rstrip(".") if "." in text else text
    if at_most:
        return sa.or_(whole < bound_whole, sa.and_(whole == bound_whole, short <= bound_short))
    return sa.or_(whole > bound_whole, sa.and_(whole == bound_whole, short >= bound_short))
