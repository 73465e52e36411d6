"""The servers of this user that run on this machine: their addresses, and the ledgers that they serve.

`liushui login` uses these records to find a server on any port, and one whose ledger the user did not name, such as the
demo's.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from liushui.temporary_folder import folders_in_use

PURPOSE: Final = "serve"
"""The purpose of a server's temporary folder."""
_RECORD: Final = "server.json"


class RunningServer(msgspec.Struct, frozen=True):
    """A server that answers. `url` is the page's address, `ledger` the ledger's name, which has no password in it.

    `public_url`: the page's address as clients reach it through a proxy. Empty where there is none.
    """

    url: str
    ledger: str
    public_url: str = ""

    @property
    def local_url(self) -> str:
        """The page's address for a browser on this machine: a server on all addresses is on loopback too."""
        return self.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def record_server(folder: Path, server: RunningServer) -> None:
    """Store in a server's temporary folder that it runs. The record goes with the folder."""
    unfinished = folder / f"{_RECORD}.new"
    unfinished.write_bytes(msgspec.json.encode(server))
    unfinished.rename(folder.joinpath(_RECORD))


def running_servers() -> list[RunningServer]:
    """The servers that this user runs, by their address."""
    return sorted(_records(), key=lambda server: server.url)


def _records() -> Iterator[RunningServer]:
    for folder in folders_in_use(PURPOSE):
        # A server that starts or ends has no record. Other users' folders are not believed: what they name would be
        # opened, and the login link of this user's ledger printed for an address of theirs.
        with suppress(OSError, msgspec.DecodeError):
            if folder.lstat().st_uid == os.geteuid():  # of a link its own owner
                yield msgspec.json.decode(folder.joinpath(_RECORD).read_bytes(), type=RunningServer)
