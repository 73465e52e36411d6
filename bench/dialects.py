"""dialects: 50-row pages a second of each provider's own wire API, from one ledger that has an account of each of them.

Each account is read in its own dialect, with requests of its own client. A provider that sends documents in place of
pages is measured in bytes, against nginx with the same bytes.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import patch

import httpx2

from bench.context import PROVIDERS, SEED, BenchContext, recent_days
from bench.load import Generator, Request, fetch
from bench.peers.nginx import static_pages
from bench.process import LIUSHUI, BenchError, Server, run, serving
from bench.programs import find_program
from bench.results import Measurement, Ratio, Series
from bench.serve import CONNECTIONS, WORKERS, load_generator
from liushui.instant import from_us
from liushui.ledger.access.keys import create_key
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.provider import PageRequest, Provider, Slice
from liushui.providers import get_provider
from liushui.rules import DayDocument, PageNumber
from liushui.testing.processes import free_port, simulating

ROWS: Final = 50
PAGES: Final = 200
FLOWS_MAX: Final = 20_000
"""Flows of each account, at most. More would not change the cost of a page, and would take long to sync in small
pages."""
FLOWS_MIN: Final = 10_000
"""Flows of each account, at least. With fewer, 31 days of the quietest account have no full page."""
BAR: Final = 0.5
BAR_DOCUMENTS: Final = 0.3
TIES: Final = 1.1
"""A page of a provider whose pages cannot be small may have this many times ROWS, because of rows of one instant."""
WHAT: Final = f"{ROWS}-row pages, {CONNECTIONS} connections"


class Account(NamedTuple):
    """An account in the ledger, and a key for it in its own dialect."""

    name: str
    provider: Provider
    credentials: Mapping[str, str]
    slices: Sequence[Slice]

    @property
    def has_documents(self) -> bool:
        """Whether the provider sends documents in place of pages."""
        return isinstance(self.provider.rules.paging, DayDocument)

    @property
    def size(self) -> int:
        """The number of rows to ask for: ROWS, or the least that the provider allows."""
        return max(ROWS, _least_page(self.provider))


def measure(context: BenchContext) -> Measurement:
    """Pages a second of each dialect, in turn, once per round. Then bytes a second of those that send documents."""
    measurement = Measurement("dialects")
    load = load_generator(context, measurement)
    if context.options.flows < FLOWS_MIN:
        measurement.notes.append(f"dialects: under {FLOWS_MIN:,} flows not every provider has a page of {ROWS} rows")
    ledger = context.folder / "dialects.db"
    every = list(_collected(context, ledger))
    accounts = [account for account in every if not account.has_documents]
    rates: dict[str, list[float]] = {account.provider.name: [] for account in accounts}
    with _served(context, ledger) as server:
        for number in range(context.options.rounds):
            context.log(f"dialects, round {number + 1}")
            for account in accounts:
                # Made now: a signature is good for a minute or less.
                requests = asyncio.run(_requests(server, account))
                found = load.run(server, requests, connections=CONNECTIONS, seconds=context.options.seconds)
                rates[account.provider.name].append(found.rate)
        documents = [
            ratio
            for account in every
            if account.has_documents and (ratio := _documents(context, measurement, load, server, account)) is not None
        ]
    series = [Series(WHAT, name, "pages/s", values) for name, values in rates.items()]
    fastest = max(series, key=lambda one: one.median)
    measurement.ratios += [
        Ratio(f"{one.who} ÷ the fastest, {fastest.who}", one, fastest, BAR, "at least")
        for one in series
        if one != fastest
    ]
    measurement.ratios += documents
    measurement.figures += [fastest]
    measurement.notes.append(
        f"dialects: {PAGES} requests made by the provider's own client, over random ranges of an account with "
        f"{min(FLOWS_MAX, context.options.flows):,} flows. Each was checked once to return rows"
    )
    return measurement


def _collected(context: BenchContext, path: Path) -> Iterator[Account]:
    """Return one account of each of PROVIDERS, with a key, synced from a simulator into one ledger."""
    flows = min(FLOWS_MAX, context.options.flows)
    ledger = open_ledger(str(path), create=True)
    begin, end = recent_days()
    with simulating(flows=flows, seed=SEED, providers=PROVIDERS, begin=begin.date(), end=end.date()) as simulator:
        for account in simulator.accounts:
            provider = get_provider(account.provider)
            make_account(ledger, account.name, provider.name, provider.rules.zone)
            add_source(
                ledger,
                account=account.name,
                base_url=simulator.base_url,
                credentials=account.credentials,
                since=begin,
                paced=False,
            )
        context.log(f"collecting {len(simulator.accounts)} accounts of {flows:,} flows, one of each provider")
        run([*LIUSHUI, "--ledger", str(path), "--format", "json", "sync"])
    for account in simulator.accounts:
        provider = get_provider(account.provider)
        credentials = create_key(ledger, provider, [account.name], paced=False)
        yield Account(account.name, provider, credentials, _slices(ledger, account.name, provider))
    ledger.close()


def _slices(ledger: Ledger, account: str, provider: Provider) -> list[Slice]:
    """Ranges anywhere in the account, of a few pages each, no longer than one request allows. If the provider's pages
    cannot be small, they have ROWS rows."""
    times = [row[0] for row in ledger.raw_connection().execute(_TIMES, (account,)).fetchall()]
    longest = provider.rules.slice_max or timedelta.max
    choose = random.Random(SEED)
    rows = min(ROWS if _least_page(provider) > ROWS else 4 * ROWS, len(times) - 1)
    slices = []
    for _ in range(PAGES):
        first = choose.randrange(len(times) - rows)
        since, until = from_us(times[first]), from_us(times[first + rows])
        slices.append(Slice(since, since + min(until - since, longest)))
    return slices


def _least_page(provider: Provider) -> int:
    paging = provider.rules.paging
    return paging.size_min if isinstance(paging, PageNumber) else 1


def _documents(
    context: BenchContext, measurement: Measurement, load: Generator, server: Server, account: Account
) -> Ratio | None:
    """Bytes a second of a provider's documents, in turn with nginx, which has the same bytes as files."""
    nginx = find_program("nginx", install=context.options.install, log=context.log)
    if nginx is None:
        measurement.notes.append("dialects: nginx is not here: documents were not measured")
        return None
    bodies = fetch(server, asyncio.run(_requests(server, account)))
    size = sum(map(len, bodies)) / len(bodies)
    found: dict[str, list[float]] = {account.provider.name: [], "nginx, static": []}
    with static_pages(nginx, context.folder / "documents", bodies) as (static, files):
        for number in range(context.options.rounds):
            context.log(f"documents of {account.provider.name}, round {number + 1}")
            requests = asyncio.run(_requests(server, account))
            for who, (peer, asked) in zip(found, ((server, requests), (static, files)), strict=True):
                done = load.run(peer, asked, connections=CONNECTIONS, seconds=context.options.seconds)
                found[who].append(done.rate * size / 2**20)
    what = f"documents of a day, {CONNECTIONS} connections"
    ours, theirs = (Series(what, who, "MiB/s", values) for who, values in found.items())
    measurement.notes.append(f"dialects: a document of {account.provider.name} has {size:,.0f} bytes on average")
    return Ratio(f"{account.provider.name} ÷ nginx, static", ours, theirs, BAR_DOCUMENTS, "at least")


