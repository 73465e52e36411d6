"""Doubles of services that deviate, and syncs from them in virtual time.

    double = DeviatingProvider(provider, [DEVIATIONS["page-cap-50"]], MovableClock(NOW))
    outcome = run_sync(double, ledger, double.source())
    assert outcome.calls <= call_bound(double)

A double answers from known rows through the provider's own codec and server. It knows the true rows, counts its calls,
and stops a client that makes too many. `liushui.testing.conformance.deviations` checks the result that a sync must
have.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, NamedTuple

import httpx2

from liushui.flow import Flow
from liushui.http import Request, Response
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import Source
from liushui.money import EXACT, to_plain_string
from liushui.provider import Codec, Key, PagedServer, Provider
from liushui.rules import IdKeyset, PageNumber, RangeOnly
from liushui.simulate.faults.deviating_service import Service
from liushui.simulate.faults.deviation import Deviation, Scenario, is_marked
from liushui.simulate.faults.deviations import DEVIATIONS, deviations_of, seeded_pairs
from liushui.simulate.faults.fault import Endless
from liushui.simulate.people import Institution, institutions_of
from liushui.simulate.world import Parameters, World
from liushui.sync.events import SyncResult
from liushui.sync.options import Environment, Options
from liushui.sync.runner import sync_sources
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from liushui.testing.transport import (
    HTTPS,
    DialectTransport,
    ReadWithoutBound,
    clients_over,
    system_clock_is,
)

__all__ = [
    "ACCOUNT",
    "BEGIN",
    "DEVIATIONS",
    "NOW",
    "DeviatingProvider",
    "Deviation",
    "Facts",
    "Scenario",
    "SyncOutcome",
    "TooManyCalls",
    "call_bound",
    "deviations_of",
    "facts_of",
    "generated_rows",
    "run_sync",
    "seeded_pairs",
    "with_small_pages",
]

ACCOUNT: Final = "account"
OTHER_ACCOUNT: Final = "other"
DAY: Final = timedelta(days=1)
BEGIN: Final = datetime(2025, 11, 20, tzinfo=UTC)
END: Final = datetime(2025, 12, 30, tzinfo=UTC)
"""The rows of a double lie in [BEGIN, END)."""
NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The time of the first sync."""
ROWS: Final = 240
CROWDED_PAGE: Final = 40
"""Rows of a page, if a deviation needs an instant with more rows than a page holds."""
OPTIONS: Final = Options(attempts=2, leases=False)
"""The options of the syncs: few retries, and no leases, because leases only save work."""
FIRST_CALLS: Final = 54
CALLS_A_PAGE: Final = 6
CALLS_OVER: Final = 4
"""A client is stopped after this multiple of its allowed calls."""

Facts = tuple[int, str, str, str, str | None]
"""Time in microseconds, amount, currency, subaccount and record id of a flow: facts that do not depend on spelling."""


class TooManyCalls(BaseException):
    """A client makes calls without end. Not a subclass of Exception, so that no client takes it for a network error."""


