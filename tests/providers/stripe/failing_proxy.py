"""A server between a client and ours that fails some calls with HTTP 503, so that the client repeats them."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple
from urllib.request import Request, urlopen


class Proxy:
    """Where it listens, and how many calls it has failed."""

    def __init__(self, url: str) -> None:
        self.url, self.calls, self.failed = url, 0, 0


class _Answer(NamedTuple):
    status: int
    body: bytes


@contextmanager
def failing_proxy(target: str, *, every: int) -> Iterator[Proxy]:
    """Listen until the block ends. Every so many calls one fails; it does not when it is made again."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one piece: otherwise each call waits for an acknowledgement

        def do_GET(self) -> None:
            proxy.calls += 1
            if proxy.calls % every == 0:
                proxy.failed += 1
                answer = _Answer(503, b'{"error":{"type":"api_error","message":"try again"}}')
            else:
                headers = {"Authorization": self.headers["Authorization"]}
                with urlopen(Request(target + self.path, headers=headers), timeout=60) as response:  # noqa: S310 # our own server
                    answer = _Answer(response.status, response.read())
            self.send_response(answer.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
