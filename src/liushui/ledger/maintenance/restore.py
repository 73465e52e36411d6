"""Restore: replaces the ledger in a file or on a server by the content of a backup. The backup is verified first."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError
from liushui.ledger.access.vault import Vault, vault_beside
from liushui.ledger.engine import Ledger, file_of, open_ledger
from liushui.ledger.engines.base import APPLICATION_ID, REVISION, check_revision
from liushui.ledger.engines.sqlite import create_folder
from liushui.ledger.maintenance.backup import (
    account_heads,
    contains_secrets,
    copy_pages,
    errors_naming,
    publish,
    temporary_beside,
    verify_copy,
)
from liushui.ledger.maintenance.copy import (
    OTHER_TABLES,
    check_secrets,
    copy_ledger,
    encrypted_columns,
)
from liushui.ledger.maintenance.copy_state import clear_ledger, is_empty, is_unfinished
from liushui.ledger.maintenance.heads_file import record_restore
from liushui.ledger.maintenance.verify import ReportProgress


class RestoreResult(NamedTuple):
    """The content of a ledger after a restore. `secrets` says whether they can be decrypted there, or why not."""

    ledger: str
    accounts: int
    flows: int
    secrets: str


def restore(path: Path, url: str, *, force: bool = False, progress: ReportProgress | None = None) -> RestoreResult:
    """Make the ledger at `url` equal to a backup. The backup is verified first, and not changed.

    A ledger with content is only replaced with `force`. In a file this is one transaction: other processes that have it
    open see the ledger before or after it. A ledger on a server is emptied in one transaction, and then filled as an
    unfinished copy. Secrets are re-encrypted with the ledger's own key if the backup's key is in the backup's folder. A
    heads file of the ledger gets a line about the restore. Raises ConfigError, LedgerError.
    """
    path = path.expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"no backup at {path}: expected a file")
    if not path.stat().st_size:
        raise LedgerError(f"{path} is empty: expected a backup")
    target = file_of(url)
    if target is None:
        return _to_server(path, url, force=force, progress=progress)
    return _to_file(path, target, force=force, progress=progress)


def _to_file(path: Path, target: Path, *, force: bool, progress: ReportProgress | None) -> RestoreResult:
    if target.exists() and target.samefile(path):
        raise ConfigError(f"{path} is the ledger itself: expected a backup of it")
    if _has_content(target) and not force:
        raise ConfigError(f"{target} contains a ledger already: --force replaces it by the backup")
    create_folder(target)
    with temporary_beside(target) as temporary:
        with closing(_open_readonly(path)) as backup:
            _copy_file(backup, path, temporary, progress)
        with errors_naming(path, instead_of=temporary):
            flows = verify_copy(temporary, None, progress)
        restored = open_ledger(str(temporary))
        try:
            with restored.writing() as connection:
                secrets = _reencrypt_secrets(connection, vault_beside(path), vault_beside(target))
                heads = account_heads(connection)
        finally:
            restored.close()
        if target.exists():
            # The file is overwritten, not replaced: processes that have it open would continue with the old one.
            with closing(_open_readonly(temporary)) as complete:
                _copy_file(complete, target, target, progress)
        else:
            publish(temporary, target, force=False)
    _record(path, str(target))
    return RestoreResult(str(target), len(heads), flows, secrets)


def _to_server(path: Path, url: str, *, force: bool, progress: ReportProgress | None) -> RestoreResult:
    with closing(_open_readonly(path)) as file:
        _check_is_ledger(file, path)
        row = file.execute("SELECT version_num FROM alembic_version").fetchone()
    check_revision(str(path), row[0] if row else None)
    if row != (REVISION,):
        raise LedgerError(f"{path} has an older schema than this liushui: restore it into a file, and copy that one")
    backup = open_ledger(str(path))
    try:
        flows = verify_copy(path, None, progress)
        target = open_ledger(url, create=True, allow_unfinished=True)
        try:
            _clear(target, force=force)
            with backup.reading() as connection:
                has_secrets, accounts = contains_secrets(connection), len(account_heads(connection))
            reason = _why_undecryptable(backup) if has_secrets else ""
            copied = copy_ledger(backup, url, reencrypt=not reason, progress=progress)
            for account in copied:
                if account.differs:
                    about = f"account {account.account}: {account.differs}"
                    raise LedgerError(f"{target.name} differs from the backup: {about}")
            if not has_secrets:
                secrets = "none"
            else:
                secrets = f"not readable: {reason}" if reason and _why_undecryptable(target) else "readable"
            record_restore(target, path)
        finally:
            target.close()
        return RestoreResult(target.name, accounts, flows, secrets)
    finally:
        backup.close()


def _clear(target: Ledger, *, force: bool) -> None:
    with target.reading() as connection:
        has_content, is_copy = not is_empty(connection), is_unfinished(connection)
    if has_content and not is_copy and not force:
        raise ConfigError(f"{target.name} contains a ledger already: --force replaces it by the backup")
    if has_content and force:
        clear_ledger(target)


def _record(path: Path, url: str) -> None:
    ledger = open_ledger(url)
    try:
        record_restore(ledger, path)
    finally:
        ledger.close()


# ---------------------------------------------------------------- secrets


def _why_undecryptable(ledger: Ledger) -> str:
    """Why a ledger's secrets cannot be decrypted; empty if they can."""
    try:
        check_secrets(ledger.reading, ledger.vault, list(OTHER_TABLES))
    except LedgerError as error:
        return str(error)
    return ""


