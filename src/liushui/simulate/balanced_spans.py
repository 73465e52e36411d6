"""Spans of days that begin and end with known balances, so that a balance needs only the flows of its own span.

A span is generated as a whole. Its last rows, one for each wallet that it moves, restore the balances at its beginning.
The first rows of an account set those levels. The number of rows of each day determines which rows these are. Pure.
Days are counted from the Unix epoch.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from liushui.simulate.role_profile import Wallet

SPAN_ROWS: Final = 40
"""The smallest average number of rows of a span. It keeps the share of closing rows low. A busy day is a separate
span."""

ROWS_PER_CLOSING: Final = 3
"""A span has at least this many rows for each wallet that it closes, and one more for each wallet that it opens."""


class SpanCalendar(NamedTuple):
    """How the days of an account fall into spans of `days` days."""

    begin: int
    end: int
    days: int

    def span_of(self, day: int) -> range:
        """The days of the span that contains a day. One span always ends at `end`."""
        begin = self.begin if day < self.end else self.end
        first = day - (day - begin) % self.days
        return range(first, min(first + self.days, self.end) if day < self.end else first + self.days)


def span_calendar(*, begin: int, end: int, flows: int) -> SpanCalendar:
    """The calendar of an account with `flows` rows in [begin, end)."""
    days = end - begin
    return SpanCalendar(begin, end, min(days, -(-SPAN_ROWS * days // flows)) if flows else days)


class SpanPlan(NamedTuple):
    """One span of an account: the rows of each day, and how many of them open and close wallets."""

    days: range
    counts: Sequence[int]
    opening: Sequence[int]
    closing: Sequence[int]
    wallets: tuple[Wallet, ...]
    """The wallets that the span moves, in the order in which they are opened and closed."""

    def free(self, day: int) -> int:
        """The number of rows of a day that neither open nor close a wallet."""
        index = day - self.days.start
        return self.counts[index] - self.opening[index] - self.closing[index]

    @property
    def idle(self) -> bool:
        """Whether the span has no closing row. Only opening rows may then move money."""
        return not any(self.closing)

    def room(self, day: int) -> int:
        """The number of rows of a day that may be transfers from or to other accounts."""
        return 0 if self.idle else self.free(day)

    def opened_on(self, day: int) -> tuple[Wallet, ...]:
        """The wallets that are opened on a day."""
        return self._wallets_on(self.opening, day)

    def closed_on(self, day: int) -> tuple[Wallet, ...]:
        """The wallets that are closed on a day."""
        return self._wallets_on(self.closing, day)

    def _wallets_on(self, rows: Sequence[int], day: int) -> tuple[Wallet, ...]:
        index = day - self.days.start
        before = sum(rows[:index])
        return self.wallets[before : before + rows[index]]


def plan_span(days: range, counts: Sequence[int], wallets: tuple[Wallet, ...], *, opens: bool) -> SpanPlan:
    """Plan a span. `opens` says that it is the account's first span. It then has an opening row for each wallet that it
    moves."""
    rows = sum(counts)
    if opens and rows < min(ROWS_PER_CLOSING, len(wallets) + 1):
        opening, closing = rows, 0
    else:
        most = rows // (ROWS_PER_CLOSING + opens)
        closing = 0 if rows <= 1 else min(len(wallets), max(most, 1))
        opening = closing if opens else 0
    return SpanPlan(
        days,
        counts,
        _first_rows(counts, opening),
        _first_rows(counts[::-1], closing)[::-1],
        wallets[: max(opening, closing, 1)],
    )


def _first_rows(counts: Iterable[int], rows: int) -> list[int]:
    """Return how many of the first `rows` rows are on each day."""
    taken = []
    for count in counts:
        taken.append(min(count, rows))
        rows -= taken[-1]
    return taken
