"""A worker: a process that syncs every account of a run in virtual time, and may be killed while it does."""

import asyncio
import gc
import os
import signal
import sqlite3
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, ParamSpec, TypeVar
from unittest.mock import patch

import httpx2

from liushui.http import Request
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs import workers
from liushui.ledger.maintenance import heads_file
from liushui.provider import FlowReader, Provider
from liushui.rules import WITHDRAWAL_BOUND, Cursor, PageNumber, Paging
from liushui.simulate.faults import deviation_hooks
from liushui.simulate.faults.fault import NO_DELAY, Fault, FaultKind, FaultSchedule
from liushui.simulate.faults.fault_schedule import SeededSchedule
from liushui.simulate.faults.faulty_dialects import Outages
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.simulate.random_draw import seeded_random
from liushui.sync.events import CallDelayed, CallRetried, Event, SyncResult, SyncStatus
from liushui.sync.options import Environment, Options
from liushui.sync.runner import sync_sources
from liushui.testing.clock import MovableClock
from liushui.testing.deviations import TooManyCalls
from liushui.testing.transport import FaultyTransport, clients_over, system_clock_is
from liushui.wire import transport as wire_transport
from soak.mutations import proving
from soak.observed_reader import ObservedReader
from soak.run_setup import RunSetup
from soak.scenario import KillPoint, Session, WorkerPlan
from soak.shared_state import TurnTaking

SLEEP_MIN: Final = timedelta(seconds=1)
"""Shorter sleeps last this long. A sync that checks again every few milliseconds would take real time."""
DONE: Final = "done"
"""A worker notes this with the account, and the microseconds at which its completed sync began and ended."""
REQUESTS_MAX: Final = 5_000
"""The most requests of a worker if services deviate: such syncs may never end."""
BODY_MAX: Final = 1 << 20
"""The largest body of an answer, instead of the 64 MiB of a real sync. Endless bodies would take a tenth of a soak.

The pages of these worlds have at most a tenth of this size.
"""
PASSES_MAX: Final = 6
PASSES_APART: Final = WITHDRAWAL_BOUND.agree_after + timedelta(hours=1)
"""Two reads with this distance in time may withdraw many rows. Before that, a sync leaves doubted ranges open."""

CALM_SESSION: Final = Session(
    after=NO_DELAY,
    wire="none",
    request_time=NO_DELAY,
    everything=True,
    leases=True,
    workers=(WorkerPlan(None, on_other_machine=False),),
)
"""A session without faults."""

P = ParamSpec("P")
T = TypeVar("T")


class WorkerId(NamedTuple):
    """The number of a session, and of a worker in it."""

    session: int
    number: int


