"""Reading a slice whole, and proving that nothing of it was left out, by the way its provider pages."""

from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from itertools import product
from typing import Final, NamedTuple, Protocol

import msgspec

from liushui.errors import SyncError
from liushui.provider import NO_VALUES, Page, Slice
from liushui.rules import Cursor, PageNumber, Paging, RangeOnly, Rules
from liushui.sync import proofs
from liushui.wire.decoding import DECODE_ERRORS

ATTEMPTS_MAX: Final = 5
"""Reads of a slice of many pages before it is given up: two that follow each other must agree."""
PAGES_MAX: Final = 100_000

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


class Fetch(Protocol):
    """Gets one page, as Client.page does."""

    def __call__(
        self,
        asked: Slice,
        size: int,
        *,
        mark: str | None = None,
        part: Mapping[str, str] = NO_VALUES,
        newest: bool = False,
    ) -> Awaitable[Page]: ...


class Overfull(Exception):
    """A slice that could be cut finer does not fit one page."""

    def __init__(self, rows_in_page: int) -> None:
        super().__init__(f"more than the {rows_in_page} rows of one page")
        self.rows_in_page = rows_in_page


async def drain(fetch: Fetch, asked: Slice, rules: Rules[Paging], size: int, *, divisible: bool) -> list[bytes]:
    """Every row of a slice.

    One answer is one state of the provider, so a slice that one page holds cannot have shifted. A slice of more pages
    is cut finer; where it cannot be, it is read until two whole reads agree, whose pages differ in length, or, where
    there are no further pages, in parts. Raises Overfull, SyncError, or what `fetch` does.
    """
    if isinstance(rules.paging, RangeOnly):
        return await _Parts(fetch, asked, rules, rules.paging, size).every_row(divisible=divisible)
    rows = await _one_answer(fetch, asked, rules.paging, size, divisible=divisible)
    if rows is not None:
        return rows
    before: _Read | None = None
    for attempt in range(ATTEMPTS_MAX):
        # Shorter pages end at other rows: one that comes again in the place of the next brings other rows each time.
        wanted = size if before is None or attempt % 2 == 0 else max(1, before.longest - 1)
        read = await _every_page(fetch, asked, rules.paging, size, wanted)
        agrees = before is not None and before.is_counted and before.rows == read.rows
        if read.is_counted and (agrees or not proofs.PROOFS.two_reads_agree):
            return read.rows
        before = read
    raise SyncError(f"the pages shifted during each of {ATTEMPTS_MAX} reads")


async def _one_answer(fetch: Fetch, asked: Slice, paging: Paging, size: int, *, divisible: bool) -> list[bytes] | None:
    """The rows where a single page has all of them. None: they stand on several, and the slice cannot be cut."""
    page = await _page(fetch, asked, size)
    first = page
    for _ in range(PAGES_MAX):
        counts = page.next is not None or page.total is not None  # a total may lag behind: a full page may go on
        if divisible and counts and len(first.rows) == size:
            raise Overfull(len(first.rows))
        if _is_last(page, paging, size):
            break
        page = await _page(fetch, asked, size, page.next)  # a server may hold fewer rows a page than it was asked for
        if page.rows and first.rows:
            if divisible:
                raise Overfull(len(first.rows))
            return None
        first = page if page.rows else first
    if not _is_counted(first.rows, {first.total}):
        if divisible:
            raise Overfull(max(1, len(first.rows)))
        return None
    return list(first.rows)


class _Read(NamedTuple):
    """One whole read of a slice."""

    rows: list[bytes]
    longest: int
    """Rows of its longest page."""
    is_counted: bool
    """Whether the provider counted no others than it gave."""


async def _every_page(fetch: Fetch, asked: Slice, paging: Paging, size: int, wanted: int) -> _Read:
    """Read a slice page by page. `wanted`: the rows to ask for a page, of which a provider may take no notice."""
    rows: list[bytes] = []
    longest = 0
    totals: set[int | None] = set()
    mark: str | None = None
    for _ in range(PAGES_MAX):
        page = _checked(await fetch(asked, wanted, mark=mark), size)
        rows += page.rows
        longest = max(longest, len(page.rows))
        totals.add(page.total)
        if _is_last(page, paging, wanted):
            return _Read(rows, longest, _is_counted(rows, totals))
        mark = page.next
    raise SyncError(f"no page was the last one in {PAGES_MAX}")


