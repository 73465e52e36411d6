"""Both ends of a provider over the same rows: connected in memory, or through `liushui serve` in another process."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final, TypeVar

import httpx2
import pytest

from liushui.errors import ProviderError, WireError
from liushui.flow import Flow
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import open_ledger
from liushui.ledger.flow_row import flow_id, served_identity
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import NO_VALUES, Client, DecodedRow, FlowReader, Key, Page, PageRequest, Provider, Slice
from liushui.providers import load_providers
from liushui.sync.fetch import fetch_slice
from liushui.sync.question import SliceTooLarge
from liushui.testing.clock import MovableClock
from liushui.testing.conformance import sample_rows
from liushui.testing.conformance.assertions import ensure
from liushui.testing.processes import serving
from liushui.testing.reader import MemoryLimits, MemoryReader
from liushui.testing.transport import HTTPS, DialectTransport, clients_over

ACCOUNT: Final = "ours"
"""An account with rows from the provider."""
FOREIGN: Final = "elsewhere"
"""An account with flows from elsewhere. The provider's codec writes them."""
PAGES_MAX: Final = 1_000
TIMEOUT_S: Final = 30

T = TypeVar("T")


class OffsetClock:
    """The machine's clock plus `offset`. It does not stand still, because clients stamp their requests with the real
    time."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


@dataclass(frozen=True)
class Endpoint:
    """A server for a client, and the rows that the client must read there."""

    provider: Provider
    base_url: str
    credentials: Mapping[str, str]
    rows: list[bytes]
    whole: Slice
    """All rows that can be read."""
    recent: Slice
    """The newest part of them, with every invented row, short enough for one request."""
    _times: dict[bytes, datetime] = field(default_factory=dict, repr=False)
    """The time in a row, for rows that were decoded already."""

    def run(
        self,
        use: Callable[[Client], Awaitable[T]],
        *,
        base_url: str = "",
        credentials: Mapping[str, str] = NO_VALUES,
    ) -> T:
        """Open a client. `credentials` replace fields of the right ones."""

        async def run() -> T:
            async with self.client(base_url, credentials) as client:
                return await use(client)

        return asyncio.run(run())

    @asynccontextmanager
    async def client(self, base_url: str = "", credentials: Mapping[str, str] = NO_VALUES) -> AsyncIterator[Client]:
        """Return a client that does not wait between calls."""
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

    def within(self, part: Slice) -> list[bytes]:
        """The rows in a slice."""
        return [row for row in self.rows if part.since <= self.at(row) < part.until]

    def at(self, row: bytes) -> datetime:
        """Return the time that a row states."""
        if row not in self._times:
            self._times[row] = self.provider.codec.read(row).flow.at
        return self._times[row]

    def at_least(self, size: int) -> int:
        """Return a page size of this many rows, or the smallest allowed one."""
        return max(size, self.provider.rules.size_min)

    @property
    def size_max(self) -> int:
        """The most rows of a page."""
        return self.provider.rules.paging.size_max

    @property
    def rows_per_instant_max(self) -> int:
        """The most rows that share an instant."""
        return Counter(self.at(row) for row in self.rows).most_common(1)[0][1]


async def fetch_pages(client: Client, part: Slice, size: int, params: Mapping[str, str] = NO_VALUES) -> list[Page]:
    """Return every page of a slice."""
    pages = [await client.fetch_page(PageRequest(part, size, params=params))]
    while (token := pages[-1].next_token) is not None:
        ensure(len(pages) < PAGES_MAX, f"none of {PAGES_MAX} pages was the last one")
        pages.append(await client.fetch_page(PageRequest(part, size, page_token=token, params=params)))
    for page in pages:
        ensure(len(page.rows) <= size, f"a page has {len(page.rows)} rows where {size} were asked for")
    return pages


async def fetch_rows(client: Client, part: Slice, size: int, params: Mapping[str, str] = NO_VALUES) -> list[bytes]:
    """The rows of every page of a slice."""
    return [row for page in await fetch_pages(client, part, size, params) for row in page.rows]


async def fetch_range(client: Client, provider: Provider, whole: Slice, size: int) -> list[bytes]:
    """Return every row of a range of any length as a sync reads it: in slices, halved until each fits one page."""
    rules = provider.rules
    step = rules.resolution
    rows: list[bytes] = []
    todo = [whole]
    while todo:
        since, until = todo.pop()
        end = min(until, since + (rules.slice_max or until - since))
        if end < until:
            todo.append(Slice(end, until))
        part = Slice(since, end)
        try:
            rows += await fetch_slice(client, part, rules, size, can_split=end - since > step)
        except SliceTooLarge:
            middle = since + (end - since) // step // 2 * step
            todo += [Slice(middle, end), Slice(since, middle)]
    return rows


# ---------------------------------------------------------------- in memory


class InterceptingTransport(DialectTransport):
    """Connects a client to its server, and can replace the server's answers."""

    answer_instead: Callable[[httpx2.Request], httpx2.Response] | None = None
    """Answers every request instead of the server."""
    rows_body: bytes | None = None
    """Replaces the body of each answer with rows."""

    def __init__(self, provider: Provider, reader: FlowReader) -> None:
        super().__init__({**load_providers(), provider.name: provider}, reader)
        self._provider = provider

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.answer_instead is not None:
            return self.answer_instead(request)
        answer = await super().handle_async_request(request)
        if self.rows_body is None or not has_rows(self._provider, answer.content):
            return answer
        return httpx2.Response(answer.status_code, content=self.rows_body, request=request)


