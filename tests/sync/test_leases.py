"""Several workers on one account: leases save duplicate work, and no result depends on them."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from liushui.instant import to_us
from liushui.ledger.coverage import merge_adjacent
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import last_runs
from liushui.ledger.jobs.workers import MACHINE, has_exited, new_holder, release_lease, take_lease
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.write.commit import commit_slice
from liushui.provider import Slice
from liushui.providers.longbridge import codec
from liushui.sync.events import SyncResult, SyncStatus
from liushui.sync.options import Options
from liushui.sync.pipeline import LEASE_TIME
from liushui.sync.runner import sync_sources
from liushui.testing.provider_client_double import ClientDouble
from tests.ledger.ledgers import leases_of
from tests.sync.rows import BEGIN, hourly, new_ledger, row, source
from tests.sync.running import World, amounts, amounts_of, assert_intact, clock_of, synced

LIFE = timedelta(minutes=5)
MICROSECOND = timedelta(microseconds=1)
ELSEWHERE = "another-machine/1/00"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


def test_a_lease_belongs_to_one_holder_until_it_expires(ledger: Ledger) -> None:
    clock = clock_of(ledger)
    mine = take_lease(ledger, "a", ELSEWHERE, LIFE)
    assert (mine.holder, mine.until) == (ELSEWHERE, clock() + LIFE)
    assert take_lease(ledger, "a", "b/2/00", LIFE) == mine
    assert take_lease(ledger, "z", "b/2/00", LIFE).holder == "b/2/00"
    clock.move(LIFE - MICROSECOND)
    assert take_lease(ledger, "a", "b/2/00", LIFE) == mine
    clock.move(MICROSECOND)
    theirs = take_lease(ledger, "a", "b/2/00", LIFE)
    assert theirs.holder == "b/2/00"
    assert take_lease(ledger, "a", ELSEWHERE, LIFE) == theirs


def test_only_its_holder_renews_or_releases_a_lease(ledger: Ledger) -> None:
    clock = clock_of(ledger)
    take_lease(ledger, "a", ELSEWHERE, LIFE)
    clock.move(LIFE // 2)
    renewed = take_lease(ledger, "a", ELSEWHERE, LIFE)
    assert renewed.until == clock() + LIFE
    release_lease(ledger, "a", "b/2/00")
    assert leases_of(ledger) == [renewed]
    release_lease(ledger, "a", ELSEWHERE)
    assert leases_of(ledger) == []


def test_a_clock_that_is_set_back_leaves_no_lease_for_days(ledger: Ledger) -> None:
    take_lease(ledger, "a", ELSEWHERE, LIFE)
    clock_of(ledger).move(timedelta(days=-3))
    assert take_lease(ledger, "a", "b/2/00", LIFE).holder == "b/2/00"


def test_a_process_that_has_exited_holds_no_lease(ledger: Ledger) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = f"{MACHINE}/{process.pid}/00"
    assert has_exited(gone)
    assert not has_exited(new_holder())
    assert not has_exited(f"another-{gone}")
    assert not has_exited("nonsense")
    take_lease(ledger, "a", gone, LIFE)
    assert take_lease(ledger, "a", ELSEWHERE, LIFE).holder == ELSEWHERE


# ---------------------------------------------------------------- in a sync


def test_a_sync_releases_its_lease(ledger: Ledger) -> None:
    synced(ledger, ClientDouble(codec, hourly(10)))
    assert leases_of(ledger) == []


def test_an_account_that_another_worker_syncs_is_skipped_with_a_note(ledger: Ledger) -> None:
    held = take_lease(ledger, "a", ELSEWHERE, LIFE)
    client = ClientDouble(codec, hourly(10))
    (result,) = World(clock_of(ledger), {"a": client}).sync(ledger)
    assert (result.status, result.error, result.gaps, result.not_before) == (SyncStatus.BUSY, "", [], held.until)
    assert result.note.startswith(f"{ELSEWHERE} is syncing it")
    assert client.calls == []
    assert leases_of(ledger) == [held]
    assert last_runs(ledger) == {}


def test_a_dead_workers_lease_is_taken_over(ledger: Ledger) -> None:
    take_lease(ledger, "a", ELSEWHERE, LIFE)
    clock_of(ledger).move(LIFE)
    assert synced(ledger, ClientDouble(codec, hourly(10))).status is SyncStatus.DONE


def test_a_lease_is_renewed_while_its_holder_works(ledger: Ledger) -> None:
    """Another worker finds it held, however long the sync takes."""
    clock, found = clock_of(ledger), []

    def slow(_call: int, _asked: Slice, _page: int) -> None:
        clock.move(LEASE_TIME // 2)
        found.append(take_lease(ledger, "a", ELSEWHERE, LIFE).holder)

    result = synced(ledger, ClientDouble(codec, hourly(10), fault=slow), Options(size=24, attempts=1))
    assert (result.status, result.added) == (SyncStatus.DONE, 240)
    assert len(set(found)) == 1
    assert ELSEWHERE not in found
    assert len(found) * (LEASE_TIME // 2) > 3 * LEASE_TIME


def test_a_worker_that_lost_its_lease_stops(ledger: Ledger) -> None:
    """Its machine slept, and another worker has the account now: it makes no further calls."""

    def sleeps(call: int, _asked: Slice, _page: int) -> None:
        if call == 3:
            clock_of(ledger).move(timedelta(hours=8))
            take_lease(ledger, "a", ELSEWHERE, LIFE)

    client = ClientDouble(codec, hourly(10), fault=sleeps)
    (result,) = World(clock_of(ledger), {"a": client}).sync(ledger, options=Options(size=24, attempts=1))
    assert (result.status, result.gaps) == (SyncStatus.BUSY, [])
    assert len(client.calls) == 3
    assert [lease.holder for lease in leases_of(ledger)] == [ELSEWHERE]
    assert_intact(ledger)


# ---------------------------------------------------------------- two at once


def together(ledger: Ledger, *clients: ClientDouble, options: Options) -> list[SyncResult]:
    """Sync account `a` in several workers at once, each with a ledger that it opened itself."""
    clock = clock_of(ledger)

    async def all_of_them() -> list[list[SyncResult]]:
        books = [open_ledger(str(ledger.path), clock=clock) for _ in clients]
        worlds = [World(clock, {"a": client}) for client in clients]
        return await asyncio.gather(
            *(
                sync_sources(book, [source()], options, environment=world.environment)
                for book, world in zip(books, worlds, strict=True)
            )
        )

    return [result for (result,) in asyncio.run(all_of_them())]


def test_one_of_several_workers_syncs_the_account(ledger: Ledger) -> None:
    clients = [ClientDouble(codec, hourly(10)) for _ in range(3)]
    results = together(ledger, *clients, options=Options(size=10))
    assert sorted(result.status for result in results) == [SyncStatus.BUSY, SyncStatus.BUSY, SyncStatus.DONE]
    assert sum(bool(client.calls) for client in clients) == 1
    assert amounts(ledger) == amounts_of(hourly(10))
    assert_intact(ledger)


@pytest.mark.parametrize("size", [7, 10, 30])
def test_workers_without_leases_agree(ledger: Ledger, size: int) -> None:
    rows = [*hourly(10), *[row(BEGIN + timedelta(hours=30), "-30.25")] * 3]
    clients = [ClientDouble(codec, rows) for _ in range(3)]
    results = together(ledger, *clients, options=Options(size=size, leases=False))
    assert [result.status for result in results] == [SyncStatus.DONE] * 3
    assert all(client.calls for client in clients)
    assert sum(result.withdrawn + result.restated for result in results) == 0
    assert amounts(ledger) == amounts_of(rows)
    assert_intact(ledger)


def test_workers_without_leases_end_with_the_rows_that_the_provider_has(ledger: Ledger) -> None:
    """Rows come and go meanwhile. Of two reads the later one counts, whichever is committed last."""
    rows = hourly(10)
    clock = clock_of(ledger)

    def changes(_call: int, _asked: Slice, _page: int) -> None:
        clock.move(timedelta(milliseconds=1))
        number = sum(len(client.calls) for client in clients)
        if number % 7 == 0:
            rows.append(row(BEGIN + timedelta(hours=number % 200, minutes=5), f"-{9000 + number}.00"))
        if number % 11 == 0:
            rows.pop(number % 200)

    clients = [ClientDouble(codec, rows, fault=changes) for _ in range(2)]
    together(ledger, *clients, options=Options(size=10, leases=False))
    for _ in range(2):  # that many rows are gone is believed when reads of two runs, hours apart, agree
        synced(ledger, ClientDouble(codec, rows), Options(size=10, everything=True, leases=False))
        clock.move(timedelta(hours=4))
    assert amounts(ledger) == amounts_of(rows)
    assert_intact(ledger)


def test_a_slice_of_which_another_worker_proved_a_part_is_read_again(ledger: Ledger) -> None:
    """Without leases: the other half of the slice must be proven all the same."""
    here = hourly(1)
    half = Slice(BEGIN, BEGIN + timedelta(hours=12))

    def overtaken(call: int, asked: Slice, _page: int) -> None:
        if call == 1:
            assert asked.since <= half.since
            assert asked.until > half.until
            clock_of(ledger).move(timedelta(seconds=1))
            received = [codec.read(one) for one in here[:12]]
            commit_slice(ledger, "a", half, read_at=ledger.clock(), received=received)

    options = Options(attempts=1, leases=False, until=BEGIN + timedelta(days=1))
    result = synced(ledger, ClientDouble(codec, here, fault=overtaken), options)
    assert result.status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(here)
    assert [(known.since_us, known.until_us) for known in merge_adjacent(ranges_of(ledger, "a"))] == [
        (to_us(BEGIN), to_us(BEGIN + timedelta(days=1)))
    ]


def test_a_slice_that_is_overtaken_each_time_stays_a_gap(ledger: Ledger) -> None:
    """The number of rereads is limited, and what is not proven stays open."""
    here = hourly(1)

    def overtaken(_call: int, _asked: Slice, _page: int) -> None:
        clock_of(ledger).move(timedelta(seconds=1))
        first = Slice(BEGIN, BEGIN + timedelta(hours=1))
        commit_slice(ledger, "a", first, read_at=ledger.clock(), received=[codec.read(here[0])])

    options = Options(attempts=1, leases=False, until=BEGIN + timedelta(days=1))
    result = synced(ledger, ClientDouble(codec, here, fault=overtaken), options)
    assert result.status is SyncStatus.INCOMPLETE
    assert "other syncs proved parts of it" in result.gaps[0]
    assert amounts(ledger) == amounts_of(here[:1])
