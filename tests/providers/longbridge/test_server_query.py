"""Queries: ranges, pages and filters, each parameter at its bounds."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.flow import Category, Flow, Kind
from liushui.instant import EPOCH, UNIX_SECONDS_MAX, UNIX_SECONDS_MIN
from liushui.providers.longbridge import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.longbridge.caller import Caller
from tests.providers.longbridge.rows import HELD_TIMES, MISSING, Row, row, rows, wire

BAD = (400, 202202)


def held(reader: MemoryReader, *changes: Row) -> list[Row]:
    """Have rows received; returns them as they must be served."""
    served = [row(**change) for change in changes]
    reader.add_rows("trader-1", PROVIDER, map(wire, served))
    return served


def times(answered: list[dict[str, Any]]) -> list[int]:
    return [int(found["business_time"]) for found in answered]


# ---------------------------------------------------------------- the range


def test_both_ends_of_a_range_belong_to_it(caller: Caller, reader: MemoryReader) -> None:
    held(reader, *({"business_time": str(at)} for at in range(99, 106)))
    assert times(caller.get(start_time=100, end_time=104).rows) == [104, 103, 102, 101, 100]
    assert times(caller.get(start_time=102, end_time=102).rows) == [102]


def test_flows_within_the_last_second_belong_to_it(caller: Caller, reader: MemoryReader) -> None:
    """Flows of other providers are finer than this wire."""
    instants = [EPOCH + timedelta(seconds=100, microseconds=at_us) for at_us in (-1, 0, 1, 999_999, 1_000_000)]
    reader.add_flows("trader-1", (Flow(identity=str(at), at=at, amount=Decimal(1), currency="USD") for at in instants))
    assert times(caller.get(start_time=100, end_time=100).rows) == [100, 100, 100]


@pytest.mark.parametrize("name", ["start_time", "end_time"])
@pytest.mark.parametrize(
    "value", [None, "", "now", "1.5", "+1", " 1", "1e3", "１", "253402300800", "-62135596801", "9" * 40]
)
def test_a_time_that_is_invalid(caller: Caller, name: str, value: str | None) -> None:
    answer = caller.get(**{name: value})
    assert answer.fault == BAD
    assert answer.message.startswith(f"parameter error: {name}: expected ")
    assert answer.message.endswith("missing" if value is None else f"got {value if len(value) == 12 else repr(value)}")


def test_a_reversed_range(caller: Caller) -> None:
    answer = caller.get(start_time=101, end_time=100)
    assert (answer.fault, answer.message) == (
        BAD,
        "parameter error: end_time: expected start_time 101 or later, got 100",
    )


def test_all_of_time_can_be_asked_for(caller: Caller, reader: MemoryReader) -> None:
    """An official client sends datetime.min and datetime.max as they are."""
    first, last = HELD_TIMES
    instants = (last, 0, -1, first)
    held(reader, *({"business_time": str(at)} for at in instants))
    assert times(caller.get(start_time=UNIX_SECONDS_MIN, end_time=UNIX_SECONDS_MAX).rows) == list(instants)
    assert times(caller.get(start_time=last, end_time=UNIX_SECONDS_MAX).rows) == [last]
    assert caller.get(start_time=UNIX_SECONDS_MAX, end_time=UNIX_SECONDS_MAX).rows == []


# ---------------------------------------------------------------- the page


def test_what_is_not_said_has_its_default(caller: Caller, reader: MemoryReader) -> None:
    held(reader, *({"business_time": str(at)} for at in range(120)))
    assert times(caller.get().rows) == list(range(119, 69, -1))
    assert times(caller.get(page=3).rows) == list(range(19, -1, -1))
    assert times(caller.get(size=100, page=2).rows) == list(range(19, -1, -1))
    assert caller.get(page=4).rows == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("size", "0", "a whole number from 1 to 10000"),
        ("size", "10001", "a whole number from 1 to 10000"),
        ("size", "-1", "a whole number from 1 to 10000"),
        ("size", "text", "a whole number from 1 to 10000"),
        ("size", "", "a whole number from 1 to 10000"),
        ("size", "1.0", "a whole number from 1 to 10000"),
        ("size", "9" * 30, "a whole number from 1 to 10000"),
        ("page", "0", "a whole number from 1 to 1000000000"),
        ("page", "-1", "a whole number from 1 to 1000000000"),
        ("page", "text", "a whole number from 1 to 1000000000"),
        ("page", "", "a whole number from 1 to 1000000000"),
        ("page", "1000000001", "a whole number from 1 to 1000000000"),
        ("page", "9" * 30, "a whole number from 1 to 1000000000"),
        ("business_type", "0", "1 or 2 or 3"),
        ("business_type", "4", "1 or 2 or 3"),
        ("business_type", "", "1 or 2 or 3"),
        ("business_type", "cash", "1 or 2 or 3"),
        ("business_type", "01", "1 or 2 or 3"),
    ],
)
def test_a_parameter_that_does_not_fit(caller: Caller, name: str, value: str, expected: str) -> None:
    answer = caller.get(**{name: value})
    assert (answer.fault, answer.message) == (BAD, f"parameter error: {name}: expected {expected}, got {value!r}")


@pytest.mark.parametrize(
    ("size", "page", "many"), [(1, 1, 1), (10_000, 1, 7), (10_000, 10**9, 0), (7, 1, 7), (7, 2, 0)]
)
def test_sizes_and_pages_at_their_bounds(caller: Caller, reader: MemoryReader, size: int, page: int, many: int) -> None:
    held(reader, *({"business_time": str(at)} for at in range(7)))
    assert len(caller.get(size=size, page=page).rows) == many


def test_of_a_parameter_that_stands_twice_the_first_holds(caller: Caller, reader: MemoryReader) -> None:
    held(reader, *({"business_time": str(at)} for at in range(7)))
    query = "start_time=0&end_time=9&size=2&size=0&size=5"
    assert len(caller.send(caller.signed(query)).rows) == 2


@pytest.mark.parametrize("query", ["start_time=0&end_time=9&symbol=%ff", "&".join(["a=1"] * 101), "%80=1"])
def test_a_query_that_cannot_be_decoded(caller: Caller, query: str) -> None:
    answer = caller.send(caller.signed(query))
    assert answer.fault == BAD
    assert answer.message.startswith("parameter error: query: expected URL-encoded parameters, got ")


@given(size=st.integers(1, 40), many=st.integers(0, 120), at=st.data())
def test_pages_partition_the_rows_newest_first(size: int, many: int, at: st.DataObject) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))
    seconds = [at.draw(st.integers(0, 30)) for _ in range(many)]
    served = held(reader, *({"business_time": str(at_s), "description": str(n)} for n, at_s in enumerate(seconds)))
    pages = [caller.get(size=size, page=number).rows for number in range(1, many // size + 2)]
    got = [found for page in pages for found in page]
    assert times(got) == sorted(seconds, reverse=True)
    assert sorted(map(json.dumps, got)) == sorted(map(json.dumps, served))
    assert [len(page) for page in pages] == [size] * (many // size) + [many % size]


# ---------------------------------------------------------------- filters


def test_filters_alone_and_together(caller: Caller, reader: MemoryReader) -> None:
    types, symbols = (1, 2, 3, 0, 9), ("AAPL.US", "700.HK", "", None)
    everything = held(
        reader, *({"business_type": business_type, "symbol": symbol} for business_type in types for symbol in symbols)
    )
    for business_type in (None, 1, 2, 3):
        for symbol in (None, "AAPL.US", "700.HK", "NONE.US", "aapl.us", "AAPL"):
            got = caller.get(business_type=business_type, symbol=symbol).rows
            expected = [
                known
                for known in everything
                if business_type in (None, known["business_type"]) and symbol in (None, known["symbol"])
            ]
            assert sorted(map(json.dumps, got)) == sorted(map(json.dumps, expected))
    assert len(caller.get(symbol="").rows) == len(everything)


@pytest.mark.parametrize(
    ("category", "business_type"),
    [(Category.CASH, 1), (Category.STOCK, 2), (Category.FUND, 3), (Category.FUTURES, 0), (Category.OTHER, 0)],
)
def test_a_filter_finds_what_it_would_call_so(
    caller: Caller, reader: MemoryReader, category: Category, business_type: int
) -> None:
    reader.add_flows("trader-1", [Flow(identity="", at=EPOCH, amount=Decimal(1), currency="USD", category=category)])
    assert [found["business_type"] for found in caller.get().rows] == [business_type]
    for asked in (1, 2, 3):
        assert len(caller.get(business_type=asked).rows) == (asked == business_type)


# ---------------------------------------------------------------- the rows


@given(values=st.lists(rows, max_size=4))
def test_rows_stand_as_they_came(values: list[Row]) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))
    reader.add_rows("trader-1", PROVIDER, map(wire, values))
    got = caller.get(start_time="-62135596800").rows
    assert sorted(map(json.dumps, got)) == sorted(map(json.dumps, values))


def test_a_row_that_clients_would_refuse_is_served_so_that_they_do_not(caller: Caller, reader: MemoryReader) -> None:
    lenient = row(business_type=MISSING, symbol=MISSING, description=None, direction="1")
    reader.add_rows("trader-1", PROVIDER, [wire(lenient)])
    assert caller.get().rows == [row(business_type=0, symbol=None, description="")]


@pytest.mark.parametrize(
    ("language", "name"), [("en", "Dividend Tax"), ("zh-CN", "股息税"), ("zh-HK", "股息稅"), (None, "股息稅")]
)
def test_flows_from_elsewhere_are_named_in_the_language_asked_for(
    caller: Caller, reader: MemoryReader, language: str | None, name: str
) -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    reader.add_flows("trader-1", [Flow(identity="", at=at, amount=Decimal("-1.0"), currency="USD", kind=Kind.TAX)])
    headers = {} if language is None else {"accept-language": language}
    assert [found["transaction_flow_name"] for found in caller.send(caller.signed(headers=headers)).rows] == [name]
