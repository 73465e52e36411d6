"""Queries of the first draft: each parameter of the document at its bounds, and as it is printed there."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.flow import Category, Flow, Kind
from liushui.instant import EPOCH, UNIX_SECONDS_MAX, UNIX_SECONDS_MIN
from liushui.providers import longbridge
from liushui.providers.longbridge_legacy import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.golden import samples_of
from liushui.testing.reader import MemoryReader
from tests.providers.longbridge import rows as current
from tests.providers.longbridge.rows import MISSING, Row, wire
from tests.providers.longbridge_legacy.caller import BAD, Caller
from tests.providers.longbridge_legacy.rows import row, rows


def held(reader: MemoryReader, *changes: Row) -> list[Row]:
    """Have rows received; returns them as they must be served."""
    served = [row(**change) for change in changes]
    reader.add_rows("trader-1", PROVIDER, map(wire, served))
    return served


def times(answered: list[dict[str, Any]]) -> list[int]:
    return [found["business_time"] for found in answered]


def texts(values: list[Row]) -> list[str]:
    return sorted(map(json.dumps, values))


# ---------------------------------------------------------------- the document's own requests


def test_the_examples_as_they_stand_beside_their_names(caller: Caller) -> None:
    """document: 请求体, column 示例: 1650037563, 1650337563, AAPL.US, 1, 10, LO"""
    printed = {
        "start_time": 1650037563,
        "end_time": 1650337563,
        "business_type": "AAPL.US",
        "symbol": "1",
        "page": 10,
        "size": "LO",
    }
    answer = caller.post(json.dumps(printed).encode())
    expected = "bad request: size: expected a whole number from 1 to 10000, got 'LO'"
    assert (answer.said, answer.message) == (BAD, expected)
    answer = caller.post(json.dumps(printed | {"size": "10"}).encode())
    expected = "bad request: business_type: expected 1 or 2 or 3, got 'AAPL.US'"
    assert (answer.said, answer.message) == (BAD, expected)
    answer = caller.post(json.dumps(printed | {"symbol": 1}).encode())
    assert (answer.said, answer.message) == (BAD, "bad request: symbol: expected text or null, got 1")


def test_the_examples_beside_the_names_they_were_meant_for(caller: Caller, reader: MemoryReader) -> None:
    """document: 请求体, column 示例, moved to where it fits: symbol AAPL.US, business_type 1, size 10"""
    meant = b'{"start_time":1650037563,"end_time":1650337563,"business_type":1,"symbol":"AAPL.US","page":1,"size":"10"}'
    one, *_ = held(
        reader,
        {"business_time": 1650037563, "business_type": 1},
        {"business_time": 1650037562, "business_type": 1},
        {"business_time": 1650037563, "business_type": 2},
        {"business_time": 1650037563, "business_type": 1, "symbol": "700.HK"},
    )
    assert caller.post(meant).rows == [one]


def test_the_sample_is_served_as_the_table_has_it(caller: Caller, reader: MemoryReader) -> None:
    """document: 响应体示例, and `business_type`, which its table has and its sample lacks"""
    sample = (samples_of(PROVIDER) / "document.wire.json").read_bytes()
    reader.add_rows("trader-1", PROVIDER, PROVIDER.codec.extract_rows(sample))
    printed = json.loads(sample)["list"]
    assert caller.ask().rows == [one | {"business_type": 0} for one in printed]


# ---------------------------------------------------------------- types


@pytest.mark.parametrize("name", ["start_time", "end_time", "page", "size", "business_type"])
def test_a_number_may_come_as_its_text(caller: Caller, reader: MemoryReader, name: str) -> None:
    """document: `size` | string beside `page` | int"""
    held(reader, {"business_time": 100, "business_type": 1}, {"business_time": 99, "business_type": 1})
    given = {"start_time": 100, "end_time": 100, "page": 1, "size": 1, "business_type": 1}
    assert times(caller.ask(**given).rows) == [100]
    assert times(caller.ask(**given | {name: str(given[name])}).rows) == [100]


@pytest.mark.parametrize("name", ["start_time", "end_time", "page", "size"])
def test_what_is_required(caller: Caller, name: str) -> None:
    """document: `start_time`, `end_time`, `page`, `size` 必须 是"""
    answer = caller.ask(**{name: MISSING})
    assert (answer.said, answer.message) == (BAD, f"bad request: {name}: expected, but missing")
    answer = caller.ask(**{name: None})
    assert (answer.said, answer.message) == (BAD, f"bad request: {name}: expected an integer or text, got null")


@pytest.mark.parametrize("absent", [MISSING, None])
def test_what_is_not(caller: Caller, reader: MemoryReader, absent: object) -> None:
    """document: `business_type`, `symbol` 必须 否"""
    held(reader, {"business_time": 2, "business_type": 2}, {"business_time": 1, "business_type": 1, "symbol": None})
    assert times(caller.ask(business_type=absent, symbol=absent).rows) == [2, 1]


@pytest.mark.parametrize("name", ["start_time", "end_time", "page", "size", "business_type"])
@pytest.mark.parametrize("value", [1.0, 1.5, True, [1], {"a": 1}])
def test_a_value_of_another_type(caller: Caller, name: str, value: object) -> None:
    answer = caller.ask(**{name: value})
    assert answer.said == BAD
    assert answer.message.startswith(f"bad request: {name}: expected an integer or text")


@pytest.mark.parametrize("value", [1, 1.5, True, [], {}])
def test_a_symbol_of_another_type(caller: Caller, value: object) -> None:
    """document: `symbol` | string"""
    answer = caller.ask(symbol=value)
    assert answer.said == BAD
    assert answer.message == f"bad request: symbol: expected text or null, got {json.dumps(value)}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"start_time=0&end_time=1&page=1&size=1",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"start_time":0,"end_time":1,"page":1,"size":1,"more":"\xff"}',
        b'{"start_time":0,"end_time":1,"page":1,"size":1,"symbol":"\\ud800"}',
        b'{"a":' * 100_000,
        b'\xef\xbb\xbf{"start_time":0,"end_time":1,"page":1,"size":1}',
    ],
)
def test_a_body_that_is_not_a_json_object(caller: Caller, body: bytes) -> None:
    answer = caller.post(body)
    assert answer.said == BAD
    assert answer.message.startswith("bad request: body: expected a JSON object, got ")


@pytest.mark.parametrize("name", ["start_time", "end_time", "page", "size"])
def test_a_parameter_that_stands_twice(caller: Caller, name: str) -> None:
    body = f'{{"start_time":0,"end_time":9,"page":1,"size":1,"{name}":9}}'.encode()
    answer = caller.post(body)
    assert (answer.said, answer.message) == (BAD, f"bad request: {name}: expected once, but found twice")


def test_other_keys_and_the_query_are_passed_over(caller: Caller, reader: MemoryReader) -> None:
    held(reader, {"business_time": 7})
    assert times(caller.ask(limit="x", Size=0, business_types=[9], more={"page": None}).rows) == [7]
    body = b'{"start_time":0,"end_time":9,"page":1,"size":1}'
    assert times(caller.send(caller.signed(body, query="size=0&page=%ff")).rows) == [7]


# ---------------------------------------------------------------- the range


def test_both_ends_of_a_range_belong_to_it(caller: Caller, reader: MemoryReader) -> None:
    """document: `start_time` 开始时间, `end_time` 终止时间"""
    held(reader, *({"business_time": at} for at in range(99, 106)))
    assert times(caller.ask(start_time=100, end_time=104).rows) == [104, 103, 102, 101, 100]
    assert times(caller.ask(start_time=102, end_time=102).rows) == [102]


def test_flows_within_the_last_second_belong_to_it(caller: Caller, reader: MemoryReader) -> None:
    instants = [EPOCH + timedelta(seconds=100, microseconds=at_us) for at_us in (-1, 0, 1, 999_999, 1_000_000)]
    reader.add_flows("trader-1", (Flow(identity=str(at), at=at, amount=Decimal(1), currency="USD") for at in instants))
    assert times(caller.ask(start_time=100, end_time=100).rows) == [100, 100, 100]


def test_a_reversed_range(caller: Caller) -> None:
    answer = caller.ask(start_time=101, end_time=100)
    expected = "bad request: end_time: expected start_time 101 or later, got 100"
    assert (answer.said, answer.message) == (BAD, expected)


@pytest.mark.parametrize("name", ["start_time", "end_time"])
@pytest.mark.parametrize(
    "value", ["", "now", "1.5", "+1", " 1", "1e3", "１", UNIX_SECONDS_MAX + 1, UNIX_SECONDS_MIN - 1, 10**40, 10**4_200]
)
def test_a_time_that_is_invalid(caller: Caller, name: str, value: object) -> None:
    answer = caller.ask(**{name: value})
    assert answer.said == BAD
    assert answer.message.startswith(f"bad request: {name}: expected ")
    assert len(answer.message) < 300


def test_all_of_time_can_be_asked_for(caller: Caller, reader: MemoryReader) -> None:
    instants = (UNIX_SECONDS_MAX, 0, -1, UNIX_SECONDS_MIN)
    held(reader, *({"business_time": at} for at in instants))
    assert times(caller.ask(start_time=UNIX_SECONDS_MIN, end_time=UNIX_SECONDS_MAX).rows) == list(instants)
    assert times(caller.ask(start_time=UNIX_SECONDS_MAX, end_time=UNIX_SECONDS_MAX).rows) == [UNIX_SECONDS_MAX]


# ---------------------------------------------------------------- the page


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("size", 0, "a whole number from 1 to 10000"),
        ("size", 10_001, "a whole number from 1 to 10000"),
        ("size", -1, "a whole number from 1 to 10000"),
        ("size", "", "a whole number from 1 to 10000"),
        ("size", 10**30, "a whole number from 1 to 10000"),
        ("page", 0, "a whole number from 1 to 1000000000"),
        ("page", -1, "a whole number from 1 to 1000000000"),
        ("page", "one", "a whole number from 1 to 1000000000"),
        ("page", 1_000_000_001, "a whole number from 1 to 1000000000"),
        ("business_type", 0, "1 or 2 or 3"),
        ("business_type", 4, "1 or 2 or 3"),
        ("business_type", "", "1 or 2 or 3"),
        ("business_type", "cash", "1 or 2 or 3"),
    ],
)
def test_a_parameter_that_does_not_fit(caller: Caller, name: str, value: object, expected: str) -> None:
    """document: `page` 分页, `size` 每页大小, `business_type` 1:现金 2:股票 3:基金"""
    answer = caller.ask(**{name: value})
    assert (answer.said, answer.message) == (BAD, f"bad request: {name}: expected {expected}, got {str(value)!r}")


@pytest.mark.parametrize(
    ("size", "page", "many"), [(1, 1, 1), (10_000, 1, 7), (10_000, 10**9, 0), (7, 1, 7), (7, 2, 0), ("7", "1", 7)]
)
def test_sizes_and_pages_at_their_bounds(
    caller: Caller, reader: MemoryReader, size: object, page: object, many: int
) -> None:
    held(reader, *({"business_time": at} for at in range(7)))
    assert len(caller.ask(size=size, page=page).rows) == many


@given(size=st.integers(1, 40), many=st.integers(0, 120), at=st.data())
def test_pages_partition_the_rows_newest_first(size: int, many: int, at: st.DataObject) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))
    seconds = [at.draw(st.integers(0, 30)) for _ in range(many)]
    served = held(reader, *({"business_time": at_s, "description": str(n)} for n, at_s in enumerate(seconds)))
    pages = [caller.ask(size=size, page=number).rows for number in range(1, many // size + 2)]
    got = [found for page in pages for found in page]
    assert times(got) == sorted(seconds, reverse=True)
    assert texts(got) == texts(served)


# ---------------------------------------------------------------- filters and rows


def test_filters_alone_and_together(caller: Caller, reader: MemoryReader) -> None:
    """document: `business_type` 资金类型, `symbol` 标的代码"""
    types, symbols = (1, 2, 3, 0, 9), ("AAPL.US", "700.HK", "", None)
    everything = held(reader, *({"business_type": known, "symbol": symbol} for known in types for symbol in symbols))
    for business_type in (None, 1, 2, 3):
        for symbol in (None, "AAPL.US", "700.HK", "NONE.US", "aapl.us", "AAPL"):
            fitting = [
                known
                for known in everything
                if business_type in (None, known["business_type"]) and symbol in (None, known["symbol"])
            ]
            assert texts(caller.ask(business_type=business_type, symbol=symbol).rows) == texts(fitting)
    assert len(caller.ask(symbol="").rows) == len(everything)


@pytest.mark.parametrize(
    ("category", "detail", "written"),
    [
        (Category.CASH, None, 1),
        (Category.STOCK, None, 2),
        (Category.FUND, None, 3),
        (Category.FUTURES, None, 0),
        (Category.OTHER, {"longbridge:business_type": 7}, 7),
        (Category.OTHER, {"longbridge:business_type": 1}, 0),
        (Category.CASH, {"longbridge:business_type": 2}, 1),
    ],
)
def test_a_filter_finds_what_it_would_call_so(
    caller: Caller, reader: MemoryReader, category: Category, detail: Row | None, written: int
) -> None:
    flow = Flow(identity="", at=EPOCH, amount=Decimal(1), currency="USD", category=category, detail=detail)
    reader.add_flows("trader-1", [flow])
    assert [found["business_type"] for found in caller.ask().rows] == [written]
    for asked in (1, 2, 3):
        assert len(caller.ask(business_type=asked).rows) == (asked == written)


@given(values=st.lists(rows, max_size=4))
def test_rows_stand_as_they_came(values: list[Row]) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))
    reader.add_rows("trader-1", PROVIDER, map(wire, values))
    assert texts(caller.ask(start_time=UNIX_SECONDS_MIN).rows) == texts(values)


def test_rows_of_the_current_generation_are_told_in_this_ones_words(caller: Caller, reader: MemoryReader) -> None:
    reader.add_rows("trader-1", longbridge.PROVIDER, [wire(current.row())])
    assert caller.ask().rows == [row()]


@pytest.mark.parametrize(
    ("language", "name"), [("en", "Dividend Tax"), ("zh-CN", "股息税"), ("zh-HK", "股息稅"), (None, "股息税")]
)
def test_flows_from_elsewhere_are_named_in_the_language_asked_for(
    caller: Caller, reader: MemoryReader, language: str | None, name: str
) -> None:
    reader.add_flows("trader-1", [Flow(identity="", at=EPOCH, amount=Decimal("-1.0"), currency="USD", kind=Kind.TAX)])
    body = b'{"start_time":0,"end_time":9,"page":1,"size":1}'
    headers = {} if language is None else {"accept-language": language}
    (found,) = caller.send(caller.signed(body, headers=headers)).rows
    assert found["transaction_flow_name"] == name
