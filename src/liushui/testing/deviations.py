"""Doubles of services that deviate, and the invariant that a sync must keep with each of them.

    double = DeviatingProvider(provider, [DEVIATIONS["page-cap-50"]], MovableClock(NOW))
    with double.connected():
        ...  # clients of the provider reach the double; its clock is the system's

A double answers from known rows through the provider's own codec and server. It knows the truth, counts its calls, and
stops a client that makes too many. `check_deviations` runs the syncs that show a deviation, and returns what is wrong.
"""

import asyncio
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import httpx2

from liushui.flow import Flow
from liushui.http import Request, Response
from liushui.instant import from_us, to_iso, to_us
from liushui.ledger.coverage import Range, State, missing
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.flow_row import to_flow
from liushui.ledger.jobs.sources import Source
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.schema import flows, quarantine
from liushui.ledger.write.commit import make_account
from liushui.money import EXACT, to_plain_string
from liushui.provider import Key, Provider
from liushui.rules import RangeOnly
from liushui.simulate.faults.deviations import (
    DEVIATIONS,
    Deviation,
    Scenario,
    Service,
    deviations_of,
    is_marked,
    is_visible,
    seeded_pairs,
)
from liushui.simulate.faults.fault import Endless
from liushui.simulate.faults.profiles import Profile
from liushui.simulate.faults.row_lifecycle import row_versions_of
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World
from liushui.sync.events import SyncResult, SyncStatus
from liushui.sync.options import Environment, Options
from liushui.sync.plan import provable_range
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
    "DEVIATIONS",
    "DeviatingProvider",
    "Deviation",
    "Scenario",
    "TooManyCalls",
    "call_bound",
    "check_deviations",
    "deviations_of",
    "seeded_pairs",
]

ACCOUNT: Final = "account"
OTHER_ACCOUNT: Final = "other"
BEGIN: Final = datetime(2025, 11, 20, tzinfo=UTC)
END: Final = datetime(2025, 12, 30, tzinfo=UTC)
"""The rows of a double lie in [BEGIN, END)."""
NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The time of the first sync."""
ROWS: Final = 240
CROWDED_PAGE: Final = 40
"""Rows of a page, where a deviation needs more rows at one instant than a page holds."""
OPTIONS: Final = Options(attempts=2, leases=False)
"""How the syncs are made: few retries, and no leases, because they only save work."""
PAGE_CAPS: Final[Mapping[str, int]] = {"page-cap-50": 50, "page-cap-100": 100}
FIRST_CALLS: Final = 40
CALLS_A_PAGE: Final = 6
CALLS_OVER: Final = 4
"""A client is stopped after so many times the calls that it may make."""
LATER: Final = timedelta(days=9)
"""How long after the first sync of a wrong clock the clock is right again."""

Facts = tuple[int, str, str, str, str | None]
"""Time in microseconds, amount, currency, subaccount and record id of a flow: what no spelling may change."""


class TooManyCalls(BaseException):
    """A client makes calls without end. No Exception, so that no client takes it for a network error."""


class DeviatingProvider(DialectTransport):
    """A service that deviates, as a transport for its own client.

    `rows` are what the service has; by default they are generated. `provider` is the provider, perhaps with smaller
    pages. The service has a second account, with a key of its own.
    """

    def __init__(
        self, provider: Provider, deviations: Iterable[Deviation], clock: MovableClock, *, seed: int = 1
    ) -> None:
        self.deviations = tuple(deviations)
        self.has_crowd = any(deviation.needs_crowd for deviation in self.deviations)
        self.provider = _with_page_size(provider, CROWDED_PAGE) if self.has_crowd else provider
        self.clock = clock
        self.calls = 0
        """Calls since the last call of `count_from_here`."""
        self.calls_max = 0
        """The most calls that are answered. 0: any number."""
        self.service = Service(self.provider, self.deviations)
        self._reader = MemoryReader(clock)
        super().__init__({provider.name: self.provider}, self._reader)
        self.stored = self._store(ACCOUNT, seed)
        self.others = self._store(OTHER_ACCOUNT, seed + 1000)
        self.key = self._reader.create_key(self.provider, ACCOUNT)
        self.other_key = self._reader.create_key(self.provider, OTHER_ACCOUNT)

    # ------------------------------------------------------------ the truth

    @property
    def rows(self) -> list[bytes]:
        """The rows that a client must have read in the end, as the service would send them without deviations."""
        hides = any(deviation.hides_rows for deviation in self.deviations)
        return [row for row in self.stored if row not in self.bad_rows and (is_visible(row) or not hides)]

    @property
    def bad_rows(self) -> set[bytes]:
        """The rows that arrive corrupted. A client must have rejected each of them."""
        corrupts = any(deviation.corrupt is not None for deviation in self.deviations)
        return {row for row in self.stored if is_marked(row)} if corrupts else set()

    def facts(self, until: datetime | None = None) -> Counter[Facts]:
        """The facts of `rows`, of those before an instant where it is given."""
        decoded = (self.provider.codec.read(row).flow for row in self.rows)
        return Counter(facts_of(flow) for flow in decoded if until is None or flow.at < until)

    def other_facts(self) -> Counter[Facts]:
        """The facts of the other account's rows."""
        return Counter(facts_of(self.provider.codec.read(row).flow) for row in self.others)

    # ------------------------------------------------------------ the service

    def source(self, key: Key | None = None) -> Source:
        """The source of the account, or of any account with a key of its own."""
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
        """Inside, httpx2 clients reach the double, and the system's clock is the double's."""
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

    def _store(self, account: str, seed: int) -> list[bytes]:
        rows = generated_rows(self.provider, seed, has_crowd=self.has_crowd)
        for deviation in self.deviations:
            if deviation.change_stored is not None:
                rows = deviation.change_stored(rows, self.provider)
        self._reader.add_rows(account, self.provider, rows)
        return rows