def has_rows(provider: Provider, answer: bytes) -> bool:
    """Whether an answer is a page with rows. If an empty list may be absent, an answer without rows looks like a token
    answer."""
    try:
        return bool(list(provider.codec.extract_rows(answer)))
    except (WireError, ProviderError):
        return False


class MemoryPair:
    """Both ends in memory. Checks may change the server's clock, keys and rows."""

    def __init__(self, provider: Provider) -> None:
        self.clock = OffsetClock()
        self.calls_clock = MovableClock()
        """The clock of the rate limits. It stands still until a test moves it."""
        self.limits = MemoryLimits(self.calls_clock)
        self.reader = MemoryReader(self.clock)
        self.key = self.reader.create_key(provider, ACCOUNT, FOREIGN)
        self.transport = InterceptingTransport(provider, self.reader)
        samples = _Samples(provider, self.clock())
        self.reader.add_rows(ACCOUNT, provider, samples.rows)
        self.reader.add_flows(FOREIGN, samples.flows)
        self.endpoint = samples.endpoint(HTTPS, self.key.credentials, samples.rows + samples.written)

    def run(self, use: Callable[[Client], Awaitable[T]], *, key: Key | None = None) -> T:
        """Open a client with the credentials of a key. The default is the key that reads everything."""
        return self.endpoint.run(use, credentials=(key or self.key).credentials)


# ---------------------------------------------------------------- in two processes


@dataclass(frozen=True)
class ServedLedger:
    """A ledger that another process serves."""

    received: Endpoint
    """The access to the account of rows that came from the provider."""
    foreign: Endpoint
    """The access to the account of flows that came from elsewhere."""


@contextmanager
def served(provider: Provider, folder: Path) -> Iterator[ServedLedger]:
    """Create a ledger in a folder, and serve it until the block ends. The provider has to be installed."""
    samples, path = _Samples(provider, datetime.now(UTC)), folder / "ledger.db"
    ledger = open_ledger(str(path), create=True)
    try:
        foreign = [DecodedRow(flow, b"{}", None) for flow in samples.flows]
        keys = {}
        for account, source, rows in (
            (ACCOUNT, provider.name, samples.received),
            (FOREIGN, f"other-than-{provider.name}", foreign),
        ):
            make_account(ledger, account, source, provider.rules.zone)
            commit_slice(ledger, account, samples.whole, read_at=samples.now, received=rows)
            keys[account] = create_key(ledger, provider, [account], paced=False)
    finally:
        ledger.close()
    with serving(path) as running:
        yield ServedLedger(
            received=samples.endpoint(running.url, keys[ACCOUNT], samples.rows),
            foreign=samples.endpoint(running.url, keys[FOREIGN], samples.written),
        )


class _Samples:
    """The rows and flows of both ends, made for an instant."""

    def __init__(self, provider: Provider, now: datetime) -> None:
        self.provider, self.now = provider, now
        self.received = sample_rows.provider_rows(provider, now)
        self.rows = [decoded.row for decoded in self.received]
        self.flows = sample_rows.foreign_flows(provider, now)
        self.written = list(_written(provider, self.flows))
        self.whole = sample_rows.whole_range(provider.rules, now)

    def endpoint(self, base_url: str, credentials: Mapping[str, str], rows: list[bytes]) -> Endpoint:
        recent = sample_rows.recent_range(self.provider.rules, self.now)
        return Endpoint(self.provider, base_url, credentials, rows, self.whole, recent)


def _written(provider: Provider, flows: list[Flow]) -> Iterator[bytes]:
    """Return the rows that the provider's server makes from the foreign account's flows."""
    copies: Counter[str] = Counter()
    for flow in flows:
        id_ = flow_id(flow.identity, copies[flow.identity])
        copies[flow.identity] += 1
        yield provider.codec.write(flow._replace(identity=served_identity(FOREIGN, id_)))


# ---------------------------------------------------------------- fixtures


class Checks:
    """A group of checks of one provider. Its fixtures connect both ends in three ways."""

    provider: ClassVar[Provider]

    @pytest.fixture
    def memory(self) -> Iterator[MemoryPair]:
        """Both ends in memory."""
        memory = MemoryPair(self.provider)
        with clients_over(memory.transport):
            yield memory

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLedger]:
        """A real ledger behind a real port."""
        with served(cls.provider, tmp_path_factory.mktemp(cls.provider.name)) as ledger:
            yield ledger

    @pytest.fixture(params=["memory", "received", "foreign"])
    def endpoint(self, request: pytest.FixtureRequest) -> Endpoint:
        """Each endpoint in turn: in memory, and behind a port for each of the two accounts."""
        if request.param == "memory":
            memory: MemoryPair = request.getfixturevalue("memory")
            return memory.endpoint
        ledger: ServedLedger = request.getfixturevalue("served")
        return ledger.received if request.param == "received" else ledger.foreign
