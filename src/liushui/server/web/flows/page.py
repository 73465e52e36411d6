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
from liushui.ledger.findings import SAME_ID, SIDE
from liushui.ledger.read.account_snapshot import Facts, Kept, read_facts
from liushui.ledger.read.balance_chain import neighbours
from liushui.ledger.read.balances import FlowFilter, LedgerFlow, Named
from liushui.ledger.read.cover import Cover, Mark, covers_of, together
from liushui.ledger.read.filtered import ROWS_MAX, filtered
from liushui.ledger.read.history import KeptVersion, versions_of
from liushui.ledger.read.pages import Place
from liushui.ledger.read.review import list_quarantined
from liushui.ledger.read.streamed import stream_flows
from liushui.ledger.write.change import RESTATED, WITHDRAWN
from liushui.server.web.flows import rows as flows_rows
from liushui.server.web.flows.filters import FlowsAsked, read_flows_asked
from liushui.server.web.flows.rows import Exported, Writer, exported, lines, lines_newer, place_of
from liushui.server.web.i18n import Language
from liushui.server.web.overview.charts import embedded
from liushui.server.web.overview.labels import place_name, sure
from liushui.server.web.overview.page import fields_of, rules_of
from liushui.server.web.page import AnyRequest, Page, WebContext, places_of

FIRST_ROWS: Final = 100
"""Rows that come with the page itself."""

ENDLESS_US: Final = 2**62
QUARANTINED_MAX: Final = 500
CHUNK_ROWS: Final = 500
"""Rows of a download that are sent together."""

DOWNLOADS: Final = {"csv": "text/csv", "jsonl": "application/jsonl"}


class Asking(NamedTuple):
    """A request, understood as far as it goes."""

    page: Page
    facts: Facts
    asked: FlowsAsked

    @property
    def status(self) -> int:
        """400 where something in the address does not fit."""
        return 400 if self.asked.errors else 200

    def writer(self) -> Writer:
        """What writes the rows."""
        return Writer(self.page.language, self.asked.zone)


