"""The state of each day: proven, open with a reason, not published, or no longer kept; and the time that is left."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from liushui.instant import to_us
from liushui.ledger.coverage import Range, State
from liushui.ledger.read import coverage
from liushui.ledger.read.accounts import AccountSnapshot, RejectedRows
from liushui.ledger.read.completeness import AccountCompleteness
from liushui.ledger.read.coverage import Day, DayState, Deadline, day_runs, deadline, read_until
from liushui.providers.longbridge.rules import RULES
from liushui.rules import Paging, PublishClock, Retention, Rules

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 21, 12, tzinfo=SHANGHAI)
FOREVER = replace(RULES, allowed_lateness=timedelta(0))
DAILY = replace(
    FOREVER,
    retention=Retention(years=3, zone="Asia/Shanghai"),
    publish=PublishClock(at=time(11), zone="Asia/Shanghai"),
)


def shanghai(month: int, day: int, year: int = 2026, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=SHANGHAI)


def known(since: datetime, until: datetime, state: State = State.PROVEN, reason: str = "") -> Range:
    return Range(to_us(since), to_us(until), state, reason, 0, 1)


def days_of(
    rules: Rules[Paging], ranges: Sequence[Range], *, zone: ZoneInfo, since: datetime, now: datetime
) -> Iterator[Day]:
    """The days of an account whose source begins at an instant, with these ranges."""
    snapshot = AccountSnapshot("a", "x", zone.key, 1, since, None, tuple(ranges), (), {}, {}, None, None, None)
    return coverage.days_of(AccountCompleteness(snapshot, rules, to_us(now)), rules, now)


def states(days: list[Day]) -> list[DayState]:
    return [day.state for day in days]


def test_days_are_the_accounts_own_and_the_last_one_goes_on() -> None:
    days = list(days_of(FOREVER, [known(shanghai(11, 18), NOW)], zone=SHANGHAI, since=shanghai(11, 18), now=NOW))
    assert [day.day for day in days] == [date(2026, 11, number) for number in (18, 19, 20, 21)]
    assert states(days) == [DayState.COMPLETE] * 3 + [DayState.UNPUBLISHED]


def test_an_open_day_says_why() -> None:
    ranges = [
        known(shanghai(11, 16), shanghai(11, 18)),
        known(shanghai(11, 18), shanghai(11, 18, hour=5), State.OPEN, "HTTP 502"),
        known(shanghai(11, 18, hour=5), shanghai(11, 19)),
    ]
    days = list(days_of(FOREVER, ranges, zone=SHANGHAI, since=shanghai(11, 16), now=NOW))
    assert [(day.day.day, day.state, day.reason) for day in days[2:4]] == [
        (18, DayState.OPEN, "read failed: HTTP 502"),
        (19, DayState.OPEN, "not read yet"),
    ]
    assert [(one.since.day, one.until.day, one.state.value) for one in day_runs(days)] == [
        (16, 17, "proven"),
        (18, 18, "open"),
        (19, 20, "open"),
        (21, 21, "unpublished"),
    ]


@pytest.mark.parametrize(("hour", "yesterday"), [(10, DayState.UNPUBLISHED), (11, DayState.OPEN)])
def test_a_day_that_is_not_out_is_not_open(hour: int, yesterday: DayState) -> None:
    now = shanghai(11, 21, hour=hour)
    days = list(days_of(DAILY, [], zone=SHANGHAI, since=shanghai(11, 19), now=now))
    assert states(days) == [DayState.OPEN, yesterday, DayState.UNPUBLISHED]


def test_what_was_not_read_in_time_is_lost_and_what_was_is_not() -> None:
    ranges = [known(shanghai(11, 18, year=2023), shanghai(11, 19, year=2023))]
    days = list(days_of(DAILY, ranges, zone=SHANGHAI, since=shanghai(11, 17, year=2023), now=NOW))
    assert states(days[:5]) == [DayState.LOST, DayState.COMPLETE, DayState.LOST, DayState.LOST, DayState.OPEN]


@pytest.mark.parametrize(
    ("oldest", "days_left"),
    [((2023, 11, 21), 1), ((2023, 12, 2), 12), ((2023, 12, 31), 41), ((2024, 2, 29), 100), ((2024, 3, 1), 101)],
)
def test_how_long_there_is_time(oldest: tuple[int, int, int], days_left: int) -> None:
    """On 28 February 2027 the rows of 29 February 2024 are still there, on 1 March they are not."""
    begin = datetime(*oldest, tzinfo=SHANGHAI)
    rest = [known(begin + timedelta(days=1), shanghai(11, 21))]
    days = list(days_of(DAILY, rest, zone=SHANGHAI, since=begin, now=NOW))
    assert deadline(DAILY, days, NOW) == Deadline(date(*oldest), days_left)


def test_there_is_no_hurry_where_nothing_is_open_or_forgotten() -> None:
    everything = [known(shanghai(1, 1), NOW)]
    days = list(days_of(DAILY, everything, zone=SHANGHAI, since=shanghai(1, 1), now=NOW))
    assert deadline(DAILY, days, NOW) is None
    nothing = list(days_of(FOREVER, [], zone=SHANGHAI, since=shanghai(1, 1), now=NOW))
    assert deadline(FOREVER, nothing, NOW) is None


def test_a_day_without_midnight_and_one_of_25_hours() -> None:
    """Clocks go forward across midnight in Santiago, and back in New York."""
    santiago, new_york = ZoneInfo("America/Santiago"), ZoneInfo("America/New_York")
    for zone, begin in (
        (santiago, datetime(2026, 9, 5, tzinfo=santiago)),
        (new_york, datetime(2026, 10, 31, tzinfo=new_york)),
    ):
        days = list(
            days_of(FOREVER, [], zone=zone, since=begin, now=begin.astimezone(UTC) + timedelta(days=3, hours=2))
        )
        assert [day.day for day in days[:3]] == [begin.date() + timedelta(days=number) for number in range(3)]


def test_a_day_that_a_zone_skipped_is_none() -> None:
    """Samoa had no 30 December 2011."""
    apia = ZoneInfo("Pacific/Apia")
    begin = datetime(2011, 12, 28, tzinfo=apia)
    days = list(days_of(FOREVER, [], zone=apia, since=begin, now=datetime(2012, 1, 2, tzinfo=apia)))
    assert [day.day.day for day in days] == [28, 29, 31, 1]


@pytest.mark.parametrize("seed", range(5))
def test_each_day_has_the_gaps_of_its_own_range(seed: int) -> None:
    random = Random(seed)
    begin = shanghai(9, 1)
    edges = sorted(begin + timedelta(hours=random.randrange(24 * 80)) for _ in range(40))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    ranges = [known(*pair, random.choice((State.PROVEN, State.PROVEN, State.OPEN)), "HTTP 502") for pair in pairs]
    rejected = tuple(RejectedRows(((to_us(edge), to_us(edge + timedelta(hours=30))),), 1) for edge in edges[:8:3])
    snapshot = AccountSnapshot(
        "a", "x", SHANGHAI.key, 1, begin, None, tuple(ranges), rejected, {}, {}, None, None, None
    )
    completeness = AccountCompleteness(snapshot, FOREVER, to_us(NOW))
    for day in coverage.days_of(completeness, FOREVER, NOW):
        midnight = datetime(day.day.year, day.day.month, day.day.day, tzinfo=SHANGHAI)
        assert list(day.gaps) == completeness.gaps(to_us(midnight), to_us(midnight + timedelta(days=1)))


def test_the_last_proven_instant() -> None:
    assert read_until([]) is None
    gap = known(shanghai(11, 19), shanghai(11, 20), State.OPEN, "x")
    assert read_until([known(shanghai(11, 1), shanghai(11, 19)), gap]) == shanghai(11, 19)
