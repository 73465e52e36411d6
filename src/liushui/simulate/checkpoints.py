"""Stretches of days, at whose ends every balance is known, so that no balance needs the flows of all earlier days.

A stretch is made whole. Its last rows, one for each pocket it moves, bring the balances back to where they began; the
first rows of an account put them there. Which rows those are follows from how many rows each day has. Pure.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from liushui.simulate.role_profile import Pocket

STRETCH_ROWS: Final = 40
"""About how many rows a stretch has at least, so that few of them close pockets; a busy day is a stretch of its own."""

ROWS_A_CLOSING: Final = 3
"""A stretch has at least so many rows for each pocket it closes, and one more for each that it opens."""


class Calendar(NamedTuple):
    """How the days of an account fall into stretches of `days` days. Days are numbered from the Unix epoch."""

    begin: int
    end: int
    days: int

    def around(self, day: int) -> range:
        """The days of the stretch that a day falls into. One ends at `end`, whatever comes after it."""
        begin = self.begin if day < self.end else self.end
        first = day - (day - begin) % self.days
        return range(first, min(first + self.days, self.end) if day < self.end else first + self.days)


def calendar(*, begin: int, end: int, flows: int) -> Calendar:
    """The calendar of an account with so many flows in [begin, end)."""
    days = end - begin
    return Calendar(begin, end, min(days, -(-STRETCH_ROWS * days // flows)) if flows else days)


class Plan(NamedTuple):
    """A stretch of an account: of each of its days, how many rows there are, and how many of them open and close."""

    days: range
    counts: Sequence[int]
    opening: Sequence[int]
    closing: Sequence[int]
    pockets: tuple[Pocket, ...]
    """The pockets that it moves, in the order in which they are opened and closed."""

    def free(self, day: int) -> int:
        """How many rows of a day neither open nor close."""
        place = day - self.days.start
        return self.counts[place] - self.opening[place] - self.closing[place]

    @property
    def idle(self) -> bool:
        """Whether no row could take back what another moves, so that none may move anything but to open a pocket."""
        return not any(self.closing)

    def room(self, day: int) -> int:
        """How many rows of a day may move money from or to other accounts."""
        return 0 if self.idle else self.free(day)

    def opened_on(self, day: int) -> tuple[Pocket, ...]:
        """The pockets that are opened on a day."""
        return self._share(self.opening, day)

    def closed_on(self, day: int) -> tuple[Pocket, ...]:
        """The pockets that are closed on a day."""
        return self._share(self.closing, day)

    def _share(self, rows: Sequence[int], day: int) -> tuple[Pocket, ...]:
        place = day - self.days.start
        before = sum(rows[:place])
        return self.pockets[before : before + rows[place]]


def plan(days: range, counts: Sequence[int], pockets: tuple[Pocket, ...], *, opens: bool) -> Plan:
    """Plan a stretch. `opens`: the account begins in it, with a row for each pocket that it moves."""
    rows = sum(counts)
    if opens and rows < min(ROWS_A_CLOSING, len(pockets) + 1):
        opening, closing = rows, 0
    else:
        most = rows // (ROWS_A_CLOSING + opens)
        closing = 0 if rows <= 1 else min(len(pockets), max(most, 1))
        opening = closing if opens else 0
    return Plan(
        days,
        counts,
        _taken(counts, opening),
        _taken(counts[::-1], closing)[::-1],
        pockets[: max(opening, closing, 1)],
    )


def _taken(counts: Iterable[int], rows: int) -> list[int]:
    """So many rows, as many of each day as it has, from the first on."""
    taken = []
    for count in counts:
        taken.append(min(count, rows))
        rows -= taken[-1]
    return taken
