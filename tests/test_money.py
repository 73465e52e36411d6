"""Sums are exact, however far apart the digits of their amounts stand."""

from decimal import Decimal

from liushui.money import DIGITS_MAX, decimal_text, plain, total


def test_many_amounts_with_as_many_digits_as_one_may_have() -> None:
    large = decimal_text("amount", "9" * DIGITS_MAX)
    small = decimal_text("amount", "0." + "0" * (DIGITS_MAX - 3) + "1")
    found = total([large] * 1_000 + [small] * 1_000)
    assert plain(found) == str(int("9" * DIGITS_MAX) * 1_000) + "." + "0" * (DIGITS_MAX - 6) + "1000"
    assert total([found, found.copy_negate()]) == Decimal(0)
