"""Queries: ranges, pages and filters, each parameter of the document at its bounds."""

import json
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.flow import Category, Flow, Kind
from liushui.instant import EPOCH
from liushui.providers.wooxpro import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.wooxpro.caller import ACCOUNT, Answer, Caller, ms
from tests.providers.wooxpro.rows import MISSING, TYPES, Row, of_type, row, rows, wire

BAD, BAD_SYMBOL, BAD_TIME = (400, 40011), (400, 40034), (400, 40039)
MILLISECOND, MICROSECOND = timedelta(milliseconds=1), timedelta(microseconds=1)


def held(reader: MemoryReader, *values: Row) -> list[Row]:
    """Have rows received."""
    reader.add_rows(ACCOUNT, PROVIDER, map(wire, values))
    return list(values)


def at(times: Iterable[int]) -> list[Row]:
    return [row(time=str(time_ms)) for time_ms in times]


def times(answered: list[dict[str, Any]]) -> list[int]:
    return [int(found["time"]) for found in answered]


def counted(values: Iterable[Row]) -> list[str]:
    return sorted(map(json.dumps, values))


# ---------------------------------------------------------------- the document's own example


EXAMPLE = "symbol=BTCUSDT&start_time=1662368173000&end_time=1662368179000"


def test_the_documents_request_as_it_is_printed(caller: Caller, reader: MemoryReader) -> None:
    """document: `…/transaction-history?symbol=BTCUSDT&start_time=1662368173000&end_time=1662368179000`"""
    inside = held(reader, *at((1662368173000, 1662368176500, 1662368179000)))
    held(reader, *at((1662368172999, 1662368179001)), row(time="1662368175000", symbol="ETHUSDT"))
    assert caller.ask(EXAMPLE).rows == inside


def test_the_documents_request_as_a_shell_sends_it(caller: Caller, reader: MemoryReader) -> None:
    """document: its URL is not quoted, so a shell ends it at the first `&`: without times"""
    now = ms(caller.clock())
    held(reader, *at((1662368176500, now - 1000)), row(time=str(now - 500), symbol="ETHUSDT"))
    assert times(caller.ask(EXAMPLE.partition("&")[0]).rows) == [now - 1000]


def test_the_documents_answer(caller: Caller, reader: MemoryReader) -> None:
    """document: the sample of 响应, with the `flow_type` of its table"""
    transfer = of_type(1, symbol="", amount="-0.37500000", time="1570608000000")
    fee = of_type(4, time="1570636800000")
    printed = [{name: value for name, value in one.items() if name != "flow_type"} for one in (transfer, fee)]
    held(reader, *printed)
    assert caller.get().rows == [transfer, fee]


# ---------------------------------------------------------------- start_time, end_time


def test_both_ends_of_a_range_belong_to_it(caller: Caller, reader: MemoryReader) -> None:
    """document: `start_time` 开始时间(时间戳，精确到毫秒), `end_time` 结束时间(时间戳，精确到毫秒)"""
    held(reader, *at(range(99, 106)))
    assert times(caller.get(start_time=100, end_time=104).rows) == [100, 101, 102, 103, 104]
    assert times(caller.get(start_time=102, end_time=102).rows) == [102]


def test_flows_within_the_last_millisecond_belong_to_it(caller: Caller, reader: MemoryReader) -> None:
    """Flows of other providers may be finer than this wire."""
    instants = [EPOCH + 100 * MILLISECOND + at_us * MICROSECOND for at_us in (-1, 0, 1, 999, 1000)]
    reader.add_flows(ACCOUNT, (Flow(str(instant), instant, Decimal(1), "USD") for instant in instants))
    assert times(caller.get(start_time=100, end_time=100).rows) == [100, 100, 100]
    assert times(caller.get().rows) == [99, 100, 100, 100, 101]


@pytest.mark.parametrize("part", [timedelta(0), timedelta(microseconds=1), timedelta(microseconds=999)])
def test_no_times_mean_the_last_seven_days(caller: Caller, reader: MemoryReader, part: timedelta) -> None:
    """document: 如果`start_time` 和 `end_time` 均未发送, 只会返回最近7天的数据。"""
    now = ms(caller.clock())
    caller.clock.move(part)
    first = now - 7 * 86_400_000
    held(reader, *at((first - 1, first, now, now + 1)))
    assert times(caller.ask("").rows) == [first, now]
    caller.clock.move(MILLISECOND)
    assert times(caller.ask("").rows) == [now, now + 1]


