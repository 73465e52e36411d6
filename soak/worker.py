"""A worker: a process that syncs every account of a run in virtual time, and may be killed on its way."""

import asyncio
import gc
import os
import signal
import sqlite3
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, ParamSpec, TypeVar
from unittest.mock import patch

import httpx2

from liushui.http import Request
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs import leases
from liushui.provider import FlowReader, Provider
from liushui.rules import Cursor, PageNumber, Paging
from liushui.simulate.faults.fault import NO_DELAY, Fault, FaultKind, FaultSchedule
from liushui.simulate.faults.fault_schedule import SeededSchedule
from liushui.simulate.faults.faulty_dialects import Outages
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.simulate.random_draw import seeded_random
from liushui.sync.events import CallDelayed, CallRetried, Event, SyncResult, SyncStatus
from liushui.sync.options import Environment, Options
from liushui.sync.runner import sync_sources
from liushui.testing.clock import MovableClock
from liushui.testing.transport import FaultyTransport, clients_over, system_clock_is
from soak.mutations import proving
from soak.script import KilledAt, Session, Worker
from soak.stage import Stage
from soak.turns import Turns
from soak.watched import WatchedReader

SLEEP_MIN: Final = timedelta(seconds=1)
"""Who sleeps for less wakes up late: looking again every few milliseconds would take real time."""
DONE: Final = "done"
"""A worker notes so that its sync of an account, which began and ended at some microseconds, is done."""
PASSES_MAX: Final = 6
PASSES_APART: Final = timedelta(hours=1)

CALM: Final = Session(
    after=NO_DELAY, wire="none", step=NO_DELAY, everything=True, leases=True, workers=(Worker(None, elsewhere=False),)
)
"""A session in which nothing goes wrong any more."""

P = ParamSpec("P")
T = TypeVar("T")


class Place(NamedTuple):
    """A worker's place: the number of its session, and its own in that."""

    session: int
    number: int


