"""Reads a slice from a provider with page numbers or cursors.

A slice that fits one page is read as one answer. A larger one that cannot be split is read completely, and repeatedly,
until two consecutive reads agree.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from liushui.errors import Refused, SyncError, WireError
from liushui.provider import Page, Slice
from liushui.rules import Cursor, PageNumber
from liushui.sync.question import PAGES_MAX, SAME_PAGE, EndlessPages, PageWalk, Question, SliceTooLarge
from liushui.sync.undecoded_rows import (
    are_of_one_step,
)

READS_MAX: Final = 5
"""The most complete reads of a slice with several pages."""
WHOLE_PAGES_MIN: Final = 2
"""The number of longest pages that have to be complete, if an empty page follows each of them."""
EMPTY_PAGES_MAX: Final = 2
"""After this number of consecutive empty pages, check that the cursor ends. Providers that hide rows return a few empty
pages."""
FAR_PAGE: Final = "1000000"
"""A page number that no account reaches: a service that returns rows there ignores the number."""


class WholeRead(NamedTuple):
    """All pages of a slice, read one after the other."""

    rows: list[bytes]
    longest_page: int
    matches_total: bool
    """False if the provider counted more rows than it returned."""
    cut_at: int | None = None
    """The length of the shortest page that was shorter than requested although a later page has rows."""


class PagedFetcher:
    """Reads a slice of a provider whose answers lead to further pages."""

    def __init__(self, question: Question) -> None:
        self._question, self._traits, self._size = question, question.traits, question.size
        self.paging = question.rules.paging

    async def fetch(self, *, can_split: bool) -> list[bytes]:
        first, is_whole = await self._read_single_page(can_split=can_split)
        if is_whole:
            return self._question.records(first.rows)
        if can_split:
            raise SliceTooLarge(self._rows_of_a_page(first), first.rows)
        return await self._read_until_two_agree()

    async def _read_single_page(self, *, can_split: bool) -> tuple[Page, bool]:
        """Return the first page with rows, and whether it is the whole slice."""
        page = first = await self.page(self._size)
        walk = PageWalk()
        for _ in range(PAGES_MAX):
            walk.add(page)
            if walk.empty_pages == EMPTY_PAGES_MAX and page.next_token is not None:
                await self._check_cursor_ends()
            # The total may lag behind the rows, so a full page never proves that it is the only one.
            if can_split and len(first.rows) == self._size and (page.next_token is not None or page.total is not None):
                self._traits.note_total(first, self._size)
                self._traits.note_page(len(first.rows))
                return first, False
            # Only a missing token marks the end. A short page does not: servers may give fewer rows than requested.
            if page.next_token is None or await self._is_all(first):
                break
            page = await self.page(self._size, page_token=page.next_token)
            if page.rows and first.rows:
                await self._check_progress(walk, page)
                self._traits.note_cut(len(first.rows), self._size)
                return first, False
            first = page if page.rows else first
        else:
            raise EndlessPages(f"no page was the last one in {PAGES_MAX}")
        if not total_matches(len(first.rows), {first.total}):
            return first, False
        if isinstance(self.paging, PageNumber) and await self.has_rows_after(first):
            self._traits.cuts_silently = True
            self._traits.note_cut(len(first.rows), self._size)
            return first, False
        if self._traits.may_lack_rows(len(first.rows)):
            if self.must_prove_end(len(first.rows)):
                await self._question.prove_end(first.rows)
                self._traits.whole_pages += len(first.rows) >= self._traits.rows_max
            if not await self.is_whole_step(first.rows):
                self._traits.cuts_silently = True
                return first, False
            await self._question.prove_reach(first.rows)
        self._traits.note_page(len(first.rows))
        return first, True

    async def is_whole_step(self, rows: Sequence[bytes]) -> bool:
        """Whether a page with rows of a single step of the clock has all rows of that step.

        No shorter range can show missing rows, but pages of another length can.
        """
        if len(rows) == 1 or not are_of_one_step(rows, self._question.rules):
            return True
        again = await self._read_whole(max(self._question.rules.size_min, len(rows) - 1))
        return Counter(again.rows) == Counter(self._question.records(rows))

    def must_prove_end(self, rows: int) -> bool:
        """Whether to prove a page by requesting the parts of the range beyond its rows, although no other page
        follows."""
        if isinstance(self.paging, Cursor) or self._traits.cuts_silently:
            return True
        # An empty page after it, or a flag, also marks the end. A limit is found by testing the longest pages.
        return self._question.is_short and (rows > self._traits.rows_max or self._traits.whole_pages < WHOLE_PAGES_MIN)

    async def has_rows_after(self, page: Page) -> bool:
        """Whether rows follow those of a page that seems to be the only one of its range.

        A service may cut a page by bytes or at random, and still count pages by the requested size. Then the second
        page begins after rows that are on no page. But if the requested size is the length of the first page, the
        second page begins right after its last row.
        """
        rows = len(page.rows)
        paging = self._question.rules.paging
        if not rows or rows >= self._size or not isinstance(paging, PageNumber) or await self.counts_rows(page):
            return False
        if rows < paging.size_min:
            await self._question.prove_end(page.rows)
            return False
        after = await self.page(rows, page_token=str(paging.first + 1))
        if after.rows and not Counter(after.rows) - Counter(page.rows):
            # Each page may begin with the last row of the previous page. Or these are further, equal rows.
            await self._question.prove_end(page.rows)
            return not await self.is_whole_step(page.rows)
        return bool(after.rows)

    async def _is_all(self, page: Page) -> bool:
        """Whether a page is known to be the only one: the provider's total says so, and larger pages have been
        returned."""
        return not self._traits.may_lack_rows(len(page.rows)) and await self.counts_rows(page)

    async def counts_rows(self, page: Page) -> bool:
        """Whether the total equals the rows of a page, and is known to count the rows of other pages too.

        Some services state the number of rows up to the end of the page as the total. A request for another page shows
        this.
        """
        rows, paging = len(page.rows), self._question.rules.paging
        if page.total != rows or not rows or not isinstance(paging, PageNumber):
            return page.total == rows
        if self._traits.counts_all_rows is None:
            if rows > paging.size_min:
                other = await self.page(paging.size_min)
            else:
                other = await self.page(self._size, page_token=str(paging.first + 1))
            self._traits.counts_all_rows = len(other.rows) < rows == other.total
        return self._traits.counts_all_rows

    def _rows_of_a_page(self, page: Page) -> int:
        """Return the expected number of rows in a page, after a page that did not hold the whole slice."""
        rows = max(1, len(page.rows))
        if isinstance(self.paging, Cursor):
            # The provider's limit includes rows that it then hides, so this page does not predict the next page.
            return self._traits.page_max(self._size)
        return max(rows, self._traits.rows_max)

    async def _check_progress(self, walk: "PageWalk", page: Page) -> None:
        """Raise EndlessPages if the next page repeats the page before, several times."""
        token = page.next_token
        if isinstance(self.paging, PageNumber):
            if walk.is_repeated(page) and await self._has_far_page():
                raise EndlessPages(SAME_PAGE)
            return
        while walk.is_repeated(page) and token is not None:
            walk.add(page)
            page = await self.page(self._size, page_token=token)
            token = page.next_token

    async def _check_cursor_ends(self) -> None:
        """Raise EndlessPages if a cursor never ends, even within a single step."""
        since, until = self._question.slice_
        resolution = self._question.rules.resolution
        middle = since + (until - since) // resolution // 2 * resolution
        step = Slice(middle, middle + resolution)
        token: str | None = None
        for _ in range(EMPTY_PAGES_MAX):
            page = await self._question.page(slice_=step, page_token=token)
            if page.rows or page.next_token is None:
                return
            token = page.next_token
        raise EndlessPages("the service names ever new cursors, for empty pages")

    async def _has_far_page(self) -> bool:
        """Whether a page number far beyond the end returns rows."""
        try:
            return bool((await self.page(self._size, page_token=FAR_PAGE)).rows)
        except (Refused, WireError):  # the service respects the number
            return False

    async def _read_until_two_agree(self) -> list[bytes]:
        before: WholeRead | None = None
        agreements, size_min = 0, self._question.rules.size_min
        longest = self._size
        for number in range(READS_MAX):
            # A provider may return a page again instead of the next one. Two reads with pages of one length would then
            # lack the same rows and agree. Pages of another length end at other rows.
            requested = longest
            if before is not None and number % 2:
                requested = max(size_min, min(longest, before.longest_page) - 1)
            read = await self._read_whole(requested)
            if isinstance(self.paging, PageNumber) and read.cut_at is not None:
                # Rows between a page that was cut and the next page may be on no page. Shorter pages are not cut.
                longest = max(size_min, min(longest, read.cut_at))
            agreements = agreements + 1 if reads_agree(before, read) else 0
            # Pages of the smallest length cannot be varied, so one more read has to agree.
            if agreements >= (2 if read.longest_page <= size_min and read.longest_page < len(read.rows) else 1):
                await self._question.prove_reach(read.rows)
                return read.rows
            before = read
        raise SyncError(f"the pages shifted during each of {READS_MAX} reads")

    async def _read_whole(self, requested: int) -> WholeRead:
        rows: list[bytes] = []
        listed = longest_page = 0
        shortest_page, cut_at = requested, None
        totals: set[int | None] = set()
        page_token: str | None = None
        walk = PageWalk()
        for _ in range(PAGES_MAX):
            page = await self.page(requested, page_token=page_token)
            if isinstance(self.paging, PageNumber) and walk.is_repeated(page) and await self._has_far_page():
                raise EndlessPages(SAME_PAGE)
            walk.add(page)
            if page.rows and shortest_page < requested:
                cut_at = shortest_page
            rows += self._question.records(page.rows)
            listed += len(page.rows)
            longest_page = max(longest_page, len(page.rows))
            shortest_page = min(shortest_page, len(page.rows) or shortest_page)
            totals.add(page.total)
            is_short = len(page.rows) < longest_page and page.total == listed and self._traits.counts_all_rows
            if page.next_token is None or is_short:
                return WholeRead(rows, longest_page, total_matches(listed, totals), cut_at)
            page_token = page.next_token
        raise EndlessPages(f"no page was the last one in {PAGES_MAX}")

    async def page(self, requested: int, *, page_token: str | None = None) -> Page:
        return await self._question.page(requested, page_token=page_token)


def reads_agree(before: WholeRead | None, read: WholeRead) -> bool:
    """Whether two consecutive complete reads found the same rows, and no fewer than the provider counted."""
    return read.matches_total and before is not None and before.matches_total and before.rows == read.rows


def total_matches(rows: int, totals: set[int | None]) -> bool:
    """Whether no page stated a larger total. Smaller totals mean nothing: services leave the total out, or count one
    page."""
    return all(total is None or total <= rows for total in totals)
