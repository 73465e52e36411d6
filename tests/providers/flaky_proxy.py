"""A proxy that lets every other request fail: what a client with retries of its own is tested with."""

import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

PATIENCE_S: Final = 60


class FlakyProxy:
    """Listens on a free port of this machine. Requests 1, 3, 5 and so on get HTTP 502, the others are passed on."""

    def __init__(self, target: str) -> None:
        self.calls = 0
        self._target = urlsplit(target)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            """Passes GET requests on."""

            def do_GET(self) -> None:
                status, headers, body = proxy.answer(self.path, dict(self.headers))
                self.send_response(status)
                for name in ("Content-Type", "Retry-After"):
                    if name in headers:
                        self.send_header(name, headers[name])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """The answer to a request: its status, headers and body."""
        self.calls += 1
        if self.calls % 2:
            return 502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>"
        connection = HTTPConnection(self._target.hostname or "", self._target.port, timeout=PATIENCE_S)
        try:
            sent = {name: value for name, value in headers.items() if name.lower() not in ("host", "accept-encoding")}
            connection.request("GET", path, headers=sent)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
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
