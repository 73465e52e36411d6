"""A ledger on a real Citus. LIUSHUI_TEST_CITUS_URL names a database of its coordinator in which tests may make schemas.

LIUSHUI_TEST_CITUS_STOP stops one of its workers, as a crash would, and LIUSHUI_TEST_CITUS_START starts it again.
Without these commands, the tests of a stopped node are left out. docs/citus.md says how to run one.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from liushui.errors import LedgerError
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.maintenance import snapshot
from liushui.ledger.maintenance.backup import back_up
from liushui.ledger.maintenance.copy import copy_ledger
from liushui.ledger.maintenance.restore import restore
from liushui.ledger.maintenance.verify import Verified, verify
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.commit import make_account
from liushui.testing.clock import MovableClock
from tests.engines import CITUS_URL, PooledLedgers, SchemaPool
from tests.ledger.copies import comparable, copy, in_file, prepare_to_copy
from tests.ledger.ledgers import assert_intact, column, commit_read, hours, make_row, new_ledger, tables
from tests.ledger.reading import balances, statuses, summary

STOP: Final = os.environ.get("LIUSHUI_TEST_CITUS_STOP", "")
START: Final = os.environ.get("LIUSHUI_TEST_CITUS_START", "")
pytestmark = pytest.mark.skipif(not CITUS_URL, reason="LIUSHUI_TEST_CITUS_URL names no Citus")

ACCOUNTS: Final = tuple(f"account {number}" for number in range(8))


@pytest.fixture
def citus(schemas: SchemaPool) -> Iterator[Ledger]:
    """An empty ledger on several nodes."""
    databases = PooledLedgers(schemas)
    ledger = open_ledger(databases.url(), clock=MovableClock())
    with ledger.reading() as connection:
        assert ledger.is_distributed(connection)
    yield ledger
    ledger.close()
    databases.give_back()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in a file with rows in every table. Tests do not change it."""
    folder = tmp_path_factory.mktemp("full")
    prepare_to_copy(folder)
    return folder / "ledger.db"


@contextmanager
def one_node_down() -> Iterator[None]:
    """A worker is down, until the test ends."""
    if not (STOP and START):
        pytest.skip("LIUSHUI_TEST_CITUS_STOP and _START stop and start no worker")
    subprocess.run(STOP, shell=True, check=True, stdout=subprocess.DEVNULL, timeout=60)  # noqa: S602 - the tester's own
    try:
        yield
    finally:
        subprocess.run(START, shell=True, check=True, stdout=subprocess.DEVNULL, timeout=60)  # noqa: S602


def test_a_ledger_is_copied_to_several_nodes_and_back(citus: Ledger, full: Path, tmp_path: Path) -> None:
    copy(full, citus.url)
    assert comparable(tables(citus)) == comparable(in_file(full))
    assert_intact(citus)
    copy(citus.url, tmp_path / "back.db")
    assert comparable(in_file(tmp_path / "back.db")) == comparable(in_file(full))


def test_a_ledger_on_several_nodes_is_backed_up_and_restored(citus: Ledger, full: Path, tmp_path: Path) -> None:
    copy(full, citus.url)
    saved = back_up(citus, tmp_path / "saved.db", with_secrets=True)
    assert comparable(in_file(saved.path)) == comparable(in_file(full))
    restored = restore(saved.path, citus.url, force=True)
    assert (restored.accounts, restored.flows, restored.secrets) == (3, saved.flows, "readable")
    assert comparable(tables(citus)) == comparable(in_file(full))


def spread(ledger: Ledger) -> dict[str, int]:
    """The port of the node on which each account is."""
    statement = """
    SELECT nodeport FROM citus_shards
    WHERE shardid = get_shard_id_for_distribution_column('accounts', CAST(? AS TEXT))
    """
    with ledger.reading() as connection:
        return {name: connection.exec_driver_sql(statement, (name,)).scalar_one() for name in ACCOUNTS}


def fill(ledger: Ledger) -> None:
    for number, name in enumerate(ACCOUNTS):
        make_account(ledger, name, "longbridge", "UTC")
        rows = [make_row(f"{at}", at / 100, f"{number + 1}.00") for at in range(30)]
        commit_read(ledger, hours(0, 24), *rows, account=name)


