"""Accounts: lists them with the credentials that read them, and removes an account."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from liushui.instant import from_us
from liushui.ledger.access.keys import list_keys
from liushui.ledger.access.tokens import list_tokens
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import accounts, day_totals, sources
from liushui.ledger.tombstones import list_tombstones
from liushui.services.access import is_valid


class AccountInfo(NamedTuple):
    """An account, or a removed one. `keys` and `tokens` are the numbers of valid ones that read it."""

    account: str
    provider: str
    zone: str
    created_at: datetime
    flows: int
    source: bool
    keys: int
    tokens: int
    removed_at: datetime | None = None


def has_accounts(ledger: Ledger) -> bool:
    """Whether the ledger has an account, with or without flows."""
    with ledger.reading() as connection:
        return connection.scalar(sa.select(accounts.c.account).limit(1)) is not None


def list_accounts(ledger: Ledger, *, removed: bool = False) -> list[AccountInfo]:
    """Return the accounts by name. `removed`: include removed accounts whose name is not used again."""
    now = ledger.clock()
    keys = [key for key in list_keys(ledger) if is_valid(key, now)]
    tokens = [token for token in list_tokens(ledger) if is_valid(token, now)]
    with ledger.reading() as connection:
        query = sa.select(day_totals.c.account, sa.func.sum(day_totals.c.flows)).group_by(day_totals.c.account)
        flows = {account: int(count) for account, count in connection.execute(query)}
        with_source = set(connection.scalars(sa.select(sources.c.account)))
        rows = connection.execute(sa.select(accounts).order_by(accounts.c.account)).all()
        buried = list_tombstones(connection) if removed else []
    found = [
        AccountInfo(
            row.account,
            row.provider,
            row.zone,
            from_us(row.created_at_us),
            flows.get(row.account, 0),
            row.account in with_source,
            sum(row.account in key.accounts for key in keys),
            sum(token.accounts is None or row.account in token.accounts for token in tokens),
        )
        for row in rows
    ]
    names = {account.account for account in found}
    found += [
        AccountInfo(
            stone.account,
            stone.provider,
            stone.zone,
            stone.created_at,
            flows=0,
            source=False,
            keys=0,
            tokens=0,
            removed_at=stone.removed_at,
        )
        for stone in buried
        if stone.account not in names
    ]
    return sorted(found)
