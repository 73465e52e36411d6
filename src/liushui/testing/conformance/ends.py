"""Both ends of a provider over the same rows: in memory, or behind the port of `liushui serve` in another process."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

import httpx2

from liushui.errors import ProviderError, WireError
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import NO_VALUES, Client, DecodedRow, FlowReader, Key, Page, Provider, Slice
from liushui.providers import load_providers
from liushui.sync.fetch import SliceTooLarge, fetch_slice
from liushui.testing.clock import MovableClock
from liushui.testing.conformance import material
from liushui.testing.conformance.ensure import ensure
from liushui.testing.reader import MemoryLimits, MemoryReader
from liushui.testing.server import serving
from liushui.testing.transport import DialectTransport

ACCOUNT: Final = "ours"
"""An account of rows that came from the provider."""
FOREIGN: Final = "elsewhere"
"""An account of flows that came from elsewhere: the dialect writes them in its own words."""
PAGES_MAX: Final = 1_000
TIMEOUT_S: Final = 30

T = TypeVar("T")


class AheadClock:
    """The machine's clock, for clients stamp their requests with it, and `ahead` of it by what a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True)
class Ends:
    """A client's way to its server, and what it must read there."""

    provider: Provider
    base_url: str
    credentials: Mapping[str, str]
    rows: list[bytes]
    whole: Slice
    """All that can be read."""
    recent: Slice
    """The newest part of it, with every made-up row: short enough for one request."""

    def ask(
        self,
        what: Callable[[Client], Awaitable[T]],
        *,
        base_url: str = "",
        credentials: Mapping[str, str] = NO_VALUES,
    ) -> T:
        """Do something with a client. `credentials` stand in place of the good ones."""

        async def asked() -> T:
            async with self.client(base_url, credentials) as client:
                return await what(client)

        return asyncio.run(asked())

    @asynccontextmanager
    async def client(self, base_url: str = "", credentials: Mapping[str, str] = NO_VALUES) -> AsyncIterator[Client]:
        """A client that does not wait between calls."""
        client = self.provider.connect(
            base_url=base_url or self.base_url,
            credentials={**self.credentials, **credentials},
            rate=None,
            timeout_s=TIMEOUT_S,
        )
        try:
            yield client
        finally:
            await client.close()

    def within(self, asked: Slice) -> list[bytes]:
        """What is there of a slice."""
        return [row for row in self.rows if asked.since <= self.at(row) < asked.until]

    def at(self, row: bytes) -> datetime:
        """When a row says that it happened."""
        return self.provider.codec.read(row).flow.at

    @property
    def size_max(self) -> int:
        """The most rows that a page may have."""
        return self.provider.rules.paging.size_max

    @property
    def crowd(self) -> int:
        """The most rows that share an instant."""
        return Counter(self.at(row) for row in self.rows).most_common(1)[0][1]


async def pages(client: Client, asked: Slice, size: int, part: Mapping[str, str] = NO_VALUES) -> list[Page]:
    """One page after the other, to the last."""
    found = [await client.fetch_page(asked, size, params=part)]
    while (page_token := found[-1].next_token) is not None:
        ensure(len(found) < PAGES_MAX, f"no page was the last one in {PAGES_MAX}")
        found.append(await client.fetch_page(asked, size, page_token=page_token, params=part))
    for page in found:
        ensure(len(page.rows) <= size, f"a page has {len(page.rows)} rows where {size} were asked for")
    return found


async def paged(client: Client, asked: Slice, size: int, part: Mapping[str, str] = NO_VALUES) -> list[bytes]:
    """The rows of every page."""
    return [row for page in await pages(client, asked, size, part) for row in page.rows]


async def drained(client: Client, provider: Provider, asked: Slice, size: int) -> list[bytes]:
    """Every row of a range, as a sync reads it: in slices that are allowed, halved until one page holds each."""
    rules = provider.rules
    step = rules.resolution
    rows: list[bytes] = []
    todo = [asked]
    while todo:
        since, until = todo.pop()
        end = min(until, since + (rules.slice_max or until - since))
        if end < until:
            todo.append(Slice(end, until))
        part = Slice(since, end)
        try:
            rows += await fetch_slice(client.fetch_page, part, rules, size, can_split=end - since > step)
        except SliceTooLarge:
            middle = since + (end - since) // step // 2 * step
            todo += [Slice(middle, end), Slice(since, middle)]
    return rows


