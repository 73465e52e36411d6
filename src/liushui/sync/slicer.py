"""How a due range is cut into slices of about one page: by the rows that each hour of the week is known to have. Pure.

Money keeps office hours: a broker's rows come while its markets trade, a shop's in the afternoon. Slices that are cut
by the density of the one before are too full each morning, a call for nothing, and nearly empty each night.

A crowd of rows at one instant is no density: a part of an hour says little of the rest of it. So nothing is known of an
hour that makes the slice after one that was not half full shorter than twice that one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from math import inf
from typing import Final

from liushui.instant import EPOCH
from liushui.provider import Slice
from liushui.rules import Paging, Rules

DAY: Final = timedelta(days=1)
LENGTH_MAX: Final = 400 * DAY
GROWTH_MAX: Final = 8
"""How much longer than the slice before it one may be, and how much one may change what an hour is known to have."""
FILL: Final = 0.7
"""How full a page a slice is aimed at: one answer holds it whole, and so nothing can shift while it is read."""
NEWS: Final = 0.3
"""How much of what an hour is known to have the newest slice says."""

_HOUR: Final = timedelta(hours=1)
_WEEK: Final = 7 * DAY


@dataclass
class Slicer:
    """Cuts a due range into slices, by what it was told of those that were read before."""

    rules: Rules[Paging]
    rows_aim: int
    _longest: timedelta = DAY
    """How long the next slice may be, however few rows are expected."""
    _hourly: float | None = None
    """Rows of an hour that nothing is known of. None: nothing was read yet."""
    _hours: dict[int, float] = field(default_factory=dict)
    """Rows of the hours of the week, counted from Monday's first in UTC."""

    @classmethod
    def for_rules(cls, rules: Rules[Paging], size: int) -> "Slicer":
        """A slicer that knows nothing of the account yet. `size`: rows a page may hold."""
        return cls(rules, max(1, int(size * FILL)))

    def next(self, due_range: Slice) -> Slice:
        """The first slice of a range. It ends with a day where it is longer than two."""
        since = due_range.since
        until = min(due_range.until, since + self._longest)
        if self.rules.slice_max is not None:
            until = min(until, since + self.rules.slice_max)
        until = self._filled(Slice(since, until))
        if until < due_range.until and until - since > 2 * DAY:
            until = datetime.combine(until.date(), time.min, tzinfo=UTC)
        return Slice(since, until)

    def seen(self, rows: int, asked: Slice) -> None:
        """Learn from a slice that was read, or from a day whose rows are known."""
        length = asked.until - asked.since
        found = rows * _HOUR / length
        expected = self._expected(asked)
        change = min(GROWTH_MAX, max(1 / GROWTH_MAX, (rows + 0.5) / expected)) if expected else 0
        most = self.rows_aim / 2 * (_HOUR / min(length, _HOUR)) if rows < self.rows_aim / 2 else inf
        for hour, part in _hours_of(Slice(max(asked.since, asked.until - _WEEK), asked.until)):
            before = self._rows_of(hour)
            weight = NEWS if hour in self._hours else 1
            self._hours[hour] = min(most, before + ((before * change or found) - before) * weight * (part / _HOUR))
        if self._hourly is None:
            self._hourly = found
        else:
            self._hourly = min(most, self._hourly + (found - self._hourly) * NEWS * min(1, length / _HOUR))
        self._longest = min(LENGTH_MAX, GROWTH_MAX * length)

    def overfull(self, rows_in_page: int, asked: Slice) -> Slice:
        """The first half of a slice that one page did not hold."""
        self.rows_aim = min(self.rows_aim, max(1, int(rows_in_page * FILL)))
        return Slice(asked.since, self._on_a_step(asked.since, (asked.until - asked.since) / 2))

    def can_split(self, asked: Slice) -> bool:
        """Whether a slice is longer than the finest step of the provider's clock."""
        return asked.until - asked.since > self.rules.resolution

    def left(self, ranges: Iterable[Slice]) -> int:
        """About how many slices ranges will take."""
        hours = LENGTH_MAX / _HOUR
        if self._hourly:
            hours = min(hours, self.rows_aim / self._hourly)
        return sum(max(1, round((one.until - one.since) / _HOUR / hours)) for one in ranges)

    def _filled(self, most: Slice) -> datetime:
        """When as many rows as a slice is aimed at have come, from its beginning on; the end, where they have not."""
        wanted: float = self.rows_aim
        weeks = (most.until - most.since) // _WEEK
        weekly = self._weekly() if weeks else 0
        whole = weeks if weeks * weekly <= wanted else int(wanted / weekly)
        wanted = max(0, wanted - whole * weekly)
        passed = whole * _WEEK
        for hour, part in _hours_of(Slice(most.since + passed, most.until)):
            rows = self._rows_of(hour) * (part / _HOUR)
            if rows > wanted:
                return self._on_a_step(most.since, passed + part * (wanted / rows))
            wanted -= rows
            passed += part
        return most.until

    def _expected(self, asked: Slice) -> float:
        """How many rows a slice is expected to have."""
        weeks, rest = divmod(asked.until - asked.since, _WEEK)
        parts = _hours_of(Slice(asked.since, asked.since + rest))
        rows = sum(self._rows_of(hour) * (part / _HOUR) for hour, part in parts)
        return rows + weeks * self._weekly() if weeks else rows

    def _weekly(self) -> float:
        """Rows of a whole week, wherever it begins."""
        return sum(map(self._rows_of, range(_WEEK // _HOUR)))

    def _rows_of(self, hour: int) -> float:
        return self._hours.get(hour, self._hourly or 0)

    def _on_a_step(self, since: datetime, length: timedelta) -> datetime:
        step = self.rules.resolution
        return since + max(step, length // step * step)


def _hours_of(asked: Slice) -> Iterator[tuple[int, timedelta]]:
    """The hours of the week that a slice has a part of, in their order, and how much of each."""
    at = asked.since
    hour = (at - EPOCH) // _HOUR
    while at < asked.until:
        hour += 1
        end = min(asked.until, EPOCH + hour * _HOUR)
        yield (hour + _MONDAY) % (_WEEK // _HOUR), end - at
        at = end


_MONDAY: Final = 3 * 24 - 1
"""The hours of the week before the first hour of the epoch, a Thursday, less the one that has been counted."""