def test_all_rows_of_an_account_are_on_one_node(citus: Ledger) -> None:
    fill(citus)
    assert len(set(spread(citus).values())) > 1, "the accounts lie on several nodes"
    statement = """
    SELECT count(DISTINCT p.colocationid) FROM pg_dist_partition AS p JOIN pg_class AS c ON c.oid = p.logicalrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND p.partmethod = 'h'
    """
    with citus.reading() as connection:
        assert connection.exec_driver_sql(statement).scalar_one() == 1
        for statement in ("flows", "history", "batches", "coverage", "day_totals", "quarantine"):
            plan = connection.exec_driver_sql(f"EXPLAIN SELECT * FROM {statement} WHERE account = 'account 1'")
            assert any("Task Count: 1" in row[0] for row in plan)


Answers = dict[str, Callable[[], object]]


def answers(ledger: Ledger) -> Answers:
    """The questions that are put to a ledger, about all accounts and about each."""
    every: Answers = {
        "balances": lambda: balances(ledger),
        "summary": lambda: summary(ledger),
        "statuses": lambda: statuses(ledger),
        "flows": lambda: list(list_flows(ledger, FlowFilter())),
        "flows of a currency": lambda: list(list_flows(ledger, FlowFilter(currency="USD"))),
        "balances as of": lambda: balances(ledger, as_of=ledger.clock()),
        "verify": lambda: list(verify(ledger)),
        "a backup's heads": lambda: column(ledger, "accounts", "account", "head", "link"),
        "a sum": lambda: column(ledger, "day_totals", "money_in"),
    }
    for name in ACCOUNTS:
        every[f"balances of {name}"] = lambda name=name: balances(ledger, (name,))  # type: ignore[misc]
        every[f"flows of {name}"] = lambda name=name: list(list_flows(ledger, FlowFilter((name,))))  # type: ignore[misc]
    return every


def test_without_a_node_an_answer_is_complete_or_an_error(citus: Ledger) -> None:
    """No total is too small because a part of it could not be read."""
    fill(citus)
    asked = answers(citus)
    before = {name: answer() for name, answer in asked.items()}
    refused = set()
    with one_node_down():
        for name, answer in asked.items():
            try:
                found = answer()
            except LedgerError as error:
                assert "\n" not in str(error)
                refused.add(name)
            else:
                assert found == before[name], name
        everything = {name for name in asked if " of account" not in name}
        assert everything <= refused
    assert {name: answer() for name, answer in asked.items()} == before


def test_without_a_node_a_commit_is_complete_or_an_error(citus: Ledger) -> None:
    fill(citus)
    where = spread(citus)
    kept, refused = set(), set()
    with one_node_down():
        for name in ACCOUNTS:
            try:
                commit_read(citus, hours(24, 48), make_row("new", 30), account=name)
            except LedgerError:
                refused.add(where[name])
            else:
                kept.add(where[name])
    assert refused
    assert not kept & refused, "by nodes: what one of them holds is kept, or refused, all of it"
    for name in ACCOUNTS:
        expected = 31 if where[name] in kept else 30
        assert len(list(list_flows(citus, FlowFilter((name,))))) == expected
    assert all(isinstance(found, Verified) for found in verify(citus))
    for name in ACCOUNTS:
        commit_read(citus, hours(24, 48), make_row("new", 30), account=name)
    assert len(list(list_flows(citus, FlowFilter()))) == 31 * len(ACCOUNTS)
    assert_intact(citus)


def test_a_copy_that_lost_a_node_can_be_continued(
    citus: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "CHUNK", 12)
    source = new_ledger(tmp_path, *ACCOUNTS)
    for name in ACCOUNTS:
        commit_read(source, hours(0, 24), *[make_row(f"{at}", at / 100) for at in range(30)], account=name)
    with ExitStack() as later:
        told = count(1)

        def stop(_what: str, _done: int, _total: int) -> None:
            if next(told) == 5:
                later.enter_context(one_node_down())

        with pytest.raises(LedgerError):
            copy_ledger(source, citus.url, progress=stop)
    with pytest.raises(LedgerError, match="is an unfinished copy"):
        open_ledger(citus.url)
    assert not any(one.differs for one in copy_ledger(source, citus.url))
    assert comparable(tables(citus)) == comparable(tables(source))
    source.close()
