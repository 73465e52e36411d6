"""A proxy between a client and a PostgreSQL server that can cut the connection at a COMMIT."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Final

from liushui.testing.processes import HOST

COMMIT: Final = b"COMMIT\0"


class Cut(Enum):
    """When the connection is cut."""

    BEFORE = "the server never receives the COMMIT"
    AFTER = "the server has committed, and the client never learns it"
    DURING = "the server has received the COMMIT, and the connection is cut before it answers"


class CutProxy:
    """Listens, and forwards. `cut_at` applies to the next COMMIT only."""

    def __init__(self, port: int) -> None:
        self._server = HOST, port
        self._listening = socket.create_server((HOST, 0))
        self.port: int = self._listening.getsockname()[1]
        self.cut_at: Cut | None = None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # closing alone does not wake a thread in accept()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                _Pair(self, client, socket.create_connection(self._server))


class _Pair:
    """A client's connection, and the one to the server for it."""

    def __init__(self, proxy: CutProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._is_mute = False
        threading.Thread(target=self._up, daemon=True).start()
        threading.Thread(target=self._down, daemon=True).start()

    def _up(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65_536):
                cut = self._proxy.cut_at if COMMIT in data else None
                if cut is not None:
                    self._proxy.cut_at = None
                    self._proxy.cuts += 1
                    self._is_mute = True
                    if cut is Cut.BEFORE:
                        break
                    self._server.sendall(data)
                    if cut is Cut.DURING:
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
def proxied(port: int) -> Iterator[CutProxy]:
    """A proxy to a server's port, until the block ends."""
    proxy = CutProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
