"""Bybit's server: signatures, windows of time, cursors in any encoding, rates; and how our client sends a cursor."""

import asyncio
import json
from datetime import timedelta
from typing import Final
from urllib.parse import quote

import pytest

from liushui.errors import RateLimited, Unavailable
from liushui.http import Request
from liushui.provider import PageRequest, Slice
from liushui.providers import load_providers
from liushui.providers.bybit import PROVIDER
from liushui.providers.bybit.wire import parse_page, sign
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits, MemoryReader
from liushui.testing.transport import HTTPS, DialectTransport, clients_over, system_clock_is
from liushui.wire.transport import NO_HEADERS, Answer
from tests.providers.bybit.caller import ACCOUNT, Caller, Row, ms

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
STEP: Final = timedelta(milliseconds=1)


def transaction(number: int, at_ms: int, **fields: str) -> bytes:
    required = {"id": str(number), "change": f"{number}.00", "transactionTime": str(at_ms), "type": "TRADE"}
    return json.dumps(required | {"currency": "USDT"} | fields).encode()


def ids(rows: list[Row]) -> list[str]:
    return [row["id"] for row in rows]


def test_the_signature_of_a_public_client() -> None:
    """Made with pybit: key testkey, secret testsecret."""
    query = "accountType=UNIFIED&currency=USDT&endTime=1795996799999&limit=50&startTime=1795910400000"
    signature = sign(secret="testsecret", timestamp="1796012510107", key="testkey", window="5000", query=query)
    assert signature == "2a32b5dedbc59f1dcf44382b03db19562dffa1c3ff1dc500810461228f7b1d13"


# ---------------------------------------------------------------- access


@pytest.mark.parametrize(
    ("header", "value", "fault"),
    [
        ("x-bapi-api-key", "nobody", 10003),
        ("x-bapi-api-key", "", 10003),
        ("x-bapi-sign", "wrong", 10004),
        ("x-bapi-timestamp", "now", 10002),
        ("x-bapi-timestamp", "", 10002),
        ("x-bapi-recv-window", "-1", 10002),
        ("x-bapi-recv-window", "6000", 10004),
    ],
)
def test_a_header_that_does_not_fit(caller: Caller, header: str, value: str, fault: int) -> None:
    request = caller.request()
    assert caller.answer(request).rows == []
    assert caller.answer(request._replace(headers={**request.headers, header: value})).fault == fault


@pytest.mark.parametrize(
    ("late_ms", "window", "accepted"),
    [
        (5000, None, True),
        (5001, None, False),
        (20_000, "20000", True),
        (20_001, "20000", False),
        (-999, None, True),
        (-1000, "60000", False),
    ],
)
def test_the_time_of_a_request(caller: Caller, late_ms: int, window: str | None, accepted: bool) -> None:
    answer = caller.answer(caller.request(at=caller.clock() - late_ms * STEP, window=window))
    assert answer.code == (0 if accepted else 10002)


def test_an_expired_key(caller: Caller, reader: MemoryReader) -> None:
    reader.add_key(caller.key._replace(expires_at=caller.clock()))
    assert caller.get().fault == 33004


def test_routes(caller: Caller) -> None:
    request = caller.request()
    for other in (request._replace(method="POST"), request._replace(route="/v5/account/info")):
        answer = caller.answer(other)
        assert (answer.status, answer.fault) == (404, 404)


# ---------------------------------------------------------------- ranges


def test_default_ranges(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    """document: 24 hours, counted from whichever end was sent."""
    now = ms(clock())
    hours = {1: 1, 2: 24, 3: 25, 4: 48, 5: 49, 6: 73}
    reader.add_rows(ACCOUNT, PROVIDER, [transaction(n, now - 3_600_000 * hour) for n, hour in hours.items()])
    assert ids(caller.get().rows) == ["1", "2"]
    assert ids(caller.get(endTime=now - 3_600_000 * 25).rows) == ["3", "4", "5"]
    assert ids(caller.get(startTime=now - 3_600_000 * 49).rows) == ["3", "4", "5"]
    assert ids(caller.get(startTime=now - 3_600_000 * 73, endTime=now).rows) == ["1", "2", "3", "4", "5", "6"]


def test_the_time_needs_no_key(caller: Caller, clock: MovableClock) -> None:
    path = "/v5/market/time"
    answer = caller.answer(Request("GET", path, "", {}, b"", path, ""))
    seconds, ms_left = divmod(ms(clock()), 1000)
    nano = seconds * 1_000_000_000 + ms_left * 1_000_000 + clock().microsecond % 1000 * 1000
    assert answer.result == {"timeSecond": str(seconds), "timeNano": str(nano)}


def test_the_longest_window(caller: Caller, clock: MovableClock) -> None:
    end = ms(clock())
    week = 7 * 86_400_000
    assert caller.get(startTime=end - week, endTime=end).rows == []
    answer = caller.get(startTime=end - week - 1, endTime=end)
    assert answer.fault == 10001
    assert answer.message.startswith("params error: endTime: expected at most 7 days from startTime, got 7 days")


def test_what_is_kept(caller: Caller, reader: MemoryReader) -> None:
    """Two years by the calendar: until 2024-01-02 on 2026-01-02."""
    kept_ms = 1_704_153_600_000
    reader.add_rows(ACCOUNT, PROVIDER, [transaction(1, kept_ms), transaction(2, kept_ms - 1)])
    assert ids(caller.get(startTime=kept_ms - 1000, endTime=kept_ms + 1000).rows) == ["1"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "51"},
        {"limit": "x"},
        {"startTime": "yesterday"},
        {"startTime": "2", "endTime": "1"},
        {"accountType": "CONTRACT"},
        {"category": "futures"},
        {"transSubType": "other"},
        {"cursor": "21963%3A1%2C14954%3A1"},
    ],
)
def test_a_parameter_that_does_not_fit_is_named(caller: Caller, parameters: dict[str, str]) -> None:
    answer = caller.get(**parameters)
    assert answer.fault == 10001
    assert answer.message.startswith(f"params error: {list(parameters)[-1]}: expected ")


