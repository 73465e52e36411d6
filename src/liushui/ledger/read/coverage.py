"""Coverage for display: complete and missing ranges, the state of each day, deadlines, the status of an account."""

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

from liushui.instant import BusinessDays, from_us, to_us, to_utc
from liushui.ledger.coverage import Range, State, uncovered
from liushui.ledger.read.completeness import AccountCompleteness, Cause, Gap
from liushui.ledger.read.filters import BEFORE_ALL_US
from liushui.ledger.read.model import Account
from liushui.rules import Paging, Rules

DAY = timedelta(days=1)


class CoverageRange(NamedTuple):
    """A range [since, until) of an account that is complete or not, in microseconds since the epoch.

    `gap` None: the range is complete. `checked_at_us` and `batch` belong to its last read; None: it was never read.
    """

    account: str
    since_us: int
    until_us: int
    gap: Gap | None
    checked_at_us: int | None
    batch: int | None

    @property
    def state(self) -> State:
        """Whether the range is complete or open."""
        return State.PROVEN if self.gap is None else State.OPEN


def coverage_ranges(account: Account) -> list[CoverageRange]:
    """The ranges of an account from the beginning of its source to its newest read, oldest first.

    For an account without a source, these are the ranges that were read while it had a source, and the ranges that
    statement files prove.
    """
    name, ranges = account.snapshot.account, account.snapshot.ranges
    verdict = account.verdict()
    rejected = [gap for gap in verdict.gaps if gap.cause is Cause.REJECTED_ROWS]
    if account.completeness.has_source:
        found = [_of_gap(gap, ranges) for gap in verdict.gaps if gap.cause is not Cause.REJECTED_ROWS]
        proven = [known for known in ranges if known.state is State.PROVEN]
    else:
        found = [_as_committed(name, known) for known in ranges]
        proven = list(account.snapshot.stated)
    for known in proven:
        for begin_us, end_us in uncovered(_as_ranges(rejected), known):
            found.append(_as_committed(name, known._replace(since_us=begin_us, until_us=end_us)))
        found += [
            CoverageRange(name, *_cut(gap, known), gap, known.checked_at_us, known.batch)
            for gap in rejected
            if gap.since_us < known.until_us and gap.until_us > known.since_us
        ]
    return sorted(found, key=lambda one: one.since_us)


def _as_committed(account: str, known: Range) -> CoverageRange:
    gap = None
    if known.state is State.OPEN:
        gap = Gap(account, known.since_us, known.until_us, Cause.READ_FAILED, known.reason)
    return CoverageRange(account, known.since_us, known.until_us, gap, known.checked_at_us, known.batch)


def _of_gap(gap: Gap, ranges: Sequence[Range]) -> CoverageRange:
    tried = [
        known
        for known in ranges
        if known.state is State.OPEN and known.since_us <= gap.since_us and gap.until_us <= known.until_us
    ]
    last = tried[-1] if tried else None
    checked_at_us, batch = (None, None) if last is None else (last.checked_at_us, last.batch)
    return CoverageRange(gap.account, gap.since_us, gap.until_us, gap, checked_at_us, batch)


def _as_ranges(gaps: Sequence[Gap]) -> list[Range]:
    return [Range(gap.since_us, gap.until_us, State.OPEN, "", 0, 0) for gap in gaps]


def _cut(gap: Gap, known: Range) -> tuple[int, int]:
    return max(gap.since_us, known.since_us), min(gap.until_us, known.until_us)


# ---------------------------------------------------------------- days


class DayState(StrEnum):
    """The state of a day. The values are stable: scripts read them."""

    COMPLETE = "proven"
    """Every flow of the day that the provider had is in the ledger."""
    OPEN = "open"
    """Flows may be missing, and can still be fetched."""
    UNPUBLISHED = "unpublished"
    """The day is not over, or the provider has not published it."""
    LOST = "lost"
    """Flows may be missing, and the provider no longer has them."""


