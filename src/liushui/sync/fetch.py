"""The fetcher: reads one slice whole, and proves from the provider's way of paging that no row is missing.

One answer shows one state of the provider, so a slice that fits one page cannot have shifted while it was read. A
larger slice is split until it fits. One that is as short as the provider's clock allows cannot be split. Then

- page numbers and cursors: whole reads are repeated until two in a row agree (PagedFetcher);
- ranges only: the slice is read in parts, by the filters that the provider's rules name (RangeFetcher).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final, NamedTuple

import msgspec

from liushui.errors import SyncError
from liushui.provider import Client, Page, PageRequest, Slice
from liushui.rules import Paging, RangeOnly, Rules
from liushui.wire.decoding import DECODE_ERRORS

READS_MAX: Final = 5
"""Whole reads of a slice of many pages before it is given up."""
PAGES_MAX: Final = 100_000

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


class SliceTooLarge(Exception):
    """A slice does not fit one page, and can be split."""

    def __init__(self, rows_in_page: int) -> None:
        super().__init__(f"more than the {rows_in_page} rows of one page")
        self.rows_in_page = rows_in_page


async def fetch_slice(
    client: Client, slice_: Slice, rules: Rules[Paging], size: int, *, can_split: bool
) -> list[bytes]:
    """Return every row of a slice. `size` is the number of rows to ask for a page.

    Raises SliceTooLarge where the slice `can_split` and does not fit one page; SyncError where it cannot be proven
    whole; and what the client raises.
    """
    if isinstance(rules.paging, RangeOnly):
        return await RangeFetcher(client, slice_, size, rules, rules.paging).fetch(can_split=can_split)
    return await PagedFetcher(client, slice_, size, rules.paging).fetch(can_split=can_split)


# ---------------------------------------------------------------- page numbers and cursors


class WholeRead(NamedTuple):
    """All pages of a slice, read one after the other."""

    rows: list[bytes]
    longest_page: int
    matches_total: bool
    """False where the provider counted other rows than it gave."""


class PagedFetcher:
    """Reads a slice of a provider whose answers lead to further pages."""

    def __init__(self, client: Client, slice_: Slice, size: int, paging: Paging) -> None:
        self._client, self._slice, self._size, self.paging = client, slice_, size, paging

    async def fetch(self, *, can_split: bool) -> list[bytes]:
        rows, rows_in_page = await self._read_single_page(can_split=can_split)
        if rows is not None:
            return rows
        if can_split:
            raise SliceTooLarge(rows_in_page)
        return await self._read_until_two_agree()

    async def _read_single_page(self, *, can_split: bool) -> tuple[list[bytes] | None, int]:
        """Return the rows where one page has all of them, else None; and the number of rows of that page."""
        page = first = await self.page(self._size)
        for _ in range(PAGES_MAX):
            # The total may lag behind the rows, so a full page is never known to be the only one.
            if can_split and len(first.rows) == self._size and (page.next_token is not None or page.total is not None):
                return None, len(first.rows)
            # Only a missing token tells the end. A short page does not: servers may give fewer rows than requested.
            if page.next_token is None:
                break
            page = await self.page(self._size, page_token=page.next_token)
            if page.rows and first.rows:
                return None, len(first.rows)
            first = page if page.rows else first
        else:
            raise SyncError(f"no page was the last one in {PAGES_MAX}")
        if not total_matches(first.rows, {first.total}):
            return None, max(1, len(first.rows))
        return list(first.rows), len(first.rows)

    async def _read_until_two_agree(self) -> list[bytes]:
        before: WholeRead | None = None
        for number in range(READS_MAX):
            # A provider may give a page again in place of the next one. Two reads by pages of one length would then
            # lack the same rows, and agree. Pages of another length end at other rows.
            requested = self._size if before is None or number % 2 == 0 else max(1, before.longest_page - 1)
            read = await self._read_whole(requested)
            if reads_agree(before, read):
                return read.rows
            before = read
        raise SyncError(f"the pages shifted during each of {READS_MAX} reads")

    async def _read_whole(self, requested: int) -> WholeRead:
        rows: list[bytes] = []
        longest_page = 0
        totals: set[int | None] = set()
        page_token: str | None = None
        for _ in range(PAGES_MAX):
            page = await self.page(requested, page_token=page_token)
            rows += page.rows
            longest_page = max(longest_page, len(page.rows))
            totals.add(page.total)
            if page.next_token is None:
                return WholeRead(rows, longest_page, total_matches(rows, totals))
            page_token = page.next_token
        raise SyncError(f"no page was the last one in {PAGES_MAX}")

    async def page(self, requested: int, *, page_token: str | None = None) -> Page:
        # A provider may ignore the number of rows that was requested, but not the largest one that it may give.
        return checked_page(
            await self._client.fetch_page(PageRequest(self._slice, requested, page_token=page_token)), self._size
        )


def reads_agree(before: WholeRead | None, read: WholeRead) -> bool:
    """Whether two whole reads in a row found the same rows, as many as the provider counted."""
    return read.matches_total and before is not None and before.matches_total and before.rows == read.rows


def total_matches(rows: Sequence[bytes], totals: set[int | None]) -> bool:
    """Whether every page stated this number of rows as the total, or no page stated one."""
    return totals <= {None, len(rows)} and len(totals) == 1


def checked_page(page: Page, size: int) -> Page:
    """Return the page. Raises SyncError where it has more rows than any page may have."""
    if len(page.rows) > size:
        raise SyncError(f"a page has {len(page.rows)} rows where {size} were asked for")
    return page


# ---------------------------------------------------------------- ranges only


class RangeFetcher:
    """Reads a slice of a provider that has no second page. Each part of the slice must fit one page."""

    def __init__(self, client: Client, slice_: Slice, size: int, rules: Rules[Paging], paging: RangeOnly) -> None:
        self._client, self._slice, self._size, self._rules, self._paging = client, slice_, size, rules, paging

    async def fetch(self, *, can_split: bool) -> list[bytes]:
        rows: list[bytes] = []
        for part in self._separate_parts():
            page = await self._page(part)
            if not self.is_full(page):
                rows += page.rows
            elif can_split:
                raise SliceTooLarge(len(page.rows))
            else:
                rows += await self._read_by_filters(part, page, self._paging.split_by)
        return rows

    def _separate_parts(self) -> Iterator[dict[str, str]]:
        """The combinations of filters that the provider wants asked for one by one."""
        values = [self._rules.filter(name).values or () for name in self._paging.partition_by]
        for combination in product(*values):
            yield dict(zip(self._paging.partition_by, combination, strict=True))

    async def _page(self, part: Mapping[str, str], *, newest: bool = False) -> Page:
        page = await self._client.fetch_page(PageRequest(self._slice, self._size, params=part, newest=newest))
        return checked_page(page, self._size)

    async def _read_by_filters(self, part: dict[str, str], full: Page, filters: Sequence[str]) -> list[bytes]:
        """Return the rows of a part whose page is full, by each value of the first filter; of full pages by the others.

        Raises SyncError where no filter is left, or where a row may have a value that is neither documented nor seen.
        """
        if not filters:
            raise SyncError(
                f"more than the {self._size} rows that one answer may have, at one instant, "
                f"with {', '.join(f'{name} {value}' for name, value in part.items()) or 'no filter'}"
            )
        name, *others = filters
        filter_ = self._rules.filter(name)
        newest = await self._page(part, newest=True)
        seen = sorted({_field_text(row, filter_.field) for row in (*full.rows, *newest.rows)} - {""})
        rows: list[bytes] = []
        for value in filter_.values or seen:
            page = await self._page(part | {name: value})
            rows += await self._read_by_filters(part | {name: value}, page, others) if self.is_full(page) else page.rows
        if not holds_page(rows, full) or not holds_page(rows, newest):
            raise SyncError(f"a row at one instant is found under no {name}")
        if not self.pages_meet(rows):
            raise SyncError(
                f"{len(rows)} rows at one instant, found by {name}: between the oldest and the newest {self._size} "
                f"there may be a {name} that nobody saw"
            )
        return rows

    def is_full(self, page: Page) -> bool:
        """Whether a page may lack rows: nothing else tells that there are more."""
        return len(page.rows) >= self._size

    def pages_meet(self, rows: list[bytes]) -> bool:
        """Whether the oldest and the newest page of an instant overlap or touch, so that all its rows were seen."""
        return len(rows) < 2 * self._size


def holds_page(rows: list[bytes], page: Page) -> bool:
    """Whether each row of a page is among the rows, at least as often."""
    return Counter(page.rows) <= Counter(rows)


def _field_text(row: bytes, field: str) -> str:
    """The text in a field of a row; empty where there is none."""
    try:
        return _text.decode(_fields.decode(row).get(field, b'""'))
    except DECODE_ERRORS:
        return ""
