"""The plan and the slicer: pure functions of rules, coverage and the clock."""

from bisect import bisect_left
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from liushui.instant import to_us
from liushui.ledger.coverage import Range, State
from liushui.provider import Slice
from liushui.providers.longbridge.rules import RULES
from liushui.rules import PublishClock, Retention
from liushui.sync.plan import Plan
from liushui.sync.slicer import FILL, Slicer

NOW = datetime(2024, 6, 15, 10, 30, 0, 999_999, tzinfo=UTC)
CALLS_OF_A_BURST = 150
"""Half a day has 2^35 microseconds: halving down to one and growing up again, twice where it lies at an edge."""
HORIZON = datetime(2024, 6, 15, 10, 30, tzinfo=UTC) - RULES.allowed_lateness
SINCE = datetime(2024, 1, 1, tzinfo=UTC)


def proven(since: datetime, until: datetime, *, checked: datetime = NOW) -> Range:
    return Range(to_us(since), to_us(until), State.PROVEN, "", to_us(checked), 1)


def day(month: int, number: int) -> datetime:
    return datetime(2024, month, number, tzinfo=UTC)


def test_all_of_a_new_account_is_due() -> None:
    assert Plan(RULES, [], since=SINCE, now=NOW).due_ranges() == [Slice(SINCE, HORIZON)]


def test_of_a_proven_account_the_newest_part_is_due() -> None:
    again = day(6, 13)  # two days back, from the beginning of that day
    assert Plan(RULES, [proven(SINCE, HORIZON)], since=SINCE, now=NOW).due_ranges() == [Slice(again, HORIZON)]


def test_gaps_of_any_age_are_due() -> None:
    coverage = [
        proven(SINCE, day(2, 1)),
        Range(to_us(day(2, 1)), to_us(day(2, 2)), State.OPEN, "it failed", 0, 2),
        proven(day(2, 3), HORIZON),
    ]
    assert Plan(RULES, coverage, since=SINCE, now=NOW).due_ranges() == [
        Slice(day(2, 1), day(2, 3)),
        Slice(day(6, 13), HORIZON),
    ]


def test_everything_is_due_on_request() -> None:
    coverage = [proven(SINCE, HORIZON)]
    assert Plan(RULES, coverage, since=SINCE, now=NOW).due_ranges(everything=True) == [Slice(SINCE, HORIZON)]


def test_nothing_is_due_before_the_account_begins() -> None:
    assert Plan(RULES, [], since=NOW + timedelta(days=1), now=NOW).due_ranges() == []
    assert Plan(RULES, [], since=SINCE, now=NOW, until=SINCE).due_ranges() == []


def test_nothing_is_due_after_the_requested_end() -> None:
    assert Plan(RULES, [], since=SINCE, now=NOW, until=day(3, 1)).due_ranges() == [Slice(SINCE, day(3, 1))]


SHANGHAI = ZoneInfo("Asia/Shanghai")
DAILY = replace(
    RULES,
    floor=datetime(2024, 2, 1, tzinfo=SHANGHAI),
    retention=Retention(years=1, zone="Asia/Shanghai"),
    publish=PublishClock(at=time(11), zone="Asia/Shanghai"),
    window_max=timedelta(days=31),
    lookback=timedelta(days=2),
    allowed_lateness=timedelta(minutes=15),
)


def shanghai(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "until"), [("2024-06-15T11:14:59", "2024-06-14"), ("2024-06-15T11:15:00", "2024-06-15")]
)
def test_a_day_is_due_once_it_is_published(now: str, until: str) -> None:
    (whole,) = Plan(DAILY, [], since=SINCE, now=shanghai(now)).due_ranges()
    assert whole == Slice(shanghai("2024-02-01"), shanghai(until))


def test_nothing_is_due_that_the_provider_has_deleted() -> None:
    known = [proven(shanghai("2024-02-01"), shanghai("2024-06-01"))]
    for everything in (False, True):
        first, *_ = Plan(DAILY, known, since=SINCE, now=shanghai("2025-06-15T12:00:00")).due_ranges(
            everything=everything
        )
        assert first.since == shanghai("2024-06-15")


def test_a_floor_within_a_step_of_the_clock_is_rounded_up() -> None:
    odd = replace(RULES, floor=SINCE + timedelta(milliseconds=1))
    (whole,) = Plan(odd, [], since=SINCE, now=NOW).due_ranges()
    assert whole.since == SINCE + timedelta(seconds=1)


