"""Binance's server: signatures, windows of time, ranges, pages, weights and bans."""

import json
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from liushui.errors import RateLimited, Refused, Unavailable
from liushui.http import Request
from liushui.providers.binance_usdm import PROVIDER
from liushui.providers.binance_usdm.wire import parse_page, sign
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits, MemoryReader
from liushui.wire.transport import NO_HEADERS, Answer
from tests.providers.binance_usdm.caller import ACCOUNT, Caller, Row, ms

STEP: Final = timedelta(milliseconds=1)
DAY_MS: Final = 86_400_000


def income(number: int, at_ms: int, **fields: str) -> bytes:
    documented = {"symbol": "BTCUSDT", "incomeType": "COMMISSION", "income": f"{number}.00", "asset": "USDT"}
    return json.dumps({**documented, "info": "", "time": at_ms, "tranId": number, "tradeId": ""} | fields).encode()


def ids(rows: list[Row]) -> list[int]:
    return [row["tranId"] for row in rows]


def test_the_signature_of_the_official_client() -> None:
    """Made with binance-common: secret testsecret."""
    query = "startTime=1795910400000&endTime=1795996799999&limit=1000&recvWindow=5000&timestamp=1796012510107"
    assert sign(secret="testsecret", query=query) == "ab5335890e23a5ddc940e0d1afa25ddabba1ca61f1e37a5907663c7af82a3fa3"


# ---------------------------------------------------------------- access


@pytest.mark.parametrize(
    ("late_ms", "window", "accepted"),
    [
        (5000, None, True),
        (5001, None, False),
        (60_000, 60_000, True),
        (60_001, 60_000, False),
        (-999, None, True),
        (-1000, 60_000, False),
    ],
)
def test_the_time_of_a_request(caller: Caller, late_ms: int, window: int | None, accepted: bool) -> None:
    """document: timestamp < serverTime + 1000, and serverTime - timestamp <= recvWindow"""
    parameters = {} if window is None else {"recvWindow": window}
    answer = caller.answer(caller.request(parameters, at=caller.clock() - late_ms * STEP))
    assert answer.rows == [] if accepted else answer.fault == (400, -1021)


def test_keys_and_signatures(caller: Caller, reader: MemoryReader) -> None:
    request = caller.request({"limit": 5})
    query, _, signature = request.query.rpartition("&signature=")
    for changed, fault in (
        (request._replace(headers={}), (401, -2014)),
        (request._replace(headers={"x-mbx-apikey": "nobody"}), (401, -2015)),
        (request._replace(query=query), (400, -1102)),
        (request._replace(query=f"limit=5&signature={signature}"), (400, -1102)),
        (request._replace(query=f"{query}&signature="), (400, -1102)),
        (request._replace(query=f"{query}&signature={signature[:-1]}x"), (400, -1022)),
        (request._replace(query=f"{query}0&signature={signature}"), (400, -1021)),
        (request._replace(query=f"signature={signature}&{query}"), (400, -1102)),
        (request._replace(route="/fapi/v1/balance"), (404, -5000)),
        (request._replace(method="POST"), (404, -5000)),
    ):
        assert caller.answer(changed).fault == fault, changed
    assert caller.answer(request._replace(query=f"{query}&signature={signature.upper()}")).rows == []
    reader.add_key(caller.key._replace(expires_at=caller.clock()))
    assert caller.answer(request).fault == (401, -2015)


# ---------------------------------------------------------------- ranges and pages


def test_the_time_needs_no_key(reader: MemoryReader, clock: MovableClock) -> None:
    def answer(path: str) -> object:
        return json.loads(PROVIDER.server.answer(Request("GET", path, "", {}, b"", path, ""), reader).body)

    assert answer("/fapi/v1/time") == {"serverTime": ms(clock())}
    assert answer("/fapi/v1/ping") == {}