class Worker:
    """Syncs every account of a run once, in a separate process."""

    def __init__(
        self,
        setup: RunSetup,
        session: Session,
        worker_id: WorkerId,
        *,
        turns: TurnTaking | None,
        without: str | None,
        log: Path,
    ) -> None:
        self._setup, self._session, self._id, self._turns, self._without = setup, session, worker_id, turns, without
        self._kill = session.workers[worker_id.number].kill
        self._seed = f"{setup.scenario.seed}/{worker_id.session}/{worker_id.number}"
        self._counts: Counter[KillPoint] = Counter()
        self._requests = 0
        self._keeps_turn = False
        self._noted_steps: set[str] = set()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def run(self) -> NoReturn:
        """Work and end the process. The exit code is 0, or 1 after an exception, with the traceback in the log."""
        code = 1
        try:
            if self._turns:
                self._turns.begin(self._id.number)
            gc.disable()  # the process does not live long
            self.work()
            code = 0
        except BaseException as error:
            self.note_exception(error)
        finally:
            os._exit(code)

    def work(self) -> None:
        """Sync every account once. In the calm session, repeat until nothing is new."""
        with self._patched_environment():
            if self._session is CALM_SESSION:
                self._sync_until_settled(self._setup.ledger)
            else:
                self._sync(self._setup.ledger, everything=self._session.everything)
            self._setup.ledger.close()

    def close(self) -> None:
        """Close the log, in a process that continues."""
        os.close(self._log)

    def note_exception(self, error: BaseException) -> None:
        """Note why the work failed."""
        self.note("raised: " + "".join(traceback.format_exception(error)).replace("\n", "\\n"))

    def note(self, event: str) -> None:
        """Record an event for the tally. It is written at once, because the process may be killed next."""
        os.write(self._log, event.encode() + b"\n")

    def _sync(self, ledger: Ledger, *, everything: bool) -> list[SyncResult]:
        setup = self._setup
        options = Options(everything=everything, leases=self._session.leases)
        environment = Environment(
            sleep=self._sleep,
            random=seeded_random("jitter", self._seed),
            provider=lambda name: setup.providers[name],
        )
        began_at = setup.clock()
        results = asyncio.run(sync_sources(ledger, setup.sources, options, self._note_event, environment))
        for result in results:
            self.note(f"ended: {result.status.value}")
            if result.status is SyncStatus.DONE:
                self.note(f"{DONE}: {to_us(began_at)} {to_us(setup.clock())} {result.account}")
        return results

    def _sync_until_settled(self, ledger: Ledger) -> None:
        """Sync everything. Then sync the open ranges until a sync leaves open only the ranges that the previous sync
        left open.

        A wait that a provider has requested ends before the next sync.
        """
        before: list[tuple[SyncStatus, list[str]]] | None = None
        for _ in range(PASSES_MAX):
            is_first_read = before is None or any(status is SyncStatus.WAITING for status, _ in before)
            results = self._sync(ledger, everything=is_first_read)
            left = [(result.status, result.gaps) for result in results]
            waits = [result.not_before - self._setup.clock() for result in results if result.not_before is not None]
            if (left == before and not waits) or all(status is SyncStatus.DONE for status, _ in left):
                return
            before = left
            self._setup.clock.move(max([PASSES_APART, *waits]))

    @contextmanager
    def _patched_environment(self) -> Iterator[None]:
        """In the block, HTTP, time, threads, leases and the proof are those of the session."""
        setup = self._setup
        profile = replace(PROFILES[self._session.wire], deviations=self._session.deviations)
        is_calm = self._session is CALM_SESSION
        reader = ObservedReader(
            setup.correct_reader if is_calm else setup.reader,
            setup.correct_reader,
            setup.rows_present,
            self.note,
            caps=self._caps(),
            random=seeded_random("empty pages", self._seed),
        )
        schedule = SeededSchedule(profile, seeded_random("faults of", self._seed).getrandbits(32))
        transport = _SlowTransport(
            setup.providers,
            reader,
            _ObservedSchedule(self, schedule),
            setup.clock,
            profile=profile,
            outages={name: provider.outage_responses for name, provider in setup.providers.items()},
            request_time=self._session.request_time,
        )
        with ExitStack() as stack:
            stack.enter_context(clients_over(transport))
            stack.enter_context(patch.object(wire_transport, "BODY_MAX", BODY_MAX))
            stack.enter_context(patch.object(deviation_hooks, "BOMB_BYTES", 2 * BODY_MAX))
            stack.enter_context(system_clock_is(setup.clock))
            if self._kill is None or self._kill.at is not KillPoint.PARENT:
                stack.enter_context(patch.object(asyncio, "to_thread", _without_thread))
            if self._session.workers[self._id.number].on_other_machine:
                stack.enter_context(patch.object(workers, "MACHINE", f"elsewhere-{self._id.session}"))
            stack.enter_context(proving(without=self._without, report=self._note_step))
            if self._turns:
                keeping = self._keeping_its_turn(heads_file.record_heads)
                stack.enter_context(patch.object(heads_file, "record_heads", keeping))
            if self._turns or (self._kill and self._kill.at in (KillPoint.STATEMENT, KillPoint.COMMIT)):
                stack.enter_context(patch.object(sqlite3, "connect", self._traced_connect(sqlite3.connect)))  # type: ignore[arg-type] # it has overloads
            yield

    def _caps(self) -> dict[str, int]:
        """Return the most rows of a page, by account. Accounts are included only if further pages lead to the other
        rows, and no total states their number."""
        cap = self._session.cap
        pagings = {source.account: self._setup.provider_of(source).rules.paging for source in self._setup.sources}
        return {account: cap for account, paging in pagings.items() if cap and _has_open_end(paging)}

    async def _sleep(self, time: timedelta) -> None:
        self._setup.clock.move(max(time, SLEEP_MIN))
        self._hand_over()
        await asyncio.sleep(0)

    def _note_event(self, event: Event) -> None:
        match event:
            case CallRetried():
                self.note("retried")
            case CallDelayed(_, _, reason):
                self.note(f"waited: {reason}")
            case _:
                pass

    def _note_step(self, step: str) -> None:
        """A step of the proof made a difference. It is recorded once for each worker."""
        if step not in self._noted_steps:
            self._noted_steps.add(step)
            self.note(f"step: {step}")

    # ------------------------------------------------------------ points at which it may be killed

    def count_request(self) -> None:
        """A request has arrived. Raises TooManyCalls if a service deviates and the sync does not end."""
        self._hand_over()
        self._requests += 1
        if self._session.deviations and self._requests > REQUESTS_MAX:
            raise TooManyCalls(f"a sync makes more than {REQUESTS_MAX} requests")
        self.note("request")
        self._count(KillPoint.REQUEST)

    def _traced_connect(self, connect: Callable[P, sqlite3.Connection]) -> Callable[P, sqlite3.Connection]:
        def traced(*args: P.args, **kwargs: P.kwargs) -> sqlite3.Connection:
            connection = connect(*args, **kwargs)
            connection.set_trace_callback(self._count_statement)
            return connection

        return traced

    def _count_statement(self, statement: str) -> None:
        if statement.startswith("BEGIN"):  # no lock is held yet
            self._hand_over()
        self._count(KillPoint.STATEMENT)
        if statement == "COMMIT":
            self._count(KillPoint.COMMIT)

    def _count(self, at: KillPoint) -> None:
        self._counts[at] += 1
        kill = self._kill
        if kill and kill.at is at and kill.number == self._counts[at]:
            os.kill(os.getpid(), signal.SIGKILL)

    def _hand_over(self) -> None:
        if self._turns and not self._keeps_turn:
            self._turns.hand_over(self._id.number)

    def _keeping_its_turn(self, function: Callable[P, T]) -> Callable[P, T]:
        """Return the function, wrapped so that the worker keeps its turn: the function reads the ledger while it holds
        the lock of a file."""

        def keeping(*args: P.args, **kwargs: P.kwargs) -> T:
            self._keeps_turn = True
            try:
                return function(*args, **kwargs)
            finally:
                self._keeps_turn = False

        return keeping