class DeviatingProvider(DialectTransport):
    """A service that deviates, as a transport for its own client.

    `rows` are the rows of its account; if it is None, some are generated. `provider` may be the provider with smaller
    pages. The service has a second account with its own key.
    """

    def __init__(
        self,
        provider: Provider,
        deviations: Iterable[Deviation],
        clock: MovableClock,
        *,
        rows: Sequence[bytes] | None = None,
        seed: int = 1,
    ) -> None:
        self.deviations = tuple(deviations)
        self.has_crowd = any(deviation.needs_crowd for deviation in self.deviations)
        self.provider = with_small_pages(provider, CROWDED_PAGE) if self.has_crowd else provider
        self.clock = clock
        self.calls = 0
        """The number of calls since the last `count_from_here`."""
        self.calls_max = 0
        """The most calls that are answered. 0: no limit."""
        self.service = Service(self.provider, self.deviations)
        self._reader = MemoryReader(clock)
        super().__init__({provider.name: self.provider}, self._reader)
        self.stored = self._store(ACCOUNT, self._generated(seed) if rows is None else rows)
        self.others = self._store(OTHER_ACCOUNT, self._generated(seed + 1000))
        self.key = self._reader.create_key(self.provider, ACCOUNT)
        self.other_key = self._reader.create_key(self.provider, OTHER_ACCOUNT)

    # ------------------------------------------------------------ the truth

    @property
    def rows(self) -> list[bytes]:
        """The rows that a client must have read in the end, as the service would send them without deviations."""
        filters = [deviation.hides for deviation in self.deviations if deviation.hides is not None]
        corrupts = any(deviation.corrupt is not None for deviation in self.deviations)
        good = [row for row in self.stored if not (corrupts and is_marked(row))]
        return [row for row in good if not any(is_hidden(row) for is_hidden in filters)]

    @property
    def bad_rows(self) -> set[bytes]:
        """The rows that a client must have rejected in the end, as they arrive."""
        hooks = [deviation.corrupt for deviation in self.deviations if deviation.corrupt is not None]
        return {corrupt(row, self.provider) for corrupt in hooks for row in self.stored if is_marked(row)}

    def facts(self, until: datetime | None = None) -> Counter[Facts]:
        """Return the facts of `rows`. With an instant, return only those of the rows before it."""
        decoded = (self.provider.codec.read(row).flow for row in self.rows)
        return Counter(facts_of(flow) for flow in decoded if until is None or flow.at < until)

    def other_facts(self) -> Counter[Facts]:
        """The facts of the other account's rows."""
        return Counter(facts_of(self.provider.codec.read(row).flow) for row in self.others)

    # ------------------------------------------------------------ the service

    def source(self, key: Key | None = None) -> Source:
        """Return the source of the account, with the credentials of `key`. By default, these are the account's own."""
        return Source(
            account=ACCOUNT,
            provider=self.provider.name,
            zone=self.provider.rules.zone,
            base_url=HTTPS,
            credentials=dict((key or self.key).credentials),
            since=BEGIN - timedelta(days=1),
            paced=False,
        )

    @contextmanager
    def connected(self) -> Iterator[None]:
        """In the block, httpx2 clients reach the double, and the system's clock is the double's."""
        with clients_over(self), system_clock_is(self.clock):
            yield

    def count_from_here(self, calls_max: int) -> None:
        """Count calls from 0, and stop a client that makes more than `calls_max`."""
        self.calls, self.calls_max = 0, calls_max

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        if self.calls_max and self.calls > self.calls_max:
            raise TooManyCalls(f"a client makes more than {self.calls_max} calls")
        return await super().handle_async_request(request)

    def answer(self, provider: Provider, request: Request) -> Response | Endless:
        del provider  # there is only one
        return self.service.answer(request, self._reader)

    def _generated(self, seed: int) -> list[bytes]:
        return generated_rows(self.provider, seed, has_crowd=self.has_crowd)

    def _store(self, account: str, rows: Sequence[bytes]) -> list[bytes]:
        rows = list(rows)
        for deviation in self.deviations:
            if deviation.change_stored is not None:
                rows = deviation.change_stored(rows, self.provider)
        self._reader.add_rows(account, self.provider, rows)
        return rows


def generated_rows(provider: Provider, seed: int, *, count: int = ROWS, has_crowd: bool = False) -> list[bytes]:
    """Generate about `count` rows of an account, some of them marked, with rows at both ends of every day.

    `has_crowd`: the rows of one kind share an instant. They are more than CROWDED_PAGE.
    """
    institutions = institutions_of({"": provider})
    step = provider.rules.resolution
    key = id(provider.codec), step, institutions, seed, count, has_crowd
    if key not in _generated:
        _generated[key] = provider.codec, _generate(provider.codec, step, institutions, seed, count, has_crowd)
    return list(_generated[key][1])


_generated: dict[object, tuple[Codec, list[bytes]]] = {}
"""Rows that were generated before, because most doubles of a provider have the same rows. The codec is stored with
them, so that its id is not reused for another codec."""


