"""Requests as values: parameters are decoded like a form, and undecodable ones are named."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import WireError
from liushui.http import Request


def parameters(query: str) -> dict[str, str]:
    return Request("GET", "/", query, {}).query_params()


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=9))
def test_what_was_encoded_is_decoded(given: dict[str, str]) -> None:
    assert parameters(urlencode(given)) == given


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("&a=1&&b=2&", {"a": "1", "b": "2"}),
        ("a=1&a=2&a=", {"a": "1"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=x+y%20z%2B", {"a": "x y z+"}),
        ("a=1;b=2", {"a": "1;b=2"}),
        ("%61=%E6%B5%81", {"a": "流"}),
        ("a=%", {"a": "%"}),
        ("&".join(f"n{number}=1" for number in range(100)), {f"n{number}": "1" for number in range(100)}),
    ],
)
def test_how_a_query_is_read(query: str, expected: dict[str, str]) -> None:
    assert parameters(query) == expected


@pytest.mark.parametrize("query", ["a=%ff", "%ff=a", "a=%ED%A0%80", "&".join(["a=1"] * 101)])
def test_what_cannot_be_decoded(query: str) -> None:
    with pytest.raises(WireError, match=r"^query: expected URL-encoded parameters, got "):
        parameters(query)