def test_no_slice_is_longer_than_a_request_may_be() -> None:
    """A request asks for a second more at each end, and both its ends are inclusive."""
    slicer = Slicer.for_rules(DAILY, 200)
    rest = Slice(SINCE, SINCE + timedelta(days=200))
    lengths = []
    while rest.since < rest.until:
        asked = slicer.next_slice(rest)
        slicer.learn(0, asked)
        lengths.append(asked.until - asked.since)
        rest = Slice(asked.until, rest.until)
    assert max(lengths) == timedelta(days=23), "whole days"
    assert sum(lengths, timedelta()) == timedelta(days=200)
    slicer = Slicer.for_rules(replace(DAILY, window_max=timedelta(hours=1)), 200)
    asked = slicer.next_slice(Slice(SINCE, SINCE + timedelta(days=2)))
    assert asked.until - asked.since == timedelta(minutes=44, seconds=58)


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=60), st.integers(1, 400))
def test_slices_have_neither_holes_nor_overlaps(rows_of_slices: list[int], days: int) -> None:
    whole = Slice(SINCE, SINCE + timedelta(days=days, seconds=1))
    slicer = Slicer.for_rules(RULES, 10_000)
    rest, at = whole, whole.since
    for rows in rows_of_slices:
        asked = slicer.next_slice(rest)
        assert asked.since == at
        assert asked.since < asked.until <= whole.until
        if rows >= 10_000 and slicer.can_split(asked):
            asked = slicer.split(asked, 10_000)
            assert asked.since == at
            assert asked.since < asked.until < rest.until
        slicer.learn(rows, asked)
        at = asked.until
        rest = Slice(at, whole.until)
        if at == whole.until:
            break


def test_slices_grow_where_rows_are_few_and_shrink_where_they_are_many() -> None:
    slicer = Slicer.for_rules(RULES, 10_000)
    whole = Slice(SINCE, SINCE + timedelta(days=3_000))
    first = slicer.next_slice(whole)
    slicer.learn(0, first)
    second = slicer.next_slice(Slice(first.until, whole.until))
    assert second.until - second.since == 8 * (first.until - first.since)
    slicer.learn(56_000, second)
    third = slicer.next_slice(Slice(second.until, whole.until))
    assert third.until - third.since == (second.until - second.since) / 8


@pytest.mark.parametrize("size", [100, 250, 700, 2_000])
def test_slices_follow_office_hours_once_they_are_known(size: int) -> None:
    """A hundred rows an hour, from nine to five on working days. The slicer has a month to learn that."""
    slicer = Slicer.for_rules(RULES, size)
    known, end = SINCE + timedelta(weeks=4), SINCE + timedelta(weeks=12)
    rest = Slice(SINCE, end)
    rows_of_calls = []
    while rest.since < end:
        asked = slicer.next_slice(rest)
        while True:
            rows = office_rows(asked)
            if asked.since >= known:
                rows_of_calls.append(rows)
            if rows < size:
                break
            asked = slicer.split(asked, size)
        slicer.learn(rows, asked)
        rest = Slice(asked.until, end)
    ideal = 8 * 5 * 800 / (size * FILL)
    assert len(rows_of_calls) < 1.3 * ideal
    assert sum(rows >= size for rows in rows_of_calls) < ideal / 6, "calls for nothing"


