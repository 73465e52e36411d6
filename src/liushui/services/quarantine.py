"""Rejected rows: finds the account of a row, and erases a row that should never have been stored."""

from typing import NamedTuple

from liushui.errors import ConfigError, LedgerError, short_repr
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import quarantine
from liushui.ledger.write.discard import DiscardResult, accounts_with_entry, discard


class Discarded(NamedTuple):
    """The erased data, and where parts of it may still exist; empty if they are nowhere in the ledger."""

    result: DiscardResult
    remains: str


def account_of_row(ledger: Ledger, id_: str) -> str:
    """Return the account with a rejected row of this id. Raises ConfigError if no account or several accounts have such
    a row."""
    accounts = accounts_with_entry(ledger, id_)
    if not accounts:
        raise ConfigError(f"id: no rejected row has the id {short_repr(id_)} (`liushui quarantine list --all`)")
    if len(accounts) > 1:
        raise ConfigError(f"account: expected one of {', '.join(accounts)}, because each has a row of this id")
    return accounts[0]


def discard_row(ledger: Ledger, id_: str, reason: str, account: str | None = None) -> Discarded:
    """Erase the bytes of a rejected row, and overwrite their remains in free space.

    If the row was discarded before, only the free space is overwritten again. Raises ConfigError if no account or
    several accounts have the row, and the errors of `discard`.
    """
    result = discard(ledger, account or account_of_row(ledger, id_), id_, reason)
    try:
        remains = ledger.compact([quarantine.name])
    except LedgerError as error:
        remains = f"the free space of {ledger.name}, which could not be overwritten ({error}): `liushui db compact`"
    return Discarded(result, remains)
