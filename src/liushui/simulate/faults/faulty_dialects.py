"""The providers' servers, reading from a reader that misbehaves.

If a server can express a fault itself, the reader gives it wrong data (an expired key, a wrong clock, a lost cursor).
The provider's own server then answers with its own status, code and envelope. These faults therefore need no code for
each provider.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from liushui.errors import WireError
from liushui.flow import Flow
from liushui.http import Request, Response
from liushui.provider import FlowPage, FlowQuery, FlowReader, Key, Provider, RateCheck
from liushui.rules import Rate
from liushui.server.rsgi_app import DialectRouter
from liushui.simulate.faults.deviating_service import Service
from liushui.simulate.faults.deviations import DEVIATIONS
from liushui.simulate.faults.fault import (
    BEFORE_THE_SERVER,
    Endless,
    Fault,
    FaultKind,
    FaultSchedule,
    TransportOutcome,
    transport_outcome,
)
from liushui.simulate.faults.profiles import Profile

SKEW: Final = timedelta(hours=1)
"""A difference of the clock that is clearly wrong."""
PAGES_REMEMBERED: Final = 10_000

Outages = Mapping[str, Sequence[Response]]
"""For each provider name: answers that report a failure (HTTP 500 and up) or maintenance."""

NO_OUTAGES: Final[Outages] = {}

_NOT_ASKED: Final = Response(503, [], b"")
_outcomes: ContextVar[list[TransportOutcome]] = ContextVar("outcomes")


class FaultyDialects(DialectRouter):
    """The providers' servers with faults. They answer only inside `recorded_outcomes`, which collects the outcomes."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        reader: FlowReader,
        schedule: FaultSchedule,
        *,
        profile: Profile,
        outages: Outages = NO_OUTAGES,
    ) -> None:
        super().__init__(providers, reader)
        self._correct_reader, self._schedule, self._profile, self._outages = reader, schedule, profile, outages
        self._history = PageHistory()
        self._services: dict[str, Service] = {}
        self._lock = Lock()

    def answer(self, provider: Provider, request: Request) -> Response:
        """Return the provider's own answer to the request. Its reader misbehaves as scheduled."""
        fault = self._schedule.next_fault(request)
        response = _NOT_ASKED
        if fault.kind not in BEFORE_THE_SERVER:
            reader = FaultyReader(self._correct_reader, fault, self._profile, self._history)
            answer = self._answer(provider, request, reader)
            if isinstance(answer, Endless):
                _outcomes.get().append(answer)
                return answer.response
            response = answer
        _outcomes.get().append(transport_outcome(fault, response, self._outages.get(provider.name, ())))
        return response

    def _answer(self, provider: Provider, request: Request, reader: FlowReader) -> Response | Endless:
        if not self._profile.deviations:
            return provider.server.answer(request, reader)
        with self._lock:
            if provider.name not in self._services:
                deviations = [DEVIATIONS[name] for name in self._profile.deviations]
                self._services[provider.name] = Service(
                    provider, [deviation for deviation in deviations if deviation.applies_to(provider)]
                )
            return self._services[provider.name].answer(request, reader)


@contextmanager
def recorded_outcomes() -> Iterator[list[TransportOutcome]]:
    """Collect the outcomes of the requests that are answered in the block: in this task, or in threads that it waits
    for."""
    outcomes: list[TransportOutcome] = []
    token = _outcomes.set(outcomes)
    try:
        yield outcomes
    finally:
        _outcomes.reset(token)


# ---------------------------------------------------------------- the reader


PageKey = tuple[tuple[str, ...], datetime, datetime, str]
"""The accounts and the range of a query, and the cursor of a page."""


class PageHistory:
    """Maps the cursor at a page's end to the cursor with which the page was requested. Latest pages only.
    Thread-safe."""

    def __init__(self) -> None:
        self._before: OrderedDict[PageKey, str] = OrderedDict()
        self._lock = Lock()

    def remember(self, query: FlowQuery, end: str) -> None:
        """Record that the page after `query.after` ends at that cursor."""
        with self._lock:
            self._before[_page_key(query, end)] = query.after or ""
            if len(self._before) > PAGES_REMEMBERED:
                self._before.popitem(last=False)

    def cursor_before(self, query: FlowQuery) -> str | None:
        """The cursor of the page before the one that is requested. None: unknown."""
        with self._lock:
            return self._before.get(_page_key(query, query.after or ""))


def _page_key(query: FlowQuery, cursor: str) -> PageKey:
    return query.accounts, query.since, query.until, cursor


class FaultyReader:
    """The reader that a server gets for one request."""

    def __init__(self, reader: FlowReader, fault: Fault, profile: Profile, history: PageHistory) -> None:
        self._reader, self._fault, self._profile, self._history = reader, fault, profile, history
        self._refused = False

    def now(self) -> datetime:
        now = self._reader.now() + self._profile.skew
        return now + SKEW if self._fault.kind is FaultKind.SKEWED else now

    def find_key(self, dialect: str, public: str) -> Key | None:
        key = self._reader.find_key(dialect, public)
        if key is None or self._fault.kind is not FaultKind.EXPIRED:
            return key
        # A second earlier, because the server may have read its clock before it asked for the key.
        return key._replace(expires_at=self.now() - timedelta(seconds=1))

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        """Count one call against a part of the documented rate.

        A banned key has exhausted every rate. One call too many exhausts the first rate that the server checks.
        """
        refused, self._refused = self._refused, True
        if self._fault.kind is FaultKind.BANNED or (self._fault.kind is FaultKind.TOO_MANY and not refused):
            return RateCheck(admitted=False, used=rate.calls)
        calls = max(1, rate.calls * self._profile.rate_percent // 100)
        return self._reader.admit(key, replace(rate, calls=calls), what)

    def session_start(self, key: Key, life: timedelta) -> datetime:
        return self._reader.session_start(key, life)

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        """Return one page, or the page before it. Raises WireError if the cursor is lost."""
        if self._fault.kind is FaultKind.CURSOR_LOST and query.after:
            raise WireError("after", "expected a cursor that is still known, got one that has expired")
        if self._fault.kind is FaultKind.REPEATED:
            query = self._page_before(query)
        page = self._reader.read_page(dialect, query, write)
        if page.end_cursor is not None:
            self._history.remember(query, page.end_cursor)
        return page

    def is_complete(self, accounts: Sequence[str], since: datetime, until: datetime) -> bool:
        return self._reader.is_complete(accounts, since, until)

    def count_flows(self, query: FlowQuery) -> int:
        return self._reader.count_flows(query)

    def _page_before(self, query: FlowQuery) -> FlowQuery:
        after = self._history.cursor_before(query) if query.after else query.after
        return query._replace(offset=max(0, query.offset - query.limit), after=query.after if after is None else after)
