"""The servers of this user on this machine: their addresses and their ledgers.

`liushui login` uses these records to find a server on any port, even if the user did not name its ledger, for example
the demo's.
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
    """A running server. `url` is the page's address; `ledger` is the ledger's name, without a password.

    `public_url`: the page's address for clients of a proxy. Empty: no proxy.
    """

    url: str
    ledger: str
    public_url: str = ""

    @property
    def local_url(self) -> str:
        """The page's address for a browser on this machine: a server that listens on all addresses is on loopback
        too."""
        return self.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def record_server(folder: Path, server: RunningServer) -> None:
    """Write a record of the running server into its temporary folder. The record is deleted together with the
    folder."""
    unfinished = folder / f"{_RECORD}.new"
    unfinished.write_bytes(msgspec.json.encode(server))
    unfinished.rename(folder.joinpath(_RECORD))


def running_servers() -> list[RunningServer]:
    """The servers that this user runs, by their address."""
    return sorted(_records(), key=lambda server: server.url)


def _records() -> Iterator[RunningServer]:
    for folder in folders_in_use(PURPOSE):
        # A server that is starting or ending has no record. Other users' folders are ignored: otherwise their records
        # could make this user print a login link for a foreign address.
        with suppress(OSError, msgspec.DecodeError):
            if folder.lstat().st_uid == os.geteuid():  # for a link: the owner of the link itself
                yield msgspec.json.decode(folder.joinpath(_RECORD).read_bytes(), type=RunningServer)
