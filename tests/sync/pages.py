"""Doubles that answer with scripted pages, and the rows that the fetcher gets from them."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from liushui.provider import Page, PageRequest, Slice
from liushui.providers.longbridge.rules import RULES
from liushui.rules import Cursor, Filter, PageNumber, Paging, RangeOnly, Rules
from liushui.sync.fetch import fetch_slice
from tests.sync.rows import BEGIN

DAY = Slice(BEGIN, BEGIN + timedelta(days=1))
STEP = Slice(BEGIN, BEGIN + RULES.resolution)


def paged_by(paging: Paging, *filters: Filter) -> Rules[Paging]:
    return replace(RULES, paging=paging, filters=filters, time_field=None)  # type: ignore[arg-type] # any paging will do


CURSOR = paged_by(Cursor(size_default=3, size_max=3))
COUNTED = paged_by(PageNumber(size_default=3, size_max=3, has_total=True))


class Scripted:
    """Answers with the pages of a script: each read of the slice takes the next script, and the last one repeats."""

    def __init__(self, *reads: list[Page]) -> None:
        self.reads = list(reads)
        self.calls = 0
        self.begun = 0
        self.asked: Slice | None = None

    async def fetch_page(self, request: PageRequest) -> Page:
        self.calls += 1
        self.asked = self.asked or request.slice_
        if request.slice_ != self.asked:  # one step, which has no rows
            return Page([])
        self.begun += request.page_token is None
        pages = self.reads[min(self.begun, len(self.reads)) - 1]
        number = int(request.page_token or 0)
        return pages[number] if number < len(pages) else Page([])

    async def close(self) -> None:
        raise AssertionError("fetch_slice does not close its client")


def rows(*names: str) -> list[bytes]:
    return [json.dumps({"name": name}).encode() for name in names]


def chain(*pages: list[bytes], total: int | None = None) -> list[Page]:
    """Pages that follow one another."""
    last = len(pages) - 1
    return [Page(page, None if number == last else str(number + 1), total) for number, page in enumerate(pages)]


def fetched(fetch: Scripted, rules: Rules[Paging], asked: Slice = STEP, size: int = 3) -> list[bytes]:
    return asyncio.run(fetch_slice(fetch, asked, rules, size, can_split=asked is DAY))


SPLITS = paged_by(
    RangeOnly(size_default=3, size_max=3, partition_by=("account",), split_by=("type", "symbol")),
    Filter("account", "account", ("main", "other")),
    Filter("type", "kind", ("1", "2")),
    Filter("symbol", "symbol"),
)


FIELDS = {"account": "account", "type": "kind", "symbol": "symbol"}


class Instant:
    """Answers with rows of one instant that pass the filters: the first ones, or the newest ones."""

    def __init__(self, *found: tuple[str, str, str], cap: int = 3) -> None:
        self._cap = cap
        self.rows = [
            {"account": account, "kind": kind, "symbol": symbol, "number": number}
            for number, (account, kind, symbol) in enumerate(found)
        ]
        self.parts: list[tuple[dict[str, str], bool]] = []

    async def fetch_page(self, request: PageRequest) -> Page:
        assert request.page_token is None
        self.parts.append((dict(request.params), request.newest))
        found = [row for row in self.rows if all(row[FIELDS[name]] == value for name, value in request.params.items())]
        size = min(self._cap, request.size)
        page = found[-size:] if request.newest else found[:size]
        return Page([json.dumps(row).encode() for row in page])

    async def close(self) -> None:
        raise AssertionError("fetch_slice does not close its client")

    def fetched(self, asked: Slice = STEP) -> Counter[int]:
        got = asyncio.run(fetch_slice(self, asked, SPLITS, 3, can_split=asked is DAY))
        return Counter(json.loads(row)["number"] for row in got)

    @property
    def every(self) -> Counter[int]:
        return Counter(range(len(self.rows)))


TIMED = replace(SPLITS, time_field="time")


class Fleeting:
    """Answers with rows of different seconds that pass the filters, of every account: the oldest ones."""

    def __init__(self, *, cap: int = 3, accounts: tuple[str, ...] = ("main",), rows: int = 3) -> None:
        self._cap = cap
        begin = int(BEGIN.timestamp())
        self.rows = [(begin + 60 * number, accounts[number % len(accounts)]) for number in range(rows)]
        self.parts: list[dict[str, str]] = []

    async def fetch_page(self, request: PageRequest) -> Page:
        self.parts.append(dict(request.params))
        since, until = (at.timestamp() for at in request.slice_)
        asked = request.params.get("account")
        found = [row for row in self.rows if since <= row[0] < until and asked in {None, row[1]}]
        return Page([encoded(row) for row in found[: min(self._cap, request.size)]])

    async def close(self) -> None:
        raise AssertionError("fetch_slice does not close its client")

    def fetched(self, asked: Slice = DAY, size: int = 10) -> Counter[bytes]:
        return Counter(asyncio.run(fetch_slice(self, asked, TIMED, size, can_split=True)))

    @property
    def every(self) -> Counter[bytes]:
        return Counter(map(encoded, self.rows))


def encoded(row: tuple[int, str]) -> bytes:
    """A row with a time and an account."""
    return json.dumps({"time": row[0], "account": row[1]}).encode()
