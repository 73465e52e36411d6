"""Reads a slice from a provider that has ranges only, and no further pages.

A slice that does not fit one answer and cannot be split is read in parts, by the filters in the provider's rules.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final

from liushui.errors import SyncError
from liushui.provider import Page
from liushui.rules import RangeOnly
from liushui.sync.question import IgnoredParameter, Question, SliceTooLarge
from liushui.sync.undecoded_rows import (
    are_of_one_step,
    field_values,
    row_times,
)

COMPARISONS_MAX: Final = 3
"""How often answers to two requests for the same rows may differ because rows arrived in between."""


class RangeFetcher:
    """Reads a slice of a provider without further pages. Each part of the slice must fit one page."""

    def __init__(self, question: Question, paging: RangeOnly) -> None:
        self._question, self._paging = question, paging
        self._rules, self._size, self._traits = question.rules, question.size, question.traits

    async def fetch(self, *, can_split: bool) -> list[bytes]:
        return self._question.records(await self._read(can_split=can_split))

    async def _read(self, *, can_split: bool) -> list[bytes]:
        if not self._paging.partition_by:
            return await self.read_part({}, can_split=can_split)
        for _ in range(COMPARISONS_MAX):
            rows = await self.read_parts(can_split=can_split)
            if rows is not None:
                return rows
        names = " and ".join(self._paging.partition_by)
        raise SyncError(f"the answers with and without {names} differed, {COMPARISONS_MAX} times")

    async def read_parts(self, *, can_split: bool) -> list[bytes] | None:
        """Return the rows of all parts, including rows with unlisted values. None: two answers differed."""
        whole = await self._question.page()
        if self.is_full(whole):
            self._traits.note_page(len(whole.rows))
            if can_split:
                raise SliceTooLarge(len(whole.rows), whole.rows)
            return await self._read_parts_of_full(whole)
        await self._prove_whole(whole, {})
        rows = list(whole.rows)
        for part in self.separate_parts():
            key = tuple(part.values())
            if key in self._traits.covered:
                continue
            try:
                answer = await self.read_part(part, can_split=can_split)
            except IgnoredParameter as error:
                if Counter(error.rows) != Counter(whole.rows):
                    raise
                # The answer was the same as without the parameter, and so has all rows.
                self._traits.ignored.add(error.parameter)
                return list(whole.rows)
            own, named = self._rows_of(whole.rows, part), self._rows_of(answer, part)
            if own and Counter(own) != Counter(named):
                return None
            if own:
                self._traits.covered.add(key)
            # Without such rows, the service may have assumed a value for the missing parameter. Rows that state no
            # value are in both answers.
            rows += (Counter(answer) - Counter(whole.rows)).elements()
        return rows

    async def _read_parts_of_full(self, whole: Page) -> list[bytes]:
        """Return the rows of one instant that do not fit one answer, part by part."""
        rows: list[bytes] = []
        for part in self.separate_parts():
            rows += await self.read_part(part, can_split=False)
        if not rows:
            # The parameter is ignored.
            return await self._read_by_filters({}, whole, self._paging.split_by)
        if not holds_page(rows, whole):
            raise SyncError(f"a row at one instant is found under no {' and '.join(self._paging.partition_by)}")
        return rows

    def separate_parts(self) -> Iterator[dict[str, str]]:
        """The combinations of filters that are requested separately, in addition to the request without them."""
        if self._traits.ignored & set(self._paging.partition_by):
            return
        values = [self._rules.filter(name).values or () for name in self._paging.partition_by]
        for combination in product(*values):
            yield dict(zip(self._paging.partition_by, combination, strict=True))

    async def read_part(self, part: dict[str, str], *, can_split: bool) -> list[bytes]:
        page = await self._question.page(params=part)
        if not self.is_full(page):
            await self._prove_whole(page, part)
            return list(page.rows)
        if can_split:
            raise SliceTooLarge(len(page.rows), page.rows)
        return await self._read_by_filters(part, page, self._paging.split_by)

    async def _prove_whole(self, page: Page, part: Mapping[str, str]) -> None:
        if self._traits.may_lack_rows(len(page.rows)):
            await self._question.prove_end(page.rows, part)
            await self._prove_instant(page, part)
        else:
            await self.prove_short_page(page, part)
        self._traits.note_page(len(page.rows))

    async def prove_short_page(self, page: Page, part: Mapping[str, str]) -> None:
        """Prove that a page has all rows of its range although larger pages were complete.

        It may have been cut by bytes or at random, and there is no further page that would show it.
        """
        if len(set(row_times(page.rows, self._rules)) - {None}) < 2:
            await self._question.prove_end(page.rows, part)
            await self._prove_instant(page, part)
            return
        if self._traits.keeps_oldest is None:
            self._traits.keeps_oldest = await self._keeps_oldest(page, part)
        await self._question.prove_end(page.rows, part, keeps_oldest=self._traits.keeps_oldest)

    async def _keeps_oldest(self, page: Page, part: Mapping[str, str]) -> bool | None:
        """Whether the service returns the oldest row of a range if a single row is requested. False: it returns the
        newest row. None: it returns another row."""
        times = [at for at in row_times(page.rows, self._rules) if at is not None]
        single = row_times((await self._question.page(1, params=part)).rows, self._rules)
        is_oldest, is_newest = list(single) == [min(times)], list(single) == [max(times)]
        return is_oldest if is_oldest or is_newest else None

    async def _prove_instant(self, page: Page, part: Mapping[str, str]) -> None:
        """Prove that a page has all rows of a single instant. No shorter range can show missing rows, but a page from
        the other end can. Raises SyncError if that page differs, and SliceTooLarge if the slice can be split."""
        is_step = self._question.slice_.until - self._question.slice_.since <= self._rules.resolution
        if not page.rows or not (is_step or (len(page.rows) > 1 and are_of_one_step(page.rows, self._rules))):
            return
        newest = await self._newest_page(part)
        await self._question.prove_reach(page.rows, part)
        if not holds_page(list(page.rows), newest):
            self._traits.note_cut(len(page.rows), self._size)
            if not is_step:
                raise SliceTooLarge(len(page.rows), page.rows)
            raise SyncError(
                f"the service gave {len(page.rows)} rows of one instant where {self._size} were asked for, and has more"
            )

    async def _newest_page(self, part: Mapping[str, str]) -> Page:
        """Fetch the newest rows of a part, without those that have no readable time.

        This request has no beginning, so rows without a time may be older than the slice. The request with a beginning
        returns those that are not.
        """
        page = await self._question.page(params=part, newest=True)
        if self._rules.time_field is None:
            return page
        times = row_times(page.rows, self._rules)
        return page._replace(rows=[row for row, at in zip(page.rows, times, strict=True) if at is not None])

    def _rows_of(self, rows: Sequence[bytes], part: Mapping[str, str]) -> list[bytes]:
        """Return the rows that have the values of a part."""
        matching = list(rows)
        for name, value in part.items():
            values = field_values(matching, self._rules.filter(name).field)
            matching = [row for row, other in zip(matching, values, strict=True) if str(other) == value]
        return matching

    async def _read_by_filters(self, part: dict[str, str], full: Page, filters: Sequence[str]) -> list[bytes]:
        """Return the rows of a part with a full page: by each value of the first filter, and for full pages by the
        other filters.

        Raises SyncError if no filter is left, or if a row may have a value that is neither documented nor known.
        """
        if not filters:
            raise SyncError(
                f"more than the {self._size} rows that one answer may have, at one instant, "
                f"with {', '.join(f'{name} {value}' for name, value in part.items()) or 'no filter'}"
            )
        name, *others = filters
        filter_ = self._rules.filter(name)
        newest = await self._newest_page(part)
        seen = {
            str(value) for value in field_values([*full.rows, *newest.rows], filter_.field) if value not in {None, ""}
        }
        rows: list[bytes] = []
        for value in filter_.values or sorted(seen):
            page = await self._question.page(params=part | {name: value})
            rows += await self._read_by_filters(part | {name: value}, page, others) if self.is_full(page) else page.rows
        if not holds_page(rows, full) or not holds_page(rows, newest):
            raise SyncError(f"a row at one instant is found under no {name}")
        if not self.pages_meet(rows):
            raise SyncError(
                f"{len(rows)} rows at one instant, found by {name}: between the oldest and the newest {self._size} "
                f"there may be a {name} that was not seen"
            )
        return rows

    def is_full(self, page: Page) -> bool:
        """Whether a page has the maximum number of rows, so that rows may be missing."""
        return len(page.rows) >= self._traits.page_max(self._size)

    def pages_meet(self, rows: list[bytes]) -> bool:
        """Whether the oldest and the newest page of an instant overlap or touch, so that all of its rows were read."""
        return len(rows) < 2 * self._traits.page_max(self._size)


def holds_page(rows: list[bytes], page: Page) -> bool:
    """Whether the rows contain each row of a page at least as often as the page does."""
    return Counter(page.rows) <= Counter(rows)
