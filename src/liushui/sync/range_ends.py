"""The ends of ranges: whether a service answers them, or cuts a range at the boundaries of a calendar. Pure.

Some services silently answer a range of more than a day only up to the last midnight before its end, or only from the
first midnight in it. Others cut at hours, weeks or months. A row between the boundary and the end of a range shows that
the service does not cut there. So does a known row that comes in the answer for a long range which begins or ends right
beside it. Otherwise, the part beside the end is requested alone, in ranges that are too short to be cut.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from liushui.calendar_boundary import Boundary
from liushui.provider import Slice
from liushui.rules import DayDocument, Paging, Rules
from liushui.sync.undecoded_rows import instant_of, row_times
from liushui.sync.window import EDGES, Witness

QUARTER: Final = timedelta(minutes=15)
"""In every time zone, hours begin at a multiple of this in UTC."""


@dataclass
class RangeEnds:
    """The observations of one sync about the ends of the ranges that its source's service answers."""

    rules: Rules[Paging]
    zones: tuple[ZoneInfo, ...]
    """The time zones whose calendars a service may use."""
    whole_until: timedelta = timedelta(0)
    """The longest range that the service is known to answer up to its end."""
    whole_since: timedelta = timedelta(0)
    """The longest range that the service is known to answer from its beginning."""
    witness: Witness | None = None
    """The oldest row of this sync that is not near a boundary of any calendar."""

    def learn(self, rows: Sequence[bytes]) -> None:
        """Remember the oldest row that can show whether the service cuts ranges."""
        if self.rules.time_field is None:
            return
        times = row_times(rows, self.rules)
        known = None if self.witness is None else self.witness.at
        for at, row in sorted((at, row) for at, row in zip(times, rows, strict=True) if at is not None):
            instant = instant_of(at, self.rules)
            if known is not None and instant >= known:
                return
            if self._is_within_a_quarter(instant):
                self.witness = Witness(row, instant)
                return

    def _is_within_a_quarter(self, at: datetime) -> bool:
        """Whether no hour of any time zone begins here, or within the steps before and after it."""
        step = self.rules.resolution
        begun = timedelta(minutes=at.minute, seconds=at.second, microseconds=at.microsecond) % QUARTER
        return EDGES * step < begun < QUARTER - 2 * EDGES * step

    def unproven_parts(self, slice_: Slice, rows: Sequence[bytes], shorter: timedelta = timedelta.max) -> list[Slice]:
        """Return the parts at both ends of a slice that its answer may lack, as disjoint ranges too short to be cut.

        `shorter`: ranges of this length within the slice are requested in any case, so only boundaries that are closer
        to one another matter.
        """
        if self.rules.time_field is None or isinstance(self.rules.paging, DayDocument):
            return []
        since, until = slice_
        length = until - since
        if length <= min(self.whole_since, self.whole_until):
            return []
        times = [at for at in row_times(rows, self.rules) if at is not None]
        oldest = instant_of(min(times), self.rules) if times else until
        newest = instant_of(max(times), self.rules) if times else since
        asked = length + EDGES * self.rules.resolution
        boundaries = [boundary for boundary in Boundary if boundary.length < min(asked, shorter)]
        parts: list[Slice] = []
        begun = since
        for boundary in boundaries if length > self.whole_since else ():
            ends = [end for end in self._each_zone(boundary.first_after, since) if begun < end <= oldest]
            if ends:
                parts.append(Slice(begun, max(ends)))
                begun = max(ends)
        ended = until
        for boundary in boundaries if length > self.whole_until else ():
            begins = [begin for begin in self._each_zone(boundary.last_before, until) if newest < begin < ended]
            begin = max(min(begins, default=ended), begun)
            if begin < ended:
                parts.append(Slice(begin, ended))
                ended = begin
        return parts

    def _each_zone(self, find: Callable[[datetime, ZoneInfo], datetime], at: datetime) -> Iterator[datetime]:
        return (find(at, zone) for zone in self.zones)
