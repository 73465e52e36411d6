"""The plan: which ranges of an account are due, and when its next sync is.

Pure: it uses only rules, coverage and the clock.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import Final, NamedTuple

from liushui.instant import MIN_INSTANT, from_us, to_us
from liushui.ledger.coverage import Range, State, uncovered
from liushui.ledger.write.commit import CLOCK_TOLERANCE
from liushui.provider import Slice
from liushui.ratelimit import Backoff
from liushui.rules import DayDocument, Paging, RefreshPolicy, Rules, day_after, day_begin
from liushui.sync.events import SyncStatus

RETENTION_MARGIN: Final = timedelta(days=1)
"""Rows this close to the provider's retention limit may be deleted already, because clocks and zones differ."""
REFRESH_SLACK: Final = 24
"""A range may be refreshed when this part of its interval is still left. So the ranges that one sync proved one after
another are due together in the next sync."""
INTERVAL_S: Final = 300
"""Seconds between two syncs of a source whose rows can come at any time."""
FAILURE_BACKOFF: Final = Backoff(timedelta(minutes=1), timedelta(hours=1))
"""The wait after failed syncs, by their number."""
CREDENTIALS_PAUSE: Final = timedelta(hours=6)
"""How long a source with refused credentials is left alone, unless they are changed."""
URGENT_PART: Final = 4
"""A failed sync is repeated at the latest after this part of the time until the provider deletes something."""

Span = tuple[int, int]
"""[since, until), in microseconds since the epoch."""