def test_filters(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    now = ms(clock())
    rows = [
        transaction(1, now - 5, category="linear", symbol="BTCPERP", currency="USDC", type="SETTLEMENT"),
        transaction(2, now - 4, category="spot", symbol="BTCUSDT", transSubType="movePosition"),
        transaction(3, now - 3, type="TRANSFER_IN"),
    ]
    reader.add_rows(ACCOUNT, PROVIDER, rows)
    for filters, expected in (
        ({"category": "linear"}, ["1"]),
        ({"currency": "USDT"}, ["3", "2"]),
        ({"baseCoin": "BTC"}, ["2", "1"]),
        ({"baseCoin": "ETH"}, []),
        ({"type": "TRANSFER_IN"}, ["3"]),
        ({"transSubType": "movePosition"}, ["2"]),
        ({"category": "spot", "type": "SETTLEMENT"}, []),
        ({"category": "", "accountType": "UNIFIED"}, ["3", "2", "1"]),
    ):
        assert ids(caller.get(**filters).rows) == expected, filters


# ---------------------------------------------------------------- cursors


def test_a_cursor_in_any_encoding(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    """pybit sends a cursor as it came, bybit-api encodes it once more."""
    now = ms(clock())
    reader.add_rows(ACCOUNT, PROVIDER, [transaction(number, now - number) for number in range(1, 6)])
    first = caller.get(startTime=now - 100, endTime=now, limit=2)
    for cursor in (first.cursor, quote(first.cursor, safe=""), quote(quote(first.cursor, safe=""), safe="")):
        page = caller.answer(caller.request(f"startTime={now - 100}&endTime={now}&limit=3&cursor={cursor}"))
        assert (ids(first.rows), ids(page.rows), page.cursor) == (["1", "2"], ["3", "4", "5"], "")


def test_a_cursor_is_bound_to_its_parameters_and_its_key(
    caller: Caller, reader: MemoryReader, clock: MovableClock
) -> None:
    now = ms(clock())
    reader.add_rows(ACCOUNT, PROVIDER, [transaction(number, now - number) for number in range(1, 6)])
    cursor = caller.get(startTime=now - 100, endTime=now, limit=2).cursor
    assert caller.get(startTime=now - 100, endTime=now, cursor=cursor, limit=50).rows
    assert caller.get(startTime=now - 101, endTime=now, cursor=cursor).fault == 10001
    assert caller.get(startTime=now - 100, endTime=now, cursor=cursor, type="TRADE").fault == 10001
    other = Caller(reader, clock, reader.create_key(PROVIDER, ACCOUNT))
    assert other.get(startTime=now - 100, endTime=now, cursor=cursor).fault == 10001


def test_our_client_sends_the_services_own_cursors_as_they_came(reader: MemoryReader, clock: MovableClock) -> None:
    """They are encoded inside the JSON. Encoded once more, the service would not know them."""
    key = reader.create_key(PROVIDER, ACCOUNT)
    transport = DialectTransport(load_providers(), reader)

    async def read() -> None:
        client = PROVIDER.connect(base_url=HTTPS, credentials=key.credentials, rate=None, timeout_s=5)
        part = Slice(clock() - DAY, clock())
        with pytest.raises(Exception, match="cursor"):
            await client.fetch_page(PageRequest(part, 50, page_token="21963%3A1%2C14954%3A1"))  # a place
        await client.close()

    with clients_over(transport), system_clock_is(clock):
        asyncio.run(read())
    assert transport.exchanges[-1].request.query.endswith("&limit=50&cursor=21963%3A1%2C14954%3A1")


# ---------------------------------------------------------------- rates


def test_the_rate_and_its_headers(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    reader.admit_call = MemoryLimits(clock).admit
    for call in range(PROVIDER.rules.rate.calls):
        assert caller.get().headers["X-Bapi-Limit-Status"] == str(PROVIDER.rules.rate.calls - call - 1)
    answer = caller.get()
    assert answer.fault == 10006
    assert answer.headers == {
        "X-Bapi-Limit": "25",
        "X-Bapi-Limit-Status": "0",
        "X-Bapi-Limit-Reset-Timestamp": str(ms(clock() + 2 * SECOND)),
    }
    assert caller.answer(caller.request()._replace(headers={})).headers == {}


@pytest.mark.parametrize(
    ("status", "body", "class_", "wait_s"),
    [
        (403, b"<html>", RateLimited, 600),
        (403, b'{"retCode":0,"retMsg":""}', RateLimited, 600),
        (200, b'{"retCode":10006,"retMsg":"Too many visits."}', RateLimited, 1),
        (200, b'{"retCode":10016,"retMsg":"Server error"}', Unavailable, None),
        (502, b"", Unavailable, None),
    ],
)
def test_what_an_error_answer_means(
    status: int, body: bytes, class_: type[RateLimited | Unavailable], wait_s: float | None
) -> None:
    with pytest.raises(class_) as caught:
        parse_page(Answer(status, NO_HEADERS, body))
    assert caught.value.retry_after_s == wait_s


def test_any_message_of_success() -> None:
    for message in (b'"OK"', b'"success"', b'""', b"null"):
        body = b'{"retCode":0,"retMsg":%b,"result":{"list":[],"nextPageCursor":""}}' % message
        assert parse_page(Answer(200, NO_HEADERS, body)) == ([], None)
