"""A provider's client joined to its server without a network, with or without faults.

    faults = QueuedFaults()
    transport = FaultyTransport(load_providers(), reader, faults, clock)
    with clients_over(transport), system_clock_is(clock):
        client = provider.connect(base_url=HTTPS, credentials=key.credentials, rate=None, timeout_s=30)
        faults.then(FaultKind.RESET, FaultKind.TOO_MANY, Fault(FaultKind.TRUNCATED, variant=100))

Nothing sleeps: only the movable clock advances time. Thousands of syncs can be tried in a second.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, NamedTuple
from unittest.mock import patch

import httpx2

from liushui.http import Request, Response
from liushui.instant import SECOND_US, Clock, to_us
from liushui.provider import FlowReader, Provider
from liushui.server.rsgi_app import DialectRouter
from liushui.simulate.faults.fault import (
    Answered,
    Endless,
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

HTTPS: Final = "https://provider.test"
"""A base URL for clients of a transport."""

ENDLESS_MAX: Final = 68 << 20
"""The bytes that a client may read of a body that never ends, before the test is stopped."""
CHUNK: Final = 1 << 16
_NANOSECONDS_A_MICROSECOND: Final = 1_000


class Exchange(NamedTuple):
    """A request, as a provider's server receives it, and the server's answer."""

    request: Request
    response: Response


class DialectTransport(httpx2.AsyncBaseTransport):
    """Answers each request of an httpx2 client as `liushui serve` would. It records the requests and the exchanges."""

    def __init__(self, providers: Mapping[str, Provider], reader: FlowReader) -> None:
        self._dialects = DialectRouter(providers, reader)
        self.requests: list[httpx2.Request] = []
        self.exchanges: list[Exchange] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self._answer_of(request)
        if isinstance(answer, Endless):
            return endless_response(answer, request)
        return _to_httpx(answer, request)

    async def _answer_of(self, request: httpx2.Request) -> Response | Endless:
        """Return the answer to a request of the client, and record both."""
        self.requests.append(request)
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        found = self._dialects.find(path)
        if found is None:
            return Response(404, [], b"")
        provider, route = found
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.aread()
        served = self._dialects.request(request.method, path, query, headers, body, route)
        answer = self.answer(provider, served)
        self.exchanges.append(Exchange(served, answer.response if isinstance(answer, Endless) else answer))
        return answer

    def answer(self, provider: Provider, request: Request) -> Response | Endless:
        """The answer of a provider's server. Subclasses may change it."""
        return self._dialects.answer(provider, request)


class QueuedFaults:
    """A FaultSchedule of queued faults, one for each request. When the queue is empty, requests are answered
    correctly."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._next: deque[Fault] = deque()

    def then(self, *faults: Fault | FaultKind | None) -> None:
        """Append faults to the queue. None: the request is answered correctly."""
        self._next += [fault if isinstance(fault, Fault) else Fault(fault) for fault in faults]

    @property
    def left(self) -> int:
        """The number of faults that are still queued."""
        return len(self._next)

    def next_fault(self, request: Request) -> Fault:
        self.requests.append(request)
        return self._next.popleft() if self._next else Fault()


class FaultyTransport(DialectTransport):
    """Lets an httpx2 client see faults: as answers, or as exceptions of httpx2. It records the outcomes."""

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
            answer = await self._answer_of(request)
        if not outcomes:  # the path belongs to no provider, so no fault was chosen
            return endless_response(answer, request) if isinstance(answer, Endless) else _to_httpx(answer, request)
        (outcome,) = outcomes
        self.outcomes.append(outcome)
        return self._carry_out(outcome, request)

    def _carry_out(self, outcome: TransportOutcome, request: httpx2.Request) -> httpx2.Response:
        timeout = timedelta(seconds=request.extensions["timeout"]["read"])
        if isinstance(outcome, Stalled) or outcome.delay > timeout:
            self._clock.move(timeout)
            raise httpx2.ReadTimeout("no answer arrived", request=request)
        self._clock.move(outcome.delay)
        match outcome:
            case Answered(response):
                return _to_httpx(response, request)
            case Reset(_, after_bytes):
                raise httpx2.ReadError(f"the connection was reset after {after_bytes} bytes", request=request)
            case Unreached():
                raise httpx2.ConnectError("the connection was refused", request=request)
            case Endless():
                return endless_response(outcome, request)


def endless_response(answer: Endless, request: httpx2.Request) -> httpx2.Response:
    """A response whose body never ends. Raises ReadWithoutBound when more than ENDLESS_MAX bytes of it are read."""
    status, headers, _ = answer.response
    return httpx2.Response(status, headers=headers, stream=_EndlessBody(answer), request=request)


class ReadWithoutBound(BaseException):
    """A client reads an endless body without a bound. Not a subclass of Exception, so that no client takes it for a
    network error."""


class _EndlessBody(httpx2.AsyncByteStream):
    def __init__(self, answer: Endless) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._answer.response.body
        for _ in range(ENDLESS_MAX // len(self._answer.chunk)):
            yield self._answer.chunk
        raise ReadWithoutBound(f"{ENDLESS_MAX} bytes of an endless body were read")


def _to_httpx(response: Response, request: httpx2.Request) -> httpx2.Response:
    status, headers, body = response
    if any(name == "content-encoding" for name, _ in headers):  # as a stream, so that the client unpacks it
        return httpx2.Response(status, headers=headers, stream=_CompressedBody(body), request=request)
    return httpx2.Response(status, headers=headers, content=body, request=request)


class _CompressedBody(httpx2.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for first in range(0, len(self._body), CHUNK):
            yield self._body[first : first + CHUNK]


@contextmanager
def clients_over(transport: httpx2.AsyncBaseTransport) -> Iterator[None]:
    """In the block, every new httpx2 client makes its calls over this transport."""
    real = httpx2.AsyncClient
    with patch.object(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": transport})):
        yield


@contextmanager
def system_clock_is(clock: Clock) -> Iterator[None]:
    """In the block, `time.time` and `time.time_ns` follow `clock`. Clients sign their requests with them."""

    def ns() -> int:
        return to_us(clock()) * _NANOSECONDS_A_MICROSECOND

    with patch.object(time, "time_ns", ns), patch.object(time, "time", lambda: to_us(clock()) // SECOND_US):
        yield
