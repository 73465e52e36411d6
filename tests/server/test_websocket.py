"""WebSockets on their own port and on the main one, and the pings that official clients wait for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from liushui.instant import to_us
from liushui.providers._longbridge.wire import sign, signature_header
from liushui.server import websocket as socket_module
from liushui.server.websocket import Reply, SocketServer
from liushui.testing.processes import HOST, Running, free_port, is_open
from tests.conftest import Book

WAIT_S = 20
AUTH = b"\x01\x02" + (7).to_bytes(4, "big") + (10_000).to_bytes(2, "big")


@contextmanager
def socket_server(reply: Reply) -> Iterator[str]:
    """A server and its URL."""
    port = free_port()
    server = SocketServer(reply, HOST, port)
    server.start()
    try:
        yield f"ws://{HOST}:{port}"
    finally:
        server.stop()
        assert not is_open(port)


def conversing(url: str, talk: Callable[[ClientConnection], Awaitable[None]]) -> None:
    """Connect and run `talk` within WAIT_S."""

    async def run() -> None:
        async with asyncio.timeout(WAIT_S), connected(url) as connection:
            await talk(connection)

    asyncio.run(run())


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[ClientConnection]:
    async with connect(f"{url}?version=1&codec=1&platform=9", ping_interval=None) as connection:
        yield connection


# ---------------------------------------------------------------- the socket port alone


def test_frames_are_answered_in_order() -> None:
    async def talk(connection: ClientConnection) -> None:
        for frame in (b"a", b"", b"c" * 1_000):
            await connection.send(frame)
            assert await connection.recv() == frame * 2

    with socket_server(lambda frame: frame * 2) as url:
        conversing(url, talk)


@pytest.mark.parametrize("frame", [b"unknown", "text"])
def test_an_unknown_frame_closes_the_connection(frame: bytes | str) -> None:
    async def talk(connection: ClientConnection) -> None:
        await connection.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003

    with socket_server(lambda _: None) as url:
        conversing(url, talk)


def test_a_large_frame_closes_the_connection() -> None:
    async def talk(connection: ClientConnection) -> None:
        await connection.send(b"x" * (socket_module.MESSAGE_MAX + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009

    with socket_server(lambda frame: frame) as url:
        conversing(url, talk)


class Pinged(ClientConnection):
    """A connection that stores the pings it receives."""

    pings: int = 0

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - whatever a connection is made of
        super().__init__(*given, **named)
        self.five = asyncio.Event()

    def process_event(self, event: object) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings += 1
            if self.pings == 5:
                self.five.set()
        super().process_event(event)  # type: ignore[arg-type] # whatever came


def test_the_server_sends_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < socket_module.PING_INTERVAL_S < 30
    monkeypatch.setattr(socket_module, "PING_INTERVAL_S", 0.05)

    async def run(url: str) -> int:
        async with asyncio.timeout(WAIT_S), connect(url, ping_interval=None, create_connection=Pinged) as connection:
            assert isinstance(connection, Pinged)
            await connection.five.wait()
            await connection.send(b"still here")
            assert await connection.recv() == b"still here"
            return connection.pings

    with socket_server(lambda frame: frame) as url:
        assert asyncio.run(run(url)) >= 5


def test_a_taken_port_is_an_error_at_once() -> None:
    with socket_server(lambda frame: frame) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)):
            SocketServer(lambda frame: frame, HOST, port).start()


def test_stopping_closes_connections() -> None:
    port = free_port()
    server = SocketServer(lambda frame: frame, HOST, port)
    server.start()

    async def talk(connection: ClientConnection) -> None:
        await asyncio.to_thread(server.stop)
        with pytest.raises(ConnectionClosed):
            await connection.recv()

    conversing(f"ws://{HOST}:{port}", talk)
    server.stop()  # again does nothing


# ---------------------------------------------------------------- both ports of a ledger that is served


@pytest.fixture
def password(book: Book, served: Running) -> bytes:
    """The authentication message, with a one-time password from the HTTP API."""
    key, path = book.key(), "/v1/socket/token"
    headers = {
        "x-api-key": key["app_key"],
        "authorization": key["access_token"],
        "x-timestamp": str(to_us(datetime.now(UTC)) // 1_000_000),
    }
    signature = sign(secret=key["app_secret"], method="GET", path=path, query="", headers=headers)
    answer = httpx2.get(served.url + path, headers=headers | {"x-api-signature": signature_header(signature)})
    otp: bytes = answer.json()["data"]["otp"].encode()
    return bytes([0x0A, len(otp) & 0x7F | 0x80, len(otp) >> 7]) + otp


def framed(message: bytes) -> bytes:
    return AUTH + len(message).to_bytes(3, "big") + message


@pytest.mark.parametrize("port", ["socket", "main"])
def test_an_official_client_can_authenticate(served: Running, password: bytes, port: str) -> None:
    async def talk(connection: ClientConnection) -> None:
        for message, status in ((password, 0), (b"\x0a\x01x", 5), (password, 0)):
            await connection.send(framed(message))
            answer = await connection.recv()
            assert isinstance(answer, bytes)
            assert answer[:7] == b"\x02\x02" + (7).to_bytes(4, "big") + bytes([status])
            assert len(answer) == 10 + int.from_bytes(answer[7:10], "big")

    conversing(served.socket_url if port == "socket" else served.url.replace("http", "ws"), talk)


@pytest.mark.parametrize("port", ["socket", "main"])
@pytest.mark.parametrize("frame", [b"", b"no frame at all", "text"])
def test_a_client_with_another_protocol_is_disconnected(served: Running, port: str, frame: bytes | str) -> None:
    async def talk(connection: ClientConnection) -> None:
        await connection.send(frame)
        with pytest.raises(ConnectionClosed):
            await connection.recv()

    url = served.socket_url if port == "socket" else served.url.replace("http", "ws")
    conversing(url, talk)
    assert httpx2.get(f"{served.url}/api/v1/openapi.json").status_code == 200
