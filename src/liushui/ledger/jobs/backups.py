"""A ledger's records of its backups: for each folder, the time of the last good backup, or why none could be made.

A record belongs to this ledger at its location, so a copy of the ledger does not have it.
"""

import socket
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, short_repr
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import backups, from_row, insert_new, to_columns

MACHINE: Final = socket.gethostname()


class BackupState(NamedTuple):
    """The backups of a ledger in one folder of one machine."""

    folder: str
    machine: str
    every_s: int
    """The interval in seconds; 0: no schedule."""
    file: str
    """The name of the newest good backup; empty if none exists."""
    saved_at: datetime | None
    """The moment that it shows. None: no good backup."""
    size: int
    tried_at: datetime
    """When a backup was last made, or tried."""
    error: str
    """Why the last attempt failed; empty if it succeeded."""

    def age(self, now: datetime) -> timedelta | None:
        """The age of the newest good backup. None: it does not exist."""
        return None if self.saved_at is None else max(timedelta(0), now - self.saved_at)

    def is_old(self, now: datetime) -> bool:
        """Whether a scheduled backup is missing: the newest good backup is older than two intervals."""
        limit = 2 * timedelta(seconds=self.every_s)
        return bool(self.every_s) and (self.saved_at is None or now - self.saved_at > limit)


def list_backup_states(ledger: Ledger) -> list[BackupState]:
    """Return the record of each folder, by folder and machine."""
    with ledger.reading() as connection:
        return read_backup_states(connection)


def read_backup_states(connection: Connection) -> list[BackupState]:
    """`list_backup_states` in the caller's transaction."""
    query = sa.select(backups).order_by(backups.c.folder, backups.c.machine)
    return [from_row(BackupState, row) for row in connection.execute(query)]


def record_backup(ledger: Ledger, folder: str, *, file: str, saved_at: datetime, size: int, every: timedelta) -> None:
    """Store that a good backup was made."""
    state = BackupState(folder, MACHINE, _seconds(every), file, saved_at, size, ledger.clock(), "")
    _store(ledger, to_columns(backups, state))


def record_failed_backup(ledger: Ledger, folder: str, *, error: str, every: timedelta) -> None:
    """Store that a backup could not be made. The record of the newest good backup stays.

    Without a schedule, a folder that never had a good backup is not recorded, because its name may be a mistake.
    """
    state = BackupState(folder, MACHINE, _seconds(every), "", None, 0, ledger.clock(), error)
    columns = to_columns(backups, state)
    _store(ledger, columns, keep=("file", "saved_at_us", "size"), may_insert=bool(every))


def forget_backups(ledger: Ledger, folder: str) -> None:
    """Delete the record of a folder, on every machine. Its files stay. Raises ConfigError for an unknown folder."""
    with ledger.writing() as connection:
        if not connection.execute(backups.delete().where(backups.c.folder == folder)).rowcount:
            known = ", ".join(state.folder for state in read_backup_states(connection)) or "none"
            raise ConfigError(f"forget: expected one of {known}, got {short_repr(folder)}")


def _store(ledger: Ledger, columns: dict[str, object], keep: tuple[str, ...] = (), *, may_insert: bool = True) -> None:
    """Insert a row, or change the one of its folder and machine, but for the columns to keep."""
    with ledger.writing() as connection:
        if may_insert and insert_new(connection, backups, columns):
            return
        is_same = sa.and_(backups.c.folder == columns["folder"], backups.c.machine == columns["machine"])
        values = {name: value for name, value in columns.items() if name not in (*keep, "folder", "machine")}
        connection.execute(backups.update().where(is_same).values(values))


def _seconds(every: timedelta) -> int:
    return every // timedelta(seconds=1)