class Work:
    """What one worker does, in a process of its own."""

    def __init__(
        self, stage: Stage, session: Session, place: Place, *, turns: Turns | None, without: str | None, log: Path
    ) -> None:
        self._stage, self._session, self._place, self._turns, self._without = stage, session, place, turns, without
        self._kill = session.workers[place.number].kill
        self._seed = f"{stage.script.seed}/{place.session}/{place.number}"
        self._counts: Counter[KilledAt] = Counter()
        self._decisions: set[str] = set()
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def run(self) -> NoReturn:
        """Do it, and end the process: with 0, or, where it fell over, with 1 and the reason in the log."""
        code = 1
        try:
            if self._turns:
                self._turns.begin(self._place.number)
            gc.disable()  # it does not live for long
            self.work()
            code = 0
        except BaseException as error:
            self.fell_over(error)
        finally:
            os._exit(code)

    def work(self) -> None:
        """Sync every account: once, or, where nothing goes wrong any more, until nothing is new."""
        with self._world():
            if self._session is CALM:
                self._settle(self._stage.ledger)
            else:
                self._sync(self._stage.ledger, everything=self._session.everything)
            self._stage.ledger.close()

    def close(self) -> None:
        """Let the log go, in a process that goes on."""
        os.close(self._log)

    def fell_over(self, error: BaseException) -> None:
        """Note the reason why it could not be done."""
        self.note("fell over: " + "".join(traceback.format_exception(error)).replace("\n", "\\n"))

    def note(self, what: str) -> None:
        """Have something counted, whatever becomes of this process."""
        os.write(self._log, what.encode() + b"\n")

    def _sync(self, ledger: Ledger, *, everything: bool) -> list[SyncResult]:
        stage = self._stage
        options = Options(everything=everything, leases=self._session.leases)
        environment = Environment(
            sleep=self._sleep, random=seeded_random("jitter", self._seed), provider=lambda name: stage.providers[name]
        )
        began_at = stage.clock()
        results = asyncio.run(sync_sources(ledger, stage.sources, options, self._told, environment))
        for result in results:
            self.note(f"ended: {result.status.value}")
            if result.status is SyncStatus.DONE:
                self.note(f"{DONE}: {to_us(began_at)} {to_us(stage.clock())} {result.account}")
        return results

    def _settle(self, ledger: Ledger) -> None:
        """Sync everything, and then what is open, until a sync leaves nothing open that could be proven."""
        before = None
        for number in range(PASSES_MAX):
            results = self._sync(ledger, everything=not number)
            left = [(result.status, result.gaps) for result in results]
            if left == before or all(status is SyncStatus.DONE for status, _ in left):
                return
            before = left
            self._stage.clock.move(PASSES_APART)

    @contextmanager
    def _world(self) -> Iterator[None]:
        stage, profile = self._stage, PROFILES[self._session.wire]
        calm = self._session is CALM
        reader = WatchedReader(
            stage.honest if calm else stage.reader,
            stage.honest,
            stage.lives,
            self.note,
            caps=self._caps(),
            random=seeded_random("empty pages", self._seed),
        )
        transport = _SlowTransport(
            stage.providers,
            reader,
            _Watched(self, SeededSchedule(profile, self._number())),
            stage.clock,
            profile=profile,
            outages={name: provider.outage_responses for name, provider in stage.providers.items()},
            step=self._session.step,
        )
        with ExitStack() as stack:
            stack.enter_context(clients_over(transport))
            stack.enter_context(system_clock_is(stage.clock))
            if self._kill is None or self._kill.at is not KilledAt.PARENT:
                stack.enter_context(patch.object(asyncio, "to_thread", _at_once))
            if self._session.workers[self._place.number].elsewhere:
                stack.enter_context(patch.object(leases, "MACHINE", f"elsewhere-{self._place.session}"))
            stack.enter_context(proving(without=self._without, report=self._decided))
            if self._turns or (self._kill and self._kill.at in (KilledAt.STATEMENT, KilledAt.COMMIT)):
                stack.enter_context(patch.object(sqlite3, "connect", self._connected(sqlite3.connect)))  # type: ignore[arg-type] # it has overloads
            yield

    def _caps(self) -> dict[str, int]:
        """How many rows a page has, where there is a way to those that it leaves out, and no total that may lie too."""
        cap = self._session.cap
        pagings = {source.account: self._stage.provider_of(source).rules.paging for source in self._stage.sources}
        return {account: cap for account, paging in pagings.items() if cap and _is_open(paging)}

    def _number(self) -> int:
        return seeded_random("faults of", self._seed).getrandbits(32)

    async def _sleep(self, time: timedelta) -> None:
        self._stage.clock.move(max(time, SLEEP_MIN))
        self._pass_on()
        await asyncio.sleep(0)

    def _told(self, event: Event) -> None:
        match event:
            case CallRetried():
                self.note("retried")
            case CallDelayed(_, _, reason):
                self.note(f"waited: {reason}")
            case _:
                pass

    def _decided(self, step: str) -> None:
        """A step of the proof decides something: told once of each worker."""
        if step not in self._decisions:
            self._decisions.add(step)
            self.note(f"step: {step}")

    # ------------------------------------------------------------ instants at which it may be killed

    def requested(self) -> None:
        """A request has arrived."""
        self._pass_on()
        self.note("request")
        self._count(KilledAt.REQUEST)

    def _connected(self, connect: Callable[P, sqlite3.Connection]) -> Callable[P, sqlite3.Connection]:
        def connected(*args: P.args, **kwargs: P.kwargs) -> sqlite3.Connection:
            connection = connect(*args, **kwargs)
            connection.set_trace_callback(self._traced)
            return connection

        return connected

    def _traced(self, statement: str) -> None:
        if statement.startswith("BEGIN"):
            self._pass_on()
        self._count(KilledAt.STATEMENT)
        if statement == "COMMIT":
            self._count(KilledAt.COMMIT)

    def _count(self, at: KilledAt) -> None:
        self._counts[at] += 1
        kill = self._kill
        if kill and kill.at is at and kill.number == self._counts[at]:
            os.kill(os.getpid(), signal.SIGKILL)

    def _pass_on(self) -> None:
        if self._turns:
            self._turns.next(self._place.number)


class _SlowTransport(FaultyTransport):
    """Carries answers slowly: `step` passes before one arrives, and so before the next request is signed."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        reader: FlowReader,
        schedule: FaultSchedule,
        clock: MovableClock,
        *,
        profile: Profile,
        outages: Outages,
        step: timedelta,
    ) -> None:
        super().__init__(providers, reader, schedule, clock, profile=profile, outages=outages)
        self._step = step

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await super().handle_async_request(request)
        finally:
            self._clock.move(self._step)


class _Watched:
    """FaultSchedule, as they are counted."""

    def __init__(self, work: Work, schedule: SeededSchedule) -> None:
        self._work, self._rulings = work, schedule

    def next_fault(self, request: Request) -> Fault:
        self._work.requested()
        fault = self._rulings.next_fault(request)
        if fault.delay:
            self._work.note("fault: latency")
        if fault.kind in (FaultKind.TOO_MANY, FaultKind.BANNED):
            told = "without" if fault.retry_after_s is None else "with"
            self._work.note(f"fault: {fault.kind.value}, {told} Retry-After")
        elif fault.kind:
            self._work.note(f"fault: {fault.kind.value}")
        return fault


def _is_open(paging: Paging) -> bool:
    return isinstance(paging, Cursor) or (isinstance(paging, PageNumber) and not paging.has_total)


async def _at_once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """asyncio.to_thread without the thread: what happens happens in one order."""
    return function(*args, **kwargs)
