"""The page of flows: those of a filter, what they come to, one of them in full, and all of them to take along."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from litestar import MediaType, get
from litestar.response import Response, Stream
from litestar.types import ControllerRouterHandler

from liushui.errors import ConfigError, short_repr
from liushui.flow import Category, Direction, Kind
from liushui.instant import from_us, load_zone, parse_instant, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.findings import SAME_ID, SIDE
from liushui.ledger.read.accounts import currencies_of
from liushui.ledger.read.balance_chain import Neighbour, neighbours
from liushui.ledger.read.balances import ROWS_MAX, read_totals
from liushui.ledger.read.cursors import CursorError, filter_digest, flow_key, parse_flow_key, read_cursor
from liushui.ledger.read.flows import COLUMNS, LedgerFlow, Position, export_record, stream_flows
from liushui.ledger.read.history import FlowVersion, versions_of
from liushui.ledger.read.model import Account
from liushui.ledger.read.review import list_quarantined
from liushui.ledger.write.change import RESTATED, WITHDRAWN
from liushui.server.web.flows import rows as flows_rows
from liushui.server.web.flows.filters import FlowsRequest, read_flows_request
from liushui.server.web.flows.rows import Lines, RowWriter
from liushui.server.web.i18n import Language
from liushui.server.web.overview.charts import embedded
from liushui.server.web.overview.labels import coverage_label, place_name
from liushui.server.web.overview.page import fields_of
from liushui.server.web.page import AnyRequest, Page, WebContext, places_of

FIRST_ROWS: Final = 100
"""Rows that come with the page itself."""

QUARANTINED_MAX: Final = 500
CHUNK_ROWS: Final = 500
"""Rows of a download that are sent together."""

DOWNLOADS: Final = {"csv": "text/csv", "jsonl": "application/jsonl"}


OTHER_FIELDS: Final = ("at", "older", "newer", "all")
"""Fields of an address that are no filter."""


class FlowsView(NamedTuple):
    """A request for flows, and the accounts that there are."""

    page: Page
    accounts: Sequence[Account]
    request: FlowsRequest

    @property
    def status(self) -> int:
        """400 where something in the address is wrong."""
        return 400 if self.request.errors else 200

    @property
    def first_error(self) -> str | None:
        """The first thing that is wrong with the address."""
        return next(iter(self.request.errors.values()), None)

    @property
    def query(self) -> str:
        """What cursors of the pages of these flows are bound to."""
        return f"page {filter_digest(self.request.filter)}"

    def writer(self, ledger: Ledger) -> RowWriter:
        """Writes the rows."""
        return RowWriter(ledger, self.request.filter, self.query, self.page.language, self.request.zone)


def routes(web: WebContext) -> list[ControllerRouterHandler]:
    """The page, and the parts of it that load later."""
    ledger, model = web.app_context.ledger, web.app_context.read_model

    def view_of(request: AnyRequest) -> FlowsView:
        page = web.page(request)
        with model.reading() as reading:
            accounts = list(reading.accounts.values())
        names = [account.name for account in accounts]
        currencies = currencies_of([account.snapshot for account in accounts])
        fields = fields_of(request)
        return FlowsView(page, accounts, read_flows_request(fields, names, currencies, page.language, OTHER_FIELDS))

    @get("/flows", sync_to_thread=True)
    def flows_page(request: AnyRequest) -> Response[str]:
        view, query = view_of(request), fields_of(request)
        at, problem = _jump(query, view.request.zone, view.page.language)
        # A filter that is not understood shows no flows: others would be taken for those asked for.
        first = Lines.none() if view.request.errors else view.writer(ledger).older(FIRST_ROWS, at)
        if problem:
            view.request.errors["at"] = problem
        return view.page.render(
            "flows/index.html",
            status=view.status,
            asked=view.request,
            accounts=[account.snapshot for account in view.accounts],
            first=embedded(first),
            jumped=query.get("at", [""])[-1],
            choices=_choices(view),
        )

    @get("/page/flows/rows", sync_to_thread=True)
    def rows(request: AnyRequest) -> Response[bytes]:
        view, query = view_of(request), fields_of(request)
        if view.first_error is not None:
            return _problem(view.first_error)
        writer = view.writer(ledger)
        for name in ("older", "newer"):
            if name in query:
                try:
                    position = _position(ledger, view, query[name][-1])
                except CursorError as error:
                    return _problem(str(error))
                found = (writer.newer if name == "newer" else writer.older)(flows_rows.ROWS_MAX, position)
                return Response(msgspec.json.encode(found), media_type=MediaType.JSON)
        at, problem = _jump(query, view.request.zone, view.page.language)
        if problem:
            return _problem(problem)
        found = writer.older(flows_rows.ROWS_MAX, at)
        return Response(msgspec.json.encode(found), media_type=MediaType.JSON)

    @get("/page/flows/totals", sync_to_thread=True)
    def totals(request: AnyRequest) -> Response[str]:
        view = view_of(request)
        if view.first_error is not None:
            return view.page.render("flows/totals.html", status=400, asked=view.request, problem=view.first_error)
        everything = fields_of(request).get("all") == ["1"]
        found = read_totals(model, view.request.filter, None if everything else ROWS_MAX)
        sums = sorted(found.sums.items(), key=lambda item: (-item[1][0].flows, item[0]))
        zone, language = view.request.zone, view.page.language
        return view.page.render(
            "flows/totals.html",
            status=view.status,
            asked=view.request,
            sums=[(currency, total, coverage_label(verdict, zone, language)) for currency, (total, verdict) in sums],
            verdict=coverage_label(found.verdict, zone, language),
            deep=places_of([amount for _, (one, _) in sums for amount in (one.money_in, one.money_out)]),
            since=None if found.since_us is None else from_us(found.since_us),
        )

    @get("/page/flows/flow", sync_to_thread=True)
    def one_flow(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        versions = versions_of_key(fields_of(request))
        if not versions:
            return page.render("flows/missing.html", status=404)
        found = versions[-1].version.found
        with model.reading((found.account,)) as reading:
            zone = reading.accounts[found.account].name.zone
        around = neighbours(ledger, found) if versions[-1].version.ended_as is None else []
        return page.render("flows/flow.html", status=200, **_drawer(page, versions, around, zone))

    def versions_of_key(query: dict[str, list[str]]) -> list[FlowVersion]:
        key = parse_flow_key(query.get("key", [""])[-1])
        return [] if key is None else versions_of(ledger, *key)

    @get("/page/flows/wire", sync_to_thread=True)
    def wire_row(request: AnyRequest) -> Response[bytes]:
        page = web.page(request)
        query = fields_of(request)
        versions, which = versions_of_key(query), query.get("row", ["wire"])[-1]
        text = None
        if versions:
            text = versions[-1].served if which == "served" else versions[-1].wire
        if text is None:
            return _problem(page.say("This row does not exist."), status=404)
        return Response(
            text.encode(),
            media_type="application/octet-stream",
            headers={"content-disposition": 'attachment; filename="row.json"'},
        )

    @get([f"/flows/download.{form}" for form in DOWNLOADS])
    async def download(request: AnyRequest) -> Response[Any]:
        # Litestar runs only one of a handler's paths in a thread, so this does it by itself.
        view = await asyncio.to_thread(view_of, request)
        form = request.scope["path"].rpartition(".")[2]
        if view.first_error is not None:
            return _problem(view.first_error)
        found = stream_flows(ledger, view.request.filter)
        return Stream(
            _in_threads(_csv(found) if form == "csv" else _jsonl(found)),
            media_type=DOWNLOADS[form],
            headers={"content-disposition": f'attachment; filename="flows.{form}"'},
        )

    @get("/flows/quarantine", sync_to_thread=True)
    def quarantine(request: AnyRequest) -> Response[str]:
        view = view_of(request)
        names = view.request.filter.accounts
        found = list(islice(list_quarantined(ledger, names), QUARANTINED_MAX + 1))
        zones = {account.name.account: account.name.zone for account in view.accounts}
        return view.page.render(
            "flows/quarantine.html",
            status=view.status,
            found=[(one, _readable(one.wire)) for one in found[:QUARANTINED_MAX]],
            more=len(found) > QUARANTINED_MAX,
            asked=view.request,
            zones=zones,
            instant=from_us,
        )

    return [flows_page, rows, totals, one_flow, wire_row, download, quarantine]


def _position(ledger: Ledger, view: FlowsView, text: str) -> Position:
    """The position of a cursor, or at the flow of a key: the window drops rows, and goes on from one it still has.

    Raises CursorError.
    """
    key = parse_flow_key(text)
    if key is not None:
        account, at_us, id_ = key
        return Position(at_us, account, id_)
    return Position(*read_cursor(ledger, view.query, text, tuple[int, str, str]))


def _choices(view: FlowsView) -> dict[str, object]:
    """What the filter's fields offer, in the reader's words."""
    page = view.page
    say, words, anything = page.say, page.words, [("", page.say("Any"))]
    return {
        "kinds": anything + sorted(((kind.value, words.kind(kind)) for kind in Kind), key=lambda one: one[1]),
        "categories": anything + [(one.value, words.category(one)) for one in Category],
        "directions": anything + [(one.value, words.direction(one)) for one in Direction],
        "currencies": anything + [(one, one) for one in currencies_of([account.snapshot for account in view.accounts])],
        "findings": [
            *anything,
            (SIDE, say("Direction contradicts the sign")),
            (SAME_ID, say("Same ID, different content")),
        ],
    }


def _jump(query: dict[str, list[str]], zone: str, language: Language) -> tuple[Position | None, str]:
    """The position at the end of the day `at`, or what is wrong with it."""
    text = query.get("at", [""])[-1].strip()
    if not text:
        return None, ""
    try:
        local = load_zone(zone)
        day = parse_instant("at", text, local).astimezone(local).date()
        return Position(to_us(parse_instant("at", (day + timedelta(days=1)).isoformat(), local))), ""
    except (ConfigError, OverflowError):
        return None, language.say("Expected a date such as 2024-01-31, got %(got)s.", got=short_repr(text))


def _drawer(page: Page, versions: Sequence[FlowVersion], around: Sequence[Neighbour], zone: str) -> dict[str, object]:
    newest = versions[-1]
    found = newest.version.found
    amounts = [one.found.flow.amount for one in around] + [
        one.found.flow.balance_after for one in around if one.found.flow.balance_after is not None
    ]
    return {
        "found": found,
        "flow": found.flow,
        "place": place_name(found.account, found.flow.subaccount),
        "zone": zone,
        "versions": list(reversed(versions)),
        "endings": {RESTATED: page.say("restated"), WITHDRAWN: page.say("withdrawn")},
        "around": list(reversed(around)),
        "deep": places_of(amounts),
        "key_of": key_of,
        "rows": [
            (name, title, text, pretty(text), f"/page/flows/wire?{urlencode({'key': key_of(found), 'row': name})}")
            for name, title, text in (
                ("wire", page.say("Row as received"), newest.wire),
                ("served", page.say("Row as served instead"), newest.served),
            )
            if text is not None
        ],
    }


def key_of(found: LedgerFlow) -> str:
    """The key of a flow."""
    return flow_key(found.account, to_us(found.flow.at), found.id)


def pretty(text: str) -> str:
    """JSON with a line for each member, its numbers and texts as they came; what is no JSON, as it is."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.MsgspecError:
        return text


