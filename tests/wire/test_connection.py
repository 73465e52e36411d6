"""How a connection handles endless bodies, packed bodies, redirects, and the time of the service's clock."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from liushui.errors import Unavailable, Unfinished, Unreachable, Untrustworthy
from liushui.testing.hostile_server import hostile_server, slow_body
from liushui.wire import transport
from liushui.wire.transport import Answer, HttpConnection, ServiceClock

MEBIBYTE = b" " * 1024**2


class Body(httpx2.AsyncByteStream):
    """A body that is sent in pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.sent += len(piece)
            yield piece


def call(monkeypatch: pytest.MonkeyPatch, response: httpx2.Response | Exception) -> Answer:
    def respond(_: httpx2.Request) -> httpx2.Response:
        if isinstance(response, Exception):
            raise response
        return response

    real = httpx2.AsyncClient
    monkeypatch.setattr(
        httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": httpx2.MockTransport(respond)})
    )

    async def get() -> Answer:
        connection = HttpConnection("http://127.0.0.1:1", rate=None, timeout_s=2)
        try:
            return await connection.call("GET", "/")
        finally:
            await connection.close()

    return asyncio.run(get())


def endless() -> Iterator[bytes]:
    while True:
        yield MEBIBYTE


def test_a_body_without_an_end_is_refused_while_it_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    body = Body(endless())
    with pytest.raises(Untrustworthy, match=r"^an answer of http://127.0.0.1:1 is longer than 64 MiB"):
        call(monkeypatch, httpx2.Response(200, stream=body))
    assert body.sent == transport.BODY_MAX + len(MEBIBYTE)


def test_a_small_body_that_unpacks_to_gigabytes_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b" " * 200 * 1024**2)
    bomb = Body(packed[at : at + 65_536] for at in range(0, len(packed), 65_536))
    tracemalloc.start()
    try:
        with pytest.raises(Untrustworthy, match="is longer than 64 MiB"):
            call(monkeypatch, httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=bomb))
        assert tracemalloc.get_traced_memory()[1] < 100 * 1024**2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_packed_body(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """It may have several members, and come in any pieces."""
    packed = gzip.compress(b"one,") + gzip.compress(b"two")
    body = Body(packed[at : at + size] for at in range(0, len(packed), size))
    assert call(monkeypatch, httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=body)).body == b"one,two"


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(b"x" * 99, mtime=0)[:-9], gzip.compress(b"x", mtime=0)[:5], b"no gzip at all"],
    ids=["cut", "header", "plain"],
)
def test_a_packed_body_that_is_broken(monkeypatch: pytest.MonkeyPatch, packed: bytes) -> None:
    response = httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=Body(iter([packed])))
    with pytest.raises(Unavailable, match=r"was cut off|cannot be unpacked"):
        call(monkeypatch, response)


def test_an_encoding_that_was_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    response = httpx2.Response(200, headers={"content-encoding": "br"}, stream=Body(iter([b"x"])))
    with pytest.raises(Untrustworthy, match=r"is encoded as 'br', which was not asked for$"):
        call(monkeypatch, response)


def test_a_whole_call_has_a_bound() -> None:
    """Each byte comes soon, the last one never."""

    async def get(url: str) -> None:
        connection = HttpConnection(url, rate=None, timeout_s=0.2)
        try:
            await connection.call("GET", "/")
        finally:
            await connection.close()

    expected = r"^no whole answer of http://127.0.0.1:\d+ within 0\.6 s$"
    with hostile_server(slow_body()) as server, pytest.raises(Unfinished, match=expected):
        asyncio.run(get(server.url))


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"location": "http://other.test/x?key=secret"}
    with pytest.raises(Untrustworthy, match=r"redirects to 'http://other.test/x', which was not followed$"):
        call(monkeypatch, httpx2.Response(302, headers=headers))


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("")])
def test_without_a_connection_the_service_is_unreachable(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    with pytest.raises(Unreachable, match=r"^no answer from http://127.0.0.1:1: Connect"):
        call(monkeypatch, error)


SENT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "offset_s"),
    [
        (SENT, 0),
        (SENT - timedelta(seconds=1), 0),
        (SENT + timedelta(seconds=3), 0),
        (SENT + timedelta(seconds=10), 7),
        (SENT - timedelta(hours=2), -3 - 7200),
        (SENT + timedelta(days=3653), 3653 * 86_400 - 3),
        (None, None),
    ],
)
def test_the_offset_of_the_services_clock(date: datetime | None, offset_s: int | None) -> None:
    """A Date header has whole seconds, and the call took three: what that explains is none."""
    clock = ServiceClock()
    headers = {"date": format_datetime(date, usegmt=True)} if date else {}
    clock.observe(Answer(200, headers, b""), SENT.timestamp(), SENT.timestamp() + 3)
    assert clock.offset == (None if offset_s is None else timedelta(seconds=offset_s))
