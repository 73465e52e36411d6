"""The days of some accounts under one filter: how many rows each has, and which. Nothing is encoded here."""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from liushui.conditions import DETAIL_PREFIX, EVERYTHING, Term, Where, matches, satisfies
from liushui.simulate.encoded_day import Entry
from liushui.simulate.world import World


class Filter(NamedTuple):
    """Which rows: of these accounts, each once, in the order of their names, and of those what `where` holds for."""

    accounts: tuple[str, ...]
    where: Where = EVERYTHING


def reel(world: World, wanted: Filter) -> "Reel":
    """The days under that filter."""
    return FilteredReel(world, wanted) if wanted.where else WholeReel(world, wanted)


def known_to_hold(world: World, wanted: Filter) -> Filter:
    """The same rows of those accounts only that may have some, so that no day of the others is looked at."""
    return Filter(tuple(name for name in wanted.accounts if _may_hold(wanted.where, world.words(name))), wanted.where)


def _may_hold(where: Where, words: Mapping[str, frozenset[str | None]]) -> bool:
    return all(any(all(_may_pass(term, words) for term in every) for every in part) for part in where)


def _may_pass(term: Term, words: Mapping[str, frozenset[str | None]]) -> bool:
    known = words.get(DETAIL_PREFIX if term.field.startswith(DETAIL_PREFIX) else term.field)
    return known is None or any(satisfies(word, term) for word in known)


class Reel(ABC):
    """Days, and a way to pass over many."""

    def __init__(self, world: World, wanted: Filter) -> None:
        self._world = world
        self._wanted = wanted

    @abstractmethod
    def count(self, first: int, after: int) -> int:
        """How many rows the days of [first, after) have."""

    @abstractmethod
    def back(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        """Go back from `day`, past whole days and `rows` rows at most: the day reached, `stop` at the earliest, and how
        many of its newest rows are still to be passed. It has rows, unless it is `stop`."""

    @abstractmethod
    def forth(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        """Go forth from `day` likewise: the day reached, `stop` at the latest, and how many of its oldest rows are
        still to be passed."""

    def entries(self, day: int) -> Sequence[Entry]:
        """The rows of a day, oldest first; at one instant by account, then as they happened."""
        entries = [
            Entry(flow, place, number)
            for place, account in enumerate(self._wanted.accounts)
            for number, flow in enumerate(self._world.day(account, day))
        ]
        if len(self._wanted.accounts) > 1:
            entries.sort(key=lambda entry: entry.flow.at)  # stable
        return entries


class WholeReel(Reel):
    """Every row: the world knows how many there are before any day, so a deep page is found by bisection."""

    def __init__(self, world: World, wanted: Filter) -> None:
        super().__init__(world, wanted)
        self._densities = [world.density(account) for account in wanted.accounts]

    def count(self, first: int, after: int) -> int:
        return self._before(after) - self._before(first) if first < after else 0

    def back(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        if rows == 0:  # within a page: the next day that has rows is near
            while day > stop and self._before(day) == self._before(day + 1):
                day -= 1
            return day, 0
        place = self._before(day + 1) - 1 - rows  # of the first row that is wanted, from the oldest
        day = stop + bisect_right(range(stop + 1, day + 2), place, key=self._before)
        return day, self._before(day + 1) - 1 - place

    def forth(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        if rows == 0:
            while day < stop and self._before(day) == self._before(day + 1):
                day += 1
            return day, 0
        place = self._before(day) + rows
        day += bisect_left(range(day + 1, stop + 1), place + 1, key=self._before)
        return day, place - self._before(day)

    def _before(self, day: int) -> int:
        return sum([density.before(day) for density in self._densities])


class FilteredReel(Reel):
    """Some rows: a day's count is known when it was looked at once, and remembered from then on."""

    def __init__(self, world: World, wanted: Filter) -> None:
        super().__init__(world, wanted)
        self._counts: dict[int, int] = {}

    def count(self, first: int, after: int) -> int:
        return sum(map(self._count, range(first, after)))

    def back(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        while day > stop and (count := self._count(day)) <= rows:
            rows -= count
            day -= 1
        return day, rows

    def forth(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        while day < stop and (count := self._count(day)) <= rows:
            rows -= count
            day += 1
        return day, rows

    def entries(self, day: int) -> Sequence[Entry]:
        found = [entry for entry in super().entries(day) if matches(entry.flow, self._wanted.where)]
        self._counts[day] = len(found)
        return found

    def _count(self, day: int) -> int:
        count = self._counts.get(day)
        return len(self.entries(day)) if count is None else count
