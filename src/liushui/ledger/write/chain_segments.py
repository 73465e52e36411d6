"""Stores the results of checking balance chains, so that the next check reads only changed rows."""

from sqlalchemy.engine import Connection

from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.engines.bulk_insert import insert_rows
from liushui.ledger.read.accounts import find_accounts
from liushui.ledger.read.chain_check import Checked, check_changes
from liushui.ledger.read.chain_segments import segment_row
from liushui.ledger.write.batch_writer import lock_account
from liushui.rules import BalanceRules


def store_chains(ledger: Ledger, account: str, rules: BalanceRules | None) -> None:
    """Check the chains of an account where its flows have changed, and store the result. It reads first, so other
    writers wait only while the result is written. Raises AccountNotFound, LedgerError."""
    if rules is None or rules.advisory:
        return
    with ledger.reading() as connection:
        (name,) = find_accounts(queries_of(connection), (account,))
        checked = check_changes(connection, name, rules)
        before = _head(connection, account)
    if before == (checked.batch, checked.basis):
        return
    with ledger.writing() as connection:
        lock_account(connection, account)
        # Another process may have stored a newer result meanwhile. Then this result is not needed.
        if _head(connection, account) == before:
            _store(connection, account, checked)


def _head(connection: Connection, account: str) -> tuple[int, str | None] | None:
    """Return the batch and the basis of the stored result. None: no result is stored."""
    row = connection.exec_driver_sql(_SELECT_HEAD, (account,)).first()
    return None if row is None else (row[0], row[1])


def _store(connection: Connection, account: str, checked: Checked) -> None:
    for since_us, until_us in checked.outdated:
        connection.exec_driver_sql(_DELETE_SEGMENTS, (account, since_us, until_us))
    insert_rows(connection, "chain_segments", [segment_row(account, segment) for segment in checked.fresh])
    connection.exec_driver_sql(_UPSERT_HEAD, (account, checked.batch, checked.basis))


_SELECT_HEAD = "SELECT batch, basis FROM chain_heads WHERE account = ?"
_DELETE_SEGMENTS = "DELETE FROM chain_segments WHERE account = ? AND since_us >= ? AND since_us < ?"
_UPSERT_HEAD = """
INSERT INTO chain_heads (account, batch, basis) VALUES (?, ?, ?)
ON CONFLICT (account) DO UPDATE SET batch = excluded.batch, basis = excluded.basis
"""
