"""A provider's own server with deviations.

service = Service(provider, [DEVIATIONS["page-cap-50"]])
answer = service.answer(request, reader)
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime

import msgspec

from liushui.flow import Flow
from liushui.http import Request, Response
from liushui.provider import (
    DocumentServer,
    FlowPage,
    FlowQuery,
    FlowReader,
    Key,
    Provider,
    RateCheck,
    Server,
    SigningServer,
)
from liushui.rules import Rate
from liushui.simulate.faults.deviation import NO_OFFSET, Deviation, Reading, RowsPage, is_marked
from liushui.simulate.faults.fault import Endless, with_retry_after
from liushui.simulate.faults.json_rewriting import EMPTY_LIST_MARKER

_rows = msgspec.json.Decoder(list[msgspec.Raw])


class Service:
    """A provider's own server with deviations. The deviations remember data between requests. Not thread-safe."""

    def __init__(self, provider: Provider, deviations: Iterable[Deviation]) -> None:
        self.provider = provider
        self.is_active = True
        """Whether the service deviates now."""
        self._deviations = tuple(deviations)
        self._available_at: datetime | None = None
        """The time at which the service answers again. None: it has not refused a call yet."""

    @property
    def deviations(self) -> Sequence[Deviation]:
        """The active deviations."""
        return self._deviations if self.is_active else ()

    def answer(self, request: Request, reader: FlowReader) -> Response | Endless:
        """The answer of the provider's own server, with the deviations and a Date header."""
        deviating = DeviatingReader(reader, self)
        response = self._server().answer(request, deviating)
        now = deviating.now()
        response = response._replace(headers=[*response.headers, ("date", format_datetime(now, usegmt=True))])
        if deviating.has_refused:
            return self._with_retry_after(response, now)
        if not deviating.has_read:
            return response
        signed, server = response.body, self.provider.server
        for deviation in self.deviations:
            if deviation.change_body is not None:
                response = response._replace(body=deviation.change_body(response.body))
        if response.body != signed and isinstance(server, SigningServer):
            response = server.sign_again(request, response, reader)
        for deviation in self.deviations:
            if deviation.change_response is not None:  # at most one, because two of them contradict each other
                return deviation.change_response(response)
        return response

    def _server(self) -> Server:
        """The provider's server, with documents changed by the deviations."""
        server = self.provider.server
        for deviation in self.deviations:
            if deviation.change_document is not None and isinstance(server, DocumentServer):
                server = server.with_documents(deviation.change_document)
        return server

    def refuses(self, now: datetime) -> bool:
        """Whether the service refuses calls at an instant. Its wait begins with the first call."""
        waits = [deviation.retry_after for deviation in self.deviations if deviation.retry_after is not None]
        if waits and self._available_at is None:
            self._available_at = now + max(waits)
        return bool(waits) and self._available_at is not None and now < self._available_at

    def _with_retry_after(self, response: Response, now: datetime) -> Response:
        available_at = self._available_at or now
        if any(deviation.retry_as_date for deviation in self.deviations):
            value = format_datetime(available_at, usegmt=True)
        else:
            value = str(-(-(available_at - now) // timedelta(seconds=1)))
        return with_retry_after(response, value)


class DeviatingReader:
    """The reader that a server is given for one request."""

    def __init__(self, reader: FlowReader, service: Service) -> None:
        self._reader, self._service = reader, service
        self._rows_on_page = 0
        self.has_refused = False
        """Whether the call was refused because of a deviation."""
        self.has_read = False
        """Whether the server has read a page."""

    def now(self) -> datetime:
        return self._reader.now() + sum((one.clock_offset for one in self._service.deviations), NO_OFFSET)

    def find_key(self, dialect: str, public: str) -> Key | None:
        return self._reader.find_key(dialect, public)

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        if self._service.refuses(self.now()):
            self.has_refused = True
            return RateCheck(admitted=False, used=rate.calls)
        return self._reader.admit(key, rate, what)

    def session_start(self, key: Key, life: timedelta) -> datetime:
        offset = self.now() - self._reader.now()
        return self._reader.session_start(key, life) + offset

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        found = self._reader.read_page(dialect, self._changed(query), write)
        page = RowsPage([bytes(row) for row in _rows.decode(b"[%b]" % found.rows)], found.end_cursor)
        for deviation in self._service.deviations:
            page = self._changed_page(deviation, page, query)
        # The marker of an empty list is not a row.
        self._rows_on_page, self.has_read = len(page.rows) - page.rows.count(EMPTY_LIST_MARKER), True
        return FlowPage(b",".join(page.rows), len(page.rows), page.end_cursor)

    def is_complete(self, accounts: Sequence[str], since: datetime, until: datetime) -> bool:
        return self._reader.is_complete(accounts, since, until)

    def count_flows(self, query: FlowQuery) -> int:
        total = self._reader.count_flows(self._changed(query))
        for deviation in self._service.deviations:
            if deviation.change_total is not None:
                total = deviation.change_total(total, self._rows_on_page)
        return total

    def _changed(self, query: FlowQuery) -> FlowQuery:
        rules = self._service.provider.rules
        reading = Reading(self.now(), rules.resolution, rules.zone)
        for deviation in self._service.deviations:
            if deviation.page_cap is not None:
                # Numbered pages have the length of the cap, so that no row is lost between two pages.
                limit = min(query.limit, deviation.page_cap)
                query = query._replace(limit=limit, offset=query.offset // query.limit * limit)
            if deviation.change_query is not None:
                query = deviation.change_query(query, reading)
            if deviation.change_by_count is not None:
                query = deviation.change_by_count(query, self._reader.count_flows(query))
        # For the service, rows later than its own clock have not happened yet.
        return query._replace(until=max(query.since, min(query.until, reading.now + timedelta.resolution)))

    def _changed_page(self, deviation: Deviation, page: RowsPage, query: FlowQuery) -> RowsPage:
        rows = page.rows
        if deviation.hides is not None:
            rows = [row for row in rows if not deviation.hides(row)]
        if deviation.omits is not None:
            read = self._service.provider.codec.read
            rows = [row for row in rows if not deviation.omits(read(row).flow.at, query)]
        if deviation.repeats_marked and len(rows) < query.limit:  # a page never has more rows than requested
            marked = [row for row in rows if is_marked(row)]
            rows = sorted([*rows, *marked[: query.limit - len(rows)]], key=rows.index)
        if deviation.corrupt is not None:
            rows = [deviation.corrupt(row, self._service.provider) if is_marked(row) else row for row in rows]
        page = page._replace(rows=rows)
        return page if deviation.change_page is None else deviation.change_page(page, query)
