"""Accounts: lists them with the credentials that read them, and renames an account."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from liushui.errors import AccountNotFound, PermissionDenied
from liushui.instant import from_us
from liushui.ledger.access.keys import list_keys
from liushui.ledger.access.tokens import list_tokens
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import accounts, day_totals, sources
from liushui.ledger.tombstones import list_tombstones
from liushui.ledger.write import rename as write
from liushui.ledger.write.rename import RenamedAccount
from liushui.services.access import Principal, is_valid


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


def rename_account(ledger: Ledger, principal: Principal, account: str, name: str) -> RenamedAccount:
    """Give an account another name. Raises PermissionDenied if the principal may not see every account, because names
    are unique among all of them. Raises as `write.rename.rename_account`."""
    if not principal.sees(account):
        raise AccountNotFound(account)
    if principal.accounts is not None:
        raise PermissionDenied("renaming an account needs rights for all accounts; yours are for some")
    return write.rename_account(ledger, account, name)


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