@dataclass(frozen=True)
class Plan:
    """The ranges of one account that are due now."""

    rules: Rules[Paging]
    coverage: Sequence[Range]
    since: datetime
    """The beginning of the account, or of the requested sync."""
    now: datetime
    until: datetime | None = None
    doubted: Sequence[Slice] = ()
    """Ranges to read again, because a read of them was doubted."""

    def due_ranges(self, *, everything: bool = False) -> list[Slice]:
        """The ranges to read, oldest first; with `everything`, all ranges that can be proven."""
        if self.provable is None:
            return []
        ranges = [self.provable]
        if not everything:
            spans = [*uncovered(self.proven, _span(self.provable)), *self.newest_part(), *self.stale_parts()]
            begin_us, end_us = _span(self.provable)
            doubted = [
                (max(since_us, begin_us), min(until_us, end_us)) for since_us, until_us in map(_span, self.doubted)
            ]
            spans += [span for span in doubted if span[0] < span[1]]
            if isinstance(self.rules.paging, DayDocument):
                spans = [self._whole_days(span) for span in spans]
            ranges = _joined(spans)
        # The day that the provider is about to delete is read by itself. If rows of it are missing, they may be
        # withdrawn or deleted, so the day is not proven. Later days in the same slice would not be proven either.
        kept_tomorrow, _ = self.rules.readable(self.now + RETENTION_MARGIN)
        return _split_at(ranges, _ceiling(kept_tomorrow, self.rules.resolution))

    def _whole_days(self, span: Span) -> Span:
        """Return the local days that overlap a span, as far as they are provable, because documents are read as a
        whole."""
        if self.provable is None:
            return span
        since, last = day_begin(from_us(span[0]), self.rules.zone), from_us(span[1] - 1)
        until = day_after(last, self.rules.zone)
        return _span(Slice(max(since, self.provable.since), min(until, self.provable.until)))

    @cached_property
    def provable(self) -> Slice | None:
        """The range that a read can prove now. None: nothing."""
        return provable_range(self.rules, since=self.since, until=self.until, now=self.now)

    @cached_property
    def proven(self) -> list[Range]:
        """Return the proven ranges of the coverage. A read later than now used a clock that was ahead, and is
        ignored."""
        newest_us = to_us(self.now + CLOCK_TOLERANCE)
        return [known for known in self.coverage if known.state is State.PROVEN and known.checked_at_us <= newest_us]

    def newest_part(self) -> list[Span]:
        """The range that every sync reads again, for rows that were published late or changed."""
        return [] if self.provable is None else [_last(self.provable, self.rules.lookback)]

    def stale_parts(self) -> list[Span]:
        """Return the older ranges whose proof is due for a refresh by the rules."""
        stale: list[Span] = []
        for policy in self.rules.refresh:
            stale_us = to_us(self.now - policy.every + policy.every // REFRESH_SLACK)
            stale += [span for span, checked_us in self._proofs_within(policy) if checked_us <= stale_us]
        return stale

    def first_unproven(self) -> datetime | None:
        """The oldest instant that could be proven now and is not. None: no such instant."""
        gaps = self.provable and uncovered(self.proven, _span(self.provable))
        return from_us(gaps[0][0]) if gaps else None

    def retention_left(self) -> timedelta | None:
        """The time until the provider deletes rows of an unproven range. None: it never does, or everything is
        proven."""
        retention, unproven = self.rules.retention, self.first_unproven()
        return None if retention is None or unproven is None else unproven - retention.kept_from(self.now)

    def next_refresh_at(self) -> datetime | None:
        """When the first proven range is due for a refresh. None: never."""
        times = [
            from_us(checked_us) + policy.every
            for policy in self.rules.refresh
            for _, checked_us in self._proofs_within(policy)
        ]
        return min(times, default=None)

    def _proofs_within(self, policy: RefreshPolicy) -> Iterator[tuple[Span, int]]:
        """Return the proven ranges that are young enough for a policy, each with the time of its last proof."""
        if self.provable is None:
            return
        since_us, until_us = _last(self.provable, policy.age)
        for known in self.proven:
            span = max(known.since_us, since_us), min(known.until_us, until_us)
            if span[0] < span[1]:
                yield span, known.checked_at_us


class LastSync(NamedTuple):
    """The outcome of a source's last sync. `failures`: the number of consecutive failures, including this one."""

    ended_at: datetime
    status: SyncStatus
    failures: int = 0
    not_before: datetime | None = None


def next_sync_at(
    plan: Plan,
    last: LastSync | None,
    *,
    every: timedelta,
    jittered: Callable[[timedelta], timedelta] = lambda duration: duration,
) -> datetime:
    """Return when a source has to be synced next. `every`: the interval, if its rows can come at any time."""
    if last is None:
        return plan.now
    if last.status is SyncStatus.CREDENTIALS:
        return last.ended_at + CREDENTIALS_PAUSE
    if last.not_before is not None:
        return last.not_before
    if last.failures:
        pause = FAILURE_BACKOFF.wait(last.failures)
        left = plan.retention_left()
        if left is not None:
            pause = min(pause, max(FAILURE_BACKOFF.first, left // URGENT_PART))
        return last.ended_at + jittered(pause)
    soonest = last.ended_at + min(every, FAILURE_BACKOFF.first)
    published_at = plan.rules.next_publication(plan.now)
    if published_at is not None:
        # Refreshes wait for the next publication too: it is daily, and nothing changes before.
        return max(soonest, published_at if plan.first_unproven() is None else plan.now)
    refresh_at = plan.next_refresh_at()
    regular = last.ended_at + every
    return max(soonest, regular if refresh_at is None else min(regular, refresh_at))


def provable_range(
    rules: Rules[Paging], *, since: datetime, until: datetime | None = None, now: datetime
) -> Slice | None:
    """Return the part of [since, until) that a read can prove now, in whole steps of the provider's clock. None: no
    part.

    It leaves out rows that the provider no longer has, has not published yet, or may still be delivering.
    """
    begin, end = rules.provable(now)
    since = max(since, _ceiling(begin, rules.resolution))
    until = _floor(min(now, end, until) if until else min(now, end), rules.resolution)
    return Slice(since, until) if since < until else None


def _span(slice_: Slice) -> Span:
    return to_us(slice_.since), to_us(slice_.until)


def _last(slice_: Slice, length: timedelta) -> Span:
    """Return the end of a slice of at least this length that begins with a day."""
    begin = slice_.until - min(length, slice_.until - MIN_INSTANT)
    day = datetime.combine(begin.date(), time.min, tzinfo=UTC)
    return to_us(max(slice_.since, day)), to_us(slice_.until)


def _floor(at: datetime, step: timedelta) -> datetime:
    at_us, step_us = to_us(at), step // timedelta(microseconds=1)
    return from_us(at_us - at_us % step_us)


def _ceiling(at: datetime, step: timedelta) -> datetime:
    floor = _floor(at, step)
    return floor if floor == at else floor + step


def _joined(spans: list[Span]) -> list[Slice]:
    """Merge spans into as few ranges as possible, oldest first."""
    joined: list[Span] = []
    for since_us, until_us in sorted(spans):
        if joined and joined[-1][1] >= since_us:
            joined[-1] = joined[-1][0], max(joined[-1][1], until_us)
        else:
            joined.append((since_us, until_us))
    return [Slice(from_us(since_us), from_us(until_us)) for since_us, until_us in joined]


def _split_at(ranges: list[Slice], at: datetime) -> list[Slice]:
    """Split the range that contains the instant in two."""
    parts: list[Slice] = []
    for range_ in ranges:
        if range_.since < at < range_.until:
            parts += [Slice(range_.since, at), Slice(at, range_.until)]
        else:
            parts.append(range_)
    return parts
