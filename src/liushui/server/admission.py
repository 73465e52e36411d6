"""Admission control: limits the requests that a server process works on, and decides whose turn it is.

Each class of requests has its own threads, and the callers of one class take turns. So one caller with many requests
delays neither the login, nor the other classes, nor other callers of its own class. A request that would wait behind
too many others is refused, and work for a disconnected client is dropped.
"""

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from msgspec import json

from liushui.http import Response
from liushui.server.security_headers import ERROR_HEADERS

P = ParamSpec("P")
T = TypeVar("T")


class RequestClass(StrEnum):
    """The purpose of a request."""

    LOGIN = "login"
    """The login, with the static files that its page needs."""
    OIDC = "oidc"
    """The login through an identity provider, which may be slow to answer."""
    PAGE = "page"
    API = "api"
    EVENTS = "events"
    """Streams of events, which stay open."""
    PROVIDER = "provider"
    """Large answers of the provider APIs. Small ones are made without waiting."""


class ClassLimits(NamedTuple):
    """The limits of one class of requests, in one process."""

    threads: int
    """The number of threads that work for the class."""
    caller_threads: int
    """How many of these threads may work for one caller."""
    requests: int
    """The most requests in progress, running or waiting. More are refused."""
    caller_requests: int
    """The most requests of one caller."""


LIMITS: Final[Mapping[RequestClass, ClassLimits]] = {
    # Few threads, because Python runs one at a time: each further thread slows down the others.
    RequestClass.LOGIN: ClassLimits(threads=1, caller_threads=1, requests=256, caller_requests=64),
    RequestClass.OIDC: ClassLimits(threads=1, caller_threads=1, requests=64, caller_requests=16),
    RequestClass.PAGE: ClassLimits(threads=2, caller_threads=2, requests=128, caller_requests=32),
    RequestClass.API: ClassLimits(threads=3, caller_threads=1, requests=128, caller_requests=32),
    RequestClass.EVENTS: ClassLimits(threads=1, caller_threads=1, requests=256, caller_requests=64),
    RequestClass.PROVIDER: ClassLimits(threads=1, caller_threads=1, requests=128, caller_requests=32),
}

RETRY_S: Final = 1
"""The seconds after which a refused client should try again."""
REFUSAL_DELAY: Final = timedelta(milliseconds=250)
"""How long a refusal is held back at least. Clients that ask again at once would fill the event loop with refusals."""
REFUSAL_SPACING: Final = timedelta(milliseconds=5)
"""How long a refusal is held back for each other one of the caller: so a caller gets at most 200 of them a second."""
REFUSAL_DELAY_MAX: Final = timedelta(seconds=2)


class Ticket(NamedTuple):
    """The class of a request and its caller, as far as they are known without reading the ledger."""

    request_class: RequestClass
    caller: str


_LOGIN_PATHS: Final = frozenset({"/login", "/logout", "/preferences"})


def site_ticket(path: str, headers: Mapping[str, str], client: str) -> Ticket:
    """Return the ticket of a request to our own site. `path` is without escapes, `client` is HOST:PORT."""
    host = client.rpartition(":")[0]
    if path in _LOGIN_PATHS or path.startswith("/static/"):
        return Ticket(RequestClass.LOGIN, host)
    if path.startswith("/login/"):
        return Ticket(RequestClass.OIDC, host)
    caller = headers.get("authorization") or headers.get("cookie") or host
    if path == "/api/v1/events":
        return Ticket(RequestClass.EVENTS, caller)
    return Ticket(RequestClass.API if path.startswith("/api/") else RequestClass.PAGE, caller)


def provider_ticket(headers: Mapping[str, str], client: str) -> Ticket:
    """Return the ticket of a request to a provider's API."""
    caller = headers.get("x-api-key") or headers.get("authorization") or client.rpartition(":")[0]
    return Ticket(RequestClass.PROVIDER, caller)


# ---------------------------------------------------------------- the number of requests


class Admission:
    """Counts the requests in progress, and refuses excess ones. For one event loop."""

    def __init__(self, limits: Mapping[RequestClass, ClassLimits] = LIMITS) -> None:
        self._limits = limits
        self._classes: Counter[RequestClass] = Counter()
        self._callers: Counter[Ticket] = Counter()
        self._refusals: Counter[Ticket] = Counter()
        """Refusals that are held back."""

    def refusal(self, ticket: Ticket) -> HTTPStatus | None:
        """Return the status of a refusal: 429 if the caller has too many requests, 503 if the class has too many. None:
        not refused."""
        limits = self._limits[ticket.request_class]
        if self._callers[ticket] >= limits.caller_requests:
            return HTTPStatus.TOO_MANY_REQUESTS
        if self._classes[ticket.request_class] >= limits.requests:
            return HTTPStatus.SERVICE_UNAVAILABLE
        return None

    @contextmanager
    def admitted(self, ticket: Ticket) -> Iterator[None]:
        """Count a request while it is in progress. Its work in threads takes the caller's turn."""
        self._classes[ticket.request_class] += 1
        self._callers[ticket] += 1
        token = _TICKET.set(ticket)
        try:
            yield
        finally:
            _TICKET.reset(token)
            self._classes[ticket.request_class] -= 1
            self._callers[ticket] -= 1
            if not self._callers[ticket]:
                del self._callers[ticket]

    async def refuse(self, status: HTTPStatus, ticket: Ticket) -> Response:
        """The answer to a request that is refused, after a moment that grows with the caller's other refusals."""
        self._refusals[ticket] += 1
        delay = min(max(REFUSAL_DELAY, REFUSAL_SPACING * self._refusals[ticket]), REFUSAL_DELAY_MAX)
        try:
            await asyncio.sleep(delay.total_seconds())
        finally:
            self._refusals[ticket] -= 1
            if not self._refusals[ticket]:
                del self._refusals[ticket]
        return refused(status, ticket)