def test_ranges(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    now = ms(clock())
    days = {1: 1, 2: 7, 3: 8, 4: 60}
    reader.add_rows(ACCOUNT, PROVIDER, [income(n, now - DAY_MS * day) for n, day in days.items()])
    assert ids(caller.get().rows) == [2, 1]
    assert ids(caller.get(startTime=now - 8 * DAY_MS).rows) == [3, 2, 1]
    assert ids(caller.get(endTime=now - 8 * DAY_MS).rows) == [4, 3]
    assert ids(caller.get(startTime=now - 60 * DAY_MS, endTime=now - 7 * DAY_MS).rows) == [4, 3, 2]
    assert caller.get(startTime=2, endTime=1).fault == (400, -1023)


def test_three_months_are_kept(caller: Caller, reader: MemoryReader) -> None:
    """By the calendar: from 2025-10-02 on 2026-01-02. A read proves one day less."""
    kept = datetime(2025, 10, 2, tzinfo=UTC)
    reader.add_rows(ACCOUNT, PROVIDER, [income(1, ms(kept)), income(2, ms(kept) - 1)])
    assert ids(caller.get(startTime=0).rows) == [1]
    begin, _ = PROVIDER.rules.provable(caller.clock())
    assert begin == kept + timedelta(days=1)


def test_pages(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    now = ms(clock())
    reader.add_rows(ACCOUNT, PROVIDER, [income(number, now - 1000 + number // 3) for number in range(7)])
    pages = [ids(caller.get(limit=3, page=page).rows) for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert sorted(id_ for page in pages for id_ in page) == list(range(7))
    assert len(caller.get(limit=5000).rows) == 7


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"limit": "0"}, -1130),
        ({"limit": "x"}, -1130),
        ({"page": "0"}, -1130),
        ({"startTime": "yesterday"}, -1130),
        ({"endTime": "yesterday"}, -1130),
        ({"recvWindow": "60001"}, -1130),
        ({"recvWindow": "0"}, -1130),
        ({"symbol": "btc usdt"}, -1121),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(caller: Caller, parameters: dict[str, str], code: int) -> None:
    answer = caller.get(**parameters)
    assert answer.fault == (400, code)
    assert next(iter(parameters)) in answer.body["msg"]


def test_filters(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    now = ms(clock())
    rows = [income(1, now - 3), income(2, now - 2, incomeType="FUNDING_FEE"), income(3, now - 1, symbol="ETHUSDT")]
    reader.add_rows(ACCOUNT, PROVIDER, rows)
    assert ids(caller.get(symbol="BTCUSDT").rows) == [1, 2]
    assert ids(caller.get(incomeType="COMMISSION").rows) == [1, 3]
    assert ids(caller.get(incomeType="COMMISSION", symbol="ETHUSDT").rows) == [3]
    assert caller.get(incomeType="NONE_SUCH").rows == caller.get(symbol="NONESUCH").rows == []


# ---------------------------------------------------------------- rates


def test_weights_refusals_and_bans(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    reader.admit_call = MemoryLimits(clock).admit
    for call in range(80):
        assert caller.get().headers == {"X-MBX-USED-WEIGHT-1M": str(30 * (call + 1))}
    for _ in range(30):
        answer = caller.get()
        assert (answer.fault, answer.headers["Retry-After"]) == ((429, -1003), "60")
    answer = caller.get()
    assert (answer.fault, answer.headers["Retry-After"]) == ((418, -1003), "120")
    clock.move(timedelta(minutes=1))
    assert caller.get().rows == []


@pytest.mark.parametrize(
    ("status", "body", "class_", "wait_s"),
    [
        (418, b"", RateLimited, 120),
        (418, b'{"code":-1003,"msg":"banned"}', RateLimited, 120),
        (429, b'{"code":-1003,"msg":"Too many requests"}', RateLimited, 60),
        (403, b"<html>", Refused, None),
        (408, b'{"code":-1007,"msg":"Timeout"}', Unavailable, None),
        (503, b"", Unavailable, None),
    ],
)
def test_what_an_error_answer_means(
    status: int, body: bytes, class_: type[RateLimited | Unavailable | Refused], wait_s: float | None
) -> None:
    with pytest.raises(class_) as caught:
        parse_page(Answer(status, NO_HEADERS, body))
    assert caught.value.retry_after_s == wait_s