def _is_last(page: Page, paging: Paging, size: int) -> bool:
    """Whether no page comes after this one."""
    if page.next is None:
        return True
    if isinstance(paging, PageNumber) and len(page.rows) < size:
        return not proofs.PROOFS.empty_page_after_the_last
    if isinstance(paging, Cursor) and not page.rows:
        return not proofs.PROOFS.cursor_followed_to_the_end
    return False


def _is_counted(rows: Sequence[bytes], totals: set[int | None]) -> bool:
    """Whether the provider counted just these rows, each time that it counted, or never counts."""
    return (totals <= {None, len(rows)} and len(totals) == 1) or not proofs.PROOFS.total_equals_rows


async def _page(fetch: Fetch, asked: Slice, size: int, mark: str | None = None) -> Page:
    page = await fetch(asked, size, mark=mark)
    return _checked(page, size)


def _checked(page: Page, size: int) -> Page:
    if len(page.rows) > size:
        raise SyncError(f"a page has {len(page.rows)} rows where {size} were asked for")
    return page


class _Parts:
    """A slice of a provider that has no second page: each part of it must fit one."""

    def __init__(self, fetch: Fetch, asked: Slice, rules: Rules[Paging], paging: RangeOnly, size: int) -> None:
        self._fetch, self._asked, self._rules, self._paging, self._size = fetch, asked, rules, paging, size

    async def every_row(self, *, divisible: bool) -> list[bytes]:
        """The rows of every part that has to be asked for on its own."""
        rows: list[bytes] = []
        for part in self._always():
            page = await self._page(part)
            if len(page.rows) < self._size or not proofs.PROOFS.full_page_is_cut:
                rows += page.rows
            elif divisible:
                raise Overfull(len(page.rows))
            else:
                rows += await self._split(part, page, [name for name in self._paging.split_by if name not in part])
        return rows

    def _always(self) -> Iterator[dict[str, str]]:
        values = [self._rules.filter(name).values or () for name in self._paging.partition_by]
        for chosen in product(*values):
            yield dict(zip(self._paging.partition_by, chosen, strict=True))

    async def _page(self, part: Mapping[str, str], *, newest: bool = False) -> Page:
        return _checked(await self._fetch(self._asked, self._size, part=part, newest=newest), self._size)

    async def _split(self, part: dict[str, str], full: Page, names: list[str]) -> list[bytes]:
        """The rows of a part whose page is full and that no smaller range can part, by the filters left to try.

        Raises SyncError where there are none left, or rows may have a value that was neither listed nor seen: a row of
        the oldest or the newest page that no value finds, or so many rows that those two pages may not meet.
        """
        if not names:
            raise SyncError(
                f"more than the {self._size} rows that one answer may have, at one instant, "
                f"with {', '.join(f'{name} {value}' for name, value in part.items()) or 'no filter'}"
            )
        name, *others = names
        known = self._rules.filter(name)
        newest = await self._page(part, newest=True)
        seen = sorted({_value(row, known.field) for row in (*full.rows, *newest.rows)} - {""})
        rows: list[bytes] = []
        for value in known.values or seen:
            rows += await self._part(part | {name: value}, others)
        if not all(_holds(rows, page) for page in (full, newest)) and proofs.PROOFS.parts_hold_the_full_pages:
            raise SyncError(f"a row at one instant is found under no {name}")
        if len(rows) >= 2 * self._size and proofs.PROOFS.unseen_values:
            raise SyncError(
                f"{len(rows)} rows at one instant, found by {name}: between the oldest and the newest {self._size} "
                f"there may be a {name} that nobody saw"
            )
        return rows

    async def _part(self, part: dict[str, str], others: list[str]) -> list[bytes]:
        page = await self._page(part)
        return list(page.rows) if len(page.rows) < self._size else await self._split(part, page, others)


def _holds(rows: list[bytes], page: Page) -> bool:
    """Whether each row of a page is among those of its parts, as often."""
    return Counter(page.rows) <= Counter(rows)


def _value(row: bytes, field: str) -> str:
    """What stands in a field of a row, as text; nothing, where it does not."""
    try:
        return _text.decode(_fields.decode(row).get(field, b'""'))
    except DECODE_ERRORS:
        return ""
