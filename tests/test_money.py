"""Sums are exact, even for amounts of very different size. Checking many texts equals checking each of them."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import WireError
from liushui.money import DIGITS_MAX, are_decimals, exact_sum, parse_decimal, to_plain_string


def test_many_amounts_with_as_many_digits_as_one_may_have() -> None:
    large = parse_decimal("amount", "9" * DIGITS_MAX)
    small = parse_decimal("amount", "0." + "0" * (DIGITS_MAX - 3) + "1")
    found = exact_sum([large] * 1_000 + [small] * 1_000)
    assert to_plain_string(found) == str(int("9" * DIGITS_MAX) * 1_000) + "." + "0" * (DIGITS_MAX - 6) + "1000"
    assert exact_sum([found, found.copy_negate()]) == Decimal(0)


@given(st.decimals(), st.booleans())
def test_plain_text_has_no_exponent_whatever_the_context(amount: Decimal, capitals: bool) -> None:
    with localcontext(capitals=int(capitals)):
        assert to_plain_string(amount) == format(amount, "f")


def is_plain(text: str) -> bool:
    """Whether it can be read alone."""
    try:
        parse_decimal("amount", text)
    except WireError:
        return False
    return True


@given(st.lists(st.one_of(st.text("0123456789.-+eE_ \n٣", max_size=6), st.decimals().map(str)), min_size=1, max_size=5))
def test_texts_are_plain_where_each_of_them_is(texts: list[str]) -> None:
    assert are_decimals(texts) is all(map(is_plain, texts))


@pytest.mark.parametrize("text", ["-0", "-0.00", "0.", ".5", "00", "1\n2", "\n", "", "9" * 100, "9" * 101, "NaN"])
def test_a_text_is_plain_beside_another_where_it_is_plain_alone(text: str) -> None:
    assert are_decimals([text]) is are_decimals(["1.230", text]) is is_plain(text)