def test_only_a_start_means_until_now(caller: Caller, reader: MemoryReader) -> None:
    now = ms(caller.clock())
    held(reader, *at((0, now - 9 * 86_400_000, now, now + 1)))
    assert times(caller.ask("start_time=1").rows) == [now - 9 * 86_400_000, now]
    assert times(caller.ask(f"start_time={now}").rows) == [now]
    assert times(caller.ask(f"start_time={now + 1}").rows) == []


def test_only_an_end_means_from_the_beginning(caller: Caller, reader: MemoryReader) -> None:
    held(reader, *at((-62135596800000, -1, 0, 1)))
    assert times(caller.ask("end_time=0").rows) == [-62135596800000, -1, 0]


def test_all_of_time_can_be_asked_for(caller: Caller, reader: MemoryReader) -> None:
    held(reader, *at((-62135596800000, 253402300799999)))
    assert len(caller.get().rows) == 2


def test_a_reversed_range(caller: Caller) -> None:
    answer = caller.get(start_time=101, end_time=100)
    assert answer.fault == BAD_TIME
    assert answer.message == "Parameter error: end_time: expected start_time 101 or later, got 100"


@pytest.mark.parametrize("name", ["start_time", "end_time"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "1.5",
        "+1",
        " 1",
        "1e3",
        "１",
        "01",
        "253402300800000",
        "-62135596800001",
        "9" * 40,
        "1570608000000\n",
    ],
)
def test_a_time_that_is_invalid(caller: Caller, name: str, value: str) -> None:
    answer = caller.get(**{name: value})
    assert answer.fault == BAD_TIME
    assert answer.message.startswith(f"Parameter error: {name}: expected ")


# ---------------------------------------------------------------- page_size


def test_a_hundred_rows_unless_more_are_asked_for(caller: Caller, reader: MemoryReader) -> None:
    """document: `page_size` 每页返回的记录数，默认100，最大1000"""
    held(reader, *at(range(1_002)))
    assert times(caller.ask("start_time=0").rows) == list(range(100))
    assert times(caller.ask("start_time=0&page_size=1000").rows) == list(range(1_000))
    assert times(caller.ask("start_time=0&page_size=1").rows) == [0]


@pytest.mark.parametrize("size", ["0", "1001", "-1", "", "x", "1.0", "9" * 30])
def test_a_size_out_of_bounds(caller: Caller, size: str) -> None:
    """document: 最大1000"""
    answer = caller.get(page_size=size)
    assert answer.fault == BAD
    assert answer.message == f"Parameter error: page_size: expected a whole number from 1 to 1000, got {size!r}"


def test_the_oldest_first_with_a_start_and_the_newest_without(caller: Caller, reader: MemoryReader) -> None:
    """Each page is oldest first."""
    now = ms(caller.clock())
    held(reader, *at(range(now - 9, now + 1)))
    assert times(caller.ask(f"start_time={now - 8}&page_size=3").rows) == [now - 8, now - 7, now - 6]
    assert times(caller.ask(f"end_time={now - 1}&page_size=3").rows) == [now - 3, now - 2, now - 1]
    assert times(caller.ask("page_size=3").rows) == [now - 2, now - 1, now]


@given(size=st.integers(1, 40), instants=st.lists(st.integers(0, 30), max_size=60))
def test_a_page_is_the_beginning_or_the_end_of_the_range(size: int, instants: list[int]) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, ACCOUNT))
    held(reader, *at(instants))
    inside = sorted(instant for instant in instants if 5 <= instant <= 25)
    assert times(caller.get(start_time=5, end_time=25, page_size=size).rows) == inside[:size]
    until = sorted(instant for instant in instants if instant <= 25)
    assert times(caller.get(start_time=None, end_time=25, page_size=size).rows) == until[-size:]


# ---------------------------------------------------------------- flow_type, account, symbol


def of(answer: Answer) -> list[str]:
    return counted(answer.rows)


