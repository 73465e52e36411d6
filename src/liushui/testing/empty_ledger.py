"""Ledgers without accounts for tests, copied from one that the product created."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from liushui.instant import Clock, system_clock
from liushui.ledger.engine import Ledger, file_of, open_ledger


@cache
def _empty_file() -> bytes:
    """The content of the file of a ledger without accounts."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        open_ledger(str(path), create=True).close()
        return path.read_bytes()


def write_empty_file(path: Path) -> None:
    """Make the file of a ledger without accounts, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(_empty_file())


def create_ledger(url: str, *, clock: Clock = system_clock) -> Ledger:
    """Open a ledger as `open_ledger(create=True)` does. A new file is a copy of an empty ledger, which takes a
    thirtieth of the time that the migrations take."""
    path = file_of(url)
    if path is not None and not path.exists():
        write_empty_file(path)
    return open_ledger(url, create=True, clock=clock)
