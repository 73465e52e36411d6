"""Files that are there whole or not at all: written under a temporary name, and synced before they get their own."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from liushui.errors import ConfigError, LedgerError

SQLITE_SUFFIXES: Final = ("-wal", "-shm", "-journal")
"""What SQLite appends to the name of a file for the files beside it: while it is open, or after it was killed."""


@contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """An empty file beside `path` to write to; deleted afterwards. One that a killed process left is taken over.

    Raises LedgerError, naming `path`, where the file cannot be written, or another process is writing it.
    """
    temporary = path.with_name(f"{path.name}.part")
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
    """Give a complete file its name. Raises ConfigError where there is such a file, unless `force` replaces it."""
    _sync(temporary)
    if force:
        temporary.replace(path)
    else:
        try:
            os.link(temporary, path)  # unlike a rename, this fails where another process has made the file meanwhile
        except FileExistsError as error:
            raise ConfigError(f"{path} is there already: --force replaces it") from error
    _sync(path.parent)


def check_replaceable(path: Path, *, force: bool) -> None:
    """Raises ConfigError where a file may not be written: it exists without `force`, or SQLite has it open."""
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
    """Lock the temporary file. Whoever had the lock before may have deleted or renamed it: then it is not ours."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if temporary.exists() and os.path.samestat(os.fstat(descriptor), temporary.stat()):
            return
    except OSError as error:
        raise LedgerError(f"another process is writing {path}") from error
    raise LedgerError(f"another process has just written {path}")


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
