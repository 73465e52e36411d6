"""The days of some accounts under one filter: how many rows each has, and which. Nothing is encoded here."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from liushui.flow import Category, Flow
from liushui.simulate.events import CATEGORIES
from liushui.simulate.market import SYMBOLS
from liushui.simulate.world import World

_by_time = attrgetter("at")


class Filter(NamedTuple):
    """Which rows: of these accounts, each once, in the world's order, and of this category and symbol (None: any)."""

    accounts: tuple[str, ...]
    category: Category | None = None
    symbol: str | None = None

    @property
    def takes_all(self) -> bool:
        return self.category is None and self.symbol is None

    @property
    def takes_none(self) -> bool:
        """Whether no day can have such a row, so that none needs to be looked at."""
        return (
            not self.accounts
            or (self.category is not None and self.category not in CATEGORIES)
            or (self.symbol is not None and self.symbol not in SYMBOLS)
        )


def reel(world: World, wanted: Filter) -> "Reel":
    """The days under that filter."""
    return WholeReel(world, wanted) if wanted.takes_all else FilteredReel(world, wanted)


class Reel(ABC):
    """Days, and a way to pass over many."""

    def __init__(self, world: World, wanted: Filter) -> None:
        self._world = world
        self._wanted = wanted

    @abstractmethod
    def passed(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        """Go back from `day`, past whole days and `rows` rows at most: the day reached, `stop` at the earliest, and how
        many of its newest rows are still to be passed."""

    def flows(self, day: int) -> Sequence[Flow]:
        """The rows of a day, oldest first; in one second by account, then as they happened: a total order."""
        days = [self._world.day(account, day) for account in self._wanted.accounts]
        return days[0] if len(days) == 1 else sorted(chain.from_iterable(days), key=_by_time)


class WholeReel(Reel):
    """Every row: the world knows how many there are before any day, so a deep page is found by bisection."""

    def __init__(self, world: World, wanted: Filter) -> None:
        super().__init__(world, wanted)
        self._densities = [world.density(account) for account in wanted.accounts]

    def passed(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        if rows == 0:  # within a page: the next day that has rows is near
            while day > stop and self._before(day) == self._before(day + 1):
                day -= 1
            return day, 0
        place = self._before(day + 1) - 1 - rows  # of the first row that is wanted, from the oldest
        day = stop + bisect_right(range(stop + 1, day + 2), place, key=self._before)
        return day, self._before(day + 1) - 1 - place

    def _before(self, day: int) -> int:
        return sum([density.before(day) for density in self._densities])


class FilteredReel(Reel):
    """Some rows: a day's count is known when it was looked at once, and remembered from then on."""

    def __init__(self, world: World, wanted: Filter) -> None:
        super().__init__(world, wanted)
        self._counts: dict[int, int] = {}

    def passed(self, day: int, stop: int, rows: int) -> tuple[int, int]:
        while day > stop:
            count = self._counts.get(day)
            if count is None:
                count = len(self.flows(day))
            if count > rows:
                break
            rows -= count
            day -= 1
        return day, rows

    def flows(self, day: int) -> Sequence[Flow]:
        category, symbol = self._wanted.category, self._wanted.symbol
        found = [
            flow
            for flow in super().flows(day)
            if (category is None or flow.category is category) and (symbol is None or flow.symbol == symbol)
        ]
        self._counts[day] = len(found)
        return found
