"""Instants and business days, at the ends of the calendar and of summer time."""

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import ConfigError, WireError
from liushui.instant import (
    MAX_INSTANT,
    MIN_INSTANT,
    UNIX_SECONDS_MAX,
    UNIX_SECONDS_MIN,
    BusinessDays,
    add_days,
    from_us,
    instant_of,
    instants_of,
    load_zone,
    parse_day,
    parse_instant,
    parse_unix_seconds,
    to_iso,
    to_local,
    to_us,
)
from liushui.testing.clock import NOON

ZONES = ("UTC", "Asia/Hong_Kong", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu")


@given(st.integers(UNIX_SECONDS_MIN, UNIX_SECONDS_MAX))
def test_seconds_and_microseconds_are_exact(seconds: int) -> None:
    at = parse_unix_seconds("t", str(seconds))
    assert to_us(at) == seconds * 1_000_000
    assert from_us(to_us(at)) == at


@given(st.integers(UNIX_SECONDS_MIN, UNIX_SECONDS_MAX), st.sampled_from(ZONES))
def test_every_instant_has_a_day(seconds: int, zone: str) -> None:
    day = BusinessDays(ZoneInfo(zone)).day_of(seconds * 1_000_000)
    assert len(day) == 10
    if -62_135_000_000 < seconds < 253_402_000_000:
        assert day == from_us(seconds * 1_000_000).astimezone(ZoneInfo(zone)).date().isoformat()


@given(st.lists(st.integers(1_600_000_000, 1_700_000_000), max_size=20), st.sampled_from(ZONES))
def test_days_do_not_depend_on_what_was_asked_before(times: list[int], zone: str) -> None:
    days = BusinessDays(ZoneInfo(zone))
    assert [days.day_of(at * 1_000_000) for at in times] == [
        datetime.fromtimestamp(at, ZoneInfo(zone)).date().isoformat() for at in times
    ]


@given(st.lists(st.integers(UNIX_SECONDS_MIN, UNIX_SECONDS_MAX), max_size=20), st.sampled_from(ZONES))
def test_instants_of_one_span_are_of_one_day(times: list[int], zone: str) -> None:
    days = BusinessDays(ZoneInfo(zone))
    for at_us in (at * 1_000_000 for at in times):
        day, begin_us, end_us = days.span_of(at_us)
        assert day == days.day_of(at_us)
        if begin_us < end_us:
            assert begin_us <= at_us < end_us
            assert days.day_of(begin_us) == days.day_of(end_us - 1) == day


def test_a_day_of_23_hours_and_one_of_25() -> None:
    days = BusinessDays(ZoneInfo("America/New_York"))
    for begin, hours in ((datetime(2024, 3, 10, 5, tzinfo=UTC), 23), (datetime(2024, 11, 3, 4, tzinfo=UTC), 25)):
        last = begin + timedelta(hours=hours) - timedelta(microseconds=1)
        assert days.day_of(to_us(begin)) == days.day_of(to_us(last)) == begin.date().isoformat()
        assert days.day_of(to_us(begin) - 1) < begin.date().isoformat() < days.day_of(to_us(last) + 1)


def test_a_day_that_begins_twice_is_one_day_whatever_was_asked_before() -> None:
    """Clocks that went back across midnight: the old day's last minute comes again after the new day has begun."""
    zone = ZoneInfo("America/St_Johns")
    at_us = to_us(datetime(2006, 10, 29, 3, 10, tzinfo=UTC))
    fresh, walked = BusinessDays(zone), BusinessDays(zone)
    walked.day_of(to_us(datetime(2006, 10, 29, 12, tzinfo=UTC)))
    assert fresh.day_of(at_us) == walked.day_of(at_us)


@pytest.mark.parametrize("text", ["", "1.0", "+1", "-0", "01", "1e3", " 1", "１", "9" * 13, "253402300800", 1, None])
def test_what_are_not_seconds(text: object) -> None:
    with pytest.raises(WireError, match="t: expected"):
        parse_unix_seconds("t", text)


def test_what_a_user_types() -> None:
    assert to_iso(parse_instant("at", "2024-01-31")) == "2024-01-31T00:00:00Z"
    assert to_iso(parse_instant("at", "2024-01-31", ZoneInfo("Asia/Hong_Kong"))) == "2024-01-30T16:00:00Z"
    assert to_iso(parse_instant("at", "2024-01-31T09:30:00+08:00")) == "2024-01-31T01:30:00Z"
    for text in ("yesterday", "2024-13-01", ""):
        with pytest.raises(ConfigError, match="at: expected a date"):
            parse_instant("at", text)
    for name in ("Mars", "", "../etc/passwd"):
        with pytest.raises(ConfigError, match="zone: expected"):
            load_zone(name)


@pytest.mark.parametrize(
    "text", ["", "20240131", "2024-W05-3", "2024-02-30", "2024-1-31", " 2024-01-31", "2024-01-31T00"]
)
def test_a_day_has_one_spelling(text: str) -> None:
    assert parse_day("2024-01-31") == date(2024, 1, 31)
    assert parse_day(text) is None


def test_days_stay_in_the_calendar() -> None:
    assert add_days(date(2024, 2, 28), 2) == date(2024, 3, 1)
    assert add_days(date.max, 1) == date.max
    assert add_days(date(1, 1, 2), -400) == date.min


def test_local_time_is_utc_where_the_calendar_has_no_local_time() -> None:
    assert to_local(NOON, ZoneInfo("Asia/Shanghai")).utcoffset() == timedelta(hours=8)
    assert to_local(MAX_INSTANT, ZoneInfo("Asia/Shanghai")) == MAX_INSTANT
    assert to_local(MAX_INSTANT, ZoneInfo("Asia/Shanghai")).utcoffset() == timedelta(0)
    assert to_local(MIN_INSTANT, ZoneInfo("America/New_York")).utcoffset() == timedelta(0)


CHANGING: Final = ("America/New_York", "America/Sao_Paulo", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia")
"""Zones whose clocks change: also at midnight, by half an hour, and by a whole day."""
LOCAL_TIMES: Final = st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1))  # noqa: DTZ001 - local times