def generated_rows(provider: Provider, seed: int, *, has_crowd: bool = False) -> list[bytes]:
    """About ROWS rows of an account, of which some are marked. `has_crowd`: one instant has more than a page."""
    world = World(Parameters(accounts=1, flows=ROWS, seed=seed, begin=BEGIN, end=END), institutions_of({"": provider}))
    happened = list(world.flows(world.accounts[0], BEGIN, END))
    if has_crowd:
        versions = row_versions_of(ACCOUNT, happened, provider=provider, profile=Profile(crowds=1), seed=seed)
        happened = [version.flow for version in versions]
    rows = [provider.codec.write(flow) for flow in happened]
    return [decoded.served or decoded.row for decoded in map(provider.codec.read, rows)]


def facts_of(flow: Flow) -> Facts:
    """What a flow states, whatever its row looks like."""
    amount = to_plain_string(flow.amount.normalize(EXACT))
    return to_us(flow.at), amount, flow.currency, flow.subaccount, flow.ref


def _with_page_size(provider: Provider, size: int) -> Provider:
    rules = provider.rules
    return replace(provider, rules=replace(rules, paging=replace(rules.paging, size_max=size)))


# ---------------------------------------------------------------- syncs


class SyncOutcome(NamedTuple):
    """How one sync ended. `stopped`: why the double had to stop it; empty where it ended by itself."""

    result: SyncResult | None
    stopped: str
    calls: int

    @property
    def said(self) -> str:
        """Everything that the sync says about what it did not do."""
        result = self.result
        return "" if result is None else "\n".join((*result.gaps, result.error, result.note, result.status.value))


def run_sync(double: DeviatingProvider, ledger: Ledger, source: Source, *, everything: bool = False) -> SyncOutcome:
    """Sync once in virtual time: waiting moves the double's clock. A sync that makes too many calls is stopped."""

    async def sleep(time: timedelta) -> None:
        double.clock.move(time)
        await asyncio.sleep(0)

    environment = Environment(sleep=sleep, random=Random(1), provider=lambda _name: double.provider)  # noqa: S311 # jitter
    options = replace(OPTIONS, everything=everything)
    double.count_from_here(CALLS_OVER * call_bound(double))
    try:
        with double.connected():
            (result,) = asyncio.run(sync_sources(ledger, [source], options, environment=environment))
    except (TooManyCalls, ReadWithoutBound) as error:
        return SyncOutcome(None, str(error), double.calls)
    return SyncOutcome(result, "", double.calls)


