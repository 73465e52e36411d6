"""Renames an account: all its rows get the new name in one transaction, so readers never meet two names.

Earlier batches stay sealed under the earlier name, which the table `account_names` records. The rename is itself a
batch of the chain and seals both names, so `verify` also detects a changed history of names.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, InvalidField, LedgerError, short_repr
from liushui.instant import from_us, to_iso, to_us
from liushui.ledger.access.saved_views import rename_account_in_views
from liushui.ledger.chain import RENAMED, describe_names
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.notifications import rename_account_in_alarms
from liushui.ledger.jobs.sources import check_source_name
from liushui.ledger.jobs.workers import SILENCE_MAX
from liushui.ledger.names import check_not_earlier
from liushui.ledger.schema import (
    Text,
    account_names,
    accounts,
    batches,
    imports,
    insert_new,
    keys,
    leases,
    metadata,
    notify_rules,
    tokens,
    tombstones,
)
from liushui.ledger.write.batch_writer import BatchWriter, batch_writers
from liushui.ledger.write.change import Change
from liushui.ledger.write.commit import write_change
from liushui.ledger.write.remove import check_not_synced

GRANTS: Final = (keys, tokens, notify_rules)
"""Tables whose column `accounts` has a list of names as JSON, or null for all accounts."""

_decode = msgspec.json.Decoder(list[str] | None).decode


class RenamedAccount(NamedTuple):
    """The account under its new name. `before`: its name until now. `batch` seals the change, and `link` is its link.

    `keys`, `tokens` and `rules`: how many name the account, revoked ones included. They now have the new name.
    """

    account: str
    before: str
    batch: int
    link: str
    keys: int
    tokens: int
    rules: int


def check_new_name(account: str, name: str) -> None:
    """Raises InvalidField and ConfigError for a name that the account cannot get."""
    check_source_name(name)
    if name == account:
        raise InvalidField("name", "another name than the present one", short_repr(name))


def rename_account(ledger: Ledger, account: str, name: str) -> RenamedAccount:
    """Give an account another name, in every table. One transaction.

    Raises AccountNotFound; InvalidField and ConfigError for a name that is not usable; AlreadyExists if an account has
    the name, or had it; LedgerError while a sync or an import of the account is running.
    """
    check_new_name(account, name)
    with batch_writers(ledger, account) as (writer,):
        connection, now = writer.connection, ledger.clock()
        check_not_synced(connection, account, now, "rename")
        _check_not_imported(connection, account, now)
        _take_name(connection, account, name)
        for table in metadata.sorted_tables:
            if "account" in table.columns and table not in (accounts, leases):
                _move_rows(connection, table, account, name)
        named = [_rename_in_grants(connection, table, account, name) for table in GRANTS]
        rename_account_in_views(connection, account, name)
        rename_account_in_alarms(connection, account, name)
        until_batch = writer.next_seq - 1
        earlier = {"account": name, "until_batch": until_batch, "name": account}
        connection.execute(account_names.insert().values(earlier))
        batch, link = _seal(writer, account, name)
    return RenamedAccount(name, account, batch, link, *named)


def _take_name(connection: Connection, account: str, name: str) -> None:
    """Give the account's own row the new name. Raises AlreadyExists."""
    row = connection.execute(sa.select(*accounts.columns).where(accounts.c.account == account)).one()
    # The insertion waits for transactions that make or rename an account of this name. So everything else about the
    # name is looked up after it.
    if not insert_new(connection, accounts, {**row._mapping, "account": name}):
        raise AlreadyExists(f"name: there is an account named {short_repr(name)} already: choose another name")
    if connection.execute(sa.select(tombstones.c.account).where(tombstones.c.account == name)).first() is not None:
        raise AlreadyExists(
            f"name: an account named {short_repr(name)} was removed, and its chain keeps the name: choose another name"
        )
    check_not_earlier(connection, name, account)
    connection.execute(accounts.delete().where(accounts.c.account == account))
    connection.execute(leases.delete().where(leases.c.account == account))


def _move_rows(connection: Connection, table: sa.Table, account: str, name: str) -> None:
    """Write the new name into the account's rows of a table.

    They are copied and deleted, because Citus cannot UPDATE the column by which it distributes the rows.
    """
    columns: list[sa.ColumnElement[Any]] = [
        sa.literal(name, Text).label("account") if column.name == "account" else column for column in table.columns
    ]
    rows = sa.select(*columns).where(table.c.account == account)
    moved = connection.execute(table.insert().from_select([column.name for column in table.columns], rows))
    if moved.rowcount:
        connection.execute(table.delete().where(table.c.account == account))


def _seal(writer: BatchWriter, account: str, name: str) -> tuple[int, str]:
    """Add the batch that seals the change. Returns its number and its link."""
    writer.account = name
    write_change(writer, Change(), RENAMED, describe_names(account, name))
    if writer.last_batch is None:
        raise AssertionError("a batch was written")
    return writer.last_batch


def _rename_in_grants(connection: Connection, table: sa.Table, account: str, name: str) -> int:
    """Write the new name into the rows of a table that name the account. Returns how many these are."""
    key = table.primary_key.columns
    renamed = 0
    # Locked, so that this does not undo a change of the list that another transaction makes meanwhile.
    for row in connection.execute(sa.select(*key, table.c.accounts).with_for_update()).all():
        names = _decode(row.accounts)
        if names is not None and account in names:
            is_this = [column == row._mapping[column.name] for column in key]
            after = [name if one == account else one for one in names]
            connection.execute(table.update().where(*is_this).values(accounts=msgspec.json.encode(after).decode()))
            renamed += 1
    return renamed


def _check_not_imported(connection: Connection, account: str, now: datetime) -> None:
    """Raises LedgerError while an import into the account is running. One without a commit for a minute was killed."""
    c, b = imports.c, batches.c
    recent_us = to_us(now - SILENCE_MAX)
    for row in connection.execute(sa.select(imports).where(c.account == account, c.ended_at_us.is_(None))).all():
        newest = sa.select(sa.func.max(b.recorded_at_us)).where(b.account == account, b.reason == row.id)
        last_us = max(row.started_at_us, connection.scalar(newest) or 0)
        if last_us > recent_us:
            begun = to_iso(from_us(row.started_at_us))
            raise LedgerError(
                f"account {account} is being imported to: import {row.id}, which began at {begun}, has not ended. "
                f"Wait for its end, or {SILENCE_MAX.seconds} s if it was killed, then rename it"
            )
