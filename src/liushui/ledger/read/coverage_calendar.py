"""What is known of each day of an account, and how long the rest can still be fetched. Pure."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple
from zoneinfo import ZoneInfo

from liushui.instant import BusinessDays, from_us, to_us, to_utc
from liushui.ledger.coverage import Range, State, merged, missing
from liushui.rules import Paging, Rules

DAY = timedelta(days=1)
NOT_READ = "not read yet"


class DayState(StrEnum):
    """What is known of a day."""

    PROVEN = "proven"
    """Everything the provider had of it is here."""
    OPEN = "open"
    """Something of it is missing, or may be, and can be fetched."""
    UNPUBLISHED = "unpublished"
    """It goes on, or its provider has not published it."""
    LOST = "lost"
    """Something of it may be missing, and the provider keeps it no more."""


class Day(NamedTuple):
    """A day of the account's own zone. `reason` says why it is open."""

    day: date
    state: DayState
    reason: str = ""


class Deadline(NamedTuple):
    """The oldest day that is open, and in how many days its provider will have forgotten it."""

    day: date
    days_left: int


def days_of(
    rules: Rules[Paging], ranges: Sequence[Range], *, zone: ZoneInfo, since: datetime, now: datetime
) -> Iterator[Day]:
    """Each day from `since` to now, oldest first."""
    calendar, ranges = BusinessDays(zone), merged(ranges)
    proven = [known for known in ranges if known.state is State.PROVEN]
    kept_us, published_us = (to_us(at) for at in rules.provable(now))
    since_us = max(to_us(since), to_us(rules.floor)) if rules.floor else to_us(since)
    begin_us = since_us
    while begin_us < to_us(now):
        day = date.fromisoformat(calendar.day_of(begin_us))
        end_us = calendar.begin_us(day + DAY)
        yield _day(day, ranges, proven, begin_us, end_us, kept_us=kept_us, published_us=published_us)
        begin_us = end_us


def _day(
    day: date,
    ranges: Sequence[Range],
    proven: Sequence[Range],
    begin_us: int,
    end_us: int,
    *,
    kept_us: int,
    published_us: int,
) -> Day:
    if end_us > published_us:
        return Day(day, DayState.UNPUBLISHED)
    holes = missing(proven, (begin_us, end_us))
    if not holes:
        return Day(day, DayState.PROVEN)
    if holes[-1][1] <= kept_us:
        return Day(day, DayState.LOST)
    said = [known.reason for known in ranges if known.state is State.OPEN and _meet(known, begin_us, end_us)]
    return Day(day, DayState.OPEN, said[-1] if said else NOT_READ)


def _meet(known: Range, begin_us: int, end_us: int) -> bool:
    return known.since_us < end_us and known.until_us > begin_us


def deadline(rules: Rules[Paging], days: Sequence[Day], now: datetime) -> Deadline | None:
    """Until when the oldest open day can be fetched. None: nothing is open, or the provider keeps it for ever."""
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


class Stretch(NamedTuple):
    """Days that follow each other and are alike."""

    since: date
    until: date
    """The last of them."""
    state: DayState
    reason: str


def stretches(days: Sequence[Day]) -> list[Stretch]:
    """Days in a row of one state and reason as one."""
    found = []
    for (state, reason), group in groupby(days, key=lambda day: (day.state, day.reason)):
        alike = list(group)
        found.append(Stretch(alike[0].day, alike[-1].day, state, reason))
    return found


def proven_until(ranges: Sequence[Range]) -> datetime | None:
    """The last proven instant. None: nothing is proven."""
    ends = [known.until_us for known in ranges if known.state is State.PROVEN]
    return from_us(max(ends)) if ends else None
