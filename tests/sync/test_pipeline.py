"""Whole syncs against a client double: the commits, the open ranges, and the next sync."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from liushui.errors import AuthError, LedgerError, RateLimited, Refused, Unavailable, WireError
from liushui.instant import from_us
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import last_runs
from liushui.provider import Page, PageRequest, Provider, Slice
from liushui.providers import get_provider
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.rules import RULES
from liushui.sync import committer
from liushui.sync.events import SyncAdvanced, SyncStarted, SyncStatus
from liushui.sync.options import Options
from liushui.sync.pipeline import FAILURES_MAX
from liushui.testing.provider_client_double import ClientDouble, Fault
from tests.ledger.reading import coverage_of, statuses
from tests.sync.rows import BEGIN, HORIZON, hourly, new_ledger, row, source
from tests.sync.running import (
    World,
    amounts,
    amounts_of,
    assert_intact,
    clock_of,
    forgetting,
    states,
    synced,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


def test_every_row_is_committed_once_and_the_range_is_proven(ledger: Ledger) -> None:
    rows = hourly(10)
    world = World(clock_of(ledger), {"a": ClientDouble(codec, rows)})
    (result,) = world.sync(ledger)
    assert (result.added, result.rows_in, result.error, result.gaps) == (len(rows), len(rows), "", [])
    assert amounts(ledger) == amounts_of(rows)
    (known,) = coverage_of(ledger)["a"]
    assert (from_us(known.since_us), from_us(known.until_us)) == (BEGIN, HORIZON)
    (began,) = world.events_of(SyncStarted)
    assert sum((read.span for read in world.events_of(SyncAdvanced)), timedelta()) == began.span == HORIZON - BEGIN
    assert (result.status, result.proven_until, result.retention_left) == (SyncStatus.DONE, HORIZON, None)
    assert_intact(ledger)


def test_a_second_sync_reads_only_the_newest_part(ledger: Ledger) -> None:
    synced(ledger, ClientDouble(codec, hourly(10)))
    client = ClientDouble(codec, hourly(10))
    result = synced(ledger, client)
    assert min(asked.since for asked, _, _ in client.calls) == BEGIN + timedelta(days=8) - RULES.resolution
    assert (result.added, result.restated, result.withdrawn) == (0, 0, 0)
    assert_intact(ledger)


@pytest.mark.parametrize("size", [7, 24, 25, 100])
def test_the_page_size_makes_no_difference(ledger: Ledger, size: int) -> None:
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows), Options(size=size, attempts=1))
    assert amounts(ledger) == amounts_of(rows)


def test_equal_rows_of_one_second_on_many_pages_are_all_kept(ledger: Ledger) -> None:
    at = BEGIN + timedelta(days=3, hours=5)
    rows = hourly(9) + [row(at, "-7.00")] * 23
    options = Options(size=10, attempts=1)
    synced(ledger, ClientDouble(codec, rows), options)
    assert amounts(ledger)["-7.00"] == 23
    again = synced(ledger, ClientDouble(codec, rows), Options(size=10, everything=True))
    assert (again.added, again.withdrawn) == (0, 0)
    assert amounts(ledger) == amounts_of(rows)
    assert_intact(ledger)


def failing_within(since: timedelta, until: timedelta, error: Exception) -> Fault:
    def fault(_call: int, asked: Slice, _page: int) -> None:
        if asked.since < BEGIN + until and asked.until > BEGIN + since:
            raise error

    return fault


def test_a_slice_that_fails_stays_open_and_is_filled_by_the_next_sync(ledger: Ledger) -> None:
    rows = hourly(10)
    fault = failing_within(timedelta(days=4), timedelta(days=5), Unavailable("down"))
    result = synced(ledger, ClientDouble(codec, rows, fault=fault))
    assert len(result.gaps) == 1
    assert "down" in result.gaps[0]
    assert (State.OPEN, "down") in states(ledger)
    held = amounts(ledger)
    assert held < amounts_of(rows)

    again = synced(ledger, ClientDouble(codec, rows))
    assert again.gaps == []
    assert amounts(ledger) == amounts_of(rows)
    assert states(ledger) == [(State.PROVEN, "")]
    assert_intact(ledger)


def test_a_sync_gets_over_transient_errors(ledger: Ledger) -> None:
    errors = {
        1: Unavailable("reset"),
        2: RateLimited("slow down", retry_after_s=0.0),
        4: WireError("answer", "truncated"),
    }

    def fault(call: int, _asked: Slice, _page: int) -> None:
        if call in errors:
            raise errors[call]

    result = synced(ledger, ClientDouble(codec, hourly(10), fault=fault))
    assert (result.error, result.gaps, result.added) == ("", [], 240)


def test_refused_credentials_end_a_sync_at_once(ledger: Ledger) -> None:
    def fault(_call: int, _asked: Slice, _page: int) -> None:
        raise AuthError("token expired", code=401003, trace="t1")

    client = ClientDouble(codec, hourly(10), fault=fault)
    result = synced(ledger, client)
    assert len(client.calls) == 1
    assert result.status is SyncStatus.CREDENTIALS
    assert result.error == (
        "its credentials are refused, and new ones are needed: token expired (code 401003, trace t1)"
    )
    assert [state for state, _ in states(ledger)] == [State.OPEN]
    assert last_runs(ledger)["a"].error == result.error


def test_a_refused_request_is_not_repeated(ledger: Ledger) -> None:
    def fault(_call: int, _asked: Slice, _page: int) -> None:
        raise Refused("parameter error", code=202202)

    client = ClientDouble(codec, hourly(10), fault=fault)
    result = synced(ledger, client)
    assert len(client.calls) == FAILURES_MAX
    assert "3 slices in a row failed" in result.error


def test_a_bad_row_is_quarantined_and_hides_no_other(ledger: Ledger) -> None:
    good = hourly(10)

    class WithBadRow(ClientDouble):
        async def fetch_page(self, request: PageRequest) -> Page:
            page = await super().fetch_page(request)
            if request.page_token is None and request.slice_.since <= BEGIN + timedelta(days=4) < request.slice_.until:
                return page._replace(rows=[*page.rows, b'{"direction":3}'])
            return page

    result = synced(ledger, WithBadRow(codec, good))
    assert (result.quarantined, result.rows_in) == (1, len(good) + 1)
    assert amounts(ledger) == amounts_of(good)
    (status,) = statuses(ledger)
    assert status.quarantined == 1
    assert_intact(ledger)


def test_late_restated_and_withdrawn_rows_become_versions(ledger: Ledger) -> None:
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows))
    at = BEGIN + timedelta(days=2)
    changed = rows[:30] + rows[31:] + [row(at + timedelta(minutes=1), "-5000.00")]
    changed[40] = row(BEGIN + timedelta(hours=41), "-41.25", label="another name")
    result = synced(ledger, ClientDouble(codec, changed), Options(everything=True))
    assert (result.added, result.restated, result.withdrawn) == (1, 1, 1)
    assert amounts(ledger) == amounts_of(changed)
    assert_intact(ledger)


def test_one_read_that_misses_rows_withdraws_nothing(ledger: Ledger) -> None:
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows))

    def vanish_once(call: int, _asked: Slice, _page: int) -> None:
        client.rows = [] if call == 1 else rows

    client = ClientDouble(codec, rows, fault=vanish_once)
    result = synced(ledger, client, Options(everything=True, until=BEGIN + timedelta(hours=23)))
    assert "a second read differed" in result.gaps[0]
    assert amounts(ledger) == amounts_of(rows)
    assert states(ledger) == [(State.PROVEN, "")]  # what was proven stays proven


def test_a_row_from_outside_the_slice_is_an_error(ledger: Ledger) -> None:
    class Astray(ClientDouble):
        async def fetch_page(self, request: PageRequest) -> Page:
            page = await super().fetch_page(request)
            if request.page_token is not None:
                return page
            return page._replace(rows=[row(BEGIN - timedelta(days=1)), *page.rows])

    result = synced(ledger, Astray(codec, hourly(10)))
    assert "1 of 26 rows are outside it, such as business_time 1703980800" in result.gaps[0]
    assert amounts(ledger) == Counter()


def test_a_ledger_that_cannot_be_written_ends_the_sync(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(committer, "commit_slices", full)
    assert synced(ledger, ClientDouble(codec, hourly(10))).error == "the disk is full"


def test_no_range_is_requested_twice_without_need(ledger: Ledger) -> None:
    client = ClientDouble(codec, hourly(10))
    synced(ledger, client)
    first_pages: list[Slice] = []
    for asked, number, _ in client.calls:
        # The parts of a range that prove its ends lie within it.
        if number == 1 and not any(one.since <= asked.since and asked.until <= one.until for one in first_pages):
            first_pages.append(asked)
    # Each asks for one step more at each end.
    shared = 2 * RULES.resolution
    last = [one.until > HORIZON for one in first_pages].index(True)
    read = first_pages[: last + 1]
    assert [one.since for one in read[1:]] == [one.until - shared for one in read[:-1]]
    assert len(first_pages) - len(read) <= 3, "a few more show that the service answers so long a range whole"


# ---------------------------------------------------------------- what a provider forgets


def test_rows_that_the_provider_deleted_for_their_age_are_not_withdrawn(ledger: Ledger) -> None:
    """The provider deletes its oldest days while they are read again. The ledger keeps them, and the slice fails."""
    rows, clock = hourly(10), clock_of(ledger)
    synced(ledger, ClientDouble(codec, rows))
    clock.at = datetime(2025, 1, 2, 23, 59, 59, tzinfo=UTC)

    def forgets(_call: int, _asked: Slice, _page: int) -> None:
        clock.at = datetime(2025, 1, 3, tzinfo=UTC)
        client.rows[:] = rows[48:]

    client = ClientDouble(codec, list(rows), fault=forgets)
    result = synced(ledger, client, Options(attempts=1, everything=True), provider=forgetting)
    assert result.withdrawn == 0
    assert "the provider does not keep its beginning any more" in result.gaps[0]
    assert amounts(ledger) == amounts_of(rows)
    assert_intact(ledger)


def test_rows_that_are_about_to_be_deleted_for_their_age_are_not_withdrawn(ledger: Ledger) -> None:
    """The provider's clock is a little ahead of ours, so it has deleted them already."""
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows))
    clock_of(ledger).at = datetime(2025, 1, 2, 23, 59, 59, tzinfo=UTC)
    ahead = ClientDouble(codec, rows[48:])
    result = synced(ledger, ahead, Options(attempts=1, everything=True), provider=forgetting)
    assert result.withdrawn == 0
    assert "about to forget" in result.gaps[0]
    assert amounts(ledger) == amounts_of(rows)


