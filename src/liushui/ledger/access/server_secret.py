"""Secrets that all processes which serve one ledger share: made when one is first asked for, encrypted at rest."""

import secrets
from contextlib import suppress

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from liushui.errors import LedgerError
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import server_secrets

_BYTES = 32


def shared_secret(ledger: Ledger, name: str) -> bytes:
    """The 256 random bits of that name: the same for everybody, from the first call on."""
    found = _kept(ledger, name)
    if found is None:
        with suppress(LedgerError, IntegrityError):  # another process was faster: its secret is the one
            _make(ledger, name)
        found = _kept(ledger, name)
    if found is None:
        raise LedgerError(f"the secret {name!r} could not be kept")
    return found


def _kept(ledger: Ledger, name: str) -> bytes | None:
    with ledger.reading() as connection:
        sealed = connection.scalar(sa.select(server_secrets.c.sealed).where(server_secrets.c.name == name))
    return None if sealed is None else bytes.fromhex(ledger.vault.open(sealed)[name])


def _make(ledger: Ledger, name: str) -> None:
    sealed = ledger.vault.seal({name: secrets.token_hex(_BYTES)})
    with ledger.writing() as connection:
        if connection.scalar(sa.select(server_secrets.c.name).where(server_secrets.c.name == name)) is None:
            connection.execute(server_secrets.insert().values(name=name, sealed=sealed))
