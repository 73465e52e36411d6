"""Restoring: a ledger, in a file or on a server, becomes what a backup holds. The backup is proven first."""

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
from liushui.ledger.engines.base import check_revision
from liushui.ledger.maintenance.atomic_file import filling, put, said_of
from liushui.ledger.maintenance.backup import any_secrets, copy_pages, heads, proven
from liushui.ledger.maintenance.copy import REST, Progress, check_secrets, copy_ledger, sealed_columns
from liushui.ledger.maintenance.copy_state import empty, is_empty, is_marked
from liushui.ledger.schema import APPLICATION_ID, REVISION


class Restored(NamedTuple):
    """What a ledger holds after it was restored. `secrets`: whether they can be read there, or why not."""

    ledger: str
    accounts: int
    flows: int
    secrets: str


def restore(path: Path, url: str, *, force: bool = False, progress: Progress | None = None) -> Restored:
    """Make the ledger at `url` what a backup holds. The backup is verified first, and stays as it is.

    A ledger that holds something is only replaced where `force` says so. In a file that is one transaction: whoever has
    it open sees it before or after. On a server it is emptied in one, and filled as by a copy that is unfinished until
    it is complete. Secrets whose key lies beside the backup are sealed again by the ledger's own vault. Raises
    ConfigError, LedgerError.
    """
    path = path.expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"no backup at {path}: expected a file")
    if not path.stat().st_size:
        raise LedgerError(f"{path} is empty: expected a backup")
    target = file_of(url)
    if target is None:
        return _into_server(path, url, force=force, progress=progress)
    return _into_file(path, target, force=force, progress=progress)


def _into_file(path: Path, target: Path, *, force: bool, progress: Progress | None) -> Restored:
    if target.exists() and target.samefile(path):
        raise ConfigError(f"{path} is the ledger itself: expected a backup of it")
    if _is_kept(target) and not force:
        raise ConfigError(f"{target} holds a ledger already: --force replaces it by the backup")
    _make_folder(target)
    with filling(target) as part:
        with closing(_opened(path)) as backup:
            _copied(backup, path, part, progress)
        with said_of(part, path):
            flows = proven(part, None, progress)
        restored = open_ledger(str(part))
        try:
            with restored.writing() as connection:
                secrets = _move_secrets(connection, vault_beside(path), vault_beside(target))
                found = heads(connection)
        finally:
            restored.close()
        if target.exists():
            with closing(_opened(part)) as whole:
                _copied(whole, target, target, progress)
        else:
            put(part, target, force=False)
    return Restored(str(target), len(found), flows, secrets)


def _into_server(path: Path, url: str, *, force: bool, progress: Progress | None) -> Restored:
    with closing(_opened(path)) as file:
        _check_ours(file, path)
        found = file.execute("SELECT version_num FROM alembic_version").fetchone()
    check_revision(str(path), found[0] if found else None)
    if found != (REVISION,):
        raise LedgerError(f"{path} has an older schema than this liushui: restore it into a file, and copy that one")
    backup = open_ledger(str(path))
    try:
        flows = proven(path, None, progress)
        target = open_ledger(url, create=True, allow_unfinished=True)
        try:
            _clear(target, force=force)
            with backup.reading() as connection:
                has_secrets = any_secrets(connection)
            unread = _unread(backup) if has_secrets else ""
            copied = copy_ledger(backup, url, reseal=not unread, progress=progress)
            for one in copied:
                if one.differs:
                    raise LedgerError(f"{target.name} differs from the backup: account {one.account}: {one.differs}")
            secrets = "none" if not has_secrets else _said(unread, target)
        finally:
            target.close()
        return Restored(target.name, len(copied), flows, secrets)
    finally:
        backup.close()


def _clear(target: Ledger, *, force: bool) -> None:
    with target.reading() as connection:
        begun = is_marked(connection)
        there = not is_empty(connection)
    if there and not begun and not force:
        raise ConfigError(f"{target.name} holds a ledger already: --force replaces it by the backup")
    if there and force:
        empty(target)


def _unread(ledger: Ledger) -> str:
    """Why the secrets of a ledger cannot be opened, where they cannot."""
    try:
        check_secrets(ledger.reading, ledger.vault, list(REST))
    except LedgerError as error:
        return str(error)
    return ""


def _said(unread: str, target: Ledger) -> str:
    return f"not readable: {unread}" if unread and _unread(target) else "readable"


def _move_secrets(connection: Connection, source: Vault, target: Vault) -> str:
    """Seal the secrets of a restored ledger for its own vault. Says whether they can be read there."""
    if not any_secrets(connection):
        return "none"
    try:
        _reseal(connection, source.decrypt, target.encrypt)
    except LedgerError as missing:
        try:
            _reseal(connection, target.decrypt, None)  # a ledger in its old place has its key
        except LedgerError:
            return f"not readable: {missing}"
    return "readable"


def _reseal(
    connection: Connection, opened: Callable[[str], dict[str, str]], seal: Callable[[dict[str, str]], str] | None
) -> None:
    """Open every secret, then seal each again where `seal` is given."""
    found = [
        (table, name, key, opened(sealed))
        for table in REST
        for name in sealed_columns(table)
        for *key, sealed in connection.execute(sa.select(*table.primary_key.columns, table.c[name])).all()
    ]
    if seal is None:
        return
    for table, name, key, secret in found:
        row = [column == value for column, value in zip(table.primary_key.columns, key, strict=True)]
        connection.execute(table.update().where(*row).values({name: seal(secret)}))


def _opened(path: Path) -> sqlite3.Connection:
    """An SQLite file, open to be read. Where nothing can be written beside it, it is read as the one file it is."""
    alone = not Path(f"{path}-wal").exists() and not os.access(path.parent, os.W_OK)
    options = "mode=ro&immutable=1" if alone else "mode=ro"
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


def _copied(source: sqlite3.Connection, said: Path, target: Path, progress: Progress | None) -> None:
    try:
        copy_pages(source, target, progress)
    except sqlite3.Error as error:
        raise LedgerError(f"{said} could not be copied: {error}, and nothing was changed") from error


def _is_kept(target: Path) -> bool:
    """Whether there is a ledger with something in it, be it damaged, newer, or the unfinished copy of one.

    Raises LedgerError where another program's data is.
    """
    if not target.exists() or not target.stat().st_size:
        return False
    with closing(sqlite3.connect(f"file:{quote(str(target))}?mode=ro", uri=True)) as file:
        _check_ours(file, target)
    try:
        ledger = open_ledger(str(target), allow_unfinished=True)
    except LedgerError:
        return True
    try:
        with ledger.reading() as connection:
            return not is_empty(connection)
    finally:
        ledger.close()


def _check_ours(file: sqlite3.Connection, path: Path) -> None:
    """Raises LedgerError where a file is no ledger's. Of one that is damaged the mark can still be read."""
    try:
        mark = file.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be read, and is left as it is: {error}") from error
    if mark != APPLICATION_ID:
        raise LedgerError(f"{path} is an SQLite file of another program, not a ledger")


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"cannot make a ledger at {path}: {error.strerror}") from error
