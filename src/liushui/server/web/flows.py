"""The flows page: rows of a filter, their totals, one flow in full, and rejected rows."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from litestar import MediaType, get, post
from litestar.response import Response

from liushui.errors import ConfigError, short_repr
from liushui.flow import Category, Direction, Kind
from liushui.instant import from_us, is_zone, load_zone, parse_instant, to_us
from liushui.ledger.access.saved_views import ACCOUNT_ZONE, DEFAULT_COLUMNS, OLDEST
from liushui.ledger.access.tokens import Scope
from liushui.ledger.findings import BREAK, KINDS, SAME_ID, SIDE
from liushui.ledger.read.accounts import currencies_of
from liushui.ledger.read.cursors import (
    CursorError,
    bound_to_names,
    current_flow_key,
    filter_digest,
    flow_key,
    parse_flow_key,
    read_cursor,
)
from liushui.ledger.read.finding_decisions import FindingDecision
from liushui.ledger.read.finding_lists import findings_of_flow, with_finding_rows
from liushui.ledger.read.flows import LedgerFlow, Position, stream_flows
from liushui.ledger.read.history import FlowVersion, versions_of
from liushui.ledger.read.link_lists import link_in_full
from liushui.ledger.read.model import Account
from liushui.ledger.read.neighbours import Neighbour, Neighbours, neighbours
from liushui.ledger.read.quarantine import list_quarantined
from liushui.ledger.read.totals import ROWS_MAX, read_totals
from liushui.ledger.write.change import RESTATED, WITHDRAWN
from liushui.ledger.write.link_decisions import decide_link
from liushui.ledger.write.quarantine import UNDONE
from liushui.reconcile.links import FlowKey, LinkState
from liushui.server.web import flow_rows
from liushui.server.web.charts import script_json
from liushui.server.web.download_choices import download_choices, pack_address
from liushui.server.web.filter_params import FlowsRequest, read_flows_request, view_address
from liushui.server.web.flow_rows import WIDE_COLUMNS, Rows, RowWriter
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.labels import account_label, coverage_label
from liushui.server.web.links import link_views, state_names
from liushui.server.web.page import CurrentPage, Page, decimal_places, redirect
from liushui.server.web.review import FindingView, action_names, decide, finding_view
from liushui.server.web.view_menu import views_context
from liushui.services.views import visible_views

FIRST_ROWS: Final = 100
"""Rows that come with the page itself."""

QUARANTINED_MAX: Final = 500

PRINTED_MAX: Final = 20_000
"""Flows on a page to print: some hundred sheets."""

OTHER_FIELDS: Final = ("at", "row", "older", "newer", "all", "view")
"""Fields of an address that are not filters."""


class FlowsView(NamedTuple):
    """A request for flows, and the accounts of the ledger."""

    page: Page
    accounts: Sequence[Account]
    request: FlowsRequest

    @property
    def first_error(self) -> str | None:
        """The first error in the address."""
        return next(iter(self.request.errors.values()), None)

    @property
    def query(self) -> str:
        """The query to which the cursors of these flows are bound."""
        return bound_to_names(self.page.ledger, f"page {filter_digest(self.request.filter)}")

    @property
    def zone(self) -> str:
        """The zone of all times of the view."""
        return self.page.view_zone(*self.request.zones, chosen=self.request.zone)

    def writer(self) -> RowWriter:
        """Formats the rows."""
        is_wide = not WIDE_COLUMNS.isdisjoint(self.request.columns)
        model, wanted = self.page.read_model, self.request.filter
        return RowWriter(model, wanted, self.query, self.page.language, self.zone, is_wide=is_wide)


def read_view(page: Page) -> FlowsView:
    """Return the view for the address. It contains the errors of the address."""
    accounts = _accounts(page)
    return FlowsView(page, accounts, _read_request(page, accounts, page.query))


def read_request(page: Page, query: Mapping[str, Sequence[str]]) -> FlowsRequest:
    """A request for flows by the fields of an address. Its errors are in it."""
    return _read_request(page, _accounts(page), query)


def _accounts(page: Page) -> list[Account]:
    with page.read_model.reading() as reading:
        return list(reading.accounts.values())


def _read_request(page: Page, accounts: Sequence[Account], query: Mapping[str, Sequence[str]]) -> FlowsRequest:
    names = [account.name for account in accounts]
    currencies = currencies_of([account.snapshot for account in accounts])
    request = read_flows_request(query, names, currencies, page.language, OTHER_FIELDS)
    # an empty list would include accounts of others
    if page.principal.accounts is not None and not request.filter.accounts:
        request.filter = request.filter._replace(accounts=tuple(account.account for account in names))
    if not request.errors:
        try:
            request.filter = with_finding_rows(page.read_model, request.filter)
        except ConfigError as error:
            request.errors["finding"] = str(error).removeprefix("finding: ")
    return request


# ---------------------------------------------------------------- rows and totals


@get("/flows", sync_to_thread=True)
def show_flows(page: CurrentPage) -> Response[str]:
    """The page, with its first rows. Without any field it begins with the reader's default view."""
    readers = visible_views(page.ledger, page.principal)
    wanted = page.query.get("view", [""])[-1]
    opened_view = next((one for one in readers.views if one.name == wanted), None if page.query else readers.default)
    if opened_view is not None:
        return redirect(view_address(opened_view.name, opened_view.query))
    view = read_view(page)
    if wanted:
        view.request.errors["view"] = page.say("There is no view named %(got)s.", got=short_repr(wanted))
    opened = page.query.get("row", [""])[-1]
    key = parse_flow_key(opened)
    at, error = (Position(key[1] + view.request.filter.newest_first), "") if key else _jump(view)
    # With an invalid filter no rows are shown, because readers would take any rows for the requested ones.
    first = Rows.none() if view.request.errors else view.writer().older(FIRST_ROWS, at)
    if error:
        view.request.errors["at"] = error
    return page.render(
        "flows/index.html",
        status=view.request.status,
        asked=view.request,
        zone=view.zone,
        accounts=[account.snapshot for account in view.accounts],
        first=script_json(first),
        jumped=page.query.get("at", [""])[-1],
        opened=opened,
        choices=_choices(view),
        column_names=page.labels.columns(),
        usual_columns=DEFAULT_COLUMNS,
        **views_context(page, view.request, readers),
        downloads=download_choices(page.language),
        pack_address=pack_address(view.request.filter),
    )


