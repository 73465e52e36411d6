"""Rows into structs: invalid values are named, and no field hides behind another of the same name."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from liushui.errors import WireError
from liushui.wire.decoding import RowReader, parse_code, parse_currency


class Line(msgspec.Struct):
    """A row with two fields that must be there and two that need not."""

    amount: str
    code: int
    note: str | None | UnsetType = UNSET
    at: int | str | UnsetType = UNSET


READER = RowReader(Line, "a line")


def fault(row: bytes) -> str:
    with pytest.raises(WireError) as caught:
        READER.read(row)
    return str(caught.value)


def test_a_row_as_it_should_be() -> None:
    assert READER.read(b'{"amount":"1","code":2,"note":"a:b","at":3,"more":{"code":9}}') == Line("1", 2, "a:b", 3)
    assert READER.read(b'{"code":2,"amount":"1"}') == Line("1", 2)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b'{"amount":"1"}', "code: expected, but missing"),
        (b'{"amount":1,"code":2}', "amount: expected text, got 1"),
        (b'{"amount":"1","code":"2"}', 'code: expected an integer, got "2"'),
        (b'{"amount":"1","code":2,"at":1.5}', "at: expected an integer or text, got 1.5"),
        (b'{"amount":"1","code":null}', "code: expected an integer, got null"),
        (b"[]", "row: expected a JSON object, got '[]': Expected `object`, got `array`"),
        (b"", "row: expected a JSON object, got an empty body: Input data was truncated"),
    ],
)
def test_what_does_not_fit_is_named(row: bytes, said: str) -> None:
    assert fault(row) == said


@pytest.mark.parametrize(
    "row", [b'{"amount":"\xff","code":2}', b'{"amount":"1","code":2,"x":"\xff"}', b'{"a":' * 9_000]
)
def test_what_is_not_json_in_utf8_throughout(row: bytes) -> None:
    assert fault(row).startswith("row: expected a JSON object")


@given(
    st.permutations(["amount", "code", "note", "at"]).flatmap(
        lambda names: st.tuples(st.just(names), st.sampled_from(names), st.integers(0, 2))
    ),
    st.sets(st.sampled_from(["note", "at"])),
)
def test_a_field_that_is_there_twice_is_found_whatever_is_missing(
    drawn: tuple[list[str], str, int], missing: set[str]
) -> None:
    """With optional fields missing, a row with one of them twice has no more colons than a whole one."""
    names, twice, place = drawn
    values = {"amount": '"1"', "code": "2", "note": '"n"', "at": "3"}
    there = [name for name in names if name not in missing or name == twice]
    there.insert(place, twice)
    row = "{" + ",".join(f'"{name}":{values[name]}' for name in there) + "}"
    assert fault(row.encode()) == f"{twice}: expected once, but found twice"


def test_other_fields_may_be_there_twice() -> None:
    assert READER.read(b'{"amount":"1","x":1,"x":2,"code":2}') == Line("1", 2)


def test_a_default_hides_no_field_that_is_there_twice() -> None:
    class Defaulted(msgspec.Struct):
        code: int
        note: str | None = None
        at: str | None = None

    reader = RowReader(Defaulted, "a row")
    assert reader.read(b'{"code":1,"note":null}') == Defaulted(1)
    for row in (b'{"code":1,"code":2}', b'{"code":1,"note":null,"code":2}', b'{"code":1,"at":"x","code":2}'):
        with pytest.raises(WireError, match="code: expected once"):
            reader.read(row)


@pytest.mark.parametrize(
    ("code", "number"), [(1, 1), ("1", 1), (0, 0), (-5, -5), ("000000009", 9), (2**31 - 1, 2**31 - 1)]
)
def test_a_code(code: int | str, number: int) -> None:
    assert parse_code("type", code) == number


@pytest.mark.parametrize("code", ["", "-1", "1.0", "x", "１", 2**31, -(2**31) - 1, "1234567890"])
def test_what_is_not_a_code(code: int | str) -> None:
    with pytest.raises(WireError, match="type: expected an integer code"):
        parse_code("type", code)


@given(st.text(max_size=40))
def test_a_currency_is_a_short_code(text: str) -> None:
    if 1 <= len(text) <= 32:
        assert parse_currency("currency", text) == text
    else:
        with pytest.raises(WireError, match="currency: expected a code of 1 to 32 characters"):
            parse_currency("currency", text)


def test_no_row_is_read_as_something_else() -> None:
    row = {"amount": "1", "code": 2, "note": None, "at": "x"}
    assert msgspec.to_builtins(READER.read(json.dumps(row).encode())) == row


@pytest.mark.parametrize(
    "row",
    [
        b'{"amount":"1","code":2}',
        b'{"amount":"1","code":2,"note":null}',
        b'{"amount":"1","code":2,"at":"12:30"}',
        b'{"amount":"1","code":2,"code":2}',
        b'{"amount":"1","code":2,"other":1}',
        b'{"amount":"1","code":"2"}',
        b'{"amount":"1","code":2,"other":"\xff"}',
        b'{"amount":"1","code":2},{"amount":"1","code":2}',
        b'{"amount":"1"',
        b"",
    ],
)
def test_rows_are_read_together_where_each_is_read_alone(row: bytes) -> None:
    rows = [b'{"amount":"7","code":1,"note":"x","at":1}', row]
    together = READER.read_many(rows)
    if together is not None:
        assert together == [READER.read(one) for one in rows]
    else:
        assert row.count(b":") > 3 or b"other" in row or b"12:30" in row or fault(row)


def test_a_field_that_stands_there_twice_is_seen_among_many_rows() -> None:
    rows = [b'{"amount":"7","code":1}'] * 100
    assert READER.read_many(rows) == [Line("7", 1)] * 100
    assert READER.read_many([*rows, b'{"amount":"7","code":1,"amount":"8"}']) is None