def call_bound(double: DeviatingProvider) -> int:
    """The most calls that one sync of a double may make, whatever it deviates in.

    It follows from rows and pages: FIRST_CALLS for the start, for slices that find their length and for failures that
    are tried again, and CALLS_A_PAGE for every page of rows and every longest range, in each part that has to be asked
    for separately. A page is read, looked behind, perhaps cut in half, and perhaps read again.
    """
    rules = double.provider.rules
    page = min([rules.paging.size_max, *(PAGE_CAPS.get(deviation.name, math.inf) for deviation in double.deviations)])
    pages = math.ceil(len(double.stored) / page)
    windows = math.ceil((NOW - BEGIN) / (rules.slice_max or timedelta(days=400)))
    parts = 1
    if isinstance(rules.paging, RangeOnly):
        parts = math.prod(len(rules.filter(name).values or ()) for name in rules.paging.partition_by)
    halvings = math.ceil(math.log2((NOW - BEGIN) / rules.resolution)) if double.has_crowd else 0
    return FIRST_CALLS + CALLS_A_PAGE * parts * (pages + windows) + 2 * parts * halvings


# ---------------------------------------------------------------- the invariant


def check_deviations(provider: Provider, deviations: Sequence[Deviation], folder: Path) -> list[str]:
    """Run the syncs that show the deviations, and return what breaks the invariant, as text.

    After each sync: it ended by itself, within `call_bound`. The ledger has no row that the service does not have, and
    none twice. Every row of the service is there, or the range is not complete, with a reason that names a deviation.
    Nothing is proven beyond the service's own clock. After the last sync of an outage, a wait or a corrected clock,
    every row is there and the range is complete.
    """
    check = _Check(DeviatingProvider(provider, deviations, MovableClock(NOW)), folder)
    scenarios = {deviation.scenario for deviation in deviations} - {Scenario.ALWAYS}
    for scenario in scenarios or {Scenario.ALWAYS}:
        check.run(scenario)
    check.close()
    return check.violations


