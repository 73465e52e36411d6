"""Test doubles: a provider whose answers a test chooses, and Granian's side of a request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from liushui.http import Request, Response
from liushui.provider import FlowReader, Provider, Route
from liushui.providers.longbridge import PROVIDER

Answer = Callable[[Request], Response]


def ok(request: Request) -> Response:
    """Answer with the route of the request."""
    return Response(200, [("content-type", "text/plain"), ("x-trace-id", request.trace)], request.route.encode())


@dataclass
class ServerDouble:
    """A provider's server that calls a function for each request."""

    routes: tuple[Route, ...]
    made: Answer
    rows: int = 1

    def estimate_rows(self, request: Request) -> int:
        return self.rows

    def answer(self, request: Request, reader: FlowReader) -> Response:
        return self.made(request)


def provider(name: str, *paths: str, made: Answer = ok, rows: int = 1) -> Provider:
    """A provider with such a server and without a WebSocket."""
    server = ServerDouble(tuple(Route("GET", path) for path in paths), made, rows)
    return replace(PROVIDER, name=name, title=f"The {name}", server=server, socket=None)


class HeadersDouble(dict[str, str]):
    """The headers of a request, none of them twice."""

    def get_all(self, key: str) -> list[str]:
        return [self[key]] if key in self else []


@dataclass
class ScopeDouble:
    """A request as Granian passes it."""

    path: str
    """Without escapes."""
    method: str = "GET"
    query_string: str = ""
    headers: Any = field(default_factory=dict)
    proto: str = "http"
    http_version: str = "1.1"
    scheme: str = "http"
    client: str = "127.0.0.1:5000"
    server: str = "127.0.0.1:80"

    def __post_init__(self) -> None:
        self.headers = HeadersDouble(self.headers)


@dataclass
class HttpDouble:
    """Granian's side of a request: it has a body in parts, and stores the answer."""

    parts: list[bytes] = field(default_factory=list)
    read: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    sent: list[bytes] = field(default_factory=list)
    """The parts of a streamed answer."""
    gone_after: int | None = None
    """The client disconnects after so many parts of the answer."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            self.read += 1
            yield part

    async def __call__(self) -> bytes:
        return b"".join([part async for part in self])

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        assert not self.status, "answered once"
        self.status, self.headers, self.body = status, dict(headers), body

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> "HttpDouble":
        self.response_bytes(status, headers, b"")
        return self

    async def send_bytes(self, data: bytes) -> None:
        if self.gone_after is not None and len(self.sent) >= self.gone_after:
            raise RuntimeError("RSGIProtocolClosed")
        self.sent.append(data)

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()


class StalledHttp(HttpDouble):
    """A request whose client sends the parts of a body and then nothing more."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in super().__aiter__():
            yield part
        await asyncio.Event().wait()
