"""Opens files to import, which may be compressed with gzip; their first bytes show it.

A compressed file is first decompressed to disk.
"""

import gzip
import mmap
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, NamedTuple

from liushui.errors import ConfigError

_GZIP: Final = b"\x1f\x8b"
_COPIED: Final = 1024 * 1024
"""The bytes that are decompressed at a time."""


class UnusableFile(ConfigError):
    """A file cannot be imported; the message says why."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path, self.problem = path, problem


class Mapped(NamedTuple):
    """The decompressed bytes of a file, mapped so that the system can drop them from memory, and the file's size on
    disk."""

    data: mmap.mmap
    size: int


def map_file(path: Path) -> Mapped | None:
    """Map a file's bytes. None: it is empty.

    A compressed file is decompressed completely before it is read, so a file that was cut off changes nothing. The
    mapping is closed when the last reference to it is dropped. Raises OSError, and UnusableFile for a damaged
    compressed file.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        is_packed = file.read(len(_GZIP)) == _GZIP
        if not is_packed:
            return Mapped(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), size) if size else None
        file.seek(0)
        with TemporaryFile() as unpacked, _naming_damage(path):
            with gzip.GzipFile(fileobj=file) as packed:
                shutil.copyfileobj(packed, unpacked, _COPIED)
            unpacked.flush()
            if not unpacked.tell():
                return None
            return Mapped(mmap.mmap(unpacked.fileno(), 0, access=mmap.ACCESS_READ), size)


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    """Name the file in errors of gzip."""
    try:
        yield
    except EOFError as error:
        raise UnusableFile(path, "the gzip file ends too early: it was cut off, so save it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnusableFile(path, f"the gzip file is damaged: {error}") from error