SWITCH_INTERVAL: Final = timedelta(microseconds=500)
"""How long a thread runs Python code while another thread waits. It is a tenth of Python's default: while a thread
works, the event loop waits that long each time it has something to do."""

_TICKET: ContextVar[Ticket | None] = ContextVar("ticket", default=None)
"""The ticket of the request that a task works for."""


async def while_connected(work: Awaitable[T], disconnect: Coroutine[Any, Any, None]) -> T | None:
    """Do the work of a request, and return its result.

    If `disconnect` ends first, the client no longer waits: the work is cancelled, and the result is None.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(disconnect)
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            # Awaited, so that the request counts until its work has ended. Nobody needs its errors. `wait` raises none
            # of them, but still raises if the caller itself is cancelled, for example when the server ends.
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # read, so that asyncio does not report it as never retrieved


_REFUSAL_HEADERS: Final = [("retry-after", str(RETRY_S)), *ERROR_HEADERS.items()]
_FOR_PEOPLE: Final = (
    "Too many requests at once. Try again in a few seconds.\n"
    "同时进行的请求过多，请几秒后重试。\n"
    "同時進行的請求過多，請數秒後重試。\n"
)
"""In every language, because the reader's language is not known at a refusal."""


def refused(status: HTTPStatus, ticket: Ticket) -> Response:
    """The answer to a request that is refused: problem details for programs, plain text for people."""
    if ticket.request_class in (RequestClass.LOGIN, RequestClass.OIDC, RequestClass.PAGE):
        headers = [("content-type", "text/plain; charset=utf-8"), *_REFUSAL_HEADERS]
        return Response(status, headers, _FOR_PEOPLE.encode())
    whose = "this caller" if status is HTTPStatus.TOO_MANY_REQUESTS else "all callers"
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": f"too many requests of {whose} are in progress: try again after {RETRY_S} s",
    }
    return Response(status, [("content-type", "application/problem+json"), *_REFUSAL_HEADERS], json.encode(problem))


# ---------------------------------------------------------------- threads


class RequestExecutor(ThreadPoolExecutor):
    """Runs the work of requests in the threads of their classes. Work without a request has its own thread.

    It is the default executor of a server's event loop, so `asyncio.to_thread` and sync handlers use it. A job that is
    cancelled before its turn never runs.
    """

    def __init__(self, limits: Mapping[RequestClass, ClassLimits] = LIMITS) -> None:
        super().__init__(1, thread_name_prefix="background")
        self._turns = {name: _Turns(name, class_limits) for name, class_limits in limits.items()}

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Run a function when it is the turn of the current task's caller."""
        ticket = _TICKET.get()
        if ticket is None:
            return super().submit(fn, *args, **kwargs)
        return self._turns[ticket.request_class].submit(ticket.caller, partial(fn, *args, **kwargs))


class _Job(NamedTuple):
    """A function to run, and its result when it has run."""

    future: "Future[Any]"
    function: Callable[[], Any]


class _Turns:
    """The threads of one class, in which callers take turns."""

    def __init__(self, name: str, limits: ClassLimits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, deque[_Job]] = OrderedDict()
        """The jobs of each caller. The first caller is the next one."""
        self._running: Counter[str] = Counter()

    def submit(self, caller: str, function: Callable[[], T]) -> "Future[T]":
        job = _Job(Future(), function)
        with self._lock:
            self._waiting.setdefault(caller, deque()).append(job)
        job.future.add_done_callback(partial(self._forget_cancelled, caller, job))
        self._start_next()
        return job.future

    def _start_next(self) -> None:
        """Start jobs while threads are free."""
        with self._lock:
            while self._running.total() < self._limits.threads and (caller := self._next_caller()) is not None:
                jobs = self._waiting.pop(caller)
                job = jobs.popleft()
                if jobs:
                    self._waiting[caller] = jobs  # behind all other callers
                self._running[caller] += 1
                self._threads.submit(self._run, caller, job)

    def _next_caller(self) -> str | None:
        return next((name for name in self._waiting if self._running[name] < self._limits.caller_threads), None)

    def _run(self, caller: str, job: _Job) -> None:
        try:
            if job.future.set_running_or_notify_cancel():
                try:
                    result = job.function()
                except BaseException as error:
                    job.future.set_exception(error)
                else:
                    job.future.set_result(result)
        finally:
            with self._lock:
                self._running[caller] -= 1
                if not self._running[caller]:
                    del self._running[caller]
            self._start_next()

    def _forget_cancelled(self, caller: str, job: _Job, future: "Future[Any]") -> None:
        if not future.cancelled():
            return
        with self._lock:
            jobs = self._waiting.get(caller)
            if jobs is not None:
                with suppress(ValueError):  # it is running now
                    jobs.remove(job)
                if not jobs:
                    del self._waiting[caller]