@get("/page/flows/rows", sync_to_thread=True)
def load_rows(page: CurrentPage) -> Response[bytes]:
    """More rows as JSON: before or after a cursor, or up to a day."""
    view, query = read_view(page), page.query
    if view.first_error is not None:
        return _error(view.first_error)
    writer = view.writer()
    for name, read in (("older", writer.older), ("newer", writer.newer)):
        if name in query:
            try:
                position = _position(view, query[name][-1])
            except CursorError as error:
                return _error(str(error))
            return _json(read(flow_rows.ROWS_MAX, position))
    at, error_text = _jump(view)
    return _error(error_text) if error_text else _json(writer.older(flow_rows.ROWS_MAX, at))


@get("/page/flows/totals", sync_to_thread=True)
def load_totals(page: CurrentPage) -> Response[str]:
    """The totals of the filter by currency. They stop at ROWS_MAX flows, unless all are requested."""
    view = read_view(page)
    if view.first_error is not None:
        return page.render("flows/totals.html", status=400, asked=view.request, problem=view.first_error)
    for_all = page.query.get("all") == ["1"]
    context = _totals_context(view, None if for_all else ROWS_MAX)
    return page.render("flows/totals.html", status=view.request.status, asked=view.request, **context)


def _totals_context(view: FlowsView, rows_max: int | None) -> dict[str, Any]:
    """The content of the table of totals. `rows_max`: the most flows that are added up; None: all."""
    totals = read_totals(view.page.read_model, view.request.filter, rows_max)
    sums = sorted(totals.sums.items(), key=lambda item: (-item[1][0].flows, item[0]))
    zone, language = view.zone, view.page.language
    return {
        "sums": [(currency, total, coverage_label(verdict, zone, language)) for currency, (total, verdict) in sums],
        "verdict": coverage_label(totals.verdict, zone, language),
        "zone": zone,
        "decimals": decimal_places([amount for _, (one, _) in sums for amount in (one.money_in, one.money_out)]),
        "since": None if totals.since_us is None else from_us(totals.since_us),
    }


@get("/flows/print", sync_to_thread=True)
def show_flows_to_print(page: CurrentPage) -> Response[str]:
    """All flows of the filter on one page, with their totals, because the normal list holds only the rows in view."""
    view = read_view(page)
    if view.first_error is not None:
        return redirect(view.request.address())  # the page shows each error next to its field
    flows = stream_flows(page.ledger, view.request.filter, page.read_model.rules)
    found = list(islice(flows, PRINTED_MAX + 1))
    return page.render(
        "flows/print.html",
        asked=view.request,
        flows=found[:PRINTED_MAX],
        is_cut=len(found) > PRINTED_MAX,
        most=PRINTED_MAX,
        local=partial(flow_rows.local_text, zone=load_zone(view.zone)),
        place=account_label,
        **_totals_context(view, None),
    )


