"""PostgreSQL with every fault that a connection can have: no row is lost, and no row exists twice."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from liushui.errors import CommitOutcomeUnknown, ConnectionLost, LedgerBusy, LedgerError
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import add_source, list_sources
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.provider import DecodedRow
from liushui.providers.longbridge import PROVIDER
from liushui.testing.clock import NOON, MovableClock
from liushui.testing.reader import MemoryLimits
from tests.engines import DatabasePool, PooledLedgers
from tests.ledger.cut_proxy import Cut, CutProxy, proxied
from tests.ledger.kills import POINTS_MAX, Left, prepare
from tests.ledger.ledgers import assert_intact, column, commit_read, hours, make_row, new_ledger
from tests.ledger.server_kills import RETRIED, Scenario, watch_statements

ROOT: Final = Path(__file__).parents[2]

ROWS: Final = 1_000
"""More rows than are sent at once."""


@pytest.fixture
def ledger_store(pool: DatabasePool) -> Iterator[PooledLedgers]:
    databases = PooledLedgers(pool)
    yield databases
    databases.give_back()


@pytest.fixture
def ledger(ledger_store: PooledLedgers) -> Iterator[Ledger]:
    ledger = new_ledger(ledger_store)
    yield ledger
    ledger.close()


# ---------------------------------------------------------------- kills and cuts in one commit


def test_a_commit_killed_at_any_statement_is_complete_or_absent(ledger_store: PooledLedgers) -> None:
    prepare(ledger_store)
    program = [sys.executable, "-m", "tests.ledger.server_kills", "slice", ledger_store.url()]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    results = msgspec.json.decode(done.stdout, type=list[Left])
    assert len(results) > 15
    assert {left.found for left in results} == {"before", "after"}
    assert not any(left.damage for left in results)


@pytest.mark.parametrize("scenario", ["slice", "page"])
def test_a_commit_cut_off_at_any_statement_is_retried_or_fails(
    pool: DatabasePool, ledger_store: PooledLedgers, scenario: str
) -> None:
    """A slice is retried and committed once. What cannot be retried is an error, and not there."""
    prepare(ledger_store)
    stand = Scenario(ledger_store.url(), scenario)
    expected = "after" if scenario in RETRIED else "before"
    for number in range(1, POINTS_MAX):
        ledger = stand.opened()
        cut = _cut_at(ledger, number, lambda: pool.server.cut(stand.url))
        try:
            stand.act(ledger)
        except ConnectionLost:
            assert scenario not in RETRIED
        ledger.close()
        if not cut:
            break
        assert stand.named(stand.tables()) == expected, cut
        if scenario in RETRIED:
            stand.reset()
    assert number > 15
    assert stand.damages() == []


def _cut_at(ledger: Ledger, number: int, cut: Callable[[], None]) -> list[str]:
    """Cut the connection once, at the point of that number, and append the point to the list. There may be fewer."""
    passed, cuts = 0, list[str]()

    def reached(point: str) -> None:
        nonlocal passed
        passed += 1
        if passed == number:
            cuts.append(point)
            cut()

    watch_statements(ledger.engine, reached)
    return cuts


@pytest.fixture
def wire(pool: DatabasePool) -> Iterator[CutProxy]:
    with proxied(pool.server.port) as found:
        yield found


def through(wire: CutProxy, url: str) -> str:
    """The same ledger, reached through a proxy."""
    return url.replace(f":{conninfo_to_dict(url)['port']}/", f":{wire.port}/")


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("scenario", ["slice", "page", "retry"])
def test_a_commit_cut_off_while_committing_is_complete_or_an_error(
    ledger_store: PooledLedgers, wire: CutProxy, scenario: str, cut: Cut
) -> None:
    """The chain tells whether it was committed: it is there once, or the error says that it is not."""
    prepare(ledger_store)
    stand = Scenario(ledger_store.url(), scenario)
    ledger = open_ledger(through(wire, stand.url), clock=MovableClock())
    wire.cut_at = cut
    lost = False
    try:
        stand.act(ledger)
    except ConnectionLost:
        lost = True
    ledger.close()
    assert wire.cuts == 1
    found = stand.named(stand.tables())
    assert found == ("before" if lost else "after")
    if cut is Cut.AFTER or scenario in RETRIED:
        assert found == "after"
    elif cut is Cut.BEFORE:
        assert found == "before"
    assert stand.damages() == []


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
def test_a_small_write_that_was_cut_off_is_an_error(
    ledger_store: PooledLedgers, ledger: Ledger, wire: CutProxy, cut: Cut
) -> None:
    reached = open_ledger(through(wire, ledger_store.url()), clock=MovableClock())
    create_key(reached, PROVIDER, ["a"])
    wire.cut_at = cut
    with pytest.raises(CommitOutcomeUnknown, match="was lost while a commit was under way: check whether it is there"):
        add_source(reached, account="a", base_url="http://host", credentials={}, since=NOON, paced=True)
    assert [source.account for source in list_sources(ledger)] == ([] if cut is Cut.BEFORE else ["a"])
    reached.close()


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (make_row("late", 1, "9" * 16_001), "^amount: expected at most 16000 characters"),
        (make_row("late", 1, label="\0"), "NUL"),
    ],
)
def test_one_row_that_cannot_be_stored_rolls_all_of_them_back(ledger: Ledger, late: DecodedRow, said: str) -> None:
    """Other rows have reached the server when it, or our own check, finds that one. The connection stays usable."""
    rows = [make_row(f"f{number}", number / ROWS) for number in range(ROWS)]
    with pytest.raises(LedgerError, match=said):
        commit_read(ledger, hours(0, 2), *rows, late)
    assert column(ledger, "flows", "id") == []
    commit_read(ledger, hours(0, 2), *rows)
    assert len(column(ledger, "flows", "id")) == ROWS
    assert_intact(ledger)


def test_a_server_that_does_not_come_back_is_an_error(
    ledger_store: PooledLedgers, wire: CutProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liushui.ledger.engines.postgres_connection.RECONNECT_PAUSES_S", (0.01,))
    new_ledger(ledger_store).close()
    ledger = open_ledger(through(wire, ledger_store.url()), clock=MovableClock())
    wire.cut_at = Cut.AFTER
    wire.close()
    with pytest.raises(LedgerBusy, match=r"lost while a commit was under way|cannot be reached") as raised:
        commit_read(ledger, hours(0, 24), make_row("one", 1))
    assert "\n" not in str(raised.value)
    ledger.close()


# ---------------------------------------------------------------- a server that is started again


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_writers_survive_a_restart_of_the_server(
    pool: DatabasePool, ledger_store: PooledLedgers, how: signal.Signals
) -> None:
    """Two processes commit to one account, and two to accounts of their own. Every commit is there once."""
    commits = 24
    ledger = new_ledger(ledger_store, "a", "b", "c")
    writers = [_writer(ledger.url, account, number, commits) for number, account in enumerate(["a", "a", "b", "c"])]
    told = [_Reading(writer) for writer in writers]
    for at in (4, 14):
        while not all(len(reading.lines) >= at for reading in told):
            assert all(writer.poll() in (None, 0) for writer in writers), _errors(writers)
            threading.Event().wait(0.01)
        pool.server.restart(how)
    for writer, reading in zip(writers, told, strict=True):
        writer.wait(120)
        reading.thread.join()
    assert [writer.returncode for writer in writers] == [0] * 4, _errors(writers)
    for writer in writers:
        writer.__exit__(None, None, None)
    flows = [(found.account, found.id) for found in list_flows(ledger, FlowFilter())]
    expected = [(account, f"{number} {commit}") for number, account in enumerate("aabc") for commit in range(commits)]
    assert sorted(flows) == sorted(expected)
    assert column(ledger, "accounts", "head") == [(2 * commits,), (commits,), (commits,)]
    assert_intact(ledger)
    ledger.close()


def _writer(url: str, account: str, number: int, commits: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.ledger.writer_process", url, str(number), "4", str(commits), account]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


class _Reading:
    """Starts a writer, and collects the lines that it prints about its commits."""

    def __init__(self, writer: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        assert writer.stdin
        assert writer.stdout
        self._said = writer.stdout
        assert self._said.readline() == "ready\n"
        writer.stdin.write("go\n")
        writer.stdin.flush()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        self.lines.extend(self._said)


def _errors(writers: list[subprocess.Popen[str]]) -> str:
    return "\n".join(writer.stderr.read() for writer in writers if writer.stderr and writer.poll() is not None)


def test_a_reader_survives_a_restart_of_the_server(pool: DatabasePool, ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    key = create_key(ledger, PROVIDER, ["a"])["app_key"]
    reader = LedgerReader(ledger, MemoryLimits())
    assert reader.find_key("longbridge", key) is not None
    walk = list_flows(ledger, FlowFilter())
    next(walk)
    pool.server.restart()
    assert reader.find_key("longbridge", key) is not None
    with pytest.raises(LedgerBusy, match="was lost"):
        list(walk)
    assert [found.id for found in list_flows(ledger, FlowFilter())] == ["one"]


def test_a_lock_held_by_a_dead_client_is_released(pool: DatabasePool, ledger: Ledger) -> None:
    """A server process whose client is gone ends, and its transaction is rolled back."""
    with psycopg.connect(ledger.url) as gone:
        gone.execute("SELECT * FROM accounts WHERE account = 'a' FOR UPDATE")
        gone.execute("UPDATE accounts SET head = 7")
        pool.server.cut(ledger.url)
        assert commit_read(ledger, hours(0, 24), make_row("one", 1)).seq == 1
        with pytest.raises(psycopg.OperationalError):
            gone.execute("SELECT 1")
    assert_intact(ledger)


def test_commits_to_two_accounts_do_not_wait_for_each_other(ledger_store: PooledLedgers) -> None:
    """Each is in the middle of its transaction while the other one commits."""
    ledger = new_ledger(ledger_store, "a", "b")
    with ledger.writing() as connection:
        connection.exec_driver_sql("SELECT 1 FROM accounts WHERE account = 'a' FOR UPDATE")
        connection.exec_driver_sql("UPDATE accounts SET head = head WHERE account = 'a'")
        assert commit_read(ledger, hours(0, 24), make_row("one", 1), account="b").seq == 1
        assert commit_read(ledger, hours(24, 48), make_row("two", 30), account="b").seq == 2
    assert commit_read(ledger, hours(0, 24), make_row("one", 1), account="a").seq == 1
    assert_intact(ledger)
    ledger.close()
