"""Change a ledger as a person with write access to its database could: afterwards it is consistent with itself."""

from collections.abc import Callable, Sequence

from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.engines.bulk_insert import insert_rows
from liushui.ledger.schema import FACT_TABLES
from liushui.ledger.write.commit import commit_gap, make_account
from liushui.testing.clock import MovableClock
from tests.engines import LedgerStore
from tests.ledger.ledgers import READ_AT, assert_intact, commit_read, hours, import_page, make_row, tables

Commit = Callable[[Ledger], object]

COMMITS: Sequence[Commit] = (
    lambda ledger: commit_read(ledger, hours(0, 24), make_row("one", 1), make_row("two", 2)),
    lambda ledger: commit_read(ledger, hours(24, 48), make_row("three", 25, "-7.50")),
    lambda ledger: commit_read(ledger, hours(0, 24), make_row("one", 1, "9.00"), make_row("two", 2)),
    lambda ledger: commit_gap(ledger, "a", hours(48, 72), tried_at=READ_AT, reason="HTTP 500"),
    lambda ledger: import_page(ledger, make_row("four", 80), make_row("five", 79)),
)
"""The commits of an account: each is one batch."""

REPLACED = 2
"""The batch that `resealed` replaces."""


def commit_all(ledger: Ledger, commits: Sequence[Commit] = COMMITS) -> None:
    """Commit to the account `a`."""
    for commit in commits:
        commit(ledger)


def cut(ledger: Ledger, store: LedgerStore, batches: int) -> None:
    """Remove all batches after the first ones, with all that they wrote, and set the head back."""
    _replace_content(ledger, store, COMMITS[:batches])


def reseal(ledger: Ledger, store: LedgerStore) -> None:
    """Replace the batch REPLACED by one with another amount, and seal every later batch again."""
    commits = list(COMMITS)
    commits[REPLACED - 1] = lambda ledger: commit_read(ledger, hours(24, 48), make_row("three", 25, "-0.50"))
    _replace_content(ledger, store, commits)


def remove_account(ledger: Ledger) -> None:
    """Remove the account `a` as if it had never been there."""
    with ledger.writing() as connection:
        for table in FACT_TABLES:
            connection.execute(table.delete().where(table.c.account == "a"))
    assert_intact(ledger)


def _replace_content(ledger: Ledger, store: LedgerStore, commits: Sequence[Commit]) -> None:
    """Replace all facts by those of a ledger with other commits, made at the same times."""
    other = open_ledger(store.fresh("forged.db"), create=True, clock=MovableClock())
    make_account(other, "a", "longbridge", "Asia/Hong_Kong")
    commit_all(other, commits)
    rows = tables(other)
    other.close()
    with ledger.writing() as connection:
        for table in FACT_TABLES:
            connection.execute(table.delete())
            insert_rows(connection, table.name, rows[table.name])
    assert_intact(ledger)
