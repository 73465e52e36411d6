"""An ASGI application behind Granian's native interface: the dialects answer natively, our own pages through this."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, Protocol
from urllib.parse import unquote


class Scope(Protocol):
    """A request as Granian hands it over."""

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
    """An answer that is sent part by part."""

    async def send_bytes(self, data: bytes) -> None: ...


class Http(Protocol):
    """Granian's answering side of a request."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def __call__(self) -> Awaitable[bytes]: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...


class Connected(Http, Protocol):
    """The same, with what streams and faults need."""

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
    """A WebSocket that asks to be opened."""

    async def accept(self) -> Transport: ...
    def close(self, status: int | None = None) -> tuple[int, bool]: ...


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application: scope, receive, send."""

_VERSIONS: Final = {"version": "3.0", "spec_version": "2.4"}


class AsgiBridge:
    """Hands requests to an ASGI application, and its answers back: whole where they come whole, else as a stream."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def answer(self, scope: Scope, http: Connected) -> None:
        """Have one request answered."""
        conversation = _Conversation(http)
        try:
            await self._app(asgi_scope(scope), conversation.receive, conversation.send)
        except Exception:
            if not conversation.left:
                raise
        finally:
            conversation.close()


class _Conversation:
    """One request and its answer."""

    def __init__(self, http: Connected) -> None:
        self._http = http
        self._parts: AsyncIterator[bytes] | None = http.__aiter__()
        self._over = asyncio.Event()
        self._gone: asyncio.Task[None] | None = None
        self.left = False
        """Whether the client went before it had the whole answer."""
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._stream: Stream | None = None

    async def receive(self) -> Message:
        """The next part of the body; after it, once the answer is sent or the client has gone, that it is over."""
        if self._parts is not None:
            try:  # one step at a time: a loop would ask Granian for the body anew, which gives it once
                part = await self._parts.__anext__()
            except StopAsyncIteration:
                pass
            else:
                return {"type": "http.request", "body": bytes(part), "more_body": True}
            self._parts = None
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._gone is None:
            self._gone = asyncio.create_task(self._await_leaving())
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer. Raises OSError where nobody is there to take it."""
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
            self._over.set()

    async def _send_part(self, body: bytes) -> None:
        if self._stream is None:
            self._stream = self._http.response_stream(self._status, self._headers)
        if body:
            try:
                await self._stream.send_bytes(body)
            except RuntimeError as error:  # Granian's word for a client that has gone
                self.left = True
                self._over.set()
                raise OSError("the client has gone") from error

    async def _await_leaving(self) -> None:
        await self._http.client_disconnect()
        self.left = not self._over.is_set()
        self._over.set()

    def close(self) -> None:
        """Wait for the client no longer."""
        if self._gone is not None:
            self._gone.cancel()
            self._gone = None
        self._stream = None  # Granian ends a stream when nobody holds it, and what is in a circle is held for long


def asgi_scope(scope: Scope) -> Message:
    """A request of Granian's as ASGI describes it."""
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
    """The host and port in HOST:PORT. None: it is something else, a Unix socket perhaps."""
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else None
