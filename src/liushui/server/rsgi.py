"""Granian's native interface (RSGI), as far as it is used: a request, its two sides, and a WebSocket."""

from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Protocol


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


class Message(Protocol):
    """A WebSocket message."""

    kind: int
    data: bytes | str


class Transport(Protocol):
    """An open WebSocket."""

    async def receive(self) -> Message: ...
    async def send_bytes(self, data: bytes) -> None: ...


class Websocket(Protocol):
    """A WebSocket that asks to be opened."""

    async def accept(self) -> Transport: ...
    def close(self, status: int | None = None) -> tuple[int, bool]: ...
