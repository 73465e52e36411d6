"""Both ends of every provider found: its client reads from its server what the reader behind it holds."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx2
import pytest

from liushui.errors import AuthError, RateLimited, Unavailable, WireError
from liushui.provider import Client, Key, Provider, Slice
from liushui.providers import providers
from liushui.server.dialects import MOUNT
from liushui.testing.golden import cases, samples_of
from liushui.testing.reader import MemoryReader
from liushui.testing.transport import DialectTransport

EVERY = [pytest.param(provider, id=name) for name, provider in providers().items()]
ACCOUNT = "ours"
EVER = Slice(datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))


def held(provider: Provider, reader: MemoryReader) -> Counter[bytes]:
    """Have every readable row of a provider's samples received: what must be served, and how often."""
    rows: list[bytes] = []
    for _, wire, _ in cases(samples_of(provider)):
        for row in provider.codec.rows_of(wire.read_bytes()):
            try:
                rows.append(provider.codec.read(row).row)
            except WireError:
                continue
    return Counter(came.served or came.row for came in reader.receive(ACCOUNT, provider, rows))


class Joined:
    """A provider's client and its server without a network between them."""

    def __init__(self, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
        self.provider = provider
        self.reader = MemoryReader()
        self.key = self.reader.give_key(provider, ACCOUNT)
        self.transport: httpx2.AsyncBaseTransport = DialectTransport(providers(), self.reader)
        real = httpx2.AsyncClient
        monkeypatch.setattr(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": self.transport}))

    @asynccontextmanager
    async def client(self, *, base_url: str = "http://provider.test", key: Key | None = None) -> AsyncIterator[Client]:
        """A client with a key, the good one where none is given."""
        client = self.provider.connect(
            base_url=base_url, credentials=(key or self.key).credentials, rate=None, timeout_s=5
        )
        try:
            yield client
        finally:
            await client.close()

    async def drained(self, client: Client, asked: Slice, size: int) -> list[bytes]:
        """Every row of a slice, page by page."""
        rows: list[bytes] = []
        for number in range(self.provider.rules.paging.first, 1_000):
            page = (await client.page(asked, number, size)).rows
            if not page:
                return rows
            assert len(page) <= size
            rows += page
        raise AssertionError("no page was empty")


@pytest.fixture(params=EVERY)
def joined(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Joined:
    return Joined(request.param, monkeypatch)


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("base", ["http://provider.test", "http://provider.test/", "mounted", "mounted/"])
@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_what_is_held_is_read(joined: Joined, base: str, size: int) -> None:
    """Every row, as often as it is there: at any page size, with the dialect at the root and mounted."""
    expected = held(joined.provider, joined.reader)
    base_url = base.replace("mounted", f"http://provider.test{MOUNT}{joined.provider.name}")

    async def read() -> list[bytes]:
        async with joined.client(base_url=base_url) as client:
            return await joined.drained(client, EVER, min(size, joined.provider.rules.paging.size_max))

    assert Counter(asyncio.run(read())) == expected
    assert len(expected) > 1


def test_a_slice_is_read_to_its_ends(joined: Joined) -> None:
    """Its beginning belongs to it, its end does not; and where the wire's clock is coarser, what lies between does."""
    codec, step = joined.provider.codec, joined.provider.rules.resolution
    expected = held(joined.provider, joined.reader)
    instants = sorted({codec.read(row).flow.at for row in expected})

    async def read() -> None:
        async with joined.client() as client:
            for since, until in pairwise(instants):
                for asked in (
                    Slice(since, since + step),
                    Slice(since, until),
                    Slice(since - step, since),
                    Slice(since - step / 2, until - step / 2),
                    Slice(since + step / 2, until + step / 2),
                    Slice(since + step / 4, since + step / 2),
                ):
                    rows = await joined.drained(client, asked, 50)
                    assert Counter(rows) == Counter(
                        {
                            row: times
                            for row, times in expected.items()
                            if asked.since <= codec.read(row).flow.at < asked.until
                        }
                    )

    asyncio.run(read())


# ---------------------------------------------------------------- errors


async def first_page(joined: Joined, key: Key | None = None) -> None:
    async with joined.client(key=key) as client:
        await client.page(EVER, joined.provider.rules.paging.first, 1)


def test_each_field_of_a_credential_counts(joined: Joined) -> None:
    for field in joined.provider.credentials:
        wrong = joined.key._replace(credentials={**joined.key.credentials, field.name: "wrong"})
        with pytest.raises(AuthError):
            asyncio.run(first_page(joined, wrong))
    asyncio.run(first_page(joined))


def test_a_key_that_was_revoked(joined: Joined) -> None:
    joined.reader.revoke(joined.key)
    with pytest.raises(AuthError):
        asyncio.run(first_page(joined))


def test_a_key_that_has_expired(joined: Joined) -> None:
    joined.reader.keep_key(joined.key._replace(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    with pytest.raises(AuthError):
        asyncio.run(first_page(joined))


def test_too_many_calls(joined: Joined) -> None:
    joined.reader.admitting = lambda _key, _rate: False
    with pytest.raises(RateLimited):
        asyncio.run(first_page(joined))


def answering(answer: httpx2.Response | Exception) -> httpx2.AsyncBaseTransport:
    """A transport that always gives the same."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx2.MockTransport(handle)


@pytest.mark.parametrize(
    "fault", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), httpx2.RemoteProtocolError("cut")]
)
def test_no_answer(joined: Joined, fault: Exception) -> None:
    joined.transport = answering(fault)
    with pytest.raises(Unavailable, match=str(fault)):
        asyncio.run(first_page(joined))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_answer_of_something_in_between(joined: Joined, status: int) -> None:
    joined.transport = answering(httpx2.Response(status, text="<html>Bad Gateway</html>"))
    with pytest.raises(Unavailable, match=f"HTTP {status}"):
        asyncio.run(first_page(joined))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b"\xff", b'{"a":' * 50_000])
def test_what_is_no_answer(joined: Joined, body: bytes) -> None:
    joined.transport = answering(httpx2.Response(200, content=body))
    with pytest.raises(WireError):
        asyncio.run(first_page(joined))
