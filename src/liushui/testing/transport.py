"""A provider's client joined to its server without a network: an HTTP transport that answers from a reader."""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, NamedTuple
from unittest.mock import patch

import httpx2

from liushui.http import Request, Response
from liushui.instant import SECOND_US, Clock, to_us
from liushui.provider import FlowReader, Provider
from liushui.server.router import DialectRouter
from liushui.simulate.faults.fault import (
    Answered,
    Fault,
    FaultKind,
    FaultSchedule,
    Reset,
    Stalled,
    TransportOutcome,
    Unreached,
)
from liushui.simulate.faults.faulty_dialects import NO_OUTAGES, FaultyDialects, Outages, recorded_outcomes
from liushui.simulate.faults.profiles import PROFILES, Profile
from liushui.testing.clock import MovableClock


class Exchange(NamedTuple):
    """A request, as a provider's server has it, and what it answered."""

    request: Request
    response: Response


class DialectTransport(httpx2.AsyncBaseTransport):
    """Answers each request of an httpx2 client as `liushui serve` would. Keeps what was asked and answered."""

    def __init__(self, providers: Mapping[str, Provider], reader: FlowReader) -> None:
        self._dialects = DialectRouter(providers, reader)
        self.asked: list[httpx2.Request] = []
        self.answered: list[Exchange] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        found = self._dialects.find(path)
        if found is None:
            return httpx2.Response(404, request=request)
        provider, route = found
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.aread()
        asked = self._dialects.request(request.method, path, query, headers, body, route)
        answer = self._dialects.answer(provider, asked)
        self.answered.append(Exchange(asked, answer))
        return httpx2.Response(answer.status, headers=answer.headers, content=answer.body, request=request)


# ---------------------------------------------------------------- faults

HTTPS: Final = "https://provider.test"
"""A base URL for clients of a transport."""

_NANOSECONDS_A_MICROSECOND: Final = 1_000


class QueuedFaults:
    """A FaultSchedule of queued faults, one for each request. After the last one requests are answered correctly."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._next: deque[Fault] = deque()

    def then(self, *faults: Fault | FaultKind | None) -> None:
        """What happens to the next requests, after those that were said before. None: this one is answered well."""
        self._next += [fault if isinstance(fault, Fault) else Fault(fault) for fault in faults]

    @property
    def left(self) -> int:
        """How many are still to come."""
        return len(self._next)

    def next_fault(self, request: Request) -> Fault:
        self.requests.append(request)
        return self._next.popleft() if self._next else Fault()


class FaultyTransport(DialectTransport):
    """Carries outcomes out as an httpx2 client sees them: as answers, or as errors of its own. Keeps the outcomes."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        reader: FlowReader,
        schedule: FaultSchedule,
        clock: MovableClock,
        *,
        profile: Profile = PROFILES["none"],
        outages: Outages = NO_OUTAGES,
    ) -> None:
        super().__init__(providers, reader)
        self._dialects = FaultyDialects(providers, reader, schedule, profile=profile, outages=outages)
        self._clock = clock
        self.outcomes: list[TransportOutcome] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        with recorded_outcomes() as outcomes:
            response = await super().handle_async_request(request)
        if not outcomes:
            return response
        (outcome,) = outcomes
        self.outcomes.append(outcome)
        return self._carried_out(outcome, request)

    def _carried_out(self, outcome: TransportOutcome, request: httpx2.Request) -> httpx2.Response:
        patience = timedelta(seconds=request.extensions["timeout"]["read"])
        if isinstance(outcome, Stalled) or outcome.delay > patience:
            self._clock.move(patience)
            raise httpx2.ReadTimeout("nothing came", request=request)
        self._clock.move(outcome.delay)
        match outcome:
            case Answered(answer):
                return httpx2.Response(answer.status, headers=answer.headers, content=answer.body, request=request)
            case Reset(_, after_bytes):
                raise httpx2.ReadError(f"the connection was reset after {after_bytes} bytes", request=request)
            case Unreached():
                raise httpx2.ConnectError("the connection was refused", request=request)


@contextmanager
def clients_over(transport: httpx2.AsyncBaseTransport) -> Iterator[None]:
    """Inside, every client of httpx2 that is made makes its calls over this transport."""
    real = httpx2.AsyncClient
    with patch.object(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": transport})):
        yield


@contextmanager
def system_clock_is(clock: Clock) -> Iterator[None]:
    """Inside, the machine's clock says what `clock` does: clients sign their requests with it."""

    def ns() -> int:
        return to_us(clock()) * _NANOSECONDS_A_MICROSECOND

    with patch.object(time, "time_ns", ns), patch.object(time, "time", lambda: to_us(clock()) // SECOND_US):
        yield