def test_later_rows_that_go_are_withdrawn(ledger: Ledger) -> None:
    """Only of the day that is about to be deleted nobody can tell whether rows were withdrawn."""
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows))
    clock_of(ledger).at = datetime(2025, 1, 2, 12, tzinfo=UTC)
    left = [row for number, row in enumerate(rows) if number not in (30, 80)]
    result = synced(ledger, ClientDouble(codec, left), Options(attempts=1, everything=True), provider=forgetting)
    assert (result.withdrawn, len(result.gaps)) == (1, 1)
    assert "2024-01-02T00:00:00Z to 2024-01-03T00:00:00Z: " in result.gaps[0]
    assert amounts(ledger) == amounts_of([row for number, row in enumerate(rows) if number != 80])
    assert_intact(ledger)


# ---------------------------------------------------------------- many sources


def test_a_source_that_fails_stops_no_other(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path, None, "a", "b", "c")

    def refused(_call: int, _asked: Slice, _page: int) -> None:
        raise AuthError("no such key")

    clients = {name: ClientDouble(codec, hourly(10), fault=refused if name == "b" else None) for name in "abc"}
    results = World(clock_of(ledger), {**clients}).sync(ledger, source("a"), source("b"), source("c"))
    assert [(result.account, result.status) for result in results] == [
        ("a", SyncStatus.DONE),
        ("b", SyncStatus.CREDENTIALS),
        ("c", SyncStatus.DONE),
    ]
    assert [result.added for result in results] == [240, 0, 240]
    assert_intact(ledger)


