"""Exact money: decimal text to Decimal and back, and sums that never round. No float enters or leaves."""

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

DIGITS_MAX = 100
"""Longest amount, in characters. Real amounts have under 40; the bound keeps hostile input from using up memory."""

EXACT = Context(
    # precise enough for the sum of very many amounts, with the largest and the smallest together
    prec=2 * DIGITS_MAX + 20,
    Emax=10_000,
    Emin=-10_000,
    traps=[Clamped, DivisionByZero, Inexact, InvalidOperation, Overflow, Rounded],
)
"""Context for arithmetic on money: a step that would round raises instead."""

_NOT_A_NUMBER = Decimal("NaN")
_PLAIN_LINES = re.compile(r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?\n)*+")


def parse_decimal(field: str, text: object) -> Decimal:
    """Parse plain decimal text such as `-248.60`. Trailing zeros are kept.

    Raises WireError naming `field` for anything else: a JSON number, an exponent, a `+`, a thousands separator, a
    leading zero, or more than DIGITS_MAX characters.
    """
    if type(text) is not str:
        raise WireError(field, f"expected decimal text such as -248.60, got {short_repr(text)}")
    if len(text) > DIGITS_MAX:
        raise WireError(field, f"expected at most {DIGITS_MAX} digits, got {len(text)} characters")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = _NOT_A_NUMBER
    # Decimal() accepts "+1", "1E3", "007" and "NaN". Only text that is written back unchanged is plain.
    if to_plain_string(amount) != text or not amount.is_finite():
        raise WireError(field, f"expected decimal text such as -248.60, got {short_repr(text)}")
    return amount


def are_decimals(texts: Sequence[str]) -> bool:
    """Whether `parse_decimal` accepts every text. Needs at least one. Much faster than parsing each of them."""
    lines = "\n".join(texts)
    return (
        max(map(len, texts)) <= DIGITS_MAX
        and lines.count("\n") == len(texts) - 1
        and _PLAIN_LINES.fullmatch(lines + "\n") is not None
    )


def to_plain_string(amount: Decimal) -> str:
    """Decimal text without an exponent, all digits kept: Decimal("1.230") is "1.230", Decimal("1E+3") is "1000"."""
    text = str(amount)  # three times as fast as format(), and the same where there is no exponent
    return format(amount, "f") if "E" in text or "e" in text else text


def exact_sum(amounts: Iterable[Decimal]) -> Decimal:
    """The sum of amounts. Raises decimal.Inexact or decimal.Rounded rather than round."""
    with localcontext(EXACT):
        return sum(amounts, ZERO)
