"""Queries: pages and their cursors, invalid bodies, and flows of other providers."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.flow import Direction, Flow, Kind
from liushui.instant import from_us
from liushui.ledger.flow_row import served_identity
from liushui.providers.wecom import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.wecom.caller import Caller
from tests.providers.wecom.rows import AT, Row, row, rows, wire


def held(reader: MemoryReader, *changes: Row) -> list[Row]:
    """Have rows received; returns them as they must be served."""
    served = [row(**change) for change in changes]
    reader.add_rows("shop-1", PROVIDER, map(wire, served))
    return served


# ---------------------------------------------------------------- pages


@given(limit=st.integers(1, 40), seconds=st.lists(st.integers(0, 30), max_size=120))
def test_pages_partition_the_rows_oldest_first(limit: int, seconds: list[int]) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "shop-1"))
    served = held(reader, *({"timestamp": AT + at_s, "request_no": str(n)} for n, at_s in enumerate(seconds)))
    pages = caller.pages(limit=limit)
    got = [found for page in pages for found in page]
    assert [found["timestamp"] - AT for found in got] == sorted(seconds)
    assert sorted(map(json.dumps, got)) == sorted(map(json.dumps, served))
    whole, part = divmod(len(seconds), limit)
    assert [len(page) for page in pages] == [limit] * whole + [part] * bool(part or not whole)


@pytest.fixture
def cursor(caller: Caller, reader: MemoryReader) -> str:
    """That of the first of three pages of one row."""
    held(reader, *({"timestamp": AT + number, "request_no": str(number)} for number in range(3)))
    given = caller.ask(limit=1).cursor
    assert given is not None
    return given


def test_a_cursor_goes_on_as_often_as_it_is_sent(caller: Caller, cursor: str) -> None:
    for _ in range(2):
        assert [found["timestamp"] for found in caller.ask(limit=1, cursor=cursor).rows] == [AT + 1]


def test_the_limit_may_change_on_the_way(caller: Caller, cursor: str) -> None:
    answer = caller.ask(limit=200, cursor=cursor)
    assert ([found["timestamp"] for found in answer.rows], answer.cursor) == ([AT + 1, AT + 2], None)


def test_rows_that_come_later_are_not_counted_twice(caller: Caller, reader: MemoryReader, cursor: str) -> None:
    held(reader, {"timestamp": AT - 1, "request_no": "early"}, {"timestamp": AT + 9, "request_no": "late"})
    answer = caller.ask(cursor=cursor)
    assert [found["request_no"] for found in answer.rows] == ["1", "2", "late"]


@pytest.mark.parametrize(
    "change", [{"begin_time": AT}, {"begin_time": AT - 1}, {"end_time": AT + 9}, {"mch_id": "1600000001"}]
)
def test_a_cursor_is_bound_to_what_was_asked(caller: Caller, cursor: str, change: Row) -> None:
    assert caller.ask(**change | {"cursor": cursor}).errcode == 40058


@pytest.mark.parametrize("same", [{"mch_id": ""}, {"mch_id": None}, {"begin_time": "1764518400"}])
def test_the_same_may_be_said_otherwise(caller: Caller, cursor: str, same: Row) -> None:
    assert len(caller.ask(**same | {"cursor": cursor}).rows) == 2


def test_a_cursor_is_bound_to_its_key(caller: Caller, reader: MemoryReader, cursor: str) -> None:
    other = Caller(reader, caller.clock, reader.create_key(PROVIDER, "shop-1"))
    assert len(other.ask().rows) == 3
    assert other.ask(cursor=cursor).errcode == 40058


def test_a_cursor_that_was_changed(caller: Caller, cursor: str) -> None:
    token = caller.get_token().members["access_token"]
    for changed in (cursor[:-1], f"{cursor}A", f"{cursor}=", f"A{cursor}", cursor.partition(".")[0], "CURSOR", token):
        answer = caller.ask(cursor=changed)
        assert answer.errcode == 40058
        assert answer.errmsg.startswith("invalid parameter: cursor: expected one that was given for ")


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"1", b"\xff", b"{", b"begin_time=1", b'{"begin_time":1}x', b'{"a":' + b"[" * 100_000],
)
def test_what_is_not_a_body(caller: Caller, body: bytes) -> None:
    answer = caller.post(body)
    assert answer.errcode == 40058
    assert answer.errmsg.startswith(("invalid parameter: body: expected ", "invalid parameter: end_time: expected, "))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("begin_time", 1.5, "an integer or text, got 1.5"),
        ("begin_time", True, "an integer or text, got true"),
        ("begin_time", None, "an integer or text, got null"),
        ("begin_time", [], "an integer or text, got []"),
        ("begin_time", "now", "a whole number from 1669824000 to 253402300799, got 'now'"),
        ("end_time", 1e300, "an integer or text, got 1e+300"),
        ("limit", 10.0, "an integer or text or null, got 10.0"),
        ("limit", {}, "an integer or text or null, got {}"),
        ("mch_id", 1234, "text or null, got 1234"),
        ("cursor", 0, "text or null, got 0"),
    ],
)
def test_a_parameter_of_another_type(caller: Caller, name: str, value: object, expected: str) -> None:
    body = json.dumps({"begin_time": AT, "end_time": AT} | {name: value}).encode()
    answer = caller.post(body)
    assert (answer.errcode, answer.errmsg) == (40058, f"invalid parameter: {name}: expected {expected}")


def test_a_parameter_that_comes_twice(caller: Caller) -> None:
    answer = caller.post(b'{"begin_time":%d,"end_time":%d,"limit":1,"limit":2}' % (AT, AT))
    assert answer.errmsg == "invalid parameter: limit: expected once, but found twice"


def test_unknown_parameters_are_ignored(caller: Caller, reader: MemoryReader) -> None:
    held(reader, {})
    assert len(caller.ask(more={"limit": 0}, size=-1).rows) == 1


# ---------------------------------------------------------------- rows


@given(values=st.lists(rows, max_size=4))
def test_rows_stand_as_they_came(values: list[Row]) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "shop-1"))
    recent = [made | {"timestamp": AT, "more": None} for made in values]
    reader.add_rows("shop-1", PROVIDER, map(wire, recent))
    assert sorted(map(json.dumps, caller.ask().rows)) == sorted(map(json.dumps, recent))


def flow(amount: str, *, currency: str = "CNY") -> Flow:
    """A flow of another provider."""
    return Flow(identity="x", at=from_us(AT * 1_000_000), amount=Decimal(amount), currency=currency)


def test_flows_from_elsewhere_are_written(caller: Caller, reader: MemoryReader) -> None:
    reader.add_flows("shop-1", [flow("-5.00")._replace(direction=Direction.IN, kind=Kind.WITHDRAWAL, subaccount="m")])
    expected = {
        "timestamp": AT,
        "request_no": served_identity("shop-1", "x"),
        "transaction_type": 4,
        "fund_flow_type": 2,
        "transaction_amount": 500,
        "mch_id": "m",
    }
    assert caller.ask().rows == [expected]
    assert caller.ask(mch_id="m").rows == [expected]
    assert caller.ask(mch_id="n").rows == []


@pytest.mark.parametrize(
    ("unsayable", "named"),
    [
        (flow("1", currency="USD"), "currency: expected CNY, got 'USD'"),
        (flow("0.001"), "amount: expected at most 2 decimal places of CNY, got 0.001"),
    ],
)
def test_money_that_cannot_be_said_is_refused(
    caller: Caller, reader: MemoryReader, unsayable: Flow, named: str
) -> None:
    reader.add_flows("shop-1", [flow("1"), unsayable])
    answer = caller.ask()
    assert (answer.errcode, answer.errmsg.endswith(f": {named}")) == (40058, True)
    assert caller.ask(begin_time=AT + 1).rows == []


def test_a_key_reads_its_own_accounts(caller: Caller, reader: MemoryReader) -> None:
    reader.add_rows("shop-2", PROVIDER, [wire(row())])
    assert caller.ask().rows == []
    both = Caller(reader, caller.clock, reader.create_key(PROVIDER, "shop-1", "shop-2"))
    assert len(both.ask().rows) == 1