class Wire(DialectTransport):
    """What lies between a client and its server in memory. It may bring something else than what was answered."""

    instead: Callable[[httpx2.Request], httpx2.Response] | None = None
    """What answers in the server's place."""
    rows_as: bytes | None = None
    """The bytes that come in place of an answer with rows."""

    def __init__(self, provider: Provider, reader: FlowReader) -> None:
        super().__init__({**load_providers(), provider.name: provider}, reader)
        self._provider = provider

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.instead is not None:
            return self.instead(request)
        answer = await super().handle_async_request(request)
        if self.rows_as is None or not is_rows(self._provider, answer.content):
            return answer
        return httpx2.Response(answer.status_code, content=self.rows_as, request=request)


def is_rows(provider: Provider, answer: bytes) -> bool:
    """Whether an answer is one of rows, and neither an error nor something that only leads to rows."""
    try:
        provider.codec.extract_rows(answer)
    except (WireError, ProviderError):
        return False
    return True


class Memory:
    """Both ends without a network between them. The server's clock, its keys and what it holds may be changed."""

    def __init__(self, provider: Provider) -> None:
        self.clock = AheadClock()
        self.calls_clock = MovableClock()
        """What calls are counted by: it stands still until it is moved."""
        self.limits = MemoryLimits(self.calls_clock)
        self.reader = MemoryReader(self.clock)
        self.key = self.reader.create_key(provider, ACCOUNT, FOREIGN)
        self.wire = Wire(provider, self.reader)
        held = _Held(provider, self.clock())
        self.reader.add_rows(ACCOUNT, provider, held.rows)
        self.reader.add_flows(FOREIGN, held.flows)
        self.ends = held.ends("https://provider.test", self.key.credentials, held.rows + held.written)

    def ask(self, what: Callable[[Client], Awaitable[T]], *, key: Key | None = None) -> T:
        """Do something with a client of a key, of the good one where none is given."""
        return self.ends.ask(what, credentials=(key or self.key).credentials)


@dataclass(frozen=True)
class Served:
    """A ledger that another process serves."""

    received: Ends
    """To the account of rows that came from the provider."""
    foreign: Ends
    """To the account of flows that came from elsewhere."""


@contextmanager
def served(provider: Provider, folder: Path) -> Iterator[Served]:
    """Make a ledger in a folder, and serve it until the block ends. The provider has to be installed, to be found."""
    held, path = _Held(provider, datetime.now(UTC)), folder / "ledger.db"
    ledger = open_ledger(str(path), create=True)
    try:
        foreign = [DecodedRow(flow, b"{}", None) for flow in held.flows]
        keys = {}
        for account, source, rows in (
            (ACCOUNT, provider.name, held.received),
            (FOREIGN, f"other-than-{provider.name}", foreign),
        ):
            make_account(ledger, account, source, provider.rules.zone)
            commit_slice(ledger, account, held.whole, read_at=held.now, received=rows)
            keys[account] = create_key(ledger, provider, [account], paced=False)
    finally:
        ledger.close()
    with serving(path) as running:
        yield Served(
            received=held.ends(running.url, keys[ACCOUNT], held.rows),
            foreign=held.ends(running.url, keys[FOREIGN], held.written),
        )


class _Held:
    """What both ends stand over, made for an instant."""

    def __init__(self, provider: Provider, now: datetime) -> None:
        self.provider, self.now = provider, now
        self.received = material.received(provider, now)
        self.rows = [came.row for came in self.received]
        self.flows = material.foreign(provider, now)
        self.written = [provider.codec.write(flow) for flow in self.flows]
        self.whole = material.whole(provider.rules, now)

    def ends(self, base_url: str, credentials: Mapping[str, str], rows: list[bytes]) -> Ends:
        recent = material.recent(self.provider.rules, self.now)
        return Ends(self.provider, base_url, credentials, rows, self.whole, recent)