class _Check:
    """The syncs of one double into one ledger, and the violations so far."""

    def __init__(self, double: DeviatingProvider, folder: Path) -> None:
        self.violations: list[str] = []
        self._double = double
        self._ledger = open_ledger(str(folder / "ledger.db"), create=True, clock=double.clock)
        make_account(self._ledger, ACCOUNT, double.provider.name, double.provider.rules.zone)
        self._reason = re.compile("|".join(deviation.reason for deviation in double.deviations), re.IGNORECASE)

    def close(self) -> None:
        self._ledger.close()

    def run(self, scenario: Scenario) -> None:
        """Make the syncs of a scenario, and check the ledger after each."""
        match scenario:
            case Scenario.ALWAYS:
                self._check_rows(self._sync("the first sync"), "the first sync")
                self._check_rows(self._sync("the second sync"), "the second sync")
            case Scenario.OUTAGE:
                self._run_outage()
            case Scenario.OTHER_ACCOUNT:
                self._run_other_account()
            case Scenario.CLOCK:
                self._run_clock()
            case Scenario.WAIT:
                self._run_wait()

    def _run_outage(self) -> None:
        service = self._double.service
        service.is_active = False
        self._sync("the sync before the outage")
        service.is_active = True
        self._check_rows(self._sync("the sync during the outage", everything=True), "the sync during the outage")
        service.is_active = False
        self._sync("the sync after the outage")
        self._check_complete("the sync after the outage")

    def _run_other_account(self) -> None:
        self._sync("the sync with the right credentials")
        outcome = self._sync("the sync with other credentials", source=self._double.source(self._double.other_key))
        got, own, others = self._facts(), self._double.facts(), self._double.other_facts()
        is_refused = outcome.result is not None and outcome.result.status is not SyncStatus.DONE
        if got == own and is_refused and self._reason.search(outcome.said):
            return
        if got != others:
            kept, came = (got & own).total(), (got & others).total()
            self._fail("the sync with other credentials", f"{kept} rows of the old account and {came} of the new one")

    def _run_clock(self) -> None:
        """The machine's clock is wrong, and so the service's differs. Later it is right, and time has passed."""
        double, offset = self._double, sum((one.clock_offset for one in self._double.deviations), timedelta())
        outcome = self._sync("the sync with a wrong clock")
        service_now = double.clock() + offset
        proven_until = max((known.until_us for known in self._proven()), default=0)
        if proven_until > to_us(service_now):
            self._fail(
                "the sync with a wrong clock", f"proves until {to_iso(from_us(proven_until))}, after the service's now"
            )
        self._check_rows(outcome, "the sync with a wrong clock", until=service_now)
        double.service.is_active = False
        double.clock.at = service_now + LATER
        self._sync("the sync with the right clock")
        self._check_complete("the sync with the right clock")

    def _run_wait(self) -> None:
        double = self._double
        wait = max(one.retry_after for one in double.deviations if one.retry_after is not None)
        available_at = double.clock() + wait
        outcome = self._sync("the sync that has to wait")
        token_calls = 1
        if outcome.calls > 1 + token_calls:
            self._fail("the sync that has to wait", f"makes {outcome.calls} calls")
        not_before = outcome.result.not_before if outcome.result else None
        if not_before is None or abs(not_before - available_at) > timedelta(seconds=2):
            self._fail("the sync that has to wait", f"is due again at {not_before}, and not at {available_at}")
        self._check_rows(outcome, "the sync that has to wait")
        double.clock.at = max(double.clock(), available_at) + timedelta(minutes=1)
        self._sync("the sync after the wait")
        self._check_complete("the sync after the wait")

    # ------------------------------------------------------------ one sync

    def _sync(self, name: str, *, everything: bool = False, source: Source | None = None) -> SyncOutcome:
        double = self._double
        outcome = run_sync(double, self._ledger, source or double.source(), everything=everything)
        if outcome.stopped:
            self._fail(name, f"did not end by itself: {outcome.stopped}")
        elif outcome.calls > call_bound(double):
            self._fail(name, f"made {outcome.calls} calls, where {call_bound(double)} are enough")
        return outcome

    def _check_rows(self, outcome: SyncOutcome, name: str, until: datetime | None = None) -> None:
        """No surplus row, and every row or a reason."""
        expected, got = self._double.facts(until), self._facts()
        surplus, lacking = (got - expected).total(), (expected - got).total()
        if surplus:
            self._fail(name, f"{surplus} rows are there that the service does not have, or are there too often")
        unkept = len(self._double.bad_rows) - self._rejected()
        if not lacking and unkept <= 0:
            return
        reason = self._reason.search("\n".join([outcome.said, *self._gap_reasons()]))
        if self._is_complete():
            self._fail(name, f"{lacking} rows and {unkept} bad ones are lacking, and the range is complete")
        elif reason is None and not outcome.stopped:
            self._fail(name, f"{lacking} rows and {unkept} bad ones are lacking, for another reason: {outcome.said!r}")

    def _check_complete(self, name: str) -> None:
        """Every row is there, and the range is complete."""
        expected, got = self._double.facts(), self._facts()
        if got != expected:
            lacking, surplus = (expected - got).total(), (got - expected).total()
            self._fail(name, f"{lacking} rows are lacking, {surplus} are too many")
        if not self._is_complete():
            self._fail(name, "the range is not complete")

    def _fail(self, name: str, what: str) -> None:
        self.violations.append(f"{name}: {what}")

    # ------------------------------------------------------------ the ledger

    def _facts(self) -> Counter[Facts]:
        with self._ledger.reading() as connection:
            return Counter(facts_of(to_flow(row)) for row in connection.execute(flows.select()))

    def _rejected(self) -> int:
        """The number of rejected rows that are still open."""
        with self._ledger.reading() as connection:
            query = quarantine.select().where(quarantine.c.ended_batch.is_(None))
            return len(connection.execute(query).all())

    def _proven(self) -> list[Range]:
        return [known for known in ranges_of(self._ledger, ACCOUNT) if known.state is State.PROVEN]

    def _gap_reasons(self) -> list[str]:
        return [known.reason for known in ranges_of(self._ledger, ACCOUNT) if known.state is State.OPEN]

    def _is_complete(self) -> bool:
        """Whether everything that can be proven now is proven."""
        whole = provable_range(self._double.provider.rules, since=BEGIN, now=self._double.clock())
        return whole is None or not missing(self._proven(), (to_us(whole.since), to_us(whole.until)))
