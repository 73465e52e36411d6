"""The first page: what there is, what moved and where, and what needs somebody's eye."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from litestar import get
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.instant import from_us
from liushui.ledger.read.account_snapshot import AccountFacts, Kept
from liushui.ledger.read.cover import Mark, together
from liushui.ledger.read.moved import Held, Moved, by_kind, sum_of
from liushui.ledger.read.overview import Overview, calendar, flowing, overview
from liushui.money import EXACT, ZERO
from liushui.rules import Paging, Rules
from liushui.server.web.overview.calendar import LOOKS, Calendar, drawn, state_names
from liushui.server.web.overview.charts import bars, colours_of, embedded, how_matched, sankey
from liushui.server.web.overview.filters import Asking, check_known, read_asked
from liushui.server.web.overview.labels import Sure, period_name, place_name, sure, told, unit_names
from liushui.server.web.page import AnyRequest, Page, WebContext, places_of

CALENDAR_WEEKS: Final = 53


class Holding(NamedTuple):
    """What there is in one currency, everywhere, and where."""

    currency: str
    amount: Decimal
    mark: Mark
    places: Sequence[Held]


class KindLine(NamedTuple):
    """What moved of one kind, the number of its colour, and the address of its flows."""

    kind: str
    colour: int
    moved: Moved
    address: str


def routes(web: WebContext) -> list[ControllerRouterHandler]:
    """The overview, and the parts of it that come later."""
    kept = Kept()

    def ask(page: Page) -> tuple[Asking, Overview, int]:
        """What was asked and what is to be said to it, with the status to say it with."""
        asking = read_asked(fields_of(page.request), page.language)
        ledger, rules = web.app_context.ledger, rules_of(web)
        found = overview(ledger, rules, asking.asked, kept)
        before = asking.asked
        check_known(asking, [account.account for account in found.facts.accounts], found.currencies, page.language)
        if asking.asked != before:
            found = overview(ledger, rules, asking.asked, kept)
        return asking, found, 400 if asking.errors else 200

    @get("/", sync_to_thread=True)
    def first_page(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        asking, found, status = ask(page)
        template = "overview/index.html" if found.facts.accounts else "overview/empty.html"
        return page.render(template, status=status, **_context(web, page, asking, found))

    @get("/page/overview/moved", sync_to_thread=True)
    def moved_table(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        _, found, status = ask(page)
        names = [
            (period_name(found.span.unit, period.first, period.last, page.language), period) for period in found.periods
        ]
        return page.render(
            "overview/moved.html",
            status=status,
            periods=names,
            deep=places_of([part for period in found.periods for part in parts_of(period.all)]),
            currency=found.currency,
            sure=_sure(found, page),
        )

    @get("/page/overview/streams", sync_to_thread=True)
    def streams(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        asking, found, status = ask(page)
        zones = {
            account.account: account.zone
            for account in found.facts.accounts
            if not asking.asked.accounts or account.account in asking.asked.accounts
        }
        currency = found.currency or ""
        flowed = flowing(web.app_context.ledger, currency, found.span, zones)
        return page.render(
            "overview/streams.html",
            status=status,
            chart=embedded(sankey(flowed, currency, page.language)),
            flowed=flowed,
            deep=places_of([amount for one in flowed.streams.outside for amount in (one.came, one.went)]),
            currency=currency,
            how=how_matched(page.language),
        )

    return [first_page, moved_table, streams]


def fields_of(request: AnyRequest) -> dict[str, list[str]]:
    """The fields of a request's address, with all their values."""
    return {name: request.query_params.getall(name) for name in request.query_params}


def parts_of(moved: Moved) -> tuple[Decimal, Decimal]:
    """What came in, and what went out."""
    return moved.money_in, moved.money_out


def rules_of(web: WebContext) -> dict[str, Rules[Paging]]:
    """The rules of every provider, by its name."""
    return {name: provider.rules for name, provider in web.app_context.providers.items()}


def common_zone(accounts: Sequence[AccountFacts]) -> str:
    """The zone to tell instants of several accounts in: theirs, where they share one."""
    zones = {account.zone for account in accounts}
    return zones.pop() if len(zones) == 1 else "UTC"


def _sure(found: Overview, page: Page) -> Callable[[Mark], Sure]:
    zone = common_zone(found.facts.accounts)
    return lambda mark: sure(mark, zone, page.language)


def _context(web: WebContext, page: Page, asking: Asking, found: Overview) -> dict[str, object]:
    language, zone = page.language, common_zone(found.facts.accounts)
    zones = {account.account: account.zone for account in found.facts.accounts}
    first, last = found.span.first.isoformat(), found.span.last.isoformat()
    kinds = by_kind(found.periods)
    colours = colours_of(list(kinds))
    flows = {"currency": found.currency, "from": first, "to": last}
    addresses = [
        _flows_address(asking, currency=found.currency, since=period.first, until=period.last)
        for period in found.periods
    ]
    chart = None
    if found.currency is not None:
        chart = embedded(bars(found.periods, found.span, found.currency, zone, addresses, language))
    total = sum_of(period.all for period in found.periods)
    return {
        "asking": asking,
        "found": found,
        "zone": zone,
        "zones": zones,
        "alarms": [told(alarm, zones[alarm.account], language) for alarm in found.alarms],
        "holdings": _holdings(found),
        "place_name": place_name,
        "sure": lambda mark: sure(mark, zone, language),
        "units": unit_names(language),
        "unit": found.span.unit,
        "first": first,
        "last": last,
        "chart": chart,
        "total": total,
        "total_mark": together([period.mark for period in found.periods]),
        "kinds": [
            KindLine(
                kind,
                colours[kind],
                moved,
                _flows_address(
                    asking, currency=found.currency, since=found.span.first, until=found.span.last, kind=kind
                ),
            )
            for kind, moved in kinds.items()
        ],
        "flows": flows,
        "calendars": _calendars(web, page, found),
        "states": [(LOOKS[state], name) for state, name in state_names(language).items()],
        "embedded": embedded,
        "instant": lambda at_us: None if at_us is None else from_us(at_us),
    }


def _holdings(found: Overview) -> list[Holding]:
    """The balances by currency, in the order of the currencies."""
    holdings = []
    for currency in found.currencies:
        places = [held for held in found.held if held.currency == currency]
        amount = ZERO
        for held in places:
            amount = EXACT.add(amount, held.amount)
        holdings.append(Holding(currency, amount, together([held.mark for held in places]), places))
    return holdings


def _flows_address(asking: Asking, *, currency: str | None, since: date, until: date, kind: str | None = None) -> str:
    named = Asking({}, asking.accounts)
    return named.address(
        "/flows", **{"currency": currency, "kind": kind, "from": since.isoformat(), "to": until.isoformat()}
    )


def _calendars(web: WebContext, page: Page, found: Overview) -> list[tuple[AccountFacts, Calendar | None]]:
    """A calendar of the last year for each account that has a source; None where nothing is claimed."""
    now = web.app_context.ledger.clock()
    today = now.date()
    first = today - timedelta(days=today.weekday(), weeks=CALENDAR_WEEKS - 1)
    rules: Mapping[str, Rules[Paging]] = rules_of(web)
    made: list[tuple[AccountFacts, Calendar | None]] = []
    for account in found.facts.accounts:
        known = rules.get(account.provider)
        days = calendar(account, known, first=first, now=now) if known else []
        made.append((account, drawn(account.account, days, page.language) if days else None))
    return made