def test_a_provider_that_is_not_installed_stops_no_other(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path, None, "a", "b")
    world = World(clock_of(ledger), {"b": ClientDouble(codec, hourly(10))})
    results = world.sync(ledger, source("a")._replace(provider="gone"), source("b"))
    assert [result.status for result in results] == [SyncStatus.FAILED, SyncStatus.DONE]
    assert "gone" in results[0].error


def test_a_slice_is_confirmed_as_often_as_the_rules_want(ledger: Ledger) -> None:
    """A fault that lasts for two reads is found by the third."""
    rows = hourly(10)[::6]
    synced(ledger, ClientDouble(codec, rows))

    def cautious(name: str) -> Provider:
        real = get_provider(name)
        return replace(real, rules=replace(real.rules, confirmations=2))

    def vanish_twice(call: int, _asked: Slice, _page: int) -> None:
        client.rows = [] if call <= 2 else rows

    client = ClientDouble(codec, rows, fault=vanish_twice)
    once = Options(everything=True, until=BEGIN + timedelta(hours=23))
    result = synced(ledger, client, once, provider=cautious)
    assert "a second read differed" in result.gaps[0]
    assert amounts(ledger) == amounts_of(rows)

    client = ClientDouble(codec, rows, fault=vanish_twice)
    assert synced(ledger, client, once).withdrawn == 4, "with one confirmation it would be believed"


def test_the_first_slices_fit_the_rows_that_the_ledger_has(ledger: Ledger) -> None:
    """The first sync starts with a slice of one day. The next one knows already how long a slice may be."""
    rows = hourly(10)[::6]
    first, again = ClientDouble(codec, rows), ClientDouble(codec, rows)
    synced(ledger, first, Options(size=48))
    clock_of(ledger).move(timedelta(minutes=1))
    synced(ledger, again, Options(size=48, everything=True))
    lengths = [client.calls[0][0].until - client.calls[0][0].since for client in (first, again)]
    assert lengths[0] == timedelta(days=1) + 2 * RULES.resolution
    assert lengths[1] >= timedelta(days=6)
    assert amounts(ledger) == amounts_of(rows)
