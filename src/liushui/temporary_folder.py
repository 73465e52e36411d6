"""Temporary folders that do not outlive their process: the next process removes the folder of a killed one."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "liushui-"
_LOCK: Final = "lock"


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A folder for this process alone, named after its purpose and removed at the end.

    Folders that killed processes left behind are removed first.
    """
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
    with folder.joinpath(f"{_LOCK}.new").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(lock.name).rename(folder.joinpath(_LOCK))  # so that nobody finds a lock that is not held yet
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def folders_in_use(purpose: str) -> Iterator[Path]:
    """Return the folders for a purpose whose process is running, including other users' folders."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}{purpose}-*/{_LOCK}"):
        try:
            with path.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield path.parent
        except OSError:  # gone in the meantime, or another user's
            continue


def _remove_abandoned() -> None:
    """Remove folders whose lock nobody holds. The system releases a lock when its process ends in any way."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{_LOCK}"):
        with suppress(OSError), path.open("r+") as lock:  # held, gone in the meantime, or another user's
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
