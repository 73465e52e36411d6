"""The window of a source: the length of range that its service was seen to answer completely. Pure.

Some services silently answer only part of a long range, such as its newest week. An answer shows that its range was not
cut between its own rows. If a row is far from the end of a range, the service goes back that far; if a row is far from
the beginning, the service goes forward that far.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from liushui.provider import Slice
from liushui.rules import Paging, Rules
from liushui.sync.undecoded_rows import instant_of, row_times

WINDOW_MIN: Final = timedelta(days=1)
"""The length of range that any service is assumed to answer completely."""
EMPTY_WINDOW: Final = timedelta(days=7)
"""The length of range that a service is assumed to answer completely if an account has no rows that could show more."""


class Witness(NamedTuple):
    """A known row and its time."""

    row: bytes
    at: datetime


@dataclass
class Window:
    """What one sync has observed about the ranges that its source's service answers completely."""

    rules: Rules[Paging]
    backward: timedelta = WINDOW_MIN
    """How far back from its end a range was answered."""
    forward: timedelta = WINDOW_MIN
    """How far forward from its beginning a range was answered."""
    is_cut: bool = False
    """Whether a longer range was seen to lack rows."""
    oldest: Witness | None = None
    """The oldest row of this sync."""
    _rows_until: list[tuple[datetime, int]] = field(default_factory=list)
    """The ends of the slices since the oldest row, each with the number of rows before it."""

    @property
    def length(self) -> timedelta:
        """The length of the longest range that is known to be answered completely."""
        return min(self.backward, self.forward)

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
            oldest, newest = instant_of(first, self.rules), instant_of(max(readable), self.rules)
            self.backward = max(self.backward, slice_.until - oldest)
            self.forward = max(self.forward, newest + self.rules.resolution - slice_.since)
            if self.oldest is None or oldest < self.oldest.at:
                self.oldest, self._rows_until = Witness(rows[times.index(first)], oldest), []
        if self.oldest is not None:
            before = self._rows_until[-1][1] if self._rows_until else 0
            self._rows_until.append((slice_.until, before + len(rows)))

    def rows_to(self, end: datetime) -> tuple[datetime, int]:
        """Find the first slice that ends at `end` or later, or else the last slice.

        Returns its end, and the number of rows from the oldest row to that end.
        """
        later = [known for known in self._rows_until if known[0] >= end]
        return later[0] if later else self._rows_until[-1]


def unproven_parts(slice_: Slice, rows: Sequence[bytes], window: Window) -> list[Slice]:
    """Return the parts of a slice that its answer may lack, each at most as long as the window: the parts beyond its
    rows."""
    times = [at for at in row_times(rows, window.rules) if at is not None]
    longest = EMPTY_WINDOW if window.oldest is None else window.length
    if not times:
        return _pieces(slice_, longest)
    oldest, newest = instant_of(min(times), window.rules), instant_of(max(times), window.rules)
    step = window.rules.resolution
    before, after = Slice(slice_.since, oldest + step), Slice(newest, slice_.until)
    return [*_pieces(after, longest), *_pieces(before, longest)]


def _pieces(slice_: Slice, longest: timedelta) -> list[Slice]:
    """Split a range into pieces, the newest first, because services that cut ranges mostly keep the newest rows."""
    pieces, until = [], slice_.until
    while until > slice_.since:
        since = max(slice_.since, until - longest)
        pieces.append(Slice(since, until))
        until = since
    return pieces
