"""A wire between a client and a PostgreSQL server that can be cut at a COMMIT: before the server has it, or after."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Final

from liushui.testing.server import HOST

COMMIT: Final = b"COMMIT\0"


class Cut(Enum):
    """When the wire is cut."""

    BEFORE = "the server never hears of the commit"
    AFTER = "the server has committed, and the client never hears of it"
    MIDST = "the server has heard of it, and nobody waits for it"


class Wire:
    """Listens, and passes on what comes. `cut_at` is of the next COMMIT alone."""

    def __init__(self, port: int) -> None:
        self._server = HOST, port
        self._listening = socket.create_server((HOST, 0))
        self.port: int = self._listening.getsockname()[1]
        self.cut_at: Cut | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # closing alone wakes nobody who accepts
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                _Pair(self, client, socket.create_connection(self._server))


class _Pair:
    """One client's connection, and ours to the server for it."""

    def __init__(self, wire: Wire, client: socket.socket, server: socket.socket) -> None:
        self._wire, self._client, self._server = wire, client, server
        self._is_mute = False
        threading.Thread(target=self._up, daemon=True).start()
        threading.Thread(target=self._down, daemon=True).start()

    def _up(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65_536):
                cut = self._wire.cut_at if COMMIT in data else None
                if cut is not None:
                    self._wire.cut_at = None
                    self._wire.cuts += 1
                    self._is_mute = True
                    if cut is Cut.BEFORE:
                        break
                    self._server.sendall(data)
                    if cut is Cut.MIDST:
                        break
                    continue
                self._server.sendall(data)
        self._end()

    def _down(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65_536):
                if self._is_mute:
                    break
                self._client.sendall(data)
        self._end()

    def _end(self) -> None:
        for one in (self._client, self._server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def wired(port: int) -> Iterator[Wire]:
    """A wire to a server's port, until the block ends."""
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()
