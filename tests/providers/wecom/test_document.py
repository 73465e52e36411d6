"""The document, line by line: its printed examples, and each parameter, default and limit."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from liushui.flow import Flow
from liushui.http import Request
from liushui.providers.wecom import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.wecom.caller import GET_FUND_FLOW, SHANGHAI, Caller, seconds
from tests.providers.wecom.rows import AT, row, wire

REQUEST = b"""{
 "begin_time":1605171726,
 "end_time":1605172726,
 "mch_id": "1234",
 "cursor":"CURSOR",
 "limit":10
}"""
"""The document's example of a request, to the byte."""

BEFORE_THE_FLOOR = "invalid parameter: begin_time: expected a whole number from 1669824000 to 253402300799, got "


def held(reader: MemoryReader, *times_s: int, **changes: object) -> None:
    """Have a row received for each time."""
    made = (row(timestamp=at_s, request_no=str(number), **changes) for number, at_s in enumerate(times_s))
    reader.add_rows("shop-1", PROVIDER, map(wire, made))


def times(rows: list[dict[str, int]]) -> list[int]:
    return [found["timestamp"] for found in rows]


# ---------------------------------------------------------------- the examples


def test_the_example_asks_for_a_time_that_its_own_floor_forbids(caller: Caller) -> None:
    """document: 请求示例 of 2020, and 可以拉取不早于2022年12月1日的资金流水记录"""
    answer = caller.post(REQUEST)
    assert (answer.errcode, answer.errmsg) == (40058, f"{BEFORE_THE_FLOOR}'1605171726'")


def test_the_example_with_times_that_can_be_read(caller: Caller, reader: MemoryReader) -> None:
    """Its cursor is none that was given; without it the page is there."""
    held(reader, AT, mch_id="1234")
    recent = REQUEST.replace(b"1605171726", b"%d" % AT).replace(b"1605172726", b"%d" % (AT + 1000))
    answer = caller.post(recent)
    expected = "invalid parameter: cursor: expected one that was given for this begin_time, end_time and mch_id"
    assert (answer.errcode, answer.errmsg) == (40058, expected)
    assert times(caller.post(recent.replace(b'"CURSOR"', b'""')).rows) == [AT]
    assert times(caller.post(recent.replace(b' "cursor":"CURSOR",\n', b"")).rows) == [AT]


def test_the_example_with_the_token_as_it_is_printed(caller: Caller) -> None:
    """document: get_fund_flow?access_token=ACCESS_TOKEN"""
    assert caller.post(REQUEST, query="access_token=ACCESS_TOKEN").errcode == 40014


def test_the_answers_members_stand_as_in_the_example(caller: Caller, reader: MemoryReader) -> None:
    """document: 返回结果 errcode, errmsg, next_cursor, fund_flow_list"""
    held(reader, AT, AT + 1)
    assert caller.ask(limit=1).members.keys() == {"next_cursor", "fund_flow_list"}
    assert caller.ask(limit=2).members.keys() == {"fund_flow_list"}
    token = caller.get_token().members["access_token"]
    body = json.dumps({"begin_time": AT, "end_time": AT, "limit": 1}).encode()
    asked = Request("POST", GET_FUND_FLOW, f"access_token={token}", {}, body, GET_FUND_FLOW)
    served = PROVIDER.server.answer(asked, reader).body
    assert served == b'{"errcode":0,"errmsg":"ok","fund_flow_list":[%b]}' % wire(row(timestamp=AT, request_no="0"))


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {"content-type": "application/json"}])
def test_a_body_may_come_with_any_content_type(caller: Caller, headers: dict[str, str]) -> None:
    body = json.dumps({"begin_time": AT, "end_time": AT}).encode()
    caller.ask()
    assert caller.post(body, query=f"access_token={caller.token}", headers=headers).rows == []


# ---------------------------------------------------------------- begin_time and end_time


@pytest.mark.parametrize("name", ["begin_time", "end_time"])
def test_a_required_time_is_missing(caller: Caller, name: str) -> None:
    """document: `begin_time` 是 资金流水记录开始时间; `end_time` 是 资金流水记录结束时间"""
    answer = caller.ask(**{name: None})
    assert (answer.errcode, answer.errmsg) == (40058, f"invalid parameter: {name}: expected, but missing")


