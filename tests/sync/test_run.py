"""Syncs against a double: what is collected, what stays open, what the next run does."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict, Unpack

import pytest

from liushui.errors import AuthError, LedgerError, RateLimited, Refused, Unavailable, WireError
from liushui.instant import from_us
from liushui.ledger import query
from liushui.ledger.commit import make_account
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.sources import Source, last_runs
from liushui.ledger.verify import Verified, verify
from liushui.provider import Page, Provider, Slice
from liushui.providers import provider_named
from liushui.providers.longbridge import codec
from liushui.rules import Retention
from liushui.sync import run as engine
from liushui.sync.run import Options, Result, sync
from liushui.testing.client import ClientDouble, Fault
from liushui.testing.clock import MovableClock
from tests.sync.rows import BEGIN, NOW, hourly, new_ledger, row, source


class How(TypedDict, total=False):
    """How a page is asked for, beside its slice and size."""

    mark: str | None
    part: Mapping[str, str]
    newest: bool


QUICK = Options(attempts=3, wait_s=0.0)


class Quiet:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.spans: list[timedelta] = []
        self.read: list[timedelta] = []

    def begin(self, account: str, span: timedelta) -> None:
        self.spans.append(span)

    def advance(self, account: str, *, span: timedelta, rows: int, slices_left: int) -> None:
        self.read.append(span)

    def end(self, account: str, result: Result) -> None:
        pass


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


def synced(
    ledger: Ledger,
    client: ClientDouble,
    monkeypatch: pytest.MonkeyPatch,
    options: Options = QUICK,
    progress: Quiet | None = None,
) -> Result:
    def connect(_provider: Provider, _source: Source, _timeout_s: float) -> ClientDouble:
        return client

    monkeypatch.setattr(engine, "_connect", connect)
    (result,) = asyncio.run(sync(ledger, [source()], options, progress or Quiet()))
    assert client.closed
    return result


def amounts(ledger: Ledger) -> Counter[str]:
    return Counter(str(found.flow.amount) for found in query.list_flows(ledger, query.FlowFilter()))


def amounts_of(rows: list[bytes]) -> Counter[str]:
    return Counter(str(codec.read(one).flow.amount) for one in rows)


def states(ledger: Ledger) -> list[tuple[State, str]]:
    return [(known.state, known.reason) for known in query.coverage_of(ledger)["a"]]


def assert_intact(ledger: Ledger) -> None:
    assert all(isinstance(found, Verified) for found in verify(ledger))


def test_every_row_comes_in_once_and_the_range_is_proven(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Quiet()
    rows = hourly(10)
    result = synced(ledger, ClientDouble(codec, rows), monkeypatch, progress=progress)
    assert (result.added, result.rows_in, result.error, result.gaps) == (len(rows), len(rows), "", [])
    assert amounts(ledger) == amounts_of(rows)
    (known,) = query.coverage_of(ledger)["a"]
    assert (from_us(known.since_us), from_us(known.until_us)) == (BEGIN, NOW.replace(microsecond=0))
    assert sum(progress.read, timedelta()) == progress.spans[0] == NOW.replace(microsecond=0) - BEGIN
    assert_intact(ledger)


def test_a_second_run_reads_only_the_newest_part(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    synced(ledger, ClientDouble(codec, hourly(10)), monkeypatch)
    client = ClientDouble(codec, hourly(10))
    result = synced(ledger, client, monkeypatch)
    assert min(asked.since for asked, _, _ in client.calls) == BEGIN + timedelta(days=8)
    assert (result.added, result.restated, result.withdrawn) == (0, 0, 0)
    assert_intact(ledger)


@pytest.mark.parametrize("size", [7, 24, 25, 100])
def test_small_pages_make_no_difference(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows), monkeypatch, Options(size=size, attempts=1, wait_s=0.0))
    assert amounts(ledger) == amounts_of(rows)


def test_twins_in_one_second_over_many_pages_are_all_kept(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    at = BEGIN + timedelta(days=3, hours=5)
    rows = hourly(9) + [row(at, "-7.00")] * 23
    options = Options(size=10, attempts=1, wait_s=0.0)
    synced(ledger, ClientDouble(codec, rows), monkeypatch, options)
    assert amounts(ledger)["-7.00"] == 23
    again = synced(ledger, ClientDouble(codec, rows), monkeypatch, Options(size=10, everything=True, wait_s=0.0))
    assert (again.added, again.withdrawn) == (0, 0)
    assert amounts(ledger) == amounts_of(rows)
    assert_intact(ledger)


def failing_within(since: timedelta, until: timedelta, error: Exception) -> Fault:
    def fault(_call: int, asked: Slice, _page: int) -> None:
        if asked.since < BEGIN + until and asked.until > BEGIN + since:
            raise error

    return fault


def test_a_slice_that_fails_in_the_middle_stays_open_and_is_filled_next_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = hourly(10)
    fault = failing_within(timedelta(days=4), timedelta(days=5), Unavailable("down"))
    result = synced(ledger, ClientDouble(codec, rows, fault=fault), monkeypatch)
    assert len(result.gaps) == 1
    assert "down" in result.gaps[0]
    assert (State.OPEN, "down") in states(ledger)
    held = amounts(ledger)
    assert held < amounts_of(rows)

    again = synced(ledger, ClientDouble(codec, rows), monkeypatch)
    assert again.gaps == []
    assert amounts(ledger) == amounts_of(rows)
    assert states(ledger) == [(State.PROVEN, "")]
    assert_intact(ledger)


def test_a_passing_fault_is_overcome(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = {
        1: Unavailable("reset"),
        2: RateLimited("slow down", retry_after_s=0.0),
        4: WireError("answer", "truncated"),
    }

    def fault(call: int, _asked: Slice, _page: int) -> None:
        if call in errors:
            raise errors[call]

    result = synced(ledger, ClientDouble(codec, hourly(10), fault=fault), monkeypatch)
    assert (result.error, result.gaps, result.added) == ("", [], 240)


def test_refused_credentials_end_the_source_at_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(_call: int, _asked: Slice, _page: int) -> None:
        raise AuthError("token expired", code=401003, trace="t1")

    client = ClientDouble(codec, hourly(10), fault=fault)
    result = synced(ledger, client, monkeypatch)
    assert len(client.calls) == 1
    assert result.error == "token expired (code 401003, trace t1)"
    assert [state for state, _ in states(ledger)] == [State.OPEN]
    assert last_runs(ledger)["a"].error == result.error


def test_a_request_that_is_refused_is_not_repeated(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(_call: int, _asked: Slice, _page: int) -> None:
        raise Refused("parameter error", code=202202)

    client = ClientDouble(codec, hourly(10), fault=fault)
    result = synced(ledger, client, monkeypatch)
    assert len(client.calls) == engine.FAILURES_MAX
    assert "3 slices in a row failed" in result.error


def test_a_bad_row_is_quarantined_and_hides_no_other(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    good = hourly(10)

    class WithBadRow(ClientDouble):
        async def page(self, asked: Slice, size: int, **how: Unpack[How]) -> Page:
            page = await super().page(asked, size, **how)
            if how.get("mark") is None and asked.since <= BEGIN + timedelta(days=4) < asked.until:
                return page._replace(rows=[*page.rows, b'{"direction":3}'])
            return page

    result = synced(ledger, WithBadRow(codec, good), monkeypatch)
    assert (result.quarantined, result.rows_in) == (1, len(good) + 1)
    assert amounts(ledger) == amounts_of(good)
    (status,) = query.statuses(ledger)
    assert status.quarantined == 1
    assert_intact(ledger)


def test_late_restated_and_withdrawn_rows_become_versions(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows), monkeypatch)
    at = BEGIN + timedelta(days=2)
    changed = rows[:30] + rows[31:] + [row(at + timedelta(minutes=1), "-5000.00")]
    changed[40] = row(BEGIN + timedelta(hours=41), "-41.25", label="another name")
    result = synced(ledger, ClientDouble(codec, changed), monkeypatch, Options(everything=True, wait_s=0.0))
    assert (result.added, result.restated, result.withdrawn) == (1, 1, 1)
    assert amounts(ledger) == amounts_of(changed)
    assert_intact(ledger)


def test_one_read_that_misses_rows_takes_nothing_away(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows), monkeypatch)

    def vanish_once(call: int, _asked: Slice, _page: int) -> None:
        client.rows = [] if call == 1 else rows

    client = ClientDouble(codec, rows, fault=vanish_once)
    result = synced(ledger, client, monkeypatch, Options(everything=True, wait_s=0.0))
    assert "a second read did not say the same" in result.gaps[0]
    assert amounts(ledger) == amounts_of(rows)
    assert states(ledger) == [(State.PROVEN, "")]  # what was proven stays proven


def test_a_row_from_outside_the_slice_is_a_fault(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    class Astray(ClientDouble):
        async def page(self, asked: Slice, size: int, **how: Unpack[How]) -> Page:
            page = await super().page(asked, size, **how)
            if how.get("mark") is not None:
                return page
            return page._replace(rows=[row(BEGIN - timedelta(days=1)), *page.rows])

    result = synced(ledger, Astray(codec, hourly(10)), monkeypatch)
    assert "2023-12-31T00:00:00Z came where" in result.gaps[0]
    assert amounts(ledger) == Counter()


def test_a_ledger_that_cannot_be_written_ends_the_sync_with_its_reason(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(engine, "commit_slice", full)
    assert synced(ledger, ClientDouble(codec, hourly(10)), monkeypatch).error == "the disk is full"


def test_no_range_is_asked_for_twice_without_need(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    client = ClientDouble(codec, hourly(10))
    synced(ledger, client, monkeypatch)
    first_pages = [asked for asked, number, _ in client.calls if number == 1]
    assert [one.since for one in first_pages[1:]] == [one.until for one in first_pages[:-1]]


# ---------------------------------------------------------------- what a provider forgets


def forgetting(monkeypatch: pytest.MonkeyPatch, years: int) -> None:
    """Have the provider keep rows for so many years."""
    real = provider_named("longbridge")
    rules = replace(real.rules, retention=Retention(years=years, zone="UTC"))
    monkeypatch.setattr(engine, "provider_named", lambda _name: replace(real, rules=rules))


def test_what_the_provider_forgot_is_not_withdrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last day goes while it is read again: the rows are kept here, and nothing is said of them."""
    clock = MovableClock(NOW)
    ledger = open_ledger(str(tmp_path / "ledger.db"), create=True, clock=clock)
    make_account(ledger, "a", "longbridge", "UTC")
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows), monkeypatch)
    forgetting(monkeypatch, years=1)
    clock.at = datetime(2025, 1, 2, 23, 59, 59, tzinfo=UTC)

    def forgets(_call: int, _asked: Slice, _page: int) -> None:
        clock.at = datetime(2025, 1, 3, tzinfo=UTC)
        client.rows[:] = rows[48:]

    client = ClientDouble(codec, list(rows), fault=forgets)
    result = synced(ledger, client, monkeypatch, Options(attempts=1, wait_s=0.0, everything=True))
    assert result.withdrawn == 0
    assert "not kept by the provider any more" in result.gaps[0]
    assert amounts(ledger) == amounts_of(rows)
    assert_intact(ledger)


def test_what_is_about_to_be_forgotten_is_not_withdrawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider's clock is ahead of ours by a little."""
    clock = MovableClock(NOW)
    ledger = open_ledger(str(tmp_path / "ledger.db"), create=True, clock=clock)
    make_account(ledger, "a", "longbridge", "UTC")
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows), monkeypatch)
    forgetting(monkeypatch, years=1)
    clock.at = datetime(2025, 1, 2, 23, 59, 59, tzinfo=UTC)
    ahead = ClientDouble(codec, rows[48:])
    result = synced(ledger, ahead, monkeypatch, Options(attempts=1, wait_s=0.0, everything=True))
    assert result.withdrawn == 0
    assert "about to forget" in result.gaps[0]
    assert amounts(ledger) == amounts_of(rows)
