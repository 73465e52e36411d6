"""Which ranges are due, and how they are cut into slices. Pure: rules, coverage and the clock in, slices out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from liushui.instant import from_us, to_us
from liushui.ledger.coverage import Range, State, missing
from liushui.provider import Slice
from liushui.rules import Paging, Rules

DAY: Final = timedelta(days=1)
LENGTH_MAX: Final = 400 * DAY
GROWTH_MAX: Final = 8
"""How much longer or shorter than the slice before it one may be."""
FILL: Final = 0.7
"""How full a page a slice is aimed at: one answer holds it whole, and so nothing can shift while it is read."""


def due(
    rules: Rules[Paging],
    coverage: Iterable[Range],
    *,
    since: datetime,
    until: datetime | None,
    now: datetime,
    everything: bool = False,
) -> list[Slice]:
    """The ranges to read, oldest first: what is not proven, and the newest part again for rows that came late.

    What the provider does not keep any more, or has not published yet, is left out; and the step of its clock that is
    still going on is left for the next sync.
    """
    begin, end = rules.readable(now)
    since = max(since, _ceiling(begin, rules.resolution))
    horizon = _floor(min(now, end, until) if until else min(now, end), rules.resolution)
    if horizon <= since:
        return []
    if everything:
        return [Slice(since, horizon)]
    proven = [known for known in coverage if known.state is State.PROVEN]
    again = max(since, _day(horizon - rules.lookback))
    ranges = missing(proven, (to_us(since), to_us(min(again, horizon))))
    ranges.append((to_us(again), to_us(horizon)))
    return _joined([Slice(from_us(begin), from_us(end)) for begin, end in ranges if begin < end])


@dataclass
class Cutter:
    """Cuts a due range into slices of about one page, by the density that was seen so far."""

    rules: Rules[Paging]
    rows_aim: int
    length: timedelta = DAY

    @classmethod
    def for_rules(cls, rules: Rules[Paging], size: int) -> "Cutter":
        """A cutter that knows nothing of the account yet. `size`: rows a page may hold."""
        return cls(rules, max(1, int(size * FILL)))

    def next(self, due_range: Slice) -> Slice:
        """The first slice of a range. It ends with a day where it is longer than one."""
        until = min(due_range.until, due_range.since + self.length)
        if self.rules.slice_max is not None:
            until = min(until, due_range.since + self.rules.slice_max)
        if until < due_range.until and (midnight := _day(until)) > due_range.since:
            until = midnight
        return Slice(due_range.since, until)

    def seen(self, rows: int, asked: Slice) -> None:
        """Learn from a slice that was read."""
        length = asked.until - asked.since
        factor = min(GROWTH_MAX, max(1 / GROWTH_MAX, self.rows_aim / rows)) if rows else GROWTH_MAX
        self.length = self._bounded(length * factor)

    def overfull(self, rows_in_page: int, asked: Slice) -> Slice:
        """The first half of a slice that one page did not hold."""
        self.rows_aim = min(self.rows_aim, max(1, int(rows_in_page * FILL)))
        self.length = self._bounded((asked.until - asked.since) / 2)
        return Slice(asked.since, asked.since + self.length)

    def divisible(self, asked: Slice) -> bool:
        """Whether a slice is longer than the finest step of the provider's clock."""
        return asked.until - asked.since > self.rules.resolution

    def left(self, ranges: Iterable[Slice]) -> int:
        """About how many slices ranges will take."""
        return sum(max(1, round((one.until - one.since) / self.length)) for one in ranges)

    def _bounded(self, length: timedelta) -> timedelta:
        step = self.rules.resolution
        return max(step, min(LENGTH_MAX, length // step * step))


def _floor(at: datetime, step: timedelta) -> datetime:
    at_us, step_us = to_us(at), step // timedelta(microseconds=1)
    return from_us(at_us - at_us % step_us)


def _ceiling(at: datetime, step: timedelta) -> datetime:
    floor = _floor(at, step)
    return floor if floor == at else floor + step


def _day(at: datetime) -> datetime:
    return datetime.combine(at.date(), time.min, tzinfo=UTC)


def _joined(slices: list[Slice]) -> list[Slice]:
    result: list[Slice] = []
    for one in slices:
        if result and result[-1].until >= one.since:
            result[-1] = Slice(result[-1].since, max(result[-1].until, one.until))
        else:
            result.append(one)
    return result