def _reencrypt_secrets(connection: Connection, source: Vault, target: Vault) -> str:
    """Encrypt a restored ledger's secrets for its own vault. Returns whether they can be decrypted there."""
    if not contains_secrets(connection):
        return "none"
    try:
        _reencrypt(connection, source.decrypt, target.encrypt)
    except LedgerError as missing:
        try:
            # a ledger that is restored at its old location still has its key
            _reencrypt(connection, target.decrypt, None)
        except LedgerError:
            return f"not readable: {missing}"
    return "readable"


def _reencrypt(
    connection: Connection, decrypt: Callable[[str], dict[str, str]], encrypt: Callable[[dict[str, str]], str] | None
) -> None:
    """Decrypt every secret first; then, with `encrypt`, encrypt each again."""
    secrets = [
        (table, name, key, decrypt(encrypted))
        for table in OTHER_TABLES
        for name in encrypted_columns(table)
        for *key, encrypted in connection.execute(sa.select(*table.primary_key.columns, table.c[name])).all()
    ]
    if encrypt is None:
        return
    for table, name, key, secret in secrets:
        is_row = [column == value for column, value in zip(table.primary_key.columns, key, strict=True)]
        connection.execute(table.update().where(*is_row).values({name: encrypt(secret)}))


# ---------------------------------------------------------------- files


def _open_readonly(path: Path) -> sqlite3.Connection:
    # SQLite creates files next to a file that it reads. In a folder that cannot be written, it may read the file only
    # as immutable.
    is_immutable = not Path(f"{path}-wal").exists() and not os.access(path.parent, os.W_OK)
    options = "mode=ro&immutable=1" if is_immutable else "mode=ro"
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?{options}", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be opened: {error}") from error
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise LedgerError(f"{path} cannot be read: {error}") from error
    return connection


def _copy_file(source: sqlite3.Connection, named: Path, target: Path, progress: ReportProgress | None) -> None:
    try:
        copy_pages(source, target, progress)
    except sqlite3.Error as error:
        raise LedgerError(f"{named} could not be copied: {error}, and nothing was changed") from error


def _has_content(target: Path) -> bool:
    """Whether a file is a ledger that is not empty; a damaged, newer or unfinished one counts as well.

    Raises LedgerError if the file is another program's.
    """
    if not target.exists() or not target.stat().st_size:
        return False
    with closing(sqlite3.connect(f"file:{quote(str(target))}?mode=ro", uri=True)) as file:
        _check_is_ledger(file, target)
    try:
        ledger = open_ledger(str(target), allow_unfinished=True)
    except LedgerError:
        return True
    try:
        with ledger.reading() as connection:
            return not is_empty(connection)
    finally:
        ledger.close()


def _check_is_ledger(file: sqlite3.Connection, path: Path) -> None:
    """Raises LedgerError if a file is not a ledger's. The mark of a damaged ledger can usually still be read."""
    try:
        mark = file.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be read, and was not changed: {error}") from error
    if mark != APPLICATION_ID:
        raise LedgerError(f"{path} is an SQLite file of another program, not a ledger")
