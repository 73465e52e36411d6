"""The window of a source: how long a range its service was seen to answer whole. Pure.

Some services silently answer only a part of a long range, such as its newest week. An answer shows that its range was
not cut between its own rows: a row that is far from the end of a range shows that the service goes back so far from an
end, and a row that is far from the beginning, that it goes on so far from a beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from liushui.provider import Slice
from liushui.rules import Paging, Rules
from liushui.sync.undecoded_rows import instant_of, row_times

WINDOW_MIN: Final = timedelta(days=1)
"""The range that any service is believed to answer whole."""
EMPTY_WINDOW: Final = timedelta(days=7)
"""The range that a service is believed to answer whole where an account has no rows that could show a longer one."""


class Witness(NamedTuple):
    """A row that is known, and when it happened."""

    row: bytes
    at: datetime


@dataclass
class Window:
    """What one sync has seen of the ranges that its source's service answers whole."""

    rules: Rules[Paging]
    backward: timedelta = WINDOW_MIN
    """How far back from its end a range was answered."""
    forward: timedelta = WINDOW_MIN
    """How far on from its beginning a range was answered."""
    is_cut: bool = False
    """Whether a longer range was seen to lack rows."""
    oldest: Witness | None = None
    """The oldest row of this sync."""
    _rows_until: list[tuple[datetime, int]] = field(default_factory=list)
    """The ends of the slices since the oldest row, each with the number of rows before it."""

    @property
    def length(self) -> timedelta:
        """The longest range that is known to be answered whole."""
        return min(self.backward, self.forward)

    def covers(self, slice_: Slice) -> bool:
        """Whether an answer about a slice is known not to be cut."""
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

        Returns where it ends, and the number of rows from the oldest row to there.
        """
        later = [known for known in self._rows_until if known[0] >= end]
        return later[0] if later else self._rows_until[-1]


def unproven_parts(slice_: Slice, rows: Sequence[bytes], window: Window) -> list[Slice]:
    """The parts of a slice that its answer may lack, each as short as the window: those beside its rows."""
    times = [at for at in row_times(rows, window.rules) if at is not None]
    longest = EMPTY_WINDOW if window.oldest is None else window.length
    if not times:
        return _pieces(slice_, longest)
    oldest, newest = instant_of(min(times), window.rules), instant_of(max(times), window.rules)
    step = window.rules.resolution
    before, after = Slice(slice_.since, oldest + step), Slice(newest, slice_.until)
    return [*_pieces(after, longest), *_pieces(before, longest)]


def _pieces(slice_: Slice, longest: timedelta) -> list[Slice]:
    """A range in pieces, the newest one first: a service that cuts ranges keeps the newest rows most often."""
    pieces, until = [], slice_.until
    while until > slice_.since:
        since = max(slice_.since, until - longest)
        pieces.append(Slice(since, until))
        until = since
    return pieces
