"""A folder of backups of one ledger: a new one from time to time, each verified, and only those that are to be kept."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from liushui.errors import ConfigError, LedgerError, LiushuiError
from liushui.ledger.access.vault import vault_beside
from liushui.ledger.engine import Ledger, file_of
from liushui.ledger.jobs.backups import list_backup_states, record_backup, record_failed_backup
from liushui.ledger.maintenance.backup import PART_SUFFIX, SQLITE_SUFFIXES, BackupResult, back_up
from liushui.ledger.maintenance.kept_backups import Retention
from liushui.ledger.maintenance.verify import ReportProgress

OWNER_FILE: Final = ".liushui-ledger"
"""The file in a folder of backups that names the ledger. While a backup is made there, it is locked."""

RETRY: Final = timedelta(minutes=10)
"""When a failed backup is tried again, or earlier if the interval is shorter."""

_TIME: Final = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(rf"-([0-9]{{8}}T[0-9]{{6}}Z)\.db((?:{re.escape(PART_SUFFIX)})?(?:-wal|-shm|-journal)?)")


class SavedBackup(NamedTuple):
    """A backup in a folder, and the moment at which it was begun."""

    path: Path
    moment: datetime


class FolderResult(NamedTuple):
    """A backup that was made in a folder, and the older ones that were deleted after it."""

    backup: BackupResult
    deleted: tuple[Path, ...]


@dataclass(frozen=True)
class BackupFolder:
    """A folder with the backups of one ledger. Files that do not have the name of such a backup are left alone."""

    ledger: Ledger
    path: Path
    every: timedelta = timedelta(0)
    """How often a backup is made. 0: there is no schedule."""
    retention: Retention | None = None
    """Which backups stay. None: all."""
    with_secrets: bool = False

    @property
    def prefix(self) -> str:
        """Prefix of the names of its backups: the name of the ledger's file or database."""
        path = file_of(self.ledger.url)
        name = path.stem if path is not None else self.ledger.name.rpartition("/")[2].partition("?")[0]
        return re.sub(r"[^\w.-]", "_", name) or "ledger"

    def backups(self) -> list[SavedBackup]:
        """The backups in the folder, the newest last."""
        names = self._names() if self.path.is_dir() else []
        saved = [SavedBackup(path, moment) for path, moment, suffix in names if not suffix]
        return sorted(saved, key=lambda backup: backup.moment)

    def check(self) -> None:
        """Raises ConfigError for a folder of another ledger, LedgerError if it cannot be used now."""
        with self._locked():
            pass

    def due_at(self) -> datetime:
        """When the next scheduled backup is to be made; a moment in the past: now."""
        newest = self.backups()[-1:]
        due_at = newest[0].moment + self.every if newest else self.ledger.clock()
        for state in list_backup_states(self.ledger):
            if state.folder == str(self.path) and state.error:
                due_at = max(due_at, state.tried_at + min(self.every, RETRY))
        return due_at

    def back_up(self, progress: ReportProgress | None = None) -> FolderResult:
        """Make a backup, then delete those that have expired. The ledger records how it went.

        Raises ConfigError for a folder of another ledger. Raises LedgerError, also if another process is making a
        backup there.
        """
        with self._locked():
            moment = self.ledger.clock().replace(microsecond=0)
            path = self.path.joinpath(f"{self.prefix}-{moment.astimezone(UTC):{_TIME}}.db")
            if path.exists():
                raise LedgerError(f"{path} was made in this second: try again in the next one")
            try:
                self._delete_abandoned()
                saved = back_up(self.ledger, path, with_secrets=self.with_secrets, progress=progress)
            except LiushuiError as error:
                with suppress(LiushuiError):  # the first error is the cause
                    record_failed_backup(self.ledger, str(self.path), error=str(error), every=self.every)
                raise
            folder, name = str(self.path), path.name
            record_backup(self.ledger, folder, file=name, saved_at=moment, size=saved.size, every=self.every)
            try:
                return FolderResult(saved, self._delete_expired())
            except OSError as error:
                failure = LedgerError(f"older backups in {folder} cannot be deleted: {error.strerror}")
                record_failed_backup(self.ledger, folder, error=str(failure), every=self.every)
                raise failure from error

    # ---------------------------------------------------------------- files

    def _names(self) -> Iterator[tuple[Path, datetime, str]]:
        """The files that have names of backups, or of SQLite's additional files, each with its moment and its
        suffix."""
        for path in self.path.iterdir():
            if path.name.startswith(self.prefix):
                match = _NAME.fullmatch(path.name.removeprefix(self.prefix))
                if match is not None:
                    with suppress(ValueError):
                        moment = datetime.strptime(match[1], _TIME).replace(tzinfo=UTC)
                        yield path, moment, match[2]

    def _delete_abandoned(self) -> None:
        """Delete the files of killed backups. Called under the lock, so no other process is writing one."""
        try:
            for path, _, suffix in list(self._names()):
                if suffix.startswith(PART_SUFFIX):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be written: {error.strerror}") from error

    def _delete_expired(self) -> tuple[Path, ...]:
        """Delete expired backups and their keys."""
        if self.retention is None:
            return ()
        saved = self.backups()
        kept = self.retention.kept(backup.moment for backup in saved)
        expired = tuple(backup.path for backup in saved if backup.moment not in kept)
        for path in expired:
            # The key last: without the backup it is useless, but the backup is useful without its key.
            for name in (path, *(Path(f"{path}{suffix}") for suffix in SQLITE_SUFFIXES), vault_beside(path).path):
                with suppress(FileNotFoundError):
                    name.unlink()
        return expired

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Make the folder this ledger's, and keep other processes from making backups in it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path.joinpath(OWNER_FILE), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            failure = LedgerError(f"{self.path} cannot be written: {error.strerror}")
            with suppress(LiushuiError):
                record_failed_backup(self.ledger, str(self.path), error=str(failure), every=self.every)
            raise failure from error
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise LedgerError(f"another process is making a backup in {self.path}") from error
            owner = file.read().strip()
            if owner and owner != self.ledger.name:
                raise ConfigError(
                    f"{self.path} has the backups of {owner}: expected a folder of its own for {self.ledger.name} "
                    f"(if the ledger was moved, delete {OWNER_FILE} there)"
                )
            if not owner:
                file.write(f"{self.ledger.name}\n")
                file.flush()
            yield