def _readable(wire: bytes) -> str:
    """Bytes as text; those that are none are told by their numbers."""
    return pretty(wire.decode("utf-8", "backslashreplace"))


def _problem(text: str, status: int = 400) -> Response[bytes]:
    return Response(msgspec.json.encode({"detail": text}), status_code=status, media_type=MediaType.JSON)


async def _in_threads(parts: Generator[bytes]) -> AsyncIterator[bytes]:
    """The parts, each made in a thread; whoever leaves before the last one ends the reading too."""
    try:
        while part := await asyncio.to_thread(next, parts, b""):
            yield part
    finally:
        await asyncio.to_thread(parts.close)


def _csv(found: Iterator[LedgerFlow]) -> Generator[bytes]:
    """Comma-separated values, a line of names first: amounts exact, times as ISO 8601 in UTC."""
    yield f"{','.join(COLUMNS)}\r\n".encode()
    for chunk in _chunks(found):
        text = io.StringIO()
        csv.writer(text).writerows([_cell(value) for value in export_record(one).values()] for one in chunk)
        yield text.getvalue().encode()


def _cell(value: object) -> object:
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value


def _jsonl(found: Iterator[LedgerFlow]) -> Generator[bytes]:
    """A flow a line."""
    encode = msgspec.json.Encoder().encode
    for chunk in _chunks(found):
        yield b"".join(encode(export_record(one)) + b"\n" for one in chunk)


def _chunks(found: Iterator[LedgerFlow]) -> Iterator[list[LedgerFlow]]:
    while chunk := list(islice(found, CHUNK_ROWS)):
        yield chunk