def routes(web: WebContext) -> list[ControllerRouterHandler]:
    """The page, and what it asks for by and by."""
    ledger, kept = web.app_context.ledger, Kept()

    def ask(request: AnyRequest) -> Asking:
        page = web.page(request)
        with ledger.reading() as connection:
            facts = read_facts(connection, kept)
        named = [Named(account.account, account.provider, account.zone) for account in facts.accounts]
        return Asking(page, facts, read_flows_asked(fields_of(request), named, facts.currencies(), page.language))

    @get("/flows", sync_to_thread=True)
    def flows_page(request: AnyRequest) -> Response[str]:
        asking = ask(request)
        asked, query = asking.asked, fields_of(request)
        at, problem = _jump(query, asked.zone, asking.page.language)
        if problem:
            asked.errors["at"] = problem
        first = lines(ledger, asked.filter, asking.writer(), limit=FIRST_ROWS, older_than=at)
        return asking.page.render(
            "flows/index.html",
            status=asking.status,
            asked=asked,
            facts=asking.facts,
            first=embedded(first),
            jumped=query.get("at", [""])[-1],
            choices=_choices(asking),
        )

    @get("/page/flows/rows", sync_to_thread=True)
    def rows(request: AnyRequest) -> Response[bytes]:
        asking = ask(request)
        wanted, writer, query = asking.asked.filter, asking.writer(), fields_of(request)
        if asking.asked.errors:
            return _problem(next(iter(asking.asked.errors.values())))
        limit, found = flows_rows.ROWS_MAX, None
        for name in ("older", "newer"):
            if name in query:
                place = place_of(query[name][-1])
                if place is None:
                    return _problem(f"{name}: expected a place that this page gave, got {short_repr(query[name][-1])}")
                if name == "newer":
                    found = lines_newer(ledger, wanted, writer, limit=limit, newer_than=place)
                else:
                    found = lines(ledger, wanted, writer, limit=limit, older_than=place)
        if found is None:
            at, problem = _jump(query, asking.asked.zone, asking.page.language)
            if problem:
                return _problem(problem)
            found = lines(ledger, wanted, writer, limit=limit, older_than=at)
        return Response(msgspec.json.encode(found), media_type=MediaType.JSON)

    @get("/page/flows/totals", sync_to_thread=True)
    def totals(request: AnyRequest) -> Response[str]:
        asking = ask(request)
        everything = fields_of(request).get("all") == ["1"]
        found = filtered(ledger, asking.asked.filter, None if everything else ROWS_MAX)
        covers = covers_of(asking.facts.accounts, rules_of(web), ledger.clock())
        sums = sorted(found.sums.items(), key=lambda item: (-item[1].flows, item[0]))
        return asking.page.render(
            "flows/totals.html",
            status=asking.status,
            asked=asking.asked,
            sums=[
                (currency, moved, sure(_mark(asking, covers, currency), asking.asked.zone, asking.page.language))
                for currency, moved in sums
            ],
            deep=places_of([amount for one in found.sums.values() for amount in (one.money_in, one.money_out)]),
            since=None if found.since_us is None else from_us(found.since_us),
        )

    @get("/page/flows/flow", sync_to_thread=True)
    def one_flow(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        place = place_of(fields_of(request).get("key", [""])[-1])
        versions = [] if place is None else versions_of(ledger, place.account, place.at_us, place.id)
        if place is None or not versions:
            return page.render("flows/missing.html", status=404)
        newest = versions[-1]
        with ledger.reading() as connection:
            zone = next(one.zone for one in read_facts(connection, kept).accounts if one.account == place.account)
        around = neighbours(ledger, newest.version.found) if newest.version.ended_as is None else []
        return page.render("flows/flow.html", status=200, **_drawer(page, place, versions, around, zone))

    @get("/page/flows/wire", sync_to_thread=True)
    def wire_row(request: AnyRequest) -> Response[bytes]:
        page = web.page(request)
        query = fields_of(request)
        place, which = place_of(query.get("key", [""])[-1]), query.get("row", ["wire"])[-1]
        versions = [] if place is None else versions_of(ledger, place.account, place.at_us, place.id)
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
        asking = await asyncio.to_thread(ask, request)  # of a handler with two paths Litestar makes only one a thread's
        form = request.scope["path"].rpartition(".")[2]
        if asking.asked.errors:
            return _problem(next(iter(asking.asked.errors.values())))
        found = stream_flows(ledger, asking.asked.filter)
        return Stream(
            _in_threads(_csv(found) if form == "csv" else _jsonl(found)),
            media_type=DOWNLOADS[form],
            headers={"content-disposition": f'attachment; filename="flows.{form}"'},
        )

    @get("/flows/quarantine", sync_to_thread=True)
    def quarantine(request: AnyRequest) -> Response[str]:
        asking = ask(request)
        names = asking.asked.filter.accounts
        found = list(islice(list_quarantined(ledger, names), QUARANTINED_MAX + 1))
        zones = {account.account: account.zone for account in asking.facts.accounts}
        return asking.page.render(
            "flows/quarantine.html",
            status=asking.status,
            found=[(one, _readable(one.wire)) for one in found[:QUARANTINED_MAX]],
            more=len(found) > QUARANTINED_MAX,
            asked=asking.asked,
            zones=zones,
            instant=from_us,
        )

    return [flows_page, rows, totals, one_flow, wire_row, download, quarantine]


def _choices(asking: Asking) -> dict[str, object]:
    """What the filter's fields offer, in the reader's words."""
    page = asking.page
    say, words, anything = page.say, page.words, [("", page.say("Any"))]
    return {
        "kinds": anything + sorted(((kind.value, words.kind(kind)) for kind in Kind), key=lambda one: one[1]),
        "categories": anything + [(one.value, words.category(one)) for one in Category],
        "directions": anything + [(one.value, words.direction(one)) for one in Direction],
        "currencies": anything + [(one, one) for one in asking.facts.currencies()],
        "findings": [
            *anything,
            (SIDE, say("Direction contradicts the sign")),
            (SAME_ID, say("Same ID, different content")),
        ],
    }


def _jump(query: dict[str, list[str]], zone: str, language: Language) -> tuple[Place | None, str]:
    """The place that the end of the day `at` is, or what is wrong with it."""
    text = query.get("at", [""])[-1].strip()
    if not text:
        return None, ""
    try:
        local = load_zone(zone)
        day = parse_instant("at", text, local).astimezone(local).date()
        return Place(to_us(parse_instant("at", (day + timedelta(days=1)).isoformat(), local))), ""
    except (ConfigError, OverflowError):
        return None, language.say("Expected a date such as 2024-01-31, got %(got)s.", got=short_repr(text))


def _mark(asking: Asking, covers: dict[str, Cover], currency: str) -> Mark:
    """The mark of what is filtered in a currency: of the accounts that have it, and the range."""
    wanted = asking.asked.filter
    marks = []
    for account in asking.facts.accounts:
        if wanted.accounts and account.account not in wanted.accounts:
            continue
        if all(one.currency != currency for one in account.sums):
            continue
        marks.append(_mark_between(covers[account.account], wanted))
    return together(marks)


def _mark_between(cover: Cover, wanted: FlowFilter) -> Mark:
    """The mark of an account in a filter's range. One without a beginning begins where the account does."""
    if wanted.since is None and wanted.until is None:
        return cover.whole()
    since_us = cover.begin_us if wanted.since is None else to_us(wanted.since)
    return cover.within(since_us, ENDLESS_US if wanted.until is None else to_us(wanted.until))


def _drawer(
    page: Page, place: Place, versions: Sequence[KeptVersion], around: Sequence[Any], zone: str
) -> dict[str, object]:
    newest = versions[-1]
    found = newest.version.found
    key = flows_rows.cursor_of(place)
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
        "key_of": lambda one: flows_rows.cursor_of(Place(to_us(one.flow.at), one.account, one.id)),
        "rows": [
            (name, title, text, pretty(text), f"/page/flows/wire?{urlencode({'key': key, 'row': name})}")
            for name, title, text in (
                ("wire", page.say("Row as received"), newest.wire),
                ("served", page.say("Row as served instead"), newest.served),
            )
            if text is not None
        ],
    }


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
    """Comma-separated values, a line of names first."""
    names = Exported.__struct_fields__
    yield f"{','.join(names)}\r\n".encode()
    for chunk in _chunks(found):
        text = io.StringIO()
        csv.writer(text).writerows(msgspec.structs.astuple(exported(one)) for one in chunk)
        yield text.getvalue().encode()


def _jsonl(found: Iterator[LedgerFlow]) -> Generator[bytes]:
    """A flow a line."""
    encode = msgspec.json.Encoder().encode
    for chunk in _chunks(found):
        yield b"".join(encode(exported(one)) + b"\n" for one in chunk)


def _chunks(found: Iterator[LedgerFlow]) -> Iterator[list[LedgerFlow]]:
    while chunk := list(islice(found, CHUNK_ROWS)):
        yield chunk
