"""Alarms about a provider's service: a long wait, a clock, doubted reads, coverage beyond now, records listed twice."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.source_state import (
    REPEATED_ROWS,
    Doubt,
    Observation,
    Wait,
    record_clock,
    record_observations,
    record_wait,
    replace_doubts,
)
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.overview import OverviewQuery, read_overview
from liushui.ledger.read.status import Alarm, AlarmKind, Severity, read_statuses
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import Slice
from liushui.providers import ProviderRules
from liushui.testing.clock import MovableClock
from liushui.testing.empty_ledger import create_ledger
from liushui.testing.processes import run

NOW: Final = datetime(2026, 1, 10, 12, tzinfo=UTC)
BEGIN: Final = NOW - timedelta(days=3)
HOUR: Final = timedelta(hours=1)
HOUR_US: Final = HOUR // timedelta(microseconds=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A source that is complete up to an hour ago."""
    ledger = create_ledger(str(tmp_path / "ledger.db"), clock=MovableClock(NOW))
    make_account(ledger, "a", "longbridge", "UTC")
    add_source(ledger, account="a", base_url="https://p.test", credentials={}, since=BEGIN, paced=True)
    commit_slice(ledger, "a", Slice(BEGIN, NOW - HOUR), read_at=NOW - HOUR, received=[])
    return ledger


def alarms_of(ledger: Ledger) -> list[Alarm]:
    """The alarms, which all faces must show alike."""
    model = ReadModel(ledger, ProviderRules())
    (status,) = read_statuses(model)
    assert list(status.alarms) == list(read_overview(model, OverviewQuery()).alarms)
    return list(status.alarms)


def waits(ledger: Ledger) -> None:
    record_wait(ledger, "a", Wait(NOW + timedelta(days=30), "slow down"), NOW)


def has_a_clock_that_is_behind(ledger: Ledger) -> None:
    record_clock(ledger, "a", 2 * HOUR, NOW - HOUR)


def doubts(ledger: Ledger) -> None:
    hashes = frozenset(number.to_bytes(4, "big") for number in range(7))
    first = Doubt(to_us(BEGIN), to_us(BEGIN + HOUR), to_us(NOW - HOUR), 9, hashes)
    believed = Doubt(to_us(BEGIN + HOUR), to_us(NOW), to_us(NOW), 9, believed=True)
    replace_doubts(ledger, "a", [], [first, believed], NOW)


def is_covered_beyond_now(ledger: Ledger) -> None:
    commit_slice(ledger, "a", Slice(NOW - HOUR, NOW + HOUR), read_at=NOW, received=[])


def saw_records_twice(ledger: Ledger) -> None:
    record_observations(ledger, [Observation("a", REPEATED_ROWS, "3", NOW - HOUR)])


SERVICES: Final[dict[Callable[[Ledger], None], tuple[Alarm, str]]] = {
    waits: (
        Alarm(Severity.WARN, AlarmKind.WAITING, "a", at=NOW + timedelta(days=30), detail="slow down"),
        "the provider wants no calls before 2026-02-09T12:00:00Z: slow down",
    ),
    has_a_clock_that_is_behind: (
        Alarm(Severity.WARN, AlarmKind.CLOCK, "a", number=7200, at=NOW - HOUR),
        "the clock of this machine is 7200 s behind the provider's",
    ),
    doubts: (
        Alarm(Severity.BAD, AlarmKind.DOUBTED, "a", number=7, day=date(2026, 1, 7), at=NOW - HOUR),
        "a read at 2026-01-10T11:00:00Z lacked 7 known flows of 2026-01-07 or later, and is not believed yet",
    ),
    is_covered_beyond_now: (
        Alarm(Severity.BAD, AlarmKind.BEYOND_NOW, "a", at=NOW + HOUR),
        "a range was called complete up to 2026-01-10T13:00:00Z, which has not come yet: it is read again",
    ),
    saw_records_twice: (
        Alarm(Severity.NOTE, AlarmKind.REPEATED, "a", number=3, at=NOW - HOUR),
        "answers listed a record twice, 3 times: each counts once",
    ),
}


@pytest.mark.parametrize("prepare", SERVICES, ids=lambda prepare: prepare.__name__)
def test_each_is_an_alarm_with_its_reason_and_time(ledger: Ledger, prepare: Callable[[Ledger], None]) -> None:
    assert alarms_of(ledger) == []
    prepare(ledger)
    alarm, reason = SERVICES[prepare]
    assert alarms_of(ledger) == [alarm]
    assert alarm.reason == reason


def test_what_is_over_is_not_an_alarm(ledger: Ledger) -> None:
    waits(ledger)
    record_wait(ledger, "a", None, NOW)
    has_a_clock_that_is_behind(ledger)
    record_clock(ledger, "a", timedelta(0), NOW)
    assert alarms_of(ledger) == []


def test_coverage_up_to_the_time_of_a_provider_that_is_ahead_is_not_an_alarm(ledger: Ledger) -> None:
    has_a_clock_that_is_behind(ledger)
    is_covered_beyond_now(ledger)
    assert [alarm.kind for alarm in alarms_of(ledger)] == [AlarmKind.CLOCK]


def test_status_prints_alarms_for_people_and_programs(ledger: Ledger, tmp_path: Path) -> None:
    wait_until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    record_wait(ledger, "a", Wait(wait_until, "slow down"), datetime.now(UTC))
    ledger.close()
    path = tmp_path / "ledger.db"
    (status,) = json.loads(run("status", "--format", "json", ledger=path, codes=(3,)))
    (waiting,) = [alarm for alarm in status["alarms"] if alarm["kind"] == "waiting"]
    assert waiting["severity"] == "warn"
    assert waiting["at"] == f"{wait_until:%Y-%m-%dT%H:%M:%SZ}"
    assert waiting["reason"].endswith(": slow down")
    assert "slow down" in run("status", "--format", "table", ledger=path, codes=(3,))