def test_both_ends_belong_to_a_range(caller: Caller, reader: MemoryReader) -> None:
    held(reader, *range(AT - 1, AT + 5))
    assert times(caller.ask(begin_time=AT, end_time=AT + 3).rows) == [AT, AT + 1, AT + 2, AT + 3]
    assert times(caller.ask(begin_time=AT, end_time=AT).rows) == [AT]


def test_flows_within_the_last_second_belong_to_it(caller: Caller, reader: MemoryReader) -> None:
    """Flows of other providers are finer than this wire."""
    (came,) = reader.add_rows("other", PROVIDER, [wire(row())])
    instants = [came.flow.at + timedelta(microseconds=at_us) for at_us in (-1, 0, 1, 999_999, 1_000_000)]
    reader.add_flows("shop-1", (Flow(str(at), at, came.flow.amount, "CNY") for at in instants))
    assert times(caller.ask(begin_time=AT, end_time=AT).rows) == [AT, AT, AT]


def test_a_reversed_range(caller: Caller) -> None:
    answer = caller.ask(begin_time=AT, end_time=AT - 1)
    assert answer.errcode == 40058
    assert answer.errmsg.startswith(f"invalid parameter: end_time: expected a whole number from {AT} to ")


@pytest.mark.parametrize(
    ("longer_s", "errcode"), [(-1, 0), (0, 0), (1, 40058), (10**9, 40058), (10**17, 40058), (10**30, 40058)]
)
def test_31_days_and_a_second(caller: Caller, reader: MemoryReader, longer_s: int, errcode: int) -> None:
    """document: 资金流水的起止间隔不能超过31天"""
    held(reader, AT, AT + 10)
    begin = AT
    answer = caller.ask(begin_time=begin, end_time=begin + 31 * 86_400 + longer_s)
    assert answer.errcode == errcode
    if errcode:
        assert answer.errmsg.startswith(
            f"invalid parameter: end_time: expected a whole number from {begin} to {begin + 2_678_400}, got "
        )
    else:
        assert times(answer.rows) == [AT, AT + 10]


@pytest.mark.parametrize(("begin", "errcode"), [(1669824000, 0), (1669823999, 40058), (0, 40058), (-1, 40058)])
def test_the_floor(begin: int, errcode: int) -> None:
    """document: 可以拉取不早于2022年12月1日的资金流水记录"""
    assert seconds(2022, 12, 1) == 1669824000
    clock = MovableClock(datetime(2023, 1, 1, tzinfo=UTC))
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "shop-1"))
    held(reader, 1669823999, 1669824000)
    answer = caller.ask(begin_time=begin, end_time=begin + 10)
    assert answer.errcode == errcode
    if errcode:
        assert answer.errmsg == f"{BEFORE_THE_FLOOR}'{begin}'"
    else:
        assert times(answer.rows) == [1669824000]


# ---------------------------------------------------------------- what is there by now


def at(caller: Caller, clock: MovableClock, *local: int, microseconds: int = 0, **parameters: object) -> list[int]:
    """The times of what a page has when the clock in Shanghai says so."""
    clock.at = datetime(*local, tzinfo=SHANGHAI).astimezone(UTC) + timedelta(microseconds=microseconds)  # type: ignore[arg-type, misc]
    caller.token = None
    return times(caller.ask(**parameters).rows)


