"""Clocks of the rules, on both sides of each limit: publication, retention, floors, windows."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from liushui.instant import MIN_INSTANT
from liushui.rules import Filter, PageNumber, PublishClock, Rate, Retention, Rules

SHANGHAI = "Asia/Shanghai"
NEW_YORK = "America/New_York"
SECOND = timedelta(seconds=1)


def local(text: str, zone: str = SHANGHAI) -> datetime:
    """A local time, as a UTC instant."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def rules(
    *,
    window_max: timedelta | None = None,
    floor: datetime | None = None,
    retention: Retention | None = None,
    publish: PublishClock | None = None,
    clock_skew_max: timedelta | None = None,
) -> Rules[PageNumber]:
    return Rules(
        paging=PageNumber(size_default=20, size_max=100),
        rate=Rate(calls=10, per=SECOND),
        resolution=SECOND,
        history_start=datetime(2018, 1, 1, tzinfo=UTC),
        lookback=timedelta(days=1),
        zone=SHANGHAI,
        filters=(Filter("side", "side", ("in", "out")),),
        window_max=window_max,
        floor=floor,
        retention=retention,
        publish=publish,
        clock_skew_max=clock_skew_max,
    )


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2024-03-02T10:59:59", "2024-03-01"),
        ("2024-03-02T10:59:59.999999", "2024-03-01"),
        ("2024-03-02T11:00:00", "2024-03-02"),
        ("2024-03-02T23:59:59", "2024-03-02"),
        ("2024-03-03T00:00:00", "2024-03-02"),
        ("2024-03-01T10:59:59", "2024-02-29"),
        ("2024-03-01T11:00:00", "2024-03-01"),
        ("2024-01-01T10:59:59", "2023-12-31"),
    ],
)
def test_a_day_is_published_at_eleven_on_the_next(now: str, until: str) -> None:
    assert PublishClock(time(11), SHANGHAI).published_until(local(now)) == local(until)


@pytest.mark.parametrize(
    ("now", "until", "hours_of_the_last_day"),
    [
        ("2024-03-11T10:59:59", "2024-03-10", 24),
        ("2024-03-11T11:00:00", "2024-03-11", 23),  # clocks went forward on the 10th
        ("2024-11-04T10:59:59", "2024-11-03", 24),
        ("2024-11-04T11:00:00", "2024-11-04", 25),  # and back on 3 November
    ],
)
def test_a_published_day_is_a_local_one(now: str, until: str, hours_of_the_last_day: int) -> None:
    clock = PublishClock(time(11), NEW_YORK)
    end = clock.published_until(local(now, NEW_YORK))
    assert end == local(until, NEW_YORK)
    before = clock.published_until(local(now, NEW_YORK) - timedelta(days=1))
    assert end - before == timedelta(hours=hours_of_the_last_day)


@pytest.mark.parametrize(
    ("now", "kept_from"),
    [
        ("2026-11-21T00:00:00", "2023-11-21"),
        ("2026-11-20T23:59:59.999999", "2023-11-20"),
        ("2027-02-28T12:00:00", "2024-02-28"),
        ("2027-03-01T00:00:00", "2024-03-01"),  # the day on which 29 February goes
        ("2028-02-29T12:00:00", "2025-02-28"),
        ("2028-03-01T12:00:00", "2025-03-01"),
    ],
)
def test_three_years_are_kept_by_the_calendar(now: str, kept_from: str) -> None:
    assert Retention(3, SHANGHAI).kept_from(local(now)) == local(kept_from)


def test_a_leap_year_after_four_has_a_day_of_its_own() -> None:
    assert Retention(4, SHANGHAI).kept_from(local("2028-02-29T12:00:00")) == local("2024-02-29")
    assert Retention(100, SHANGHAI).kept_from(local("2000-02-29T12:00:00")) == local("1900-02-28")
    assert Retention(400, SHANGHAI).kept_from(local("2400-02-29T12:00:00")) == local("2000-02-29")


def test_what_can_be_read_now() -> None:
    now, floor = local("2026-11-21T12:00:00"), local("2022-12-01")
    assert rules().readable(now) == (MIN_INSTANT, now)
    assert rules(floor=floor).readable(now) == (floor, now)
    kept, out = Retention(3, SHANGHAI), PublishClock(time(11), SHANGHAI)
    assert rules(floor=floor, retention=kept, publish=out).readable(now) == (local("2023-11-21"), local("2026-11-21"))
    early = local("2025-06-01T12:00:00")
    assert rules(floor=floor, retention=kept).readable(early) == (floor, early)


def test_a_slice_is_a_step_longer_than_a_window_whose_ends_are_inclusive() -> None:
    assert rules().slice_max is None
    assert rules(window_max=timedelta(days=31)).slice_max == timedelta(days=31, seconds=1)


@pytest.mark.parametrize(("off_s", "timely"), [(0, True), (60, True), (-60, True), (61, False), (-61, False)])
def test_clocks_that_are_off(off_s: int, timely: bool) -> None:
    assert rules(clock_skew_max=timedelta(seconds=60)).allows_skew(timedelta(seconds=off_s)) is timely
    assert rules().allows_skew(timedelta(seconds=off_s))


def test_filters_are_found_by_their_parameter() -> None:
    assert rules().filter("side").values == ("in", "out")
    with pytest.raises(KeyError):
        rules().filter("symbol")
