"""The row counts of the days of some accounts under a filter, and these rows. Nothing is encoded here."""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from liushui.conditions import DETAIL_PREFIX, EVERYTHING, Term, Where, matches, satisfies
from liushui.simulate.encoded_day import DayEntry
from liushui.simulate.world import World


class RowFilter(NamedTuple):
    """Accounts, each once and sorted by name, and a condition on their flows."""

    accounts: tuple[str, ...]
    where: Where = EVERYTHING


def row_counts_of(world: World, wanted: RowFilter) -> "RowCounts":
    """The row counts under a filter."""
    return FilteredCounts(world, wanted) if wanted.where else UnfilteredCounts(world, wanted)


def without_hopeless_accounts(world: World, wanted: RowFilter) -> RowFilter:
    """The filter without the accounts that cannot have a matching row, so that their days are not generated."""
    return RowFilter(
        tuple(name for name in wanted.accounts if _may_hold(wanted.where, world.field_values(name))), wanted.where
    )


def _may_hold(where: Where, values: Mapping[str, frozenset[str | None]]) -> bool:
    return all(any(all(_may_pass(term, values) for term in every) for every in part) for part in where)


def _may_pass(term: Term, values: Mapping[str, frozenset[str | None]]) -> bool:
    known = values.get(DETAIL_PREFIX if term.field.startswith(DETAIL_PREFIX) else term.field)
    return known is None or any(satisfies(value, term) for value in known)


class RowCounts(ABC):
    """The row counts of days, with a way to skip many days at once."""

    def __init__(self, world: World, wanted: RowFilter) -> None:
        self._world = world
        self._wanted = wanted

    @abstractmethod
    def count(self, first: int, after: int) -> int:
        """How many rows the days of [first, after) have."""

    @abstractmethod
    def skip_back(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        """Skip `rows` rows from the end of `day` towards the past, whole days only, and not beyond `stop`.

        Returns the day that was reached, and how many of its newest rows are still to be skipped. Unless it is `stop`,
        the day has rows.
        """

    @abstractmethod
    def skip_forward(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        """Skip `rows` rows from the beginning of `day` towards the future, as `skip_back` does towards the past."""

    def entries(self, day: int) -> Sequence[DayEntry]:
        """The rows of a day, oldest first. Rows of one instant are ordered by account, then in the order of their
        events."""
        entries = [
            DayEntry(flow, index, number)
            for index, account in enumerate(self._wanted.accounts)
            for number, flow in enumerate(self._world.day(account, day))
        ]
        if len(self._wanted.accounts) > 1:
            entries.sort(key=lambda entry: entry.flow.at)  # stable
        return entries


class UnfilteredCounts(RowCounts):
    """Every row. The world knows the count of each day without generating it: a deep page is found by bisection."""

    def __init__(self, world: World, wanted: RowFilter) -> None:
        super().__init__(world, wanted)
        self._densities = [world.density(account) for account in wanted.accounts]

    def count(self, first: int, after: int) -> int:
        return self._before(after) - self._before(first) if first < after else 0

    def skip_back(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        if rows == 0:  # the common case, within a page: the next day with rows is near
            while day > stop and self._before(day) == self._before(day + 1):
                day -= 1
            return day, 0
        offset = self._before(day + 1) - 1 - rows  # the index of the first wanted row, counted from the oldest row
        day = stop + bisect_right(range(stop + 1, day + 2), offset, key=self._before)
        return day, self._before(day + 1) - 1 - offset

    def skip_forward(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        if rows == 0:
            while day < stop and self._before(day) == self._before(day + 1):
                day += 1
            return day, 0
        offset = self._before(day) + rows
        day += bisect_left(range(day + 1, stop + 1), offset + 1, key=self._before)
        return day, offset - self._before(day)

    def _before(self, day: int) -> int:
        return sum([density.count_before(day) for density in self._densities])


class FilteredCounts(RowCounts):
    """The rows that pass a condition. A day is counted when it is first needed, and its count is remembered."""

    def __init__(self, world: World, wanted: RowFilter) -> None:
        super().__init__(world, wanted)
        self._counts: dict[int, int] = {}

    def count(self, first: int, after: int) -> int:
        return sum(map(self._count, range(first, after)))

    def skip_back(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        while day > stop and (count := self._count(day)) <= rows:
            rows -= count
            day -= 1
        return day, rows

    def skip_forward(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        while day < stop and (count := self._count(day)) <= rows:
            rows -= count
            day += 1
        return day, rows

    def entries(self, day: int) -> Sequence[DayEntry]:
        entries = [entry for entry in super().entries(day) if matches(entry.flow, self._wanted.where)]
        self._counts[day] = len(entries)
        return entries

    def _count(self, day: int) -> int:
        count = self._counts.get(day)
        return len(self.entries(day)) if count is None else count
