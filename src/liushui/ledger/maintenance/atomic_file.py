"""Files that are there whole or not at all: filled under another name, on the disk before they get their own."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from liushui.errors import ConfigError, LedgerError

BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file while it is open, or after it was killed."""


@contextmanager
def filling(path: Path) -> Iterator[Path]:
    """A file of one's own beside `path` to fill, gone afterwards. One that a killed process left is taken over.

    Raises LedgerError, naming `path`, where it cannot be, and where another process fills it.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}") from error
    try:
        _lock(descriptor, part, path)
        try:
            os.ftruncate(descriptor, 0)
            _clear_beside(part)
            with said_of(part, path):
                yield part
        except OSError as error:
            raise LedgerError(f"{path} cannot be written: {error.strerror}") from error
        finally:
            _clear_beside(part)
            part.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def put(part: Path, path: Path, *, force: bool) -> None:
    """Give a file that is complete its name. Raises ConfigError where one has it, unless `force` is to replace that."""
    _sync(part)
    if force:
        part.replace(path)
    else:
        try:
            os.link(part, path)
        except FileExistsError as error:
            raise ConfigError(f"{path} is there already: --force replaces it") from error
    _sync(path.parent)


def refuse(path: Path, *, force: bool) -> None:
    """Raises ConfigError where a file may not be written: it is none, is there, or SQLite has it open."""
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path}: expected a file")
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already: --force replaces it")
    for ending in BESIDE:
        if Path(f"{path}{ending}").exists():
            raise ConfigError(f"{path} is in use as a ledger: {path.name}{ending} is beside it")


@contextmanager
def said_of(part: Path, path: Path) -> Iterator[None]:
    """Errors about a file that is being filled name the one that it will be, or comes from."""
    try:
        yield
    except LedgerError as error:
        raise type(error)(str(error).replace(str(part), str(path))) from error


def _lock(descriptor: int, part: Path, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if part.exists() and os.path.samestat(os.fstat(descriptor), part.stat()):
            return
    except OSError as error:
        raise LedgerError(f"another process is writing {path}") from error
    raise LedgerError(f"another process has just written {path}")


def _clear_beside(path: Path) -> None:
    for ending in BESIDE:
        with suppress(FileNotFoundError):
            Path(f"{path}{ending}").unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