def _position(view: FlowsView, text: str) -> Position:
    """The position of a cursor or of a flow's key. Raises CursorError.

    The page keeps only some rows in memory, and continues from a row that it still has.
    """
    key = parse_flow_key(text)
    if key is not None:
        account, at_us, id_ = key
        if all(account != known.name.account for known in view.accounts):  # renamed or removed since
            raise CursorError(text)
        return Position(at_us, account, id_)
    return read_cursor(view.page.ledger, view.query, text, Position)


def _jump(view: FlowsView) -> tuple[Position | None, str]:
    """The position at which the list begins with the day `at` of the address, or the error in that day."""
    text = view.page.query.get("at", [""])[-1].strip()
    if not text:
        return None, ""
    try:
        zone = load_zone(view.zone)
        day = parse_instant("at", text, zone).astimezone(zone).date()
        first = day + timedelta(days=1) if view.request.filter.newest_first else day
        return Position(to_us(parse_instant("at", first.isoformat(), zone))), ""
    except (ConfigError, OverflowError):
        return None, view.page.say("Expected a date such as 2024-01-31, got %(got)s.", got=short_repr(text))


def _choices(view: FlowsView) -> dict[str, object]:
    """The choices of the filter's fields: pairs of a value and its name."""
    say, labels, anything = view.page.say, view.page.labels, [("", view.page.say("Any"))]
    kinds = [(kind.value, labels.kind(kind)) for kind in Kind]
    currencies = currencies_of([account.snapshot for account in view.accounts])
    finding = view.request.filter.finding or ""
    zone = view.request.zone
    return {
        "kinds": anything + sorted(kinds, key=lambda pair: pair[1]),
        "categories": anything + [(category.value, labels.category(category)) for category in Category],
        "directions": anything + [(direction.value, labels.direction(direction)) for direction in Direction],
        "currencies": anything + [(currency, currency) for currency in currencies],
        "findings": [
            *anything,
            (SIDE, say("Direction contradicts the sign")),
            (SAME_ID, say("Same ID, different content")),
            (BREAK, say("Balance breaks")),
            *([(finding, finding)] if finding not in ("", *KINDS) else []),
        ],
        "orders": [("", say("Newest first")), (OLDEST, say("Oldest first"))],
        "zones": [
            ("", say("As in the display settings")),
            (ACCOUNT_ZONE, say("The account's")),
            ("UTC", "UTC"),
            *([(zone, zone)] if zone not in ("", ACCOUNT_ZONE, "UTC") else []),
        ],
    }


def _json(value: object) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type=MediaType.JSON)


def _error(text: str, status: int = 400) -> Response[bytes]:
    return Response(msgspec.json.encode({"detail": text}), status_code=status, media_type=MediaType.JSON)


# ---------------------------------------------------------------- one flow


@get("/page/flows/flow", sync_to_thread=True)
def load_flow(page: CurrentPage) -> Response[str]:
    """One flow in full: its fields, versions, neighbours in the account, links, and the row as received."""
    return _render_flow(page, _visible_key(page, page.query.get("key", [""])[-1]))


def _visible_key(page: Page, text: str) -> tuple[str, int, str] | None:
    """The key of a flow that the reader may see. None: it is not a key, or belongs to another account."""
    key = current_flow_key(page.ledger, text)
    return key if key is not None and page.sees(key[0]) else None


