"""Removes an account: its data is erased, and its chain stays, without facts, so that it can still be verified.

The last batch of the chain records the removal. A later account with the same name continues the chain. Batch numbers
and links of the name keep their meaning, so caches, cursors, anchors and certificates never confuse the two accounts.
"""

from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import LedgerError
from liushui.instant import to_us
from liushui.ledger.access.keys import drop_account_from_keys
from liushui.ledger.access.tokens import drop_account_from_tokens
from liushui.ledger.chain import REMOVED
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.workers import has_exited
from liushui.ledger.schema import (
    account_names,
    accounts,
    batches,
    certificates,
    flows,
    leases,
    metadata,
    tombstones,
    upsert,
)
from liushui.ledger.write.batch_writer import batch_writers
from liushui.ledger.write.change import Change
from liushui.ledger.write.commit import write_change

KEPT_TABLES: Final = (batches, certificates, tombstones, account_names)
"""Tables whose rows of a removed account stay: its chain with its earlier names, and its certificates."""


class RemovedAccount(NamedTuple):
    """The erased data, and the last link of the account's chain."""

    account: str
    flows: int
    batches: int
    keys_revoked: int
    tokens_revoked: int
    link: str


def remove_account(ledger: Ledger, account: str) -> RemovedAccount:
    """Erase an account: its flows and their history, its source and credentials, and all its other data.

    Keys and tokens lose the account; keys and tokens without another account are revoked. One transaction. Raises
    AccountNotFound, and LedgerError if a sync of the account is running.
    """
    with batch_writers(ledger, account) as (writer,):
        connection, now = writer.connection, ledger.clock()
        check_not_synced(connection, account, now, "remove")
        write_change(writer, Change(), REMOVED)
        writer.flush()
        row = connection.execute(sa.select(accounts).where(accounts.c.account == account)).one()
        recorded = sa.select(batches.c.recorded_at_us).where(batches.c.account == account, batches.c.seq == row.head)
        erased = connection.scalar(sa.select(sa.func.count()).where(flows.c.account == account)) or 0
        before = connection.execute(sa.select(tombstones).where(tombstones.c.account == account)).first()
        first = row if before is None else before  # the chain begins with the first account of the name
        for table in metadata.sorted_tables:
            if "account" in table.columns and table not in KEPT_TABLES:
                connection.execute(table.delete().where(table.c.account == account))
        keys = drop_account_from_keys(connection, account, now)
        tokens = drop_account_from_tokens(connection, account, now)
        values = {
            "account": account,
            "provider": first.provider,
            "zone": first.zone,
            "created_at_us": first.created_at_us,
            "head": row.head,
            "link": row.link,
            "removed_at_us": connection.scalar(recorded),
        }
        upsert(connection, tombstones, values)
    return RemovedAccount(account, erased, row.head, keys, tokens, row.link)


def check_not_synced(connection: Connection, account: str, now: datetime, action: str) -> None:
    """Raises LedgerError while a sync of the account is running. `action`: what the caller wants to do with it."""
    lease = connection.execute(sa.select(leases).where(leases.c.account == account)).first()
    if lease is not None and lease.until_us > to_us(now) and not has_exited(lease.holder):
        raise LedgerError(f"account {account} is being synced by {lease.holder}: end that first, then {action} it")
