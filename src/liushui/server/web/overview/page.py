"""The overview page: balances, what moved and where, and what needs attention."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from litestar import get
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.instant import from_us
from liushui.ledger.day_totals import Total
from liushui.ledger.read.accounts import currencies_of
from liushui.ledger.read.balances import Balance
from liushui.ledger.read.completeness import Basis, Verdict, combine
from liushui.ledger.read.flows import DAY
from liushui.ledger.read.model import Account, verdict_on
from liushui.ledger.read.overview import Overview, read_calendar, read_overview, read_streams
from liushui.ledger.read.summaries import by_kind, sum_totals
from liushui.money import EXACT, ZERO
from liushui.rules import Paging, Rules
from liushui.server.web.flows.filters import common_zone
from liushui.server.web.overview.calendar import LOOKS, Calendar, drawn, state_names
from liushui.server.web.overview.charts import bars, colours_of, embedded, how_matched, sankey
from liushui.server.web.overview.filters import OverviewRequest, read_overview_request
from liushui.server.web.overview.labels import (
    CoverageLabel,
    alarm_label,
    basis_label,
    coverage_label,
    period_name,
    place_name,
    unit_names,
)
from liushui.server.web.page import AnyRequest, Page, WebContext, places_of

CALENDAR_WEEKS: Final = 53


class Holding(NamedTuple):
    """The sums of one currency over all accounts, and each of them. `basis`: a balance if all of them are."""

    currency: str
    amount: Decimal
    verdict: Verdict
    basis: Basis
    balances: Sequence[Balance]


class KindLine(NamedTuple):
    """What moved of one kind, the number of its colour, and the address of its flows."""

    kind: str
    colour: int
    moved: Total
    address: str


def routes(web: WebContext) -> list[ControllerRouterHandler]:
    """The overview, and the parts of it that load later."""
    model = web.app_context.read_model

    def read(page: Page) -> tuple[OverviewRequest, Overview, int]:
        """The request, the overview, and the HTTP status: 400 where something in the address is wrong."""
        with model.reading() as reading:
            accounts = list(reading.accounts.values())
        names = [account.name.account for account in accounts]
        currencies = currencies_of([account.snapshot for account in accounts])
        request = read_overview_request(fields_of(page.request), names, currencies, page.language)
        return request, read_overview(model, request.query), 400 if request.errors else 200

    @get("/", sync_to_thread=True)
    def first_page(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        asking, found, status = read(page)
        template = "overview/index.html" if found.accounts else "overview/empty.html"
        return page.render(template, status=status, **_context(web, page, asking, found))

    @get("/page/overview/moved", sync_to_thread=True)
    def moved_table(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        _, found, status = read(page)
        names = [
            (period_name(found.span.unit, period.first, period.last, page.language), period) for period in found.periods
        ]
        return page.render(
            "overview/moved.html",
            status=status,
            periods=names,
            deep=places_of([part for period in found.periods for part in parts_of(period.total)]),
            currency=found.currency,
            coverage=_coverage_labels(found, page),
        )

    @get("/page/overview/streams", sync_to_thread=True)
    def streams(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        asking, found, status = read(page)
        chosen = asking.query.accounts
        zones = {
            account.name.account: account.name.zone
            for account in found.accounts
            if not chosen or account.name.account in chosen
        }
        currency = found.currency or ""
        flowed = read_streams(model, currency, found.span, zones)
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


def parts_of(total: Total) -> tuple[Decimal, Decimal]:
    """What came in, and what went out."""
    return total.money_in, total.money_out


def zone_of(found: Overview) -> str:
    """The zone that instants of several accounts are shown in: theirs, where they share one."""
    return common_zone([account.name.zone for account in found.accounts])


def _coverage_labels(found: Overview, page: Page) -> Callable[[Verdict], CoverageLabel]:
    zone = zone_of(found)
    return lambda verdict: coverage_label(verdict, zone, page.language)


def _context(web: WebContext, page: Page, asking: OverviewRequest, found: Overview) -> dict[str, object]:
    language, zone = page.language, zone_of(found)
    zones = {account.name.account: account.name.zone for account in found.accounts}
    kinds = by_kind(found.periods)
    colours = colours_of(list(kinds))
    addresses = [
        _flows_address(asking, currency=found.currency, first=period.first, last=period.last)
        for period in found.periods
    ]
    chart = None
    if found.currency is not None:
        chart = embedded(bars(found.periods, found.span, found.currency, zone, addresses, language))
    return {
        "asking": asking,
        "found": found,
        "accounts": [account.snapshot for account in found.accounts],
        "zone": zone,
        "zones": zones,
        "alarms": [alarm_label(alarm, zones[alarm.account], language) for alarm in found.alarms],
        "holdings": _holdings(found),
        "place_name": place_name,
        "coverage": lambda verdict: coverage_label(verdict, zone, language),
        "basis": lambda basis: basis_label(basis, language),
        "units": unit_names(language),
        "unit": found.span.unit,
        "since": found.span.first.isoformat(),
        "until": (found.span.last + DAY).isoformat() if found.span.last < date.max else "",
        "chart": chart,
        "total": sum_totals(period.total for period in found.periods),
        "total_verdict": combine([period.verdict for period in found.periods]),
        "kinds": [
            KindLine(
                kind,
                colours[kind],
                total,
                _flows_address(
                    asking, currency=found.currency, first=found.span.first, last=found.span.last, kind=kind
                ),
            )
            for kind, total in kinds.items()
        ],
        "calendars": _calendars(web, page, found),
        "states": [(LOOKS[state], name) for state, name in state_names(language).items()],
        "embedded": embedded,
        "instant": lambda at_us: None if at_us is None else from_us(at_us),
    }


def _holdings(found: Overview) -> list[Holding]:
    """The balances by currency, in the order of the currencies."""
    holdings = []
    for currency in found.currencies:
        balances = [balance for balance in found.balances if balance.currency == currency]
        amount = ZERO
        for balance in balances:
            amount = EXACT.add(amount, balance.amount)
        changes = [balance.basis for balance in balances if not balance.basis.is_balance]
        # Of several net changes the newest beginning is named: before it, some account is missing.
        basis = max(changes, key=lambda one: one.since_us or 0) if changes else Basis()
        verdict = verdict_on(found.accounts, None, None, currency)
        holdings.append(Holding(currency, amount, verdict, basis, balances))
    return holdings


def _flows_address(
    asking: OverviewRequest, *, currency: str | None, first: date, last: date, kind: str | None = None
) -> str:
    until = (last + DAY).isoformat() if last < date.max else None
    named = OverviewRequest({}, asking.accounts)
    return named.address("/flows", currency=currency, kind=kind, since=first.isoformat(), until=until)


def _calendars(web: WebContext, page: Page, found: Overview) -> list[tuple[Account, Calendar | None]]:
    """A calendar of the last year for each account; None for one without a source."""
    now = web.app_context.ledger.clock()
    today = now.date()
    first = today - timedelta(days=today.weekday(), weeks=CALENDAR_WEEKS - 1)
    rules: Mapping[str, Rules[Paging]] = web.app_context.read_model.rules
    calendars: list[tuple[Account, Calendar | None]] = []
    for account in found.accounts:
        days = read_calendar(account, rules.get(account.name.provider), first=first, now=now)
        calendars.append((account, drawn(account.name.account, days, page.language) if days else None))
    return calendars
