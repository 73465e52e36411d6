"""A proxy that lets some requests fail, for tests of clients that retry by themselves and of clients that do not."""

import itertools
import threading
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

PATIENCE_S: Final = 60
PASSED_ON: Final = 200
"""For a request that does not fail."""
SILENCE: Final = 0
"""For a request that gets no answer. The connection stays open until the client has had enough."""
BAD_GATEWAY: Final = 502
REASONS: Final = {429: b"<p>Too Many Requests", BAD_GATEWAY: b"<p>Bad Gateway", 503: b"<p>Service Unavailable"}


def faults_at(faults: Mapping[int, int]) -> Iterable[int]:
    """How each request fares. `faults` has those that fail, by their number from 1 on, and the status of each."""
    return (faults.get(number, PASSED_ON) for number in itertools.count(1))


class FlakyProxy:
    """Listens on a free port of this machine. By default requests 1, 3, 5 and so on get HTTP 502.

    `faults`: the status that each request gets, or how it fares otherwise.
    """

    def __init__(self, target: str, faults: Iterable[int] | None = None) -> None:
        self.calls = 0
        self.failed: list[int] = []
        """How the requests fared that failed."""
        self._faults = iter(itertools.cycle((BAD_GATEWAY, PASSED_ON)) if faults is None else faults)
        self._lock = threading.Lock()
        self._target = urlsplit(target)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            """Passes requests on."""

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = proxy.next_fault()
                if fault == SILENCE:
                    self.connection.settimeout(PATIENCE_S)
                    self.connection.recv(1)  # nothing, once the client has closed the connection
                    self.close_connection = True
                    return
                if fault != PASSED_ON:
                    status, headers, answer = fault, [("Content-Type", "text/html")], REASONS[fault]
                else:
                    status, headers, answer = proxy.pass_on(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def next_fault(self) -> int:
        """How the next request fares."""
        with self._lock:
            self.calls += 1
            fault = next(self._faults)
            if fault != PASSED_ON:
                self.failed.append(fault)
            return fault

    def pass_on(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The server's answer: its status, headers and body. The request names the proxy as its host, as it came."""
        connection = HTTPConnection(self._target.hostname or "", self._target.port, timeout=PATIENCE_S)
        try:
            sent = {name: value for name, value in headers.items() if name.lower() != "accept-encoding"}
            connection.request(method, path, body or None, headers=sent)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def __enter__(self) -> "FlakyProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