class Day(NamedTuple):
    """A day in the account's own zone. `gaps` are its incomplete parts."""

    day: date
    state: DayState
    gaps: tuple[Gap, ...] = ()

    @property
    def gap(self) -> Gap | None:
        """The newest gap, which says why the day is open. None: the day is not open."""
        return self.gaps[-1] if self.state is DayState.OPEN and self.gaps else None

    @property
    def reason(self) -> str:
        """The reason in English why the day is open; otherwise empty."""
        return self.gap.reason if self.gap else ""


class Deadline(NamedTuple):
    """The oldest open day, and the number of days until the provider deletes it."""

    day: date
    days_left: int


class DayRun(NamedTuple):
    """Adjacent days with the same state and reason, `until` included. `gap` is the gap of the first day."""

    since: date
    until: date
    state: DayState
    gap: Gap | None

    @property
    def reason(self) -> str:
        """The reason in English why the days are open; otherwise empty."""
        return self.gap.reason if self.gap else ""


def days_of(
    completeness: AccountCompleteness, rules: Rules[Paging], now: datetime, since_us: int = BEFORE_ALL_US
) -> Iterator[Day]:
    """Return each day of an account from the beginning of its source (or `since_us`, if later) to now, oldest first."""
    if not completeness.has_source:
        return
    calendar = BusinessDays(ZoneInfo(completeness.zone))
    settled_us, now_us = to_us(rules.provable(now)[1]), to_us(now)
    begin_us = max(completeness.begin_us, since_us)
    if begin_us >= now_us:
        return
    day = date.fromisoformat(calendar.day_of(begin_us))
    # Most days have no gap. Comparing the days with the gaps of the whole range finds the days with a gap.
    whole = deque(completeness.gaps(begin_us, calendar.begin_us(date.fromisoformat(calendar.day_of(now_us)) + DAY)))
    while begin_us < now_us:
        end_us = calendar.begin_us(day + DAY)
        if end_us > begin_us:  # a day that the zone skips has no instants
            while whole and whole[0].until_us <= begin_us:
                whole.popleft()
            has_gap = bool(whole) and whole[0].since_us < end_us
            gaps = tuple(completeness.gaps(begin_us, end_us)) if has_gap else ()
            yield Day(day, _state(gaps, end_us > settled_us), gaps)
            begin_us = end_us
        day += DAY


def _state(gaps: Sequence[Gap], is_unsettled: bool) -> DayState:
    if is_unsettled:
        return DayState.UNPUBLISHED
    if not gaps:
        return DayState.COMPLETE
    return DayState.LOST if all(gap.cause is Cause.NOT_KEPT for gap in gaps) else DayState.OPEN


def deadline(rules: Rules[Paging], days: Sequence[Day], now: datetime) -> Deadline | None:
    """Return the deadline of the oldest open day. None: no day is open, or the provider keeps rows forever."""
    oldest = next((day.day for day in days if day.state is DayState.OPEN), None)
    if rules.retention is None or oldest is None:
        return None
    zone = ZoneInfo(rules.retention.zone)
    today, left, end = now.astimezone(zone).date(), 0, _midnight(oldest + DAY, zone)
    while rules.retention.kept_from(_midnight(today + left * DAY, zone)) < end:
        left += 1
    return Deadline(oldest, left)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return to_utc(datetime.combine(day, time.min, tzinfo=zone))


def day_runs(days: Sequence[Day]) -> list[DayRun]:
    """Merge adjacent days with the same state and reason."""
    runs = []
    for (state, _), group in groupby(days, key=lambda day: (day.state, day.reason)):
        alike = list(group)
        runs.append(DayRun(alike[0].day, alike[-1].day, state, alike[0].gap))
    return runs


def read_until(ranges: Sequence[Range]) -> datetime | None:
    """The end of the newest complete read. None: no read was complete."""
    ends = [known.until_us for known in ranges if known.state is State.PROVEN]
    return from_us(max(ends)) if ends else None
