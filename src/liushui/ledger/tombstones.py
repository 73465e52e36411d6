"""Tombstones: the remains of removed accounts, and the beginning of the chain of a name. Reads only."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.ledger.chain import genesis
from liushui.ledger.engines.base import queries_of
from liushui.ledger.names import sealed_names
from liushui.ledger.schema import accounts, from_row, tombstones


class Tombstone(NamedTuple):
    """An account that was removed. `head` is the batch that removed it, and `link` that batch's link."""

    account: str
    provider: str
    zone: str
    created_at: datetime
    head: int
    link: str
    removed_at: datetime


def list_tombstones(connection: Connection) -> list[Tombstone]:
    """The tombstones by name, also those of names that are used again."""
    rows = connection.execute(sa.select(tombstones).order_by(tombstones.c.account))
    return [from_row(Tombstone, row) for row in rows]


def chain_names(connection: Connection) -> list[str]:
    """The names that have a chain: of accounts, and of accounts that were removed."""
    names = sa.union(sa.select(accounts.c.account), sa.select(tombstones.c.account)).subquery()
    return list(connection.scalars(sa.select(names.c.account).order_by(names.c.account)))


def chain_end(connection: Connection, account: str) -> tuple[int, str] | None:
    """The last batch of a chain and its link. None: there is no such chain."""
    for table in (accounts, tombstones):
        row = connection.execute(sa.select(table.c.head, table.c.link).where(table.c.account == account)).first()
        if row is not None:
            return row.head, row.link
    return None


def chain_beginning(connection: Connection, account: str) -> str | None:
    """The link before the first batch of a chain. None: there is no such chain."""
    for table in (tombstones, accounts):
        row = connection.execute(sa.select(table).where(table.c.account == account)).first()
        if row is not None:
            first = sealed_names(queries_of(connection), account).first
            return genesis(first, row.provider, row.zone, row.created_at_us)
    return None


def erased_until(connection: Connection, account: str) -> int:
    """The newest batch whose facts were erased, together with all earlier ones, when an account was removed. 0: there
    is none."""
    return connection.scalar(sa.select(tombstones.c.head).where(tombstones.c.account == account)) or 0