@post("/page/flows/link", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def decide_link_of_flow(page: CurrentPage) -> Response[str]:
    """Confirm or reject a link of a flow, and show the flow again."""
    form = Form(page)
    key, link, by = _visible_key(page, form.typed("key")), form.typed("link"), page.user or form.text("by")
    decision = LinkState.CONFIRMED if form.typed("decision") == "confirmed" else LinkState.REJECTED
    error = form.errors.get("by", "")
    if by is not None:
        try:
            link_in_full(page.read_model, link, page.principal.accounts)  # raises if the reader may not see it
            decide_link(
                page.ledger,
                page.read_model.rules,
                link,
                decision,
                decided_by=by,
                reason=form.typed("reason"),
                replace=form.ticked("replace"),
                visible=page.principal.accounts,
            )
        except ConfigError as problem:
            error = str(problem)
    return _render_flow(page, key, error=error)


@post("/page/flows/finding", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def decide_finding_of_flow(page: CurrentPage) -> Response[str]:
    """Explain a finding of a flow, or withdraw its explanation, and show the flow again."""
    form = Form(page)
    key, finding = _visible_key(page, form.typed("key")), form.typed("finding")
    decide(form, [finding] if finding else [])
    return _render_flow(page, key, finding_error=next(iter(form.errors.values()), ""))


def _render_flow(
    page: Page, key: tuple[str, int, str] | None, *, error: str = "", finding_error: str = ""
) -> Response[str]:
    """The drawer with a flow. `error` and `finding_error`: why a decision about a link or a finding was refused."""
    versions = [] if key is None else versions_of(page.ledger, *key)
    if not versions:
        return page.render("flows/missing.html", status=404)
    newest = versions[-1]
    flow = newest.version.found
    with page.read_model.reading((flow.account,)) as reading:
        account_zone = reading.accounts[flow.account].name.zone
    asked_zone = page.form.get("zone") or page.query.get("zone", [""])[-1]
    zone = asked_zone if is_zone(asked_zone) else page.view_zone(account_zone)
    is_current = newest.version.ended_as is None
    around = neighbours(page.read_model, flow) if is_current else Neighbours([], is_ambiguous=False)
    links = link_views(page, FlowKey(flow.account, to_us(flow.flow.at), flow.id)) if is_current else []
    wires = (
        ("wire", page.say("Row as received"), newest.wire),
        ("served", page.say("Row served instead"), newest.served),
    )
    return page.render(
        "flows/flow.html",
        status=422 if error or finding_error else 200,
        found=flow,
        findings=_finding_views(page, flow) if is_current else [],
        finding_error=finding_error,
        actions=action_names(page),
        links=links,
        states=state_names(page),
        instant=from_us,
        link_error=error,
        by=page.user or page.form.get("by", ""),
        flow=flow.flow,
        place=account_label(flow.account, flow.flow.subaccount),
        zone=zone,
        versions=list(reversed(versions)),
        endings={
            RESTATED: page.say("restated"),
            WITHDRAWN: page.say("withdrawn"),
            UNDONE: page.say("withdrawn with its import"),
        },
        around=list(reversed(around.flows)),
        is_ambiguous=around.is_ambiguous,
        decimals=decimal_places(_amounts(around.flows)),
        key_of=_key,
        rows=[
            (name, title, text, pretty_json(text), f"/page/flows/wire?{urlencode({'key': _key(flow), 'row': name})}")
            for name, title, text in wires
            if text is not None
        ],
    )


def _finding_views(page: Page, flow: LedgerFlow) -> list[tuple[FindingView, list[FindingDecision]]]:
    """The findings of a flow, each with the decisions on it, newest first."""
    every = findings_of_flow(page.read_model, flow)
    return [(finding_view(page, one.finding), list(reversed(one.decisions))) for one in every]


@get("/page/flows/wire", sync_to_thread=True)
def download_row(page: CurrentPage) -> Response[bytes]:
    """The row of a flow as received, or as served instead, as a file."""
    versions, which = _versions(page), page.query.get("row", ["wire"])[-1]
    text = None
    if versions:
        text = versions[-1].served if which == "served" else versions[-1].wire
    if text is None:
        return _error(page.say("This row does not exist."), status=404)
    return Response(
        text.encode(),
        media_type="application/octet-stream",
        headers={"content-disposition": 'attachment; filename="row.json"'},
    )


def _versions(page: Page) -> list[FlowVersion]:
    """The versions of the flow whose key is in the address. Empty: no such flow."""
    key = _visible_key(page, page.query.get("key", [""])[-1])
    return [] if key is None else versions_of(page.ledger, *key)


def _key(flow: LedgerFlow) -> str:
    return flow_key(flow.account, to_us(flow.flow.at), flow.id)


def _amounts(around: Sequence[Neighbour]) -> list[Decimal]:
    flows = [neighbour.found.flow for neighbour in around]
    balances = [flow.balance_after for flow in flows if flow.balance_after is not None]
    running = [neighbour.running for neighbour in around if neighbour.running is not None]
    return [flow.amount for flow in flows] + balances + running


def pretty_json(text: str) -> str:
    """JSON with a line for each member, its numbers and texts unchanged. Text that is not JSON stays as it is."""
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.MsgspecError:
        return text


# ---------------------------------------------------------------- rejected rows


@get("/flows/quarantine", sync_to_thread=True)
def show_quarantine(page: CurrentPage) -> Response[str]:
    """The rejected rows, with their bytes and the reason."""
    view = read_view(page)
    rejected = list(islice(list_quarantined(page.ledger, view.request.filter.accounts), QUARANTINED_MAX + 1))
    return page.render(
        "flows/quarantine.html",
        status=view.request.status,
        # Bytes that are not UTF-8 are shown as numbers.
        found=[(row, pretty_json(row.wire.decode("utf-8", "backslashreplace"))) for row in rejected[:QUARANTINED_MAX]],
        more=len(rejected) > QUARANTINED_MAX,
        asked=view.request,
        zone=view.zone,
        instant=from_us,
    )