def test_filters_alone_and_together(caller: Caller, reader: MemoryReader) -> None:
    """document: `flow_type` `0` = 全部(默认) … `5` = 强平清算费; `account` `futures`, `copy_trading`; `symbol`"""
    symbols, accounts = ("BTCUSDT", "ETHUSDT", ""), ("futures", "copy_trading", "spot", "")
    everything = held(
        reader,
        *(
            of_type(code, symbol=symbol, account=account)
            for code in TYPES
            for symbol in symbols
            for account in accounts
        ),
        *(row(type="Airdrop", flow_type=code, account=account) for code in (0, 3, 9) for account in accounts),
        *(of_type(1) | {"flow_type": code} for code in (0, 2, 9)),
    )
    for flow_type in (None, 0, 1, 2, 3, 4, 5):
        for account in (None, "futures", "copy_trading"):
            for symbol in (None, "", "BTCUSDT", "ETHUSDT", "btcusdt", "BTC", "NONEUSDT"):
                expected = [
                    known
                    for known in everything
                    if flow_type in (None, 0, known["flow_type"])
                    and account in (None, known["account"])
                    and symbol in (None, "", known["symbol"])
                ]
                answer = caller.get(flow_type=flow_type, account=account, symbol=symbol, page_size=1000)
                assert of(answer) == counted(expected)


def test_a_row_without_a_code_is_found_by_its_type(caller: Caller, reader: MemoryReader) -> None:
    held(reader, row(flow_type=MISSING), row(flow_type=MISSING, type="Airdrop"))
    assert caller.get(flow_type=4).rows == [row()]
    assert [caller.get(flow_type=code).rows for code in (1, 2, 3, 5)] == [[]] * 4


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("category", [Category.FUTURES, Category.CASH])
@pytest.mark.parametrize("subaccount", ["", "futures", "copy_trading", "third"])
def test_a_filter_finds_what_it_would_call_so(
    caller: Caller, reader: MemoryReader, kind: Kind, category: Category, subaccount: str
) -> None:
    """Flows of other providers are found by what is written of them."""
    flow = Flow("x", EPOCH, Decimal(1), "USD", kind=kind, category=category, subaccount=subaccount, symbol="700.HK")
    reader.add_flows(ACCOUNT, [flow])
    (written,) = caller.get().rows
    for flow_type in TYPES:
        assert len(caller.get(flow_type=flow_type).rows) == (flow_type == written["flow_type"])
    for account in ("futures", "copy_trading"):
        assert len(caller.get(account=account).rows) == (account == written["account"])
    assert caller.get(symbol="700.HK").rows == [written]


@pytest.mark.parametrize("value", ["6", "-1", "", "01", "1.0", "Transfer", "９"])
def test_a_flow_type_that_is_invalid(caller: Caller, value: str) -> None:
    answer = caller.get(flow_type=value)
    assert answer.fault == BAD
    assert answer.message == f"Parameter error: flow_type: expected 0 or 1 or 2 or 3 or 4 or 5, got {value!r}"


@pytest.mark.parametrize("value", ["", "spot", "Futures", "futures,copy_trading"])
def test_an_account_that_is_invalid(caller: Caller, value: str) -> None:
    answer = caller.get(account=value)
    assert answer.fault == BAD
    assert answer.message == f"Parameter error: account: expected futures or copy_trading, got {value!r}"


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("X" * 64, True),
        ("币安人生USDT", True),
        ("BTC/USDT", True),
        ("X" * 65, False),
        ("BTC USDT", False),
        ("\t", False),
    ],
)
def test_what_is_a_symbol(caller: Caller, value: str, good: bool) -> None:
    answer = caller.get(symbol=value)
    assert answer.data == []
    assert (answer.status, answer.code) == ((200, 1000) if good else BAD_SYMBOL)


def test_the_type_of_the_documents_note_is_not_a_parameter(caller: Caller, reader: MemoryReader) -> None:
    """document: 如果`type`没有发送，返回所有类型账户损益资金流水。 Its table has `flow_type`"""
    everything = held(reader, *(of_type(code) for code in TYPES))
    assert of(caller.get(type="Transfer", page="2")) == counted(everything)


def test_of_a_parameter_that_stands_twice_the_first_holds(caller: Caller, reader: MemoryReader) -> None:
    held(reader, *at(range(7)))
    assert len(caller.ask("start_time=0&page_size=2&page_size=0&page_size=5").rows) == 2


@pytest.mark.parametrize("query", ["symbol=%ff", "&".join(["a=1"] * 101)])
def test_a_query_that_cannot_be_decoded(caller: Caller, query: str) -> None:
    answer = caller.ask(query)
    assert answer.fault == BAD
    assert answer.message.startswith("Parameter error: query: expected URL-encoded parameters, got ")


# ---------------------------------------------------------------- the rows


@given(values=st.lists(rows, max_size=4))
def test_rows_stand_as_they_came(values: list[Row]) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, ACCOUNT))
    held(reader, *values)
    assert of(caller.get()) == counted(values)
