"""The overview page: balances, money in and out, its sources and destinations, and the alarms."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from litestar import get
from litestar.response import Response

from liushui.instant import from_us, to_us
from liushui.ledger.day_totals import Total
from liushui.ledger.read.accounts import currencies_of
from liushui.ledger.read.balances import Balance
from liushui.ledger.read.completeness import Basis, Verdict, combine
from liushui.ledger.read.fees import read_fees
from liushui.ledger.read.filters import DAY
from liushui.ledger.read.links import find_views
from liushui.ledger.read.model import Account, verdict_on
from liushui.ledger.read.overview import Overview, read_calendar, read_overview, read_streams
from liushui.ledger.read.summaries import SummaryQuery, Unit, by_kind, sum_totals
from liushui.meaning import SECTIONS, Meaning, Section, meaning_of
from liushui.money import EXACT, ZERO
from liushui.rules import Paging, Rules
from liushui.server.web.charts import (
    Calendar,
    bar_chart,
    draw_calendar,
    how_matched,
    kind_colours,
    own_transfers_line,
    sankey_chart,
    script_json,
    state_looks,
    views_line,
)
from liushui.server.web.check_labels import check_label
from liushui.server.web.filter_params import OverviewRequest, read_overview_request
from liushui.server.web.labels import (
    account_label,
    alarm_label,
    basis_label,
    coverage_label,
    period_name,
    unit_names,
)
from liushui.server.web.page import CurrentPage, Page, decimal_places

CALENDAR_WEEKS: Final = 53


class Holding(NamedTuple):
    """The sums of one currency over all accounts, and each of them. `basis`: a balance if all of them are.

    `views`: accounts that may show the same money as another one of them, so that the sum counts it twice.
    """

    currency: str
    amount: Decimal
    verdict: Verdict
    basis: Basis
    balances: Sequence[Balance]
    views: Sequence[str]


class KindTotal(NamedTuple):
    """The total of one kind, the number of its colour, and the address of its flows."""

    kind: str
    colour: int
    moved: Total
    address: str


class MeaningLine(NamedTuple):
    """The total of one meaning. `address`: its flows, if they are of one kind; else empty."""

    meaning: Meaning
    moved: Total
    address: str


class MeaningPart(NamedTuple):
    """A section of the table of income and expense: its lines, and their sum."""

    section: Section
    lines: Sequence[MeaningLine]
    total: Total


@get("/", sync_to_thread=True)
def show_overview(page: CurrentPage) -> Response[str]:
    """Show the overview: balances, charts, calendars and alarms of the chosen accounts and period."""
    request, overview = _read(page)
    template = "overview/index.html" if overview.accounts else "overview/empty.html"
    return page.render(template, status=request.status, **_template_context(page, request, overview))


@get("/page/overview/moved", sync_to_thread=True)
def load_periods(page: CurrentPage) -> Response[str]:
    """The table of money in and out by period and kind."""
    request, overview = _read(page)
    unit, language, zone = overview.span.unit, page.language, _zone(page, overview)
    periods = overview.periods
    return page.render(
        "overview/moved.html",
        status=request.status,
        periods=[(period_name(unit, period.first, period.last, language), period) for period in periods],
        decimals=decimal_places(
            [amount for period in periods for amount in (period.total.money_in, period.total.money_out)]
        ),
        currency=overview.currency,
        coverage=lambda verdict: coverage_label(verdict, zone, language),
    )


@get("/page/overview/streams", sync_to_thread=True)
def load_streams(page: CurrentPage) -> Response[str]:
    """The chart and the table of the sources and destinations of money."""
    request, overview = _read(page)
    currency, names = overview.currency or "", _chosen_names(request, overview)
    streams = read_streams(page.read_model, currency, overview.span, names)
    return page.render(
        "overview/streams.html",
        status=request.status,
        chart=script_json(
            sankey_chart(streams, kind_colours(list(by_kind(overview.periods))), currency, page.language)
        ),
        own=own_transfers_line(streams, currency, page.language),
        views=views_line(streams, currency, page.language),
        flowed=streams,
        decimals=decimal_places([amount for one in streams.outside for amount in (one.came, one.went)]),
        currency=currency,
        how=how_matched(page.language),
    )


@get("/page/overview/fees", sync_to_thread=True)
def load_fees(page: CurrentPage) -> Response[str]:
    """The fees of each account: flows of the kind fee, and fees within other rows."""
    request, overview = _read(page)
    span, currency, zone = overview.span, overview.currency, _zone(page, overview)
    names = tuple(_chosen_names(request, overview))
    fees = read_fees(
        page.read_model, SummaryQuery(names, Unit.ALL, first=span.first, last=span.last, currency=currency)
    )
    return page.render(
        "overview/fees.html",
        status=request.status,
        fees=fees.rows,
        decimals=decimal_places([row.flows.net for row in fees.rows] + [row.within.total.net for row in fees.rows]),
        currency=currency,
        coverage=lambda verdict: coverage_label(verdict, zone, page.language),
        instant=from_us,
        zone=zone,
    )


def _chosen_names(request: OverviewRequest, overview: Overview) -> list[str]:
    """Return the chosen accounts; all if none was chosen."""
    chosen = request.query.accounts
    return [account.name.account for account in overview.accounts if not chosen or account.name.account in chosen]


def _meaning_parts(
    kinds: Mapping[str, Total], left_out: Mapping[Meaning, Total], address_of: Callable[[str], str]
) -> list[MeaningPart]:
    """Return the table of income and expense: sums by meaning, and apart what is left out of totals."""
    sums: dict[Meaning, Total] = {}
    kinds_of: dict[Meaning, list[str]] = {}
    for kind, moved in kinds.items():
        meaning = meaning_of(kind)
        sums[meaning] = sums.get(meaning, Total()).plus(moved)
        kinds_of.setdefault(meaning, []).append(kind)
    sums |= {meaning: moved for meaning, moved in left_out.items() if moved.flows}
    parts = []
    for section in Section:
        lines = [
            MeaningLine(
                meaning, sums[meaning], address_of(kinds_of[meaning][0]) if len(kinds_of.get(meaning, ())) == 1 else ""
            )
            for meaning in Meaning
            if meaning in sums and SECTIONS[meaning] is section
        ]
        if lines:
            parts.append(MeaningPart(section, lines, sum_totals(line.moved for line in lines)))
    return parts


def _read(page: Page) -> tuple[OverviewRequest, Overview]:
    with page.read_model.reading() as reading:
        accounts = list(reading.accounts.values())
    names = [account.name.account for account in accounts]
    currencies = currencies_of([account.snapshot for account in accounts])
    request = read_overview_request(page.query, names, currencies, page.language)
    return request, read_overview(page.read_model, request.query)


def _zone(page: Page, overview: Overview) -> str:
    return page.view_zone(*(account.name.zone for account in overview.accounts))


def _template_context(page: Page, request: OverviewRequest, overview: Overview) -> dict[str, object]:
    language, zone, span, currency = page.language, _zone(page, overview), overview.span, overview.currency
    kinds = by_kind(overview.periods)
    colours = kind_colours(list(kinds))

    def flows_address(first: date, last: date, kind: str | None = None) -> str:
        until = (last + DAY).isoformat() if last < date.max else None
        accounts_only = OverviewRequest({}, request.accounts)
        return accounts_only.address("/flows", currency=currency, kind=kind, since=first.isoformat(), until=until)

    chart = None
    if currency is not None:
        addresses = [flows_address(period.first, period.last) for period in overview.periods]
        chart = script_json(bar_chart(overview.periods, span, currency, zone, addresses, language))
    return {
        "asked": request,
        "found": overview,
        "accounts": [account.snapshot for account in overview.accounts],
        "zone": zone,
        "alarms": [alarm_label(alarm, zone, language) for alarm in overview.alarms],
        "holdings": _holdings(overview, page.read_model.rules),
        "account_label": account_label,
        "coverage": lambda verdict: coverage_label(verdict, zone, language),
        "basis": lambda basis: basis_label(basis, language),
        "check": lambda balance: check_label(balance.check, zone, language),
        "units": unit_names(language),
        "unit": span.unit,
        "since": span.first.isoformat(),
        "until": (span.last + DAY).isoformat() if span.last < date.max else "",
        "chart": chart,
        "total": sum_totals(period.total for period in overview.periods),
        "own_total": sum_totals(period.own for period in overview.periods),
        "views_total": sum_totals(period.views for period in overview.periods),
        "total_label": coverage_label(overview.verdict, zone, language),
        "has_sources": any(account.completeness.has_source for account in overview.accounts),
        "kinds": [
            KindTotal(kind, colours[kind], total, flows_address(span.first, span.last, kind))
            for kind, total in kinds.items()
        ],
        "meanings": _meaning_parts(
            kinds,
            {
                Meaning.OWN_TRANSFERS: sum_totals(period.own for period in overview.periods),
                Meaning.SEEN_TWICE: sum_totals(period.views for period in overview.periods),
            },
            lambda kind: flows_address(span.first, span.last, kind),
        ),
        "calendars": _calendars(page, overview, zone),
        "states": state_looks(language),
        "script_json": script_json,
        "instant": lambda at_us: None if at_us is None else from_us(at_us),
    }


def _holdings(overview: Overview, rules: Mapping[str, Rules[Paging]]) -> list[Holding]:
    """The balances by currency, in the order of the currencies."""
    holdings = []
    only_stated = {balance.currency for balance in overview.balances} - set(overview.currencies)
    for currency in [*overview.currencies, *sorted(only_stated)]:
        balances = [balance for balance in overview.balances if balance.currency == currency]
        amount = ZERO
        for balance in balances:
            amount = EXACT.add(amount, balance.amount)
        changes = [balance.basis for balance in balances if not balance.basis.is_balance]
        # If there are several net changes, the latest beginning is named: before it, some account is incomplete.
        basis = max(changes, key=lambda one: one.since_us or 0) if changes else Basis()
        held = {balance.account for balance in balances}
        others = [one for one in overview.accounts if one.name.account not in held]
        views = sorted(find_views([one.name for one in overview.accounts if one.name.account in held], rules))
        verdict = combine([*(one.verdict for one in balances), verdict_on(others, None, None, currency)])
        holdings.append(Holding(currency, amount, verdict, basis, balances, views))
    return holdings


def _calendars(page: Page, overview: Overview, zone: str) -> list[tuple[Account, Calendar | None, str]]:
    """Return a calendar of the last year for each account, and why the time before it is not complete.

    None for an account without a source. "": the time before is complete.
    """
    now = page.ledger.clock()
    today = now.date()
    first = today - timedelta(days=today.weekday(), weeks=CALENDAR_WEEKS - 1)
    calendars: list[tuple[Account, Calendar | None, str]] = []
    for account in overview.accounts:
        days = read_calendar(account, page.read_model.rules.get(account.name.provider), first=first, now=now)
        calendar = draw_calendar(account.name.account, days, first, page.language) if days else None
        calendars.append((account, calendar, _earlier(page, account, first, zone)))
    return calendars


def _earlier(page: Page, account: Account, first: date, zone: str) -> str:
    """Say why the time from the beginning of an account's source to a day is not complete. "": it is complete."""
    begin_us, until_us = account.completeness.begin_us, to_us(datetime.combine(first, time.min, account.name.tz))
    if not account.completeness.has_source or until_us <= begin_us:
        return ""
    verdict = account.verdict(from_us(begin_us), from_us(until_us))
    return "" if verdict.is_complete else coverage_label(verdict, zone, page.language).meaning
