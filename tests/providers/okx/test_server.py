"""OKX's server: signatures, errors, pages by ids, the two routes, filters; and the route that our client chooses."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import pytest

from liushui.flow import Category, Flow, Kind
from liushui.http import Request
from liushui.provider import PageRequest, Slice
from liushui.providers import load_providers
from liushui.providers.okx import PROVIDER, codec
from liushui.providers.okx.wire import sign
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from liushui.testing.transport import HTTPS, DialectTransport, clients_over, system_clock_is
from tests.providers.okx.caller import ACCOUNT, ARCHIVE, RECENT, Caller, Row, ms

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
STEP: Final = timedelta(milliseconds=1)


def bill(number: int, at: datetime, **fields: str) -> bytes:
    required = {"bal": "", "balChg": f"{number}.00", "billId": str(number), "ccy": "USDT", "ts": str(ms(at))}
    return json.dumps(required | {"type": "2", "subType": "1"} | fields).encode()


def ids(rows: list[Row]) -> list[str]:
    return [row["billId"] for row in rows]


def test_the_signature_of_a_public_client() -> None:
    """Made with python-okx: key testkey, secret testsecret, passphrase testpass."""
    signature = sign(
        secret="testsecret",
        timestamp="2026-11-30T04:21:50.107Z",
        method="GET",
        path="/api/v5/account/bills",
        query="ccy=USDT&limit=100&begin=1795910400000&end=1795996799999",
    )
    assert signature == "Aiutr7Rqksla3O9wBFyE+WVo1rpNwIqAxnFdLq6FDF0="


# ---------------------------------------------------------------- access


@pytest.mark.parametrize(
    ("header", "value", "fault"),
    [
        ("ok-access-key", "", (401, "50103")),
        ("ok-access-passphrase", "", (401, "50104")),
        ("ok-access-sign", "", (401, "50106")),
        ("ok-access-timestamp", "", (401, "50107")),
        ("ok-access-key", "nobody", (200, "50119")),
        ("ok-access-passphrase", "wrong", (401, "50105")),
        ("ok-access-sign", "wrong", (401, "50113")),
        ("ok-access-timestamp", "1767355200000", (401, "50112")),
        ("ok-access-timestamp", "2026-13-40T00:00:00.000Z", (401, "50112")),
    ],
)
def test_a_header_that_does_not_fit(caller: Caller, header: str, value: str, fault: tuple[int, str]) -> None:
    request = caller.request(ARCHIVE)
    assert caller.answer(request).rows == []
    assert caller.answer(request._replace(headers={**request.headers, header: value})).fault == fault


@pytest.mark.parametrize(("late_s", "accepted"), [(30, True), (31, False), (-30, True), (-31, False)])
def test_the_time_of_a_signature(caller: Caller, late_s: int, accepted: bool) -> None:
    request = caller.request(ARCHIVE, at=caller.clock() - late_s * SECOND)
    answer = caller.answer(request)
    assert (answer.status, answer.code) == ((200, "0") if accepted else (401, "50102"))


def test_a_mounted_server_takes_a_signature_of_the_documented_path(caller: Caller) -> None:
    request = caller.request(ARCHIVE, "limit=1")._replace(path=f"/dialect/okx{ARCHIVE}")
    assert caller.answer(request).rows == []
    assert caller.answer(request._replace(query="limit=2")).fault == (401, "50113")


def test_routes(caller: Caller) -> None:
    assert caller.answer(caller.request("/api/v5/asset/bills")).fault == (404, "404")
    assert caller.answer(Request("POST", ARCHIVE, "", {}, b"", ARCHIVE)).fault == (404, "404")


# ---------------------------------------------------------------- ids are places


def test_the_time_needs_no_key(reader: MemoryReader, clock: MovableClock) -> None:
    path = "/api/v5/public/time"
    response = PROVIDER.server.answer(Request("GET", path, "", {}, b"", path, ""), reader)
    now = str(ms(clock()))
    assert json.loads(response.body) == {"code": "0", "msg": "", "data": [{"ts": now}]}


def test_pages_begin_after_an_id(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    """Also where bills share a millisecond, and of ids that do not rise with time."""
    now = clock() - DAY
    rows = [bill(10, now), bill(12, now), bill(11, now + STEP), bill(2 * 10**18, now + STEP), bill(9, now + SECOND)]
    reader.add_rows(ACCOUNT, PROVIDER, rows)
    newest_first = ids(caller.get().rows)
    assert newest_first == ["9", str(2 * 10**18), "11", "12", "10"]
    for size in (1, 2, 3):
        found, after = list[str](), dict[str, str]()
        while rows_ := caller.get(limit=size, **after).rows:
            found += ids(rows_)
            after = {"after": found[-1]}
        assert found == newest_first
    for index, id_ in enumerate(newest_first):
        assert ids(caller.get(before=id_).rows) == newest_first[:index]


def test_derived_ids_are_places_too(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    """Of flows of another provider, hundreds of them in one second."""
    at = clock() - DAY
    reader.add_flows(
        ACCOUNT, [Flow(f"f{number}", at + number % 3 * STEP, Decimal(number), "USD") for number in range(450)]
    )
    found, after = list[str](), dict[str, str]()
    while rows := caller.get(**after).rows:
        found += ids(rows)
        after = {"after": found[-1]}
    assert len(found) == len(set(found)) == 450


def test_an_id_is_a_place_for_any_filter(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    at = clock() - DAY
    reader.add_rows(ACCOUNT, PROVIDER, [bill(n, at + n * SECOND, ccy="BTC" if n % 2 else "USDT") for n in range(1, 9)])
    assert ids(caller.get(after=5, ccy="USDT").rows) == ["4", "2"]
    assert ids(caller.get(after=5, end=ms(at + 3 * SECOND)).rows) == ["3", "2", "1"]
    assert caller.get(after=5, ccy="ETH").rows == []
    assert caller.get(after=1).rows == []


def test_the_bills_of_another_account_are_not_places(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    reader.add_rows("somebody else", PROVIDER, [bill(7, clock() - DAY)])
    assert caller.get(after=7).fault == (400, "51000")


# ---------------------------------------------------------------- ranges and filters


def test_the_recent_bills_and_the_archive(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    now = clock()
    ages = {1: DAY, 2: 7 * DAY, 3: 7 * DAY + STEP, 4: 60 * DAY}
    rows = [bill(number, now - age) for number, age in ages.items()]
    kept = datetime(2025, 10, 2, tzinfo=UTC)
    reader.add_rows(ACCOUNT, PROVIDER, [*rows, bill(5, kept), bill(6, kept - STEP)])
    assert ids(caller.get(RECENT).rows) == ["1", "2"]
    assert ids(caller.get(ARCHIVE).rows) == ["1", "2", "3", "4", "5"]


def test_both_ends_of_a_range_are_inclusive(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    at = clock() - DAY
    reader.add_rows(ACCOUNT, PROVIDER, [bill(number, at + number * STEP) for number in range(1, 6)])
    assert ids(caller.get(begin=ms(at) + 2, end=ms(at) + 4).rows) == ["4", "3", "2"]
    assert caller.get(begin=ms(at) + 4, end=ms(at) + 2).rows == []


def test_filters_of_received_rows_and_of_others(caller: Caller, reader: MemoryReader, clock: MovableClock) -> None:
    at = clock() - DAY
    swap = {"instType": "SWAP", "instId": "BTC-USD-SWAP", "ccy": "BTC", "mgnMode": "cross", "type": "8"}
    reader.add_rows(ACCOUNT, PROVIDER, [bill(1, at, **swap, subType="173"), bill(2, at + STEP, instType="SPOT")])
    flow = Flow("f", at + SECOND, Decimal(-1), "USDT", kind=Kind.FUNDING, category=Category.FUTURES, symbol="X")
    reader.add_flows(ACCOUNT, [flow])
    (other, *_) = ids(caller.get().rows)
    for filters, expected in (
        ({"instType": "SWAP"}, [other, "1"]),
        ({"instType": "SPOT"}, ["2"]),
        ({"instType": "OPTION"}, []),
        ({"ctType": "linear"}, [other]),
        ({"ctType": "inverse"}, ["1"]),
        ({"instId": "X"}, [other]),
        ({"mgnMode": "cross"}, ["1"]),
        ({"type": "8"}, [other, "1"]),
        ({"subType": "173"}, [other, "1"]),
        ({"subType": "174"}, []),
        ({"type": "8", "ccy": "BTC", "subType": ""}, ["1"]),
    ):
        assert ids(caller.get(**filters).rows) == expected, filters


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "x"},
        {"begin": "yesterday"},
        {"end": "1e12"},
        {"after": "x"},
        {"before": "-1"},
        {"instType": "swap"},
        {"mgnMode": "any"},
        {"ctType": "both"},
    ],
)
def test_a_parameter_that_does_not_fit_is_named(caller: Caller, parameters: dict[str, str]) -> None:
    answer = caller.get(**parameters)
    assert answer.fault == (400, "51000")
    assert answer.message.startswith(f"Parameter {next(iter(parameters))} error: expected ")


# ---------------------------------------------------------------- our client


def test_our_client_asks_for_recent_bills_where_it_can(reader: MemoryReader, clock: MovableClock) -> None:
    now = clock()
    reader.add_rows(ACCOUNT, PROVIDER, [bill(number, now - number * DAY) for number in range(1, 30)])
    key = reader.create_key(PROVIDER, ACCOUNT)
    transport = DialectTransport(load_providers(), reader)

    async def read() -> list[int]:
        client = PROVIDER.connect(base_url=HTTPS, credentials=key.credentials, rate=None, timeout_s=5)
        counts = []
        for days in (5, 6, 7, 8):
            page = await client.fetch_page(PageRequest(Slice(now - days * DAY + SECOND, now), 100))
            counts.append(len(page.rows))
        await client.close()
        return counts

    with clients_over(transport), system_clock_is(clock):
        assert asyncio.run(read()) == [4, 5, 6, 7]
    assert [exchange.request.path for exchange in transport.exchanges] == [RECENT, RECENT, ARCHIVE, ARCHIVE]


def test_a_derived_id_is_that_of_the_row_that_is_served(caller: Caller, reader: MemoryReader) -> None:
    """The reader names each flow as no other, and so does its id."""
    at = caller.clock() - DAY
    reader.add_flows(ACCOUNT, [Flow("same", at, Decimal(1), "USD"), Flow("same", at, Decimal(1), "USD")])
    first, second = caller.get().rows
    assert first["billId"] != second["billId"]
    assert codec.second_of(first["billId"]) == codec.second_of(second["billId"]) == at
