"""The window of a source: the length of range that its service was seen to answer completely. Pure.

Some services silently answer only part of a long range: its newest week, its oldest one, or both without the days
between. Each row shows how far the service goes forward from the beginning of a range, or back from its end. An answer
therefore proves that ranges up to a certain length are answered completely: this range's length minus the longest time
without rows in it. A row in the middle of a range shows the same, but only for half of the range's length.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from liushui.provider import Slice
from liushui.rules import Paging, Rules
from liushui.sync.undecoded_rows import instant_of, row_times, step_of

WINDOW_MIN: Final = timedelta(days=1)
"""The length of range that any service is assumed to answer completely."""
EDGES: Final = 2
"""A request for a slice covers one more step at each end: this many in all."""
EMPTY_WINDOW: Final = timedelta(days=7)
"""The length of range that a service is assumed to answer completely if an account has no rows that could show more."""


class Witness(NamedTuple):
    """A known row and its time."""

    row: bytes
    at: datetime


@dataclass
class Window:
    """The observations of one sync about the ranges that its source's service answers completely."""

    rules: Rules[Paging]
    length: timedelta = WINDOW_MIN
    """The length of the longest range that is known to be answered completely."""
    is_cut: bool = False
    """Whether a longer range was seen to lack rows."""
    oldest: Witness | None = None
    """The oldest row of this sync."""
    _rows_until: list[tuple[datetime, int]] = field(default_factory=list)
    """The ends of the slices since the oldest row, each with the number of rows before it."""

    def covers(self, slice_: Slice) -> bool:
        """Whether the answer for a slice is known not to be cut."""
        return self.rules.time_field is None or slice_.until - slice_.since <= self.length

    def learn(self, slice_: Slice, rows: Sequence[bytes]) -> None:
        """Learn from an answer about a slice."""
        if self.rules.time_field is None:
            return
        times = row_times(rows, self.rules)
        readable = [at for at in times if at is not None]
        if readable:
            first = min(readable)
            oldest = instant_of(first, self.rules)
            self.learn_rows(slice_, rows)
            if self.oldest is None or oldest < self.oldest.at:
                self.oldest, self._rows_until = Witness(rows[times.index(first)], oldest), []
        if self.oldest is not None:
            before = self._rows_until[-1][1] if self._rows_until else 0
            self._rows_until.append((slice_.until, before + len(rows)))

    def learn_rows(self, range_: Slice, rows: Sequence[bytes]) -> None:
        """Learn from rows of a range. They need not be all of its rows."""
        readable = [at for at in row_times(rows, self.rules) if at is not None]
        length = range_.until - range_.since - longest_gap(range_, readable, self.rules)
        self.length = max(self.length, length - EDGES * self.rules.resolution)

    def learn_row(self, range_: Slice, at: datetime) -> None:
        """Learn from a single row of a range."""
        length = min(at - range_.since, range_.until - at)
        self.length = max(self.length, length - EDGES * self.rules.resolution)

    def rows_to(self, end: datetime) -> tuple[datetime, int]:
        """Find the first slice that ends at `end` or later, or else the last slice.

        Returns its end, and the number of rows from the oldest row to that end.
        """
        later = [known for known in self._rows_until if known[0] >= end]
        return later[0] if later else self._rows_until[-1]


def longest_gap(slice_: Slice, times: Sequence[int], rules: Rules[Paging]) -> timedelta:
    """Return the longest time without rows in a slice. `times`: those of its rows, in steps of the provider's clock."""
    steps = sorted({step_of(slice_.since, rules), *times, step_of(slice_.until, rules)})
    return max((later - earlier for earlier, later in pairwise(steps)), default=0) * rules.resolution


def unproven_parts(slice_: Slice, rows: Sequence[bytes], window: Window) -> list[Slice]:
    """Return the parts of a slice in which its answer may lack rows, each at most as long as the window.

    Together they are the whole slice, because rows at both ends of a slice show nothing about its middle.
    """
    is_empty = not rows and window.oldest is None
    return _pieces(slice_, empty_window(window.rules) if is_empty else window.length)


def empty_window(rules: Rules[Paging]) -> timedelta:
    """Return the longest part of which the request, which covers a step more at each end, is not longer than
    EMPTY_WINDOW."""
    return max(WINDOW_MIN, EMPTY_WINDOW - EDGES * rules.resolution)


def _pieces(slice_: Slice, longest: timedelta) -> list[Slice]:
    """Split a range into pieces, the newest first, because services that cut ranges mostly keep the newest rows."""
    pieces, until = [], slice_.until
    while until > slice_.since:
        since = max(slice_.since, until - longest)
        pieces.append(Slice(since, until))
        until = since
    return pieces
