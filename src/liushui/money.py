"""Exact money: decimal text to Decimal and back, and sums that cannot round. No float enters or leaves."""

import re
from collections.abc import Iterable, Sequence
from decimal import (
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
    localcontext,
)

from liushui.errors import WireError, short_repr

ZERO = Decimal(0)
_NO_NUMBER = Decimal("NaN")
_PLAIN_LINES = re.compile(r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?\n)*+")

DIGITS_MAX = 100
"""Digits one amount may have. Real amounts have under 40; the bound keeps hostile text from costing memory."""

EXACT = Context(
    prec=2 * DIGITS_MAX + 20,  # sums of amounts whose digits stand far apart, and of many of them
    Emax=10_000,
    Emin=-10_000,
    traps=[Clamped, DivisionByZero, Inexact, InvalidOperation, Overflow, Rounded],
)
"""Arithmetic on money: any step that would round raises instead."""


def parse_decimal(field: str, text: object) -> Decimal:
    """Plain signed decimal text, `-248.60`, as an exact Decimal that keeps its trailing zeros.

    Raises WireError naming `field`: for numbers that are not text, exponents, `+`, separators, or too many digits.
    """
    if type(text) is not str:
        raise WireError(field, f"expected decimal text such as -248.60, got {short_repr(text)}")
    if len(text) > DIGITS_MAX:
        raise WireError(field, f"expected at most {DIGITS_MAX} digits, got {len(text)} characters")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = _NO_NUMBER
    if (
        to_plain_string(amount) != text or not amount.is_finite()
    ):  # one number has one plain text: no +, no exponent, no 007
        raise WireError(field, f"expected decimal text such as -248.60, got {short_repr(text)}")
    return amount


def are_decimals(texts: Sequence[str]) -> bool:
    """Whether `parse_decimal` takes each of the texts, of which there is at least one."""
    joined = "\n".join(texts)
    return (
        max(map(len, texts)) <= DIGITS_MAX
        and joined.count("\n") == len(texts) - 1
        and _PLAIN_LINES.fullmatch(joined + "\n") is not None
    )


def to_plain_string(amount: Decimal) -> str:
    """The amount as plain decimal text, its exponent kept: Decimal("1.230") is "1.230", never "1.23E0"."""
    text = str(amount)  # in a third of the time, and the same unless it has an exponent
    return format(amount, "f") if "E" in text or "e" in text else text


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum. Raises decimal.Inexact rather than round."""
    with localcontext(EXACT):
        return sum(amounts, ZERO)
