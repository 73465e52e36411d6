"""Backups: one file with a whole ledger as it was at one moment, verified before it gets its name.

A backup of any engine is an SQLite ledger: every command that reads can use it directly.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError
from liushui.ledger.access.vault import Vault, vault_beside
from liushui.ledger.engine import Ledger, account_names, open_ledger
from liushui.ledger.engines.sqlite import SQLiteLedger, sqlite_connection
from liushui.ledger.maintenance.copy import (
    OTHER_TABLES,
    copy_ledger,
    encrypted_columns,
    is_same_ledger,
)
from liushui.ledger.maintenance.verify import Damage, ReportProgress, verify
from liushui.ledger.schema import accounts

PAGES_PER_STEP: Final = 1_024
"""Pages that are copied between two reports of progress: 16 MiB."""


class BackupResult(NamedTuple):
    """The content of a backup. `key` is the copy of the vault's key; None if none was requested, or needed."""

    path: Path
    accounts: int
    flows: int
    size: int
    has_secrets: bool
    key: Path | None


def back_up(
    ledger: Ledger,
    path: Path,
    *,
    force: bool = False,
    with_secrets: bool = False,
    progress: ReportProgress | None = None,
) -> BackupResult:
    """Write a whole ledger, as it is at one moment, into a file. Others may keep writing to the ledger.

    The file is verified before it gets its name, so it is either complete or absent. `with_secrets` also copies the
    vault's key, to a file with the backup. Raises ConfigError if the file exists without `force`; LedgerError.
    """
    path = path.expanduser().absolute()
    if is_same_ledger(ledger, str(path)):
        raise ConfigError(f"{path} is the ledger itself: expected another file")
    check_replaceable(path, force=force)
    with temporary_beside(path) as temporary:
        flows = _write(ledger, temporary, progress)
        backup = open_ledger(str(temporary))
        try:
            with backup.reading() as connection:
                names, has_secrets = account_names(connection), contains_secrets(connection)
        finally:
            backup.close()
        # The key first: a backup under its name is complete.
        key = _copy_key(ledger.vault, path) if with_secrets and has_secrets else None
        publish(temporary, path, force=force)
    return BackupResult(path, len(names), flows, path.stat().st_size, has_secrets, key)


