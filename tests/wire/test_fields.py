"""Checks of one field: valid values are accepted, and others are named with the expected and the received value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import WireError
from liushui.wire.decoding import parse_choice, parse_integer


@given(st.integers(0, 10**18 - 1))
def test_a_whole_number(number: int) -> None:
    assert parse_integer("page", str(number), least=0, most=10**18) == number


@given(st.text(max_size=25) | st.integers().map(str), st.integers(0, 99), st.integers(0, 99))
def test_a_whole_number_within_its_bounds(text: str, least: int, most: int) -> None:
    fits = text.isascii() and text.isdigit() and len(text) <= 18 and least <= int(text) <= most
    try:
        number = parse_integer("page", text, least=least, most=most)
    except WireError as error:
        assert not fits
        assert error.field == "page"
        assert error.reason.startswith(f"expected a whole number from {least} to {most}, got ")
    else:
        assert fits
        assert number == int(text)


def test_a_choice() -> None:
    choices = {1: "out", 2: "in"}
    assert parse_choice("direction", 2, choices) == "in"
    for wrong in (3, "2", None, [1]):
        with pytest.raises(WireError) as caught:
            parse_choice("direction", wrong, choices)  # type: ignore[misc] # what a wire may bring
        assert str(caught.value) == f"direction: expected 1 or 2, got {wrong!r}"
