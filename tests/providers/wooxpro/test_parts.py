"""`fetch_slice` reads all rows, even if one answer cannot have them: our client and our server, without a network."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from random import Random

import httpx2
import pytest

from liushui.errors import SyncError
from liushui.instant import EPOCH
from liushui.provider import Page, PageRequest, Slice
from liushui.providers.wooxpro import PROVIDER
from liushui.providers.wooxpro.client import WooxproClient
from liushui.providers.wooxpro.rules import RULES
from liushui.sync.fetch import fetch_slice
from liushui.sync.question import SliceTooLarge
from liushui.sync.slicer import Slicer
from liushui.testing.reader import MemoryReader
from liushui.testing.transport import DialectTransport
from tests.providers.wooxpro.caller import ACCOUNT
from tests.providers.wooxpro.rows import TYPES, Row, of_type, row, wire

BEGIN_MS = 1734000000000
BEGIN = EPOCH + timedelta(milliseconds=BEGIN_MS)
INSTANT = Slice(BEGIN, BEGIN + RULES.resolution)
SECOND = Slice(BEGIN, BEGIN + timedelta(seconds=1))

Read = Callable[[Slice, int], list[bytes]]


@pytest.fixture
def reader() -> MemoryReader:
    return MemoryReader()


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch, reader: MemoryReader) -> DialectTransport:
    """Every client's way to a server over the reader."""
    joined = DialectTransport({PROVIDER.name: PROVIDER}, reader)
    real = httpx2.AsyncClient
    monkeypatch.setattr(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": joined}))
    return joined


@pytest.fixture
def read(reader: MemoryReader, transport: DialectTransport) -> Read:
    """Reads a slice with pages of a size, cut as a sync cuts it."""
    key = reader.create_key(PROVIDER, ACCOUNT)

    async def every_slice(asked: Slice, size: int) -> list[bytes]:
        client = PROVIDER.connect(base_url="https://p.test", credentials=key.credentials, rate=None, timeout_s=5)
        slicer, rows, since = Slicer.for_rules(RULES, size), list[bytes](), asked.since
        try:
            while since < asked.until:
                part = slicer.next_slice(Slice(since, asked.until))
                while True:
                    try:
                        found = await fetch_slice(client, part, RULES, size, can_split=slicer.can_split(part))
                    except SliceTooLarge as overfull:
                        part = slicer.split(part, overfull.rows_in_page)
                    else:
                        break
                slicer.learn(len(found), part)
                rows, since = rows + found, part.until
        finally:
            await client.close()
        return rows

    return lambda asked, size: asyncio.run(every_slice(asked, size))


def held(reader: MemoryReader, values: Iterable[Row]) -> Counter[bytes]:
    """Have rows received: what must be read, and how often."""
    rows = [wire(one) for one in values]
    reader.add_rows(ACCOUNT, PROVIDER, rows)
    return Counter(rows)


def in_an_instant(many: int, **changes: object) -> list[Row]:
    """So many rows of one millisecond that differ in their ids."""
    return [row(time=str(BEGIN_MS), tran_id=str(number), **changes) for number in range(many)]


def of_types(rows: list[Row]) -> list[Row]:
    """Rows that stay where they are, each of the next type."""
    codes = list(TYPES)
    return [
        one | of_type(codes[number % len(codes)], time=one["time"], tran_id=one["tran_id"])
        for number, one in enumerate(rows)
    ]


# ---------------------------------------------------------------- ranges


def test_more_than_a_thousand_rows_in_a_second(reader: MemoryReader, read: Read) -> None:
    """document: 最大1000"""
    accounts = RULES.filter("account").values or ()
    expected = held(
        reader,
        (
            row(time=str(BEGIN_MS + number % 1_000), tran_id=str(number), account=accounts[number % 3 % 2])
            for number in range(3_500)
        ),
    )
    assert Counter(read(SECOND, RULES.paging.size_max)) == expected


def test_rows_at_both_ends_of_a_slice(reader: MemoryReader, read: Read) -> None:
    rows = held(reader, (row(time=str(BEGIN_MS + at_ms)) for at_ms in (-1, 0, 999, 1000)))
    outside = {wire(row(time=str(BEGIN_MS + at_ms))) for at_ms in (-1, 1000)}
    assert Counter(read(SECOND, 3)) == Counter({one: many for one, many in rows.items() if one not in outside})


# ---------------------------------------------------------------- one millisecond


def test_an_instant_across_accounts(reader: MemoryReader, read: Read, transport: DialectTransport) -> None:
    """Together they do not fit a page. Each account is asked for on its own, so two pages less one row each do."""
    expected = held(reader, in_an_instant(4, account="futures") + in_an_instant(4, account="copy_trading"))
    assert Counter(read(INSTANT, 5)) == expected
    asked = [dict(request.url.params).get("account") for request in transport.requests]
    assert asked == [None, None, *["futures"] * 2, *["copy_trading"] * 2]


@pytest.mark.parametrize("many", [3, 9])
def test_an_older_row_without_a_time_is_not_of_the_instant(
    reader: MemoryReader, read: Read, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest rows are requested without a beginning, so the answer has such a row, too."""
    timeless = wire(row(time="?", tran_id="1000"))
    fetch_page = WooxproClient.fetch_page

    async def with_timeless_row(client: WooxproClient, request: PageRequest) -> Page:
        page = await fetch_page(client, request)
        return page._replace(rows=[timeless, *page.rows][: request.size]) if request.newest else page

    monkeypatch.setattr(WooxproClient, "fetch_page", with_timeless_row)
    expected = held(reader, of_types(in_an_instant(many)))
    assert Counter(read(INSTANT, 5)) == expected


def test_an_instant_across_flow_types(reader: MemoryReader, read: Read) -> None:
    expected = held(reader, of_types(in_an_instant(9)))
    assert Counter(read(INSTANT, 5)) == expected


@pytest.mark.parametrize("many", [10, 20])
def test_so_many_types_that_one_may_be_unlisted_are_a_gap(reader: MemoryReader, read: Read, many: int) -> None:
    """The two ends of the instant do not meet: a type that no document lists could stand between them."""
    held(reader, of_types(in_an_instant(many)))
    with pytest.raises(SyncError, match=r"there may be a flow_type that was not seen"):
        read(INSTANT, 5)


@pytest.mark.parametrize("seed", range(20))
def test_a_row_of_no_known_type_is_never_left_out(reader: MemoryReader, read: Read, seed: int) -> None:
    """Wherever it stands among the others: it is on one of the two pages, and found under no flow_type."""
    rows = [*of_types(in_an_instant(6)), row(time=str(BEGIN_MS), type="Airdrop", flow_type=9)]
    ids = Random(seed).sample(range(100), len(rows))
    held(reader, (one | {"tran_id": str(number)} for one, number in zip(rows, ids, strict=True)))
    with pytest.raises(SyncError, match=r"found under no flow_type"):
        read(INSTANT, 5)


def test_an_instant_across_symbols(reader: MemoryReader, read: Read, transport: DialectTransport) -> None:
    """Proven while fewer than two pages were found: what the oldest page does not show, the newest one does."""
    symbols = ["BTCUSDT"] * 4 + ["ETHUSDT"] * 3 + ["币安人生USDT"] * 2
    expected = held(reader, (one | {"symbol": symbol} for one, symbol in zip(in_an_instant(9), symbols, strict=True)))
    assert Counter(read(INSTANT, 5)) == expected
    asked = [dict(request.url.params) for request in transport.requests]
    assert [one.get("flow_type") for one in asked if "start_time" not in one] == [None, "4"]


@pytest.mark.parametrize("many", [10, 11, 15])
def test_so_many_symbols_that_one_may_be_unseen_are_a_gap(reader: MemoryReader, read: Read, many: int) -> None:
    """Two pages or more at one instant, all of one account and type: between the two there may be a symbol."""
    held(reader, (one | {"symbol": f"S{number % 3}USDT"} for number, one in enumerate(in_an_instant(many))))
    with pytest.raises(SyncError, match=r"symbol"):
        read(INSTANT, 5)


def test_rows_that_nothing_can_part_are_a_gap_and_never_short(reader: MemoryReader, read: Read) -> None:
    held(reader, [row(time=str(BEGIN_MS))] * 5)
    with pytest.raises(SyncError, match=r"account futures, flow_type 4, symbol BTCUSDT"):
        read(INSTANT, 5)


def test_equal_rows_that_fit_a_page_are_read_as_often_as_they_are(reader: MemoryReader, read: Read) -> None:
    expected = held(reader, [row(time=str(BEGIN_MS))] * 4)
    assert Counter(read(INSTANT, 5)) == expected


@pytest.mark.parametrize("code", [0, 9])
def test_rows_of_no_known_type_in_a_full_instant_are_a_gap(reader: MemoryReader, read: Read, code: int) -> None:
    """They are found under no flow_type, so they could be missed."""
    held(reader, in_an_instant(5, type="Airdrop", flow_type=code) + in_an_instant(2))
    with pytest.raises(SyncError, match=r"found under no flow_type"):
        read(INSTANT, 5)


def test_transfers_without_a_symbol_in_a_full_instant_are_a_gap(reader: MemoryReader, read: Read) -> None:
    held(reader, (one | of_type(1, symbol="", time=one["time"], tran_id=one["tran_id"]) for one in in_an_instant(5)))
    with pytest.raises(SyncError, match=r"found under no symbol"):
        read(INSTANT, 5)
