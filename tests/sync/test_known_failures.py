"""Faults by which other sync programs have lost or doubled money, each tried on this program."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx2
import msgspec
import pytest

from liushui.errors import Unavailable
from liushui.instant import Clock, to_iso, to_us
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.commit import make_account
from liushui.provider import Slice
from liushui.providers import get_provider, load_providers
from liushui.providers.longbridge import codec
from liushui.sync.events import SyncResult, SyncStatus
from liushui.sync.options import Environment, Options
from liushui.sync.runner import sync_sources
from liushui.testing.provider_client_double import ClientDouble
from liushui.testing.reader import MemoryReader
from liushui.testing.transport import DialectTransport
from tests.ledger.ledgers import leases_of
from tests.ledger.reading import coverage_of
from tests.sync import killing
from tests.sync.rows import BEGIN, HORIZON, NOW, hourly, new_ledger, row
from tests.sync.running import QUICK, World, amounts, amounts_of, assert_intact, clock_of, states, synced

WOOXPRO = get_provider("wooxpro")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return new_ledger(tmp_path)


# ---------------------------------------------------------------- a part that fails


@pytest.mark.parametrize("failing_day", range(0, 10, 3))
def test_a_range_that_fails_stays_open_and_is_filled_by_the_next_sync(ledger: Ledger, failing_day: int) -> None:
    """A program with one watermark moves past the range, and never comes back to it."""
    rows = hourly(10)
    begin, end = BEGIN + timedelta(days=failing_day), BEGIN + timedelta(days=failing_day + 1)

    def fails(_call: int, asked: Slice, _page: int) -> None:
        if asked.since < end and asked.until > begin:
            raise Unavailable("down")

    options = Options(size=30, attempts=1)
    result = synced(ledger, ClientDouble(codec, rows, fault=fails), options)
    assert result.status is SyncStatus.INCOMPLETE
    assert (State.OPEN, "down") in states(ledger)
    held = amounts(ledger)
    assert all(one not in held for one in amounts_of(rows[24 * failing_day : 24 * (failing_day + 1)]))
    if failing_day + 2 < 10:
        assert all(one in held for one in amounts_of(rows[24 * (failing_day + 2) :])), "the rest was read"

    assert synced(ledger, ClientDouble(codec, rows), options).status is SyncStatus.DONE
    assert amounts(ledger) == amounts_of(rows)
    assert states(ledger) == [(State.PROVEN, "")]
    assert_intact(ledger)


# ---------------------------------------------------------------- equal rows, late rows


def test_two_equal_rows_at_a_page_edge_may_arrive_in_two_syncs(ledger: Ledger) -> None:
    """The first sync finds one of the two at the end of its page; the other comes after it."""
    at = BEGIN + timedelta(days=9, hours=20)
    twin = row(at, "-7.00")
    rows = [*hourly(10), *[row(at, f"-{number}.50") for number in range(9)], twin]
    options = Options(size=10, attempts=1)
    synced(ledger, ClientDouble(codec, rows), options)
    assert amounts(ledger)["-7.00"] == 1
    result = synced(ledger, ClientDouble(codec, [*rows, twin]), options)
    assert (result.added, amounts(ledger)["-7.00"]) == (1, 2)
    again = synced(ledger, ClientDouble(codec, [twin, *rows]), options)
    assert (again.added, again.withdrawn, amounts(ledger)["-7.00"]) == (0, 0, 2)
    assert_intact(ledger)


@pytest.mark.parametrize(
    ("age", "after"),
    [
        pytest.param(timedelta(hours=1), timedelta(0), id="hours: the next sync"),
        pytest.param(timedelta(days=9), timedelta(days=1), id="days: a day later"),
    ],
)
def test_a_late_row_older_than_the_newest_one_is_found(ledger: Ledger, age: timedelta, after: timedelta) -> None:
    rows = hourly(10)
    synced(ledger, ClientDouble(codec, rows))
    late = row(HORIZON - age, "-4321.00")
    if after:
        assert synced(ledger, ClientDouble(codec, [*rows, late])).added == 0
        clock_of(ledger).move(after)
    assert synced(ledger, ClientDouble(codec, [*rows, late])).added == 1
    assert amounts(ledger) == amounts_of([*rows, late])
    assert_intact(ledger)


def test_a_row_that_is_years_late_is_found_when_everything_is_read_again(ledger: Ledger) -> None:
    rows = hourly(10)
    clock_of(ledger).at = NOW + timedelta(days=3 * 365)
    synced(ledger, ClientDouble(codec, rows))
    late = row(BEGIN + timedelta(days=3, minutes=1), "-4321.00")
    clock_of(ledger).move(timedelta(days=31))
    assert synced(ledger, ClientDouble(codec, [*rows, late])).added == 0
    assert synced(ledger, ClientDouble(codec, [*rows, late]), Options(everything=True)).added == 1


# ---------------------------------------------------------------- state and data, torn


def test_a_sync_that_is_killed_at_any_commit_boundary_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Coverage, flows and chain change in one transaction, so none of them is ever ahead."""
    command = [sys.executable, "-m", killing.__name__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr.decode()
    kills = msgspec.json.decode(done.stdout, type=list[killing.Left])
    assert len(kills) > 15
    assert Counter(left.boundary for left in kills)["none"] == 1
    assert len({left.flows for left in kills}) > 4, "it is killed between slices"
    for left in kills:
        assert left.damage == [], left
        assert (left.again, left.whole, left.proven) == ("done", True, ["proven"]), left


def test_a_killed_worker_leaves_nothing_but_a_lease(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    new_ledger(base).close()
    boundary = killing.killed_at(6, base)
    assert boundary is not None
    ledger = killing.opened(base)
    assert len(leases_of(ledger)) == 1
    with ledger.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 0
    assert {path.name for path in base.iterdir()} <= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    ledger.close()


# ---------------------------------------------------------------- a provider without pages


KINDS = {"1": "Transfer", "2": "Realized PNL", "3": "Funding Fee", "4": "Commission Fee", "5": "Liquidation"}


def fill(at: datetime, number: int, *, kind: str = "4", tran: int | None = None) -> bytes:
    """A WOO X Pro row, as its server writes it."""
    return msgspec.json.encode(
        {
            "symbol": "BTCUSDT",
            "flow_type": int(kind),
            "type": KINDS[kind],
            "amount": f"-{number}.00000000",
            "asset": "USDT",
            "account": "futures",
            "time": str(to_us(at) // 1000),
            "tran_id": str(number if tran is None else tran),
        }
    )


@contextmanager
def served(rows: list[bytes], clock: Clock) -> Iterator[Source]:
    """The source of an account with these rows at a provider without a network."""
    reader = MemoryReader(clock)
    reader.add_rows("w", WOOXPRO, rows)
    key = reader.create_key(WOOXPRO, "w")
    wire = DialectTransport(load_providers(), reader)
    with pytest.MonkeyPatch.context() as patch:
        real = httpx2.AsyncClient
        patch.setattr(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": wire}))
        yield Source("w", "wooxpro", "UTC", "http://127.0.0.1:9", dict(key.credentials), BEGIN, paced=False)


def woo_synced(ledger: Ledger, rows: list[bytes], options: Options = QUICK) -> SyncResult:
    make_account(ledger, "w", "wooxpro", "UTC")
    with served(rows, clock_of(ledger)) as source:
        world = World(clock_of(ledger), {})
        (result,) = asyncio.run(sync_sources(ledger, [source], options, environment=Environment(sleep=world.sleep)))
        return result


def held(ledger: Ledger) -> Counter[Decimal]:
    return Counter(found.flow.amount for found in list_flows(ledger, FlowFilter(accounts=("w",))))


def expected(rows: list[bytes]) -> Counter[Decimal]:
    return Counter(WOOXPRO.codec.read(one).flow.amount for one in rows)


def test_two_kinds_of_row_may_share_an_id(ledger: Ledger) -> None:
    """The fee and the profit of a fill share an id, and often a time. By the id alone one of them would be lost."""
    at = BEGIN + timedelta(days=2)
    rows = [fill(at, number, kind=kind, tran=77) for number, kind in enumerate("12345", 1)]
    rows += [fill(at + timedelta(milliseconds=1), 6, kind="4", tran=77)]
    result = woo_synced(ledger, rows)
    assert (result.status, result.added) == (SyncStatus.DONE, 6)
    assert held(ledger) == expected(rows)
    again = woo_synced(ledger, rows, Options(everything=True))
    assert (again.added, again.restated, again.withdrawn) == (0, 0, 0)


def test_more_rows_at_one_millisecond_than_a_page_holds_are_read_by_filters(ledger: Ledger) -> None:
    at = datetime(2024, 1, 5, 3, 4, 5, 678_000, tzinfo=UTC)
    rows = [fill(at, number, kind="45"[number % 2]) for number in range(1, 1501)]
    rows += [fill(at + timedelta(milliseconds=step), 9000 + step) for step in (-1, 1)]
    result = woo_synced(ledger, rows)
    assert (result.status, result.added) == (SyncStatus.DONE, 1502)
    assert held(ledger) == expected(rows)
    assert_intact(ledger)


def test_too_many_rows_at_one_millisecond_leave_a_gap_of_that_millisecond(ledger: Ledger) -> None:
    at = datetime(2024, 1, 5, 3, 4, 5, 678_000, tzinfo=UTC)
    crowd = [fill(at, number) for number in range(1, 1102)]
    around = [fill(at + timedelta(milliseconds=step), 9000 + step) for step in (-1, 1)]
    result = woo_synced(ledger, crowd + around)
    assert result.status is SyncStatus.INCOMPLETE
    (gap,) = result.gaps
    assert gap.startswith(f"{to_iso(at)} to {to_iso(at + timedelta(milliseconds=1))}: more than the 1000 rows")
    assert held(ledger) == expected(around)
    gaps = [known for known in coverage_of(ledger, ("w",))["w"] if known.state is State.OPEN]
    assert [known.until_us - known.since_us for known in gaps] == [1000]
