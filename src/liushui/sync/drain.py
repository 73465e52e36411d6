"""Reading a slice whole, and proving that its pages did not shift meanwhile. Page-number providers."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from liushui.errors import SyncError
from liushui.provider import Page, PageNumber, Slice

ATTEMPTS_MAX: Final = 5
"""Reads of a slice of many pages before it is given up: two that follow each other must agree."""
PAGES_MAX: Final = 100_000

Fetch = Callable[[Slice, int, int], Awaitable[Page]]
"""Gets one page: the slice, the page's number, its size."""


class Overfull(Exception):
    """A slice that could be cut finer does not fit one page."""

    def __init__(self, rows_in_page: int) -> None:
        super().__init__(f"more than the {rows_in_page} rows of one page")
        self.rows_in_page = rows_in_page


async def drain(fetch: Fetch, asked: Slice, paging: PageNumber, size: int, *, divisible: bool) -> list[bytes]:
    """Every row of a slice.

    One answer is one state of the provider, so a slice that one page holds cannot have shifted; the page after it
    must be empty, for a server may hold fewer rows a page than it was asked for. A slice of more pages is cut finer;
    where it cannot be, all its pages are read until two reads agree. Raises Overfull, SyncError, or what `fetch` does.
    """
    first = (await fetch(asked, paging.first, size)).rows
    if not first:
        return []
    if len(first) > size:
        raise SyncError(f"a page has {len(first)} rows where {size} were asked for")
    if divisible and len(first) == size:
        raise Overfull(len(first))
    second = (await fetch(asked, paging.first + 1, size)).rows
    if not second:
        return list(first)
    if divisible:
        raise Overfull(len(first))
    before: list[bytes] | None = None
    for _ in range(ATTEMPTS_MAX):
        rows = await _every_page(fetch, asked, paging, size)
        if rows == before:
            return rows
        before = rows
    raise SyncError(f"the pages shifted during each of {ATTEMPTS_MAX} reads")


async def _every_page(fetch: Fetch, asked: Slice, paging: PageNumber, size: int) -> list[bytes]:
    rows: list[bytes] = []
    for number in range(paging.first, paging.first + PAGES_MAX):
        page: Sequence[bytes] = (await fetch(asked, number, size)).rows
        if not page:
            return rows
        rows += page
    raise SyncError(f"no page was empty in {PAGES_MAX}")