def test_a_day_is_out_at_eleven_on_the_next(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    """document: 当日的资金流水会在次日上午11点后生成"""
    last, first = seconds(2025, 12, 9, 23, 59, 59), seconds(2025, 12, 10)
    held(reader, last, first, seconds(2025, 12, 10, 23, 59, 59), seconds(2025, 12, 11))
    asked = {"begin_time": last, "end_time": last + 5 * 86_400}
    assert at(caller, clock, 2025, 12, 10, 10, 59, 59, microseconds=999_999, **asked) == []
    assert at(caller, clock, 2025, 12, 10, 11, 0, 0, **asked) == [last]
    assert at(caller, clock, 2025, 12, 11, 10, 59, 59, microseconds=999_999, **asked) == [last]
    assert at(caller, clock, 2025, 12, 11, 11, 0, 0, **asked) == [last, first, seconds(2025, 12, 10, 23, 59, 59)]
    assert len(at(caller, clock, 2025, 12, 12, 11, 0, 0, **asked)) == 4


def test_rows_are_kept_for_three_years(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    """document: 资金流水记录最长保留3年"""
    before, first = seconds(2023, 3, 9, 23, 59, 59), seconds(2023, 3, 10)
    held(reader, before, first)
    asked = {"begin_time": before, "end_time": first}
    assert at(caller, clock, 2026, 3, 9, 23, 59, 59, microseconds=999_999, **asked) == [before, first]
    assert at(caller, clock, 2026, 3, 10, 0, 0, 0, **asked) == [first]
    assert at(caller, clock, 2026, 3, 11, 0, 0, 0, **asked) == []


def test_of_a_range_before_the_retention_nothing_is_there(caller: Caller, reader: MemoryReader) -> None:
    held(reader, seconds(2022, 12, 2))
    assert caller.ask(begin_time=seconds(2022, 12, 1), end_time=seconds(2022, 12, 31)).rows == []


# ---------------------------------------------------------------- limit


@pytest.mark.parametrize(("limit", "many"), [(None, 100), (1, 1), (10, 10), (200, 200), ("200", 200), ("7", 7)])
def test_how_many_rows_a_page_has(caller: Caller, reader: MemoryReader, limit: int | str | None, many: int) -> None:
    """document: `limit` 返回的最大记录数，默认值100，最大不超过200"""
    held(reader, *range(AT, AT + 250))
    answer = caller.ask(limit=limit)
    assert (len(answer.rows), answer.cursor is not None) == (many, True)


@pytest.mark.parametrize("limit", [0, 201, -1, 10**30, "201", "", "ten", "1.0", " 1", "１"])
def test_a_limit_that_is_invalid(caller: Caller, limit: int | str) -> None:
    """document: `limit` 最大不超过200"""
    answer = caller.ask(limit=limit)
    expected = f"invalid parameter: limit: expected a whole number from 1 to 200, got {str(limit)!r}"
    assert (answer.errcode, answer.errmsg) == (40058, expected)


# ---------------------------------------------------------------- mch_id


@pytest.mark.parametrize(("mch_id", "many"), [(None, 3), ("", 3), ("1600000001", 2), ("1600000002", 1), ("16", 0)])
def test_one_merchant_or_all(caller: Caller, reader: MemoryReader, mch_id: str | None, many: int) -> None:
    """document: `mch_id` 否 商户号ID，若不填写则拉取所有商户号的资金流水"""
    held(reader, AT, AT + 1)
    held(reader, AT + 2, mch_id="1600000002")
    assert len(caller.ask(mch_id=mch_id).rows) == many
    body = json.dumps({"begin_time": AT, "end_time": AT + 9, "mch_id": mch_id, "cursor": None, "limit": None})
    assert len(caller.post(body.encode()).rows) == many


# ---------------------------------------------------------------- what the application may see


def test_operators_that_are_not_visible(reader: MemoryReader, clock: MovableClock) -> None:
    """document: 会过滤操作人不在应用可见范围中的资金流水，因此返回的记录数可能会小于limit设置的最大记录数"""
    operators = ["a", "b", "b", "b", "a", None, "", "c"]
    made = (
        wire(row(timestamp=AT + number, request_no=str(number), operator_userid=operator))
        for number, operator in enumerate(operators)
    )
    reader.add_rows("shop-1", PROVIDER, made)
    key = reader.create_key(PROVIDER, "shop-1", restrictions={"operators": "a, c"})
    pages = Caller(reader, clock, key).pages(limit=2)
    assert [[found["timestamp"] - AT for found in page] for page in pages] == [[0], [], [4, 5], [6, 7]]
    nobody = reader.create_key(PROVIDER, "shop-1", restrictions={"operators": ""})
    assert [len(page) for page in Caller(reader, clock, nobody).pages(limit=2)] == [0, 0, 1, 1]
