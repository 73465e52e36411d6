"""Several workers on one account: leases save them double work, and what is right does not depend on leases."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from liushui.instant import to_us
from liushui.ledger.coverage import merged
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.leases import MACHINE, has_exited, new_holder, release_lease, take_lease
from liushui.ledger.jobs.sources import last_runs
from liushui.ledger.read.balances import ranges_of
from liushui.ledger.write.commit import commit_slice
from liushui.provider import Slice
from liushui.providers.longbridge import codec
from liushui.sync.events import SyncResult, SyncStatus
from liushui.sync.options import Options
from liushui.sync.pipeline import LEASE_TIME
from liushui.sync.runner import sync_sources
from liushui.testing.client import ClientDouble
from tests.ledger.books import leases_of
from tests.sync.rows import BEGIN, hourly, new_ledger, row, source
from tests.sync.running import World, amounts, amounts_of, assert_intact, clock_of, synced

LIFE = timedelta(minutes=5)
MICROSECOND = timedelta(microseconds=1)
ELSEWHERE = "another-machine/1/00"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


def test_a_lease_is_one_holders_until_it_is_over(ledger: Ledger) -> None:
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


def test_a_lease_is_renewed_and_given_back_by_its_holder_alone(ledger: Ledger) -> None:
    clock = clock_of(ledger)
    take_lease(ledger, "a", ELSEWHERE, LIFE)
    clock.move(LIFE // 2)
    renewed = take_lease(ledger, "a", ELSEWHERE, LIFE)
    assert renewed.until == clock() + LIFE
    release_lease(ledger, "a", "b/2/00")
    assert leases_of(ledger) == [renewed]
    release_lease(ledger, "a", ELSEWHERE)
    assert leases_of(ledger) == []


def test_a_clock_that_was_set_back_leaves_no_lease_for_days(ledger: Ledger) -> None:
    take_lease(ledger, "a", ELSEWHERE, LIFE)
    clock_of(ledger).move(timedelta(days=-3))
    assert take_lease(ledger, "a", "b/2/00", LIFE).holder == "b/2/00"


def test_a_process_that_is_gone_holds_nothing(ledger: Ledger) -> None:
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


def test_a_sync_gives_its_lease_back(ledger: Ledger) -> None:
    synced(ledger, ClientDouble(codec, hourly(10)))
    assert leases_of(ledger) == []


def test_an_account_that_another_has_is_skipped_with_a_word(ledger: Ledger) -> None:
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
    """However long that takes: another worker finds it held at any time."""
    clock, found = clock_of(ledger), []

    def slow(_call: int, _asked: Slice, _page: int) -> None:
        clock.move(LEASE_TIME // 2)
        found.append(take_lease(ledger, "a", ELSEWHERE, LIFE).holder)

    result = synced(ledger, ClientDouble(codec, hourly(10), fault=slow), Options(size=24, attempts=1))
    assert (result.status, result.added) == (SyncStatus.DONE, 240)
    assert len(set(found)) == 1
    assert ELSEWHERE not in found
    assert len(found) * (LEASE_TIME // 2) > 3 * LEASE_TIME


def test_a_worker_that_was_away_for_too_long_gives_way(ledger: Ledger) -> None:
    """A machine that slept: the account is another's by now, and nothing of it is read any more."""

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
    """Workers that each opened the ledger for themselves sync account `a` at once."""
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


def test_of_two_workers_one_syncs(ledger: Ledger) -> None:
    clients = [ClientDouble(codec, hourly(10)) for _ in range(3)]
    results = together(ledger, *clients, options=Options(size=10))
    assert sorted(result.status for result in results) == [SyncStatus.BUSY, SyncStatus.BUSY, SyncStatus.DONE]
    assert sum(bool(client.calls) for client in clients) == 1
    assert amounts(ledger) == amounts_of(hourly(10))
    assert_intact(ledger)


@pytest.mark.parametrize("size", [7, 10, 30])
def test_without_leases_they_agree_all_the_same(ledger: Ledger, size: int) -> None:
    rows = [*hourly(10), *[row(BEGIN + timedelta(hours=30), "-30.25")] * 3]
    clients = [ClientDouble(codec, rows) for _ in range(3)]
    results = together(ledger, *clients, options=Options(size=size, leases=False))
    assert [result.status for result in results] == [SyncStatus.DONE] * 3
    assert all(client.calls for client in clients)
    assert sum(result.withdrawn + result.restated for result in results) == 0
    assert amounts(ledger) == amounts_of(rows)
    assert_intact(ledger)


def test_without_leases_rows_that_come_and_go_meanwhile_end_as_the_provider_has_them(ledger: Ledger) -> None:
    """Each read sees the provider as it is at that moment; the later one counts, whoever commits it."""
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
    synced(ledger, ClientDouble(codec, rows), Options(size=10, everything=True, leases=False))
    assert amounts(ledger) == amounts_of(rows)
    assert_intact(ledger)


def test_what_another_worker_proved_a_part_of_meanwhile_is_read_again(ledger: Ledger) -> None:
    """Without leases: who is overtaken in one half of a slice owes the other half all the same."""
    here = hourly(1)
    half = Slice(BEGIN, BEGIN + timedelta(hours=12))

    def overtaken(call: int, asked: Slice, _page: int) -> None:
        if call == 1:
            assert asked.since == half.since
            assert asked.until > half.until
            clock_of(ledger).move(timedelta(seconds=1))
            received = [codec.read(one) for one in here[:12]]
            commit_slice(ledger, "a", half, read_at=ledger.clock(), received=received)

    options = Options(attempts=1, leases=False, until=BEGIN + timedelta(days=1))
    result = synced(ledger, ClientDouble(codec, here, fault=overtaken), options)
    assert result.status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(here)
    assert [(known.since_us, known.until_us) for known in merged(ranges_of(ledger, "a"))] == [
        (to_us(BEGIN), to_us(BEGIN + timedelta(days=1)))
    ]


def test_who_is_overtaken_each_time_leaves_a_gap(ledger: Ledger) -> None:
    """It is bounded how often a slice is read again, and what is not proven is not said to be."""
    here = hourly(1)

    def overtaken(_call: int, asked: Slice, _page: int) -> None:
        clock_of(ledger).move(timedelta(seconds=1))
        first = Slice(asked.since, asked.since + timedelta(hours=1))
        commit_slice(ledger, "a", first, read_at=ledger.clock(), received=[codec.read(here[0])])

    options = Options(attempts=1, leases=False, until=BEGIN + timedelta(days=1))
    result = synced(ledger, ClientDouble(codec, here, fault=overtaken), options)
    assert result.status is SyncStatus.INCOMPLETE
    assert "other syncs proved parts of it" in result.gaps[0]
    assert amounts(ledger) == amounts_of(here[:1])
