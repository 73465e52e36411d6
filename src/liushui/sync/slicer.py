"""The slicer: splits a due range into slices of about one page, by the number of rows in each hour of the week. Pure.

Money keeps office hours: a broker's rows come while its markets trade, a shop's in the afternoon. With one density for
all hours, slices would be too large each morning, which costs an extra call, and nearly empty each night.

Many rows at one instant are not a density: part of an hour does not predict the rest. So the estimate of an hour is
limited: if a slice was less than half full, the next one is at least twice as long.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from math import inf
from typing import Final

from liushui.instant import EPOCH
from liushui.provider import Slice
from liushui.rules import DayDocument, Paging, Rules, day_after

DAY: Final = timedelta(days=1)
LENGTH_MAX: Final = 400 * DAY
GROWTH_MAX: Final = 8
"""How much longer than the slice before a slice may be, and by how much one slice may change the estimate of an
hour."""
FILL: Final = 0.7
"""The intended fill of a page. It is below 1, because a slice that fits one page cannot shift while it is read."""
ROWS_GROWTH: Final = 2
"""The factor by which the number of rows may grow from one slice to the next, after a page that did not hold its
slice."""
NEWS_WEIGHT: Final = 0.3
"""The weight of the newest slice in the estimate of an hour."""

_HOUR: Final = timedelta(hours=1)
_WEEK: Final = 7 * DAY
_HOURS_PER_WEEK: Final = 7 * 24
_EPOCH_HOUR: Final = 3 * 24
"""The hour of the week of the Unix epoch, which was a Thursday."""


@dataclass
class Slicer:
    """Takes slices from due ranges, and learns from the slices that were read."""

    rules: Rules[Paging]
    rows_wanted: int
    """The number of rows that a slice should have."""
    length_max: timedelta = LENGTH_MAX
    """The longest range that the service answers completely."""
    _longest: timedelta = DAY
    """The longest next slice, even if few rows are expected."""
    _rows_elsewhere: float | None = None
    """The estimated rows of an hour without data. None: nothing was read yet."""
    _rows_by_hour: dict[int, float] = field(default_factory=dict)
    """Estimated rows of each hour of the week, starting with Monday's first hour in UTC."""

    @classmethod
    def for_rules(cls, rules: Rules[Paging], size: int) -> "Slicer":
        """Return a slicer without knowledge of the account. `size`: the most rows of a page."""
        return cls(rules, max(1, int(size * FILL)))

    def next_slice(self, due_range: Slice) -> Slice:
        """Return the first slice of a range."""
        since = due_range.since
        if isinstance(self.rules.paging, DayDocument):
            return Slice(since, min(due_range.until, day_after(since, self.rules.zone)))
        until = min(due_range.until, since + min(self._longest, max(self.length_max, self.rules.resolution)))
        if self.rules.slice_max is not None:
            # A request covers one more step at each end. Slices are shorter than the longest possible request, because
            # its rows only show that shorter ranges are answered completely.
            longest, step = self.rules.slice_max, self.rules.resolution
            if self.rules.time_field:
                longest = max(step, longest * 3 // 4 // step * step - 2 * step)
            until = min(until, since + longest)
        until = self._full_at(Slice(since, until))
        if until < due_range.until and until - since > 2 * DAY:
            # Slices of whole days make log lines and gaps easier to read.
            until = datetime.combine(until.date(), time.min, tzinfo=UTC)
        return Slice(since, until)

    def learn(self, rows: int, slice_: Slice) -> None:
        """Learn from a slice that was read, or from a day whose rows are known."""
        length = slice_.until - slice_.since
        rows_per_hour = rows * _HOUR / length
        expected = self._expected_rows(slice_)
        change = min(GROWTH_MAX, max(1 / GROWTH_MAX, (rows + 0.5) / expected)) if expected else 0
        is_half_full = rows >= self.rows_wanted / 2
        rows_max = inf if is_half_full else self.rows_wanted / 2 * (_HOUR / min(length, _HOUR))
        for hour, part in _hours_of(Slice(max(slice_.since, slice_.until - _WEEK), slice_.until)):
            before = self._rows_of(hour)
            weight = NEWS_WEIGHT if hour in self._rows_by_hour else 1
            now = before * change or rows_per_hour
            self._rows_by_hour[hour] = min(rows_max, before + (now - before) * weight * (part / _HOUR))
        if self._rows_elsewhere is None:
            self._rows_elsewhere = rows_per_hour
        else:
            step = (rows_per_hour - self._rows_elsewhere) * NEWS_WEIGHT * min(1, length / _HOUR)
            self._rows_elsewhere = min(rows_max, self._rows_elsewhere + step)
        self._longest = min(LENGTH_MAX, GROWTH_MAX * length)

    def grow(self, rows_in_page_max: int) -> None:
        """Aim for more rows in the next slice, because the last one fitted a page.

        `rows_in_page_max`: the most rows of a page.

        A page with few rows does not predict the next one: providers hide rows and raise their limits.
        """
        self.rows_wanted = min(self.rows_wanted * ROWS_GROWTH, max(1, int(rows_in_page_max * FILL)))

    def split(self, slice_: Slice, rows_in_page: int) -> Slice:
        """Return the first half of a slice that did not fit one page."""
        self.rows_wanted = min(self.rows_wanted, max(1, int(rows_in_page * FILL)))
        return Slice(slice_.since, self._on_a_step(slice_.since, (slice_.until - slice_.since) / 2))

    def can_split(self, slice_: Slice) -> bool:
        """Whether a slice is longer than the finest step of the provider's clock. A document of a day cannot be
        split."""
        if isinstance(self.rules.paging, DayDocument):
            return False
        return slice_.until - slice_.since > self.rules.resolution

    def slices_left(self, ranges: Iterable[Slice]) -> int:
        """Estimate the number of slices in the ranges."""
        hours = LENGTH_MAX / _HOUR
        if self._rows_elsewhere:
            hours = min(hours, self.rows_wanted / self._rows_elsewhere)
        return sum(max(1, round((range_.until - range_.since) / _HOUR / hours)) for range_ in ranges)

    def _full_at(self, longest: Slice) -> datetime:
        """Return when the wanted rows are expected since the beginning of the slice; its end if they are not."""
        wanted: float = self.rows_wanted
        # Whole weeks are counted first: a slice may be a year long, which has 8,760 hours.
        weeks = (longest.until - longest.since) // _WEEK
        rows_per_week = self._rows_per_week() if weeks else 0
        weeks = weeks if weeks * rows_per_week <= wanted else int(wanted / rows_per_week)
        wanted = max(0, wanted - weeks * rows_per_week)
        passed = weeks * _WEEK
        for hour, part in _hours_of(Slice(longest.since + passed, longest.until)):
            rows = self._rows_of(hour) * (part / _HOUR)
            if rows > wanted:
                return self._on_a_step(longest.since, passed + part * (wanted / rows))
            wanted -= rows
            passed += part
        return longest.until

    def _expected_rows(self, slice_: Slice) -> float:
        weeks, rest = divmod(slice_.until - slice_.since, _WEEK)
        parts = _hours_of(Slice(slice_.since, slice_.since + rest))
        rows = sum(self._rows_of(hour) * (part / _HOUR) for hour, part in parts)
        return rows + weeks * self._rows_per_week() if weeks else rows

    def _rows_per_week(self) -> float:
        return sum(map(self._rows_of, range(_HOURS_PER_WEEK)))

    def _rows_of(self, hour: int) -> float:
        return self._rows_by_hour.get(hour, self._rows_elsewhere or 0)

    def _on_a_step(self, since: datetime, length: timedelta) -> datetime:
        """Return the end after this length, rounded to a step of the provider's clock, and at least one step away."""
        step = self.rules.resolution
        return since + max(step, length // step * step)


def _hours_of(slice_: Slice) -> Iterator[tuple[int, timedelta]]:
    """Yield the hours of the week that overlap a slice, oldest first, with the length of each overlap."""
    at = slice_.since
    hour = (at - EPOCH) // _HOUR
    end = EPOCH + (hour + 1) * _HOUR
    if end < slice_.until:
        yield (hour + _EPOCH_HOUR) % _HOURS_PER_WEEK, end - at
        hours, rest = divmod(slice_.until - end, _HOUR)
        for later in range(hour + 1, hour + 1 + hours):
            yield (later + _EPOCH_HOUR) % _HOURS_PER_WEEK, _HOUR
        at, hour = slice_.until - rest, hour + 1 + hours
    if at < slice_.until:
        yield (hour + _EPOCH_HOUR) % _HOURS_PER_WEEK, slice_.until - at
