"""Runs an ASGI application, our Litestar site, behind RSGI, Granian's native interface."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol
from urllib.parse import unquote


class Scope(Protocol):
    """A request as Granian passes it."""

    proto: str
    http_version: str
    scheme: str
    client: str
    server: str
    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> Mapping[str, str]: ...


class Stream(Protocol):
    """An answer that is sent in parts."""

    async def send_bytes(self, data: bytes) -> None: ...


class Http(Protocol):
    """Granian's side of a request: its body, and the answer to it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def __call__(self) -> Awaitable[bytes]: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...


class StreamingHttp(Http, Protocol):
    """The same, with what streams need."""

    async def client_disconnect(self) -> None: ...
    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Stream: ...


class WebsocketMessage(Protocol):
    """A WebSocket message."""

    kind: int
    data: bytes | str


class Transport(Protocol):
    """An open WebSocket."""

    async def receive(self) -> WebsocketMessage: ...
    async def send_bytes(self, data: bytes) -> None: ...


class Websocket(Protocol):
    """A WebSocket that a client wants to open."""

    async def accept(self) -> Transport: ...
    def close(self, status: int | None = None) -> tuple[int, bool]: ...


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application: scope, receive, send."""

_VERSIONS: Final = {"version": "3.0", "spec_version": "2.4"}


class AsgiBridge:
    """Passes requests to an ASGI application, and its answers back: whole, or streamed if they come in parts."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def answer(self, scope: Scope, http: StreamingHttp) -> None:
        """Answer one request."""
        exchange = _Exchange(http)
        try:
            await self._app(asgi_scope(scope), exchange.receive, exchange.send)
        except Exception:
            if not exchange.client_left:  # an application may fail in any way when the client is gone
                raise
        finally:
            exchange.close()


class _Exchange:
    """One request and its answer."""

    def __init__(self, http: StreamingHttp) -> None:
        self._http = http
        self._parts: AsyncIterator[bytes] | None = http.__aiter__()
        self._ended = asyncio.Event()
        self._disconnect: asyncio.Task[None] | None = None
        self.client_left = False
        """Whether the client disconnected before it had the whole answer."""
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._stream: Stream | None = None

    async def receive(self) -> Message:
        """The next part of the body. After the last one, waits until the exchange has ended."""
        if self._parts is not None:
            try:  # not in a loop, which would make a new iterator: Granian gives the body once
                part = await self._parts.__anext__()
            except StopAsyncIteration:
                pass
            else:
                return {"type": "http.request", "body": bytes(part), "more_body": True}
            self._parts = None
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._disconnect is None:
            self._disconnect = asyncio.create_task(self._await_disconnect())
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a part of the answer. Raises OSError when the client has disconnected."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
            return
        body, more = bytes(message.get("body", b"")), message.get("more_body", False)
        if self._stream is not None or more:
            await self._send_part(body)
        else:
            self._http.response_bytes(self._status, self._headers, body)
        if not more:
            self._ended.set()

    async def _send_part(self, body: bytes) -> None:
        if self._stream is None:
            self._stream = self._http.response_stream(self._status, self._headers)
        if body:
            try:
                await self._stream.send_bytes(body)
            except RuntimeError as error:  # so Granian says that the client has disconnected
                self.client_left = True
                self._ended.set()
                raise OSError("the client has disconnected") from error

    async def _await_disconnect(self) -> None:
        await self._http.client_disconnect()
        self.client_left = not self._ended.is_set()
        self._ended.set()

    def close(self) -> None:
        """Stop waiting for the client, and end the stream."""
        if self._disconnect is not None:
            self._disconnect.cancel()
            self._disconnect = None
        # Granian ends a stream when it is freed. In a reference cycle that would be at some later garbage collection.
        self._stream = None


def asgi_scope(scope: Scope) -> Message:
    """A request of Granian's as an ASGI scope."""
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        "path": unquote(scope.path),
        "raw_path": scope.path.encode("latin-1", "replace"),
        "query_string": scope.query_string.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in scope.headers.items()
        ],
        "client": _endpoint(scope.client),
        "server": _endpoint(scope.server),
        "state": {},
    }


def _endpoint(text: str) -> tuple[str, int] | None:
    """The host and port in HOST:PORT. None: something else, such as a Unix socket."""
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else None