def _generate(
    codec: Codec, step: timedelta, institutions: tuple[Institution, ...], seed: int, count: int, has_crowd: bool
) -> list[bytes]:
    world = World(Parameters(accounts=1, flows=count, seed=seed, begin=BEGIN, end=END), institutions)
    happened = list(world.flows(world.accounts[0], BEGIN, END))
    for number in range((END - BEGIN) // DAY):
        midnight = BEGIN + number * DAY
        for index, at in ((2 * number, midnight), (2 * number + 1, midnight + DAY - step)):
            happened[index] = happened[index]._replace(at=at)
    if has_crowd:
        (crowded, _), *_ = Counter((flow.subaccount, flow.kind) for flow in happened).most_common(1)
        at = max(flow.at for flow in happened)
        happened = [flow._replace(at=at) if (flow.subaccount, flow.kind) == crowded else flow for flow in happened]
    rows = [codec.write(flow) for flow in happened]
    return [decoded.served or decoded.row for decoded in map(codec.read, rows)]


def facts_of(flow: Flow) -> Facts:
    """Return the facts of a flow, independent of the form of its row."""
    amount = to_plain_string(flow.amount.normalize(EXACT))
    return to_us(flow.at), amount, flow.currency, flow.subaccount, flow.ref


def with_small_pages(provider: Provider, size_max: int | None = None) -> Provider:
    """Return the provider with pages of at most `size_max` rows (None: unchanged). If it has a smallest size, that
    becomes a few rows."""
    rules, server = provider.rules, provider.server
    paging = rules.paging if size_max is None else replace(rules.paging, size_max=size_max)
    if isinstance(paging, PageNumber):
        paging = replace(paging, size_min=1)
    if isinstance(server, PagedServer):
        server = server.with_paging(paging)
    return replace(provider, rules=replace(rules, paging=paging), server=server)


# ---------------------------------------------------------------- syncs


class SyncOutcome(NamedTuple):
    """How one sync ended. `stopped` is the reason why the double had to stop it; empty if it ended by itself."""

    result: SyncResult | None
    stopped: str
    calls: int

    @property
    def said(self) -> str:
        """All messages of the sync about work that it did not do."""
        result = self.result
        return "" if result is None else "\n".join((*result.gaps, result.error, result.note, result.status.value))


def run_sync(
    double: DeviatingProvider,
    ledger: Ledger,
    source: Source,
    *,
    everything: bool = False,
    calls_max: int | None = None,
) -> SyncOutcome:
    """Sync once in virtual time: waiting moves the double's clock.

    The sync is stopped if it makes more than `calls_max` calls. None means CALLS_OVER times `call_bound`.
    """

    async def sleep(time: timedelta) -> None:
        double.clock.move(time)
        await asyncio.sleep(0)

    environment = Environment(sleep=sleep, random=Random(1), provider=lambda _name: double.provider)  # noqa: S311 # jitter
    options = replace(OPTIONS, everything=everything)
    double.count_from_here(calls_max or CALLS_OVER * call_bound(double))
    try:
        with double.connected():
            (result,) = asyncio.run(sync_sources(ledger, [source], options, environment=environment))
    except (TooManyCalls, ReadWithoutBound) as error:
        return SyncOutcome(None, str(error), double.calls)
    return SyncOutcome(result, "", double.calls)


def call_bound(double: DeviatingProvider) -> int:
    """Return the most calls that one sync of a double may make, for any deviations.

    It is computed from rows and pages. FIRST_CALLS covers the start, the search for the slice length, and repeated
    failures. CALLS_A_PAGE covers every page of rows and every longest range, in each part that is requested separately.
    A page is read, checked beyond its end, and may be halved and read again.
    Around a crowded instant, slices are halved until they fit, and grow again; the end of each may be requested alone.
    """
    rules = double.provider.rules
    caps = [one.page_cap or one.page_min for one in double.deviations]
    page = min([rules.paging.size_max, *(cap for cap in caps if cap)])
    pages = -(-len(double.stored) // page)
    lengths = [one.range_max for one in double.deviations if one.range_max is not None]
    windows = -((BEGIN - NOW) // min([rules.slice_max or timedelta(days=400), *lengths]))
    parts = 1
    if isinstance(rules.paging, RangeOnly):
        parts = math.prod(len(rules.filter(name).values or ("",)) for name in rules.paging.partition_by)
    halvings = ((NOW - BEGIN) // rules.resolution).bit_length() if double.has_crowd else 0
    # Only an empty page shows that the page before it was the last one.
    calls_a_page = CALLS_A_PAGE + isinstance(rules.paging, IdKeyset | PageNumber)
    return FIRST_CALLS + calls_a_page * parts * (pages + windows) + 3 * parts * halvings