class _SlowTransport(FaultyTransport):
    """A transport whose requests take `request_time` of virtual time each."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        reader: FlowReader,
        schedule: FaultSchedule,
        clock: MovableClock,
        *,
        profile: Profile,
        outages: Outages,
        request_time: timedelta,
    ) -> None:
        super().__init__(providers, reader, schedule, clock, profile=profile, outages=outages)
        self._request_time = request_time

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await super().handle_async_request(request)
        finally:
            self._clock.move(self._request_time)


class _ObservedSchedule:
    """A FaultSchedule whose faults are noted."""

    def __init__(self, worker: Worker, schedule: FaultSchedule) -> None:
        self._worker, self._schedule = worker, schedule

    def next_fault(self, request: Request) -> Fault:
        self._worker.count_request()
        fault = self._schedule.next_fault(request)
        if fault.delay:
            self._worker.note("fault: latency")
        if fault.kind in (FaultKind.TOO_MANY, FaultKind.BANNED):
            whether = "without" if fault.retry_after_s is None else "with"
            self._worker.note(f"fault: {fault.kind.value}, {whether} Retry-After")
        elif fault.kind:
            self._worker.note(f"fault: {fault.kind.value}")
        return fault


def _has_open_end(paging: Paging) -> bool:
    """Whether a page may be short or empty although others follow. In pages by id, an empty page is the last one."""
    return isinstance(paging, Cursor) or (isinstance(paging, PageNumber) and not paging.has_total)


async def _without_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Replaces asyncio.to_thread, so that a run repeats itself exactly."""
    return function(*args, **kwargs)
