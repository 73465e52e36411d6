"""A double of a provider on a real port that misbehaves at every request, and a port to which nobody may connect.

    with hostile_server(gzip_bomb()) as server:
        run("source", "add", "longbridge", "broker", "--base-url", server.url, ...)

For syncs in a separate process: the client's memory, time and behaviour are measured from outside.
"""

import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from liushui.testing.processes import HOST

Behaviour = Callable[[BaseHTTPRequestHandler], None]
"""Answers one request. The request is over when this returns, or when the client closes the connection, which raises
OSError."""

CHUNK: Final = b" " * 65_536
UNPACKED_CHUNK: Final = 1 << 20
BOMB_BYTES: Final = 3 << 30
"""The unpacked size of the gzip bomb. Its compressed size is a thousandth of that."""
PAUSE_S: Final = 0.05
"""The pause between two bytes of a slow answer."""
GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass
class HostileServer:
    """A server in a thread of this process. `requests` has the path of every request, without the query."""

    url: str
    requests: list[str] = field(default_factory=list)


@dataclass
class SilentListener:
    """A port that nobody should use. `connections` is the number of connections."""

    port: int
    connections: int = 0

    @property
    def url(self) -> str:
        """The URL of the port, as the target of a redirect."""
        return f"http://{HOST}:{self.port}"


@contextmanager
def hostile_server(behaviour: Behaviour) -> Iterator[HostileServer]:
    """Serve on a free port until the block ends. Answers still in progress are cut off."""
    found = HostileServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            found.requests.append(self.path.partition("?")[0])
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.close_connection = True
            with suppress(OSError):
                behaviour(self)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Print nothing, because tests assert what clients do."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    server = Server((HOST, 0), Handler)
    found.url = f"http://{HOST}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def silent_listener() -> Iterator[SilentListener]:
    """Listen on a free port until the block ends, and count who connects."""
    with socket.create_server((HOST, 0)) as listener:
        found = SilentListener(listener.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # the listener was closed
                    return
                found.connections += 1
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


# ---------------------------------------------------------------- behaviours


def endless_body() -> Behaviour:
    """A body without end, as fast as the client reads it."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _begin(handler)
        while True:
            handler.wfile.write(CHUNK)

    return answer


def gzip_bomb(unpacked_bytes: int = BOMB_BYTES) -> Behaviour:
    """A small body that unpacks to 3 GiB of spaces."""
    compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = compressor.compress(b" " * UNPACKED_CHUNK) + compressor.flush(zlib.Z_FULL_FLUSH)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _begin(handler, ("content-encoding", "gzip"))
        handler.wfile.write(GZIP_HEAD)
        for _ in range(unpacked_bytes // UNPACKED_CHUNK):
            handler.wfile.write(block)

    return answer


def whole_body(body: bytes) -> Behaviour:
    """A complete answer in JSON."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _begin(handler, ("content-length", str(len(body))))
        handler.wfile.write(body)

    return answer


def no_answer() -> Behaviour:
    """No answer, on a connection that stays open."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.recv(1)  # returns when the client closes the connection

    return answer


def slow_body() -> Behaviour:
    """A body that arrives one byte at a time and never ends. No pause is long enough for a timeout."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        _begin(handler)
        _trickle(handler)

    return answer


def slow_headers() -> Behaviour:
    """A header that arrives one byte at a time and never ends."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-slow: ")
        _trickle(handler)

    return answer


def redirect(target: str, status: int = 302) -> Behaviour:
    """A redirect to a URL. "" is the URL that was requested."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("location", target or handler.path)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


def _begin(handler: BaseHTTPRequestHandler, *headers: tuple[str, str]) -> None:
    """Send the head of an answer whose body ends when the connection closes."""
    handler.send_response(200)
    for name, value in (("content-type", "application/json"), ("connection", "close"), *headers):
        handler.send_header(name, value)
    handler.end_headers()


def _trickle(handler: BaseHTTPRequestHandler) -> None:
    pause = threading.Event()
    while not pause.wait(PAUSE_S):
        handler.wfile.write(b" ")
