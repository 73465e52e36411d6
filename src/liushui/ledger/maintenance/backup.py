"""Backups: one file with all of a ledger as it stood at one moment, proven before it has its name.

A backup is an SQLite ledger, whatever engine it was taken of: every command that reads works on it as it is.
"""

import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError
from liushui.ledger.access.vault import Vault, vault_beside
from liushui.ledger.engine import Ledger, account_names, open_ledger
from liushui.ledger.engines.sqlite import SQLiteLedger
from liushui.ledger.maintenance.atomic_file import filling, put, refuse
from liushui.ledger.maintenance.copy import REST, Progress, copy_ledger, is_of, sealed_columns
from liushui.ledger.maintenance.verify import Damage, verify
from liushui.ledger.schema import accounts

PAGES: Final = 1_024
"""How much of a file is copied between two words of progress: 16 MiB."""


class Saved(NamedTuple):
    """What a backup holds, and where its key is. `key` None: it has no secrets, or its key is not with it."""

    path: Path
    accounts: int
    flows: int
    size: int
    has_secrets: bool
    key: Path | None


def back_up(
    ledger: Ledger, path: Path, *, force: bool = False, with_secrets: bool = False, progress: Progress | None = None
) -> Saved:
    """Write all of a ledger, as it stands at one moment, into a file. Others may go on writing to it.

    The file is verified before it gets its name, and is there whole or not at all. `with_secrets` puts the vault's key
    beside it. Raises ConfigError where the file is there and `force` does not say that it may go; LedgerError.
    """
    path = path.expanduser().absolute()
    if is_of(ledger, str(path)):
        raise ConfigError(f"{path} is the ledger itself: expected another file")
    refuse(path, force=force)
    with filling(path) as part:
        flows = _saved(ledger, part, progress)
        saved = open_ledger(str(part))
        try:
            with saved.reading() as connection:
                names, has_secrets = account_names(connection), any_secrets(connection)
        finally:
            saved.close()
        key = _put_key(ledger.vault, path) if with_secrets and has_secrets else None
        put(part, path, force=force)
    return Saved(path, len(names), flows, path.stat().st_size, has_secrets, key)


def copy_pages(source: sqlite3.Connection, path: Path, progress: Progress | None) -> None:
    """Make an SQLite file what another one is, in one transaction. The source is as its transaction sees it."""

    def told(_status: int, remaining: int, total: int) -> None:
        if progress:
            progress("copying pages", total - remaining, total)

    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = FULL")
        source.backup(copy, pages=PAGES, progress=told)


def proven(part: Path, expected: dict[str, tuple[int, str]] | None, progress: Progress | None) -> int:
    """Verify a file, and that its chains end where they should. Says how many flows it has. Raises LedgerError."""

    def told(name: str, done: int, total: int) -> None:
        if progress:
            progress(f"verifying {name}", done, total)

    copy = open_ledger(str(part))
    try:
        flows = 0
        for found in verify(copy, told):
            if isinstance(found, Damage):
                where = f"account {found.account}: " if found.account else ""
                raise LedgerError(f"what is to be copied is damaged, and nothing was written: {where}{found.what}")
            flows += found.flows
        with copy.reading() as connection:
            if expected is not None and heads(connection) != expected:
                raise LedgerError("the copy does not end where the ledger did, and nothing was written: try again")
        return flows
    finally:
        copy.close()


def heads(connection: Connection) -> dict[str, tuple[int, str]]:
    """The last batch of each account, and its link."""
    found = connection.execute(sa.select(accounts.c.account, accounts.c.head, accounts.c.link))
    return {account: (head, link) for account, head, link in found}


def any_secrets(connection: Connection) -> bool:
    """Whether a ledger holds something that its vault has sealed."""
    return any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        for table in REST
        if sealed_columns(table)
    )


def _saved(ledger: Ledger, part: Path, progress: Progress | None) -> int:
    """Fill a file with all of a ledger, and prove it. Says how many flows there are."""
    if not isinstance(ledger, SQLiteLedger):
        return _copied_rows(ledger, part, progress)
    with ledger.reading() as connection:
        expected = heads(connection)
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise TypeError("expected a connection of SQLite's")
        try:
            copy_pages(driver, part, progress)
        except sqlite3.Error as error:
            raise LedgerError(f"{part} could not be written: {error}") from error
    return proven(part, expected, progress)


def _copied_rows(ledger: Ledger, part: Path, progress: Progress | None) -> int:
    """The same of a server: a copy, of one moment where there is one for all accounts."""
    part.unlink()
    with ledger.reading() as connection:
        reading = None if ledger.is_distributed(connection) else lambda: nullcontext(connection)
        copied = copy_ledger(ledger, str(part), reseal=False, reading=reading, progress=progress)
    for one in copied:
        if one.differs:
            raise LedgerError(f"the copy differs, and nothing was written: account {one.account}: {one.differs}")
    return sum(one.flows for one in copied)


def _put_key(vault: Vault, path: Path) -> Path:
    """Put a vault's key beside a backup, readable by its owner alone."""
    key = vault_beside(path).path
    with filling(key) as part:
        part.write_bytes(vault.key() + b"\n")
        part.chmod(0o600)
        put(part, key, force=True)
    return key