@given(
    st.lists(st.integers(0, 60 * 86_400_000_000 - 1), max_size=40),
    st.lists(st.integers(0, 60 * 86_400_000_000 - 1), min_size=1, max_size=3),
    st.integers(5, 1_000),
)
@example([], [0], 1_000)  # all rows of two months come at their first instant
def test_many_rows_at_one_instant_do_not_shorten_the_slices_after_it(
    scattered: list[int], bursts: list[int], size: int
) -> None:
    """A page full of rows within microseconds, and few elsewhere: halving down to that instant and growing again takes
    dozens of calls, not thousands."""
    finest = replace(RULES, resolution=timedelta(microseconds=1))
    slicer = Slicer.for_rules(finest, size)
    times = sorted([*scattered, *(at + number for at in bursts for number in range(size - 1))])
    end = SINCE + timedelta(days=60)
    rest, calls = Slice(SINCE, end), 0
    while rest.since < end:
        asked = slicer.next_slice(rest)
        while calls < CALLS_OF_A_BURST * (len(bursts) + 1) + len(scattered):
            calls += 1
            since, until = ((at - SINCE) // timedelta(microseconds=1) for at in asked)
            rows = bisect_left(times, until) - bisect_left(times, since)
            if rows < size or not slicer.can_split(asked):
                break
            asked = slicer.split(asked, size)
        else:
            pytest.fail(f"{calls} calls for {len(times)} rows in pages of {size}")
        slicer.learn(rows, asked)
        rest = Slice(asked.until, end)


def office_rows(asked: Slice) -> int:
    """The number of rows in a slice, at a hundred an hour from nine to five on working days."""
    rows, day = 0, asked.since.replace(hour=0, minute=0, second=0)
    while day < asked.until:
        if day.weekday() < 5:
            begin, end = max(asked.since, day + timedelta(hours=9)), min(asked.until, day + timedelta(hours=17))
            rows += max(0, (end - begin) // timedelta(seconds=36))
        day += timedelta(days=1)
    return rows


# ---------------------------------------------------------------- what is older


def ago(days: int, hours: int = 0) -> datetime:
    return NOW - timedelta(days=days, hours=hours)


def test_the_last_weeks_are_due_again_after_a_day() -> None:
    fresh = proven(SINCE, day(6, 1), checked=ago(0, 22))
    stale = proven(day(6, 1), day(6, 13), checked=ago(1))
    newest = proven(day(6, 13), HORIZON)
    (whole,) = Plan(RULES, [fresh, stale, newest], since=SINCE, now=NOW).due_ranges()
    assert whole == Slice(day(6, 1), HORIZON)
    checked = stale._replace(checked_at_us=fresh.checked_at_us)
    (whole,) = Plan(RULES, [fresh, checked, newest], since=SINCE, now=NOW).due_ranges()
    assert whole == Slice(day(6, 13), HORIZON)


def test_older_ranges_are_not_due_again_after_a_day() -> None:
    known = [proven(SINCE, day(6, 13), checked=ago(2)), proven(day(6, 13), HORIZON)]
    (whole,) = Plan(RULES, known, since=SINCE, now=NOW).due_ranges()
    assert whole.since == datetime(2024, 5, 25, tzinfo=UTC), "three weeks before the horizon, from that day's beginning"


def test_the_last_year_is_due_again_after_a_month_and_nothing_older() -> None:
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    known = [proven(begin, HORIZON, checked=ago(31))]
    (whole,) = Plan(RULES, known, since=begin, now=NOW).due_ranges()
    assert whole.since == datetime(2023, 6, 16, tzinfo=UTC)


def test_ranges_that_one_sync_proved_are_due_together() -> None:
    """They were proven within minutes of one another. The day after, one sync reads them all again."""
    known = [
        proven(day(6, number), day(6, number + 1), checked=ago(1) + timedelta(minutes=number))
        for number in range(1, 15)
    ]
    known.append(proven(SINCE, day(6, 1)))
    assert Plan(RULES, known, since=SINCE, now=NOW).due_ranges()[0].since == day(6, 1)


def test_the_next_refresh_is_when_the_first_proof_is_old_enough() -> None:
    known = [
        proven(SINCE, day(6, 1), checked=ago(0, 3)),
        proven(day(6, 1), day(6, 10), checked=ago(0, 5)),
        proven(day(6, 10), HORIZON, checked=NOW),
    ]
    assert Plan(RULES, known, since=SINCE, now=NOW).next_refresh_at() == ago(0, 5) + timedelta(days=1)
    assert Plan(RULES, [], since=SINCE, now=NOW).next_refresh_at() is None
    assert Plan(RULES, known, since=NOW, now=NOW).next_refresh_at() is None


def test_the_first_unproven_instant() -> None:
    assert Plan(RULES, [], since=SINCE, now=NOW).first_unproven() == SINCE
    assert Plan(RULES, [proven(SINCE, day(2, 1))], since=SINCE, now=NOW).first_unproven() == day(2, 1)
    assert Plan(RULES, [proven(SINCE, HORIZON)], since=SINCE, now=NOW).first_unproven() is None
    assert Plan(RULES, [], since=NOW, now=NOW).first_unproven() is None


def test_one_step_of_the_clock_cannot_be_split() -> None:
    slicer = Slicer.for_rules(RULES, 10_000)
    assert not slicer.can_split(Slice(SINCE, SINCE + timedelta(seconds=1)))
    assert slicer.can_split(Slice(SINCE, SINCE + timedelta(seconds=2)))
    assert slicer.split(Slice(SINCE, SINCE + timedelta(seconds=3)), 10_000).until == SINCE + timedelta(seconds=1)