def copy_pages(source: sqlite3.Connection, path: Path, progress: ReportProgress | None) -> None:
    """Copy an SQLite database into a file, in one transaction. If the source is in a transaction, that transaction's
    state is copied."""

    def report(_status: int, remaining: int, total: int) -> None:
        if progress:
            progress("copying pages", total - remaining, total)

    with closing(sqlite3.connect(path, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = FULL")
        source.backup(copy, pages=PAGES_PER_STEP, progress=report)


def verify_copy(path: Path, expected_heads: dict[str, tuple[int, str]] | None, progress: ReportProgress | None) -> int:
    """Verify a copied file, and that its chains end as expected. Returns the number of flows. Raises LedgerError."""
    report = (lambda name, done, total: progress(f"verifying {name}", done, total)) if progress else None
    copy = open_ledger(str(path))
    try:
        flows = 0
        for result in verify(copy, report):
            if isinstance(result, Damage):
                where = f"account {result.account}: " if result.account else ""
                raise LedgerError(f"the source is damaged, and nothing was written: {where}{result.what}")
            flows += result.flows
        with copy.reading() as connection:
            if expected_heads is not None and account_heads(connection) != expected_heads:
                raise LedgerError("the copy does not end where the ledger did, and nothing was written: try again")
        return flows
    finally:
        copy.close()


def account_heads(connection: Connection) -> dict[str, tuple[int, str]]:
    """The last batch of each account and its link."""
    rows = connection.execute(sa.select(accounts.c.account, accounts.c.head, accounts.c.link))
    return {account: (head, link) for account, head, link in rows}


def contains_secrets(connection: Connection) -> bool:
    """Whether a ledger contains anything that its vault has encrypted."""
    return any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        for table in OTHER_TABLES
        if encrypted_columns(table)
    )


def _write(ledger: Ledger, temporary: Path, progress: ReportProgress | None) -> int:
    """Write a whole ledger into a file, and verify it. Returns the number of flows."""
    if not isinstance(ledger, SQLiteLedger):
        return _copy_rows(ledger, temporary, progress)
    with ledger.reading() as connection:
        heads = account_heads(connection)
        try:
            copy_pages(sqlite_connection(connection), temporary, progress)
        except sqlite3.Error as error:
            raise LedgerError(f"{temporary} could not be written: {error}") from error
    return verify_copy(temporary, heads, progress)


def _copy_rows(ledger: Ledger, temporary: Path, progress: ReportProgress | None) -> int:
    """Copy the rows of a server. On Citus, accounts are from different moments, because no transaction spans all
    nodes."""
    # Into the existing file, because its lock shows other backups into the folder that it is in use.
    with ledger.reading() as connection:
        open_source = None if ledger.is_distributed(connection) else lambda: nullcontext(connection)
        copied = copy_ledger(ledger, str(temporary), reencrypt=False, open_source=open_source, progress=progress)
    for account in copied:
        if account.differs:
            raise LedgerError(
                f"the copy differs, and nothing was written: account {account.account}: {account.differs}"
            )
    return sum(account.flows for account in copied)


def _copy_key(vault: Vault, path: Path) -> Path:
    """Copy a vault's key to a file with the backup. Only its owner can read it."""
    key = vault_beside(path).path
    # The backup itself is still unfinished. Checking whether it is abandoned would release SQLite's locks on it.
    with temporary_beside(key, remove_abandoned=False) as temporary:
        temporary.write_bytes(vault.key() + b"\n")
        temporary.chmod(0o600)
        publish(temporary, key, force=True)
    return key


# ---------------------------------------------------------------- files that are there whole or not at all

# They are written under a temporary name, and synced before they get their own.


PART_SUFFIX: Final = ".liushui-part"
"""The suffix of a file's name while the file is written. Other programs call their unfinished files .part."""
_OLDER_PART_SUFFIX: Final = ".part"
"""The suffix in older versions."""

SQLITE_SUFFIXES: Final = ("-wal", "-shm", "-journal")
"""The suffixes of the files that SQLite creates with a database: while it is open, or after it was killed."""


@contextmanager
def temporary_beside(path: Path, *, remove_abandoned: bool = True) -> Iterator[Path]:
    """Create an empty file in the folder of `path` to write to, and delete it afterwards. Files left by killed
    processes are deleted first, unless the caller has a temporary file there.

    Raises LedgerError, naming `path`, if the file cannot be written, or another process is writing it.
    """
    temporary = path.with_name(f"{path.name}{PART_SUFFIX}")
    if remove_abandoned:
        _remove_abandoned([*path.parent.glob(f"*{PART_SUFFIX}"), path.with_name(f"{path.name}{_OLDER_PART_SUFFIX}")])
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}") from error
    try:
        _lock(descriptor, temporary, path)
        try:
            os.ftruncate(descriptor, 0)
            _delete_beside(temporary)
            with errors_naming(path, instead_of=temporary):
                yield temporary
        except OSError as error:
            raise LedgerError(f"{path} cannot be written: {error.strerror}") from error
        finally:
            _delete_beside(temporary)
            temporary.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def publish(temporary: Path, path: Path, *, force: bool) -> None:
    """Give a complete file its name. Raises ConfigError if there is such a file, unless `force` replaces it."""
    _sync(temporary)
    if force:
        temporary.replace(path)
    else:
        try:
            os.link(temporary, path)  # unlike a rename, this fails if another process has made the file in the meantime
        except FileExistsError as error:
            raise ConfigError(f"{path} is there already: --force replaces it") from error
    _sync(path.parent)


def check_replaceable(path: Path, *, force: bool) -> None:
    """Raises ConfigError if a file may not be written: it exists without `force`, or SQLite has it open."""
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: expected a file")
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already: --force replaces it")
    for suffix in SQLITE_SUFFIXES:
        if Path(f"{path}{suffix}").exists():
            raise ConfigError(f"{path} is in use as a ledger: {path.name}{suffix} is beside it")


@contextmanager
def errors_naming(path: Path, *, instead_of: Path) -> Iterator[None]:
    """Have errors about a temporary file name the file that the user knows."""
    try:
        yield
    except LedgerError as error:
        raise type(error)(str(error).replace(str(instead_of), str(path))) from error


def _lock(descriptor: int, temporary: Path, path: Path) -> None:
    """Lock the temporary file. The previous holder of the lock may have deleted or renamed it; then it is not ours."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if temporary.exists() and os.path.samestat(os.fstat(descriptor), temporary.stat()):
            return
    except OSError as error:
        raise LedgerError(f"another process is writing {path}") from error
    raise LedgerError(f"another process has just written {path}")


def _remove_abandoned(temporaries: Iterable[Path]) -> None:
    """Remove temporary files that no process has locked. The system releases the locks of killed processes."""
    for path in temporaries:
        with suppress(OSError), path.open("r+b") as file:  # locked, gone in the meantime, or another user's
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _delete_beside(path)
            path.unlink()


def _delete_beside(path: Path) -> None:
    for suffix in SQLITE_SUFFIXES:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