@given(LOCAL_TIMES, st.sampled_from((*CHANGING, *ZONES)))
def test_a_local_time_is_exactly_the_instants_at_which_clocks_show_it(local: datetime, name: str) -> None:
    """Brute force: every instant of the days around it."""
    zone = ZoneInfo(name)
    quarters = [local.replace(tzinfo=UTC) + timedelta(minutes=15 * number) for number in range(-4 * 27, 4 * 27)]
    shown = [at for at in quarters if at.astimezone(zone).replace(tzinfo=None) == local]
    assert list(instants_of(local, zone)) == shown


@given(LOCAL_TIMES, st.sampled_from(CHANGING))
def test_a_day_is_the_first_instant_of_its_business_day(local: datetime, name: str) -> None:
    begin = parse_instant("t", local.date().isoformat(), ZoneInfo(name))
    assert to_us(begin) == BusinessDays(ZoneInfo(name)).begin_us(local.date())


@pytest.mark.parametrize(
    ("name", "text", "what", "examples"),
    [
        ("America/New_York", "2024-03-10T02:30", "skip", ("2024-03-10T02:30:00-05:00", "2024-03-10T02:30:00-04:00")),
        ("America/New_York", "2024-11-03T01:30", "show twice", ("2024-11-03T01:30:00-04:00", "01:30:00-05:00")),
        ("America/Sao_Paulo", "2018-11-04T00:30", "skip", ("2018-11-04T00:30:00-03:00", "2018-11-04T00:30:00-02:00")),
        ("America/Havana", "2024-11-03T00:00", "show twice", ("2024-11-03T00:00:00-04:00", "00:00:00-05:00")),
    ],
)
def test_a_time_that_is_not_one_instant_is_refused(name: str, text: str, what: str, examples: tuple[str, str]) -> None:
    message = f"^at: expected a time that clocks in {name} show once, got .* {what}"
    with pytest.raises(ConfigError, match=message) as it:
        parse_instant("at", text, ZoneInfo(name))
    assert all(example in str(it.value) for example in examples)
    one, other = (parse_instant("at", f"{text}:00{example[-6:]}") for example in examples)
    assert abs(one - other) == timedelta(hours=1)


def test_midnight_that_clocks_skip_is_the_first_instant_of_the_day() -> None:
    zone = ZoneInfo("America/Sao_Paulo")
    local = datetime(2018, 11, 4)  # noqa: DTZ001 - a local time
    assert instant_of(local, zone) == datetime(2018, 11, 4, 3, tzinfo=UTC)
    assert parse_instant("at", "2018-11-04", zone) == datetime(2018, 11, 4, 3, tzinfo=UTC)