@contextmanager
def _served(context: BenchContext, ledger: Path) -> Iterator[Server]:
    port = free_port()
    command = [*LIUSHUI, "--ledger", str(ledger), "serve", "--workers", str(WORKERS), "--port", str(port)]
    log = context.folder / "dialects.log"
    with serving([*command, "--socket-port", str(free_port())], port=port, log=log) as server:
        yield server


class _Recording(httpx2.AsyncBaseTransport):
    """Forwards requests, and keeps the last one."""

    def __init__(self) -> None:
        self._inner = httpx2.AsyncHTTPTransport()
        self.last: Request | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN_HEADERS}
        target = request.url.raw_path.decode()
        self.last = Request(target, headers, request.method, body.decode())
        return await self._inner.handle_async_request(request)


async def _requests(server: Server, account: Account) -> list[Request]:
    """The client's requests for the fullest pages. These have about ROWS rows, if any page has that many. Of documents:
    for all that have rows."""
    transport = _Recording()
    real = httpx2.AsyncClient
    with patch.object(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": transport})):
        client = account.provider.connect(base_url=server.url, credentials=account.credentials, rate=None, timeout_s=30)
    requests: dict[int, list[Request]] = {}
    for asked in account.slices:
        page = await client.fetch_page(PageRequest(asked, account.size))
        if transport.last is not None:
            requests.setdefault(len(page.rows), []).append(transport.last)
    await client.close()
    most = max(requests)
    if not most:
        raise BenchError(f"{account.name}: no range of it has a row")
    if account.has_documents:
        return [one for rows, found in requests.items() if rows for one in found]
    fits = [rows for rows in requests if ROWS <= rows <= TIES * ROWS] or [most]
    return [one for rows in fits for one in requests[rows]]


_OWN_HEADERS: Final = frozenset({"host", "connection", "content-length", "accept-encoding", "user-agent", "accept"})
"""Headers that the load generator sets itself, or that none of these servers reads."""
_TIMES: Final = "SELECT at_us FROM flows WHERE account = ? ORDER BY at_us"
