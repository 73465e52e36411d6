"""Checks which account credentials read: they must read rows that the ledger has, before anything is committed."""

from datetime import datetime
from typing import Final

from liushui.errors import ConfigError, SyncError, WireError
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import identity_of
from liushui.money import to_plain_string
from liushui.provider import Client, PageRequest, Provider, Slice
from liushui.sync.question import PAGES_MAX

ROWS: Final = 50
"""The number of known rows, the newest ones, that are searched."""

RowKey = tuple[int, str, str]
"""The time, identity and amount of a row, because other accounts may have rows with the same id."""


class WrongAccount(ConfigError):
    """The credentials do not read the account that the ledger has under this name."""


def known_rows(ledger: Ledger, account: str, provider: Provider, now: datetime) -> set[RowKey]:
    """Return the newest rows of an account that its provider should still have. Empty: the ledger has none."""
    begin, end = provider.rules.readable(now)
    with ledger.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT at_us, id, amount FROM flows WHERE account = ? AND wire IS NOT NULL AND at_us >= ? AND at_us < ? "
            "ORDER BY at_us DESC, id DESC LIMIT ?",
            (account, to_us(begin), to_us(end), ROWS),
        ).all()
    keys = {(int(at_us), identity_of(str(id_)), str(amount)) for at_us, id_, amount in rows}
    span = provider.rules.slice_max
    if not keys or span is None:
        return keys
    newest_us = max(keys)[0]
    return {key for key in keys if 2 * (from_us(newest_us) - from_us(key[0])) < span}


async def prove_account(client: Client, provider: Provider, name: str, known: set[RowKey]) -> None:
    """Read the range of the known rows with a client, and check that at least half of the rows are known ones.

    Raises WrongAccount if fewer are known, SyncError if no row is received, and the client's errors.
    """
    rules = provider.rules
    range_ = Slice(from_us(min(known)[0]), from_us(max(known)[0]) + rules.resolution)
    size = max(rules.size_min, min(rules.paging.size_max, 2 * ROWS))
    token: str | None = None
    for _ in range(PAGES_MAX):
        request = PageRequest(range_, size, page_token=token, newest=True)
        page = await client.fetch_page(request)
        token = page.next_token
        if page.rows or token is None:
            break
    read, matching = 0, 0
    for row in page.rows:
        try:
            flow = provider.codec.read(row).flow
        except WireError:
            continue
        read += 1
        matching += (to_us(flow.at), flow.identity, to_plain_string(flow.amount)) in known
    if not read:
        raise SyncError(f"of {name} {len(known)} rows are known at this time, and these credentials read none of them")
    if 2 * matching < min(read, len(known)):
        raise WrongAccount(
            f"credentials: they are of another account: {matching} of {read} rows are ones that {name} has. "
            "Choose another name for that account"
        )
