"""The overview: balances, money in and out, alarms and calendars, from one state of a ledger."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import add_days, to_us
from liushui.ledger.day_totals import Total, parse_sum
from liushui.ledger.engines.condition_sql import exact_sums
from liushui.ledger.jobs.backups import read_backup_states
from liushui.ledger.read.accounts import currencies_of
from liushui.ledger.read.balances import Balance, current_balances
from liushui.ledger.read.completeness import Verdict
from liushui.ledger.read.coverage import Day, days_of
from liushui.ledger.read.filters import DAY
from liushui.ledger.read.model import Account, ReadModel, verdict_on
from liushui.ledger.read.money_streams import Move, Streams, streams_of
from liushui.ledger.read.own_transfers import OwnTransfer, leg_total, legs_in
from liushui.ledger.read.status import Alarm, alarms, backup_alarms
from liushui.ledger.read.summaries import ChartPeriod, Span, Unit, beginning, last_day
from liushui.ledger.schema import day_totals
from liushui.rules import Paging, Rules

# ---------------------------------------------------------------- the overview


SPANS: Final[Mapping[Unit, timedelta]] = {
    Unit.DAY: timedelta(days=45),
    Unit.WEEK: timedelta(weeks=26),
    Unit.MONTH: timedelta(days=365),
}
"""The default length of a span, about: it begins with a period."""


class OverviewQuery(NamedTuple):
    """Selects the content of an overview. None: the default. Days are included at both ends."""

    unit: Unit = Unit.MONTH
    currency: str | None = None
    first: date | None = None
    last: date | None = None
    accounts: tuple[str, ...] = ()


class Overview(NamedTuple):
    """The first page that a person sees. `currency` None: there are no flows, and so no periods.

    `verdict` is the verdict on the whole span, not on single periods.
    """

    accounts: Sequence[Account]
    alarms: Sequence[Alarm]
    balances: Sequence[Balance]
    currencies: Sequence[str]
    currency: str | None
    span: Span
    periods: Sequence[ChartPeriod]
    verdict: Verdict


def read_overview(model: ReadModel, query: OverviewQuery) -> Overview:
    """Return the current overview."""
    with model.reading(with_runs=True) as reading:
        accounts = list(reading.accounts.values())
        currencies = currencies_of([account.snapshot for account in accounts])
        currency = query.currency or next(iter(currencies), None)
        chosen = [account for account in accounts if not query.accounts or account.snapshot.account in query.accounts]
        span = _span(query, chosen, reading.now)
        balances = [balance for account in accounts for balance in current_balances(reading, account)]
        found: list[Move] = []
        own: Sequence[OwnTransfer] = ()
        if currency is not None:
            names = [account.snapshot.account for account in chosen]
            by_month = query.unit is Unit.MONTH
            found = read_moves(reading.connection, names, currency, span, by_month=by_month, by_account=False)
            own = model.own_transfers.read(reading.connection, model.rules, names, span.first, span.last)
        backups = backup_alarms(read_backup_states(reading.connection), reading.now)
        all_alarms = [*backups, *alarms(reading, accounts, model.rules)]
    is_open = query.last is None
    periods = _periods(found, own, span, chosen, currency, is_open=is_open)
    end = _end(span, is_open=is_open)
    verdict = verdict_on(chosen, span.first, None if end == date.max else end + DAY, currency)
    return Overview(accounts, all_alarms, balances, currencies, currency, span, periods, verdict)


def read_streams(model: ReadModel, currency: str, span: Span, names: Sequence[str]) -> Streams:
    """Return the sources and destinations of the money of one currency, for some accounts and a span of days."""
    with model.ledger.reading() as connection:
        found = read_moves(connection, names, currency, span, by_month=True, by_account=True)
        own = model.own_transfers.read(connection, model.rules, names, span.first, span.last)
    return streams_of(found, own, currency, span.first, span.last)


def read_calendar(
    account: Account, rules: Rules[Paging] | None, *, first: date | None = None, now: datetime
) -> list[Day]:
    """Return the state of each day of an account from `first`, or from its beginning; empty without a source."""
    if rules is None:
        return []
    if first is None:
        return list(days_of(account.completeness, rules, now))
    midnight = datetime(first.year, first.month, first.day, tzinfo=account.name.tz)
    return list(days_of(account.completeness, rules, now, since_us=to_us(midnight)))


def read_moves(
    connection: Connection, names: Sequence[str], currency: str, span: Span, *, by_month: bool, by_account: bool
) -> list[Move]:
    """Return the sums in one currency and span, by day or month and kind, and by account or over all accounts."""
    t = day_totals.c
    period = sa.func.substr(t.day, 1, 7) if by_month else t.day
    account: sa.ColumnElement[str] = t.account if by_account else sa.literal("")
    keys = (t.account, period, t.kind) if by_account else (period, t.kind)
    money_in, money_out = exact_sums(connection, t.money_in, t.money_out)
    query = sa.select(account, period, t.kind, sa.func.sum(t.flows), money_in, money_out).where(
        t.account.in_(names),
        t.currency == currency,
        t.day >= span.first.isoformat(),
        t.day <= span.last.isoformat(),
    )
    found = connection.execute(query.group_by(*keys))
    return [
        Move(account, day, kind, Total(int(count), parse_sum(inward), parse_sum(outward)))
        for account, day, kind, count, inward, outward in found
    ]


def _periods(
    found: Iterable[Move],
    own: Iterable[OwnTransfer],
    span: Span,
    accounts: Sequence[Account],
    currency: str | None,
    *,
    is_open: bool,
) -> list[ChartPeriod]:
    """Return the sums of each period of a span, without own transfers and views of the same money.

    `is_open`: the span has no end, so its last period is whole.
    """
    sums: dict[date, dict[str, Total]] = defaultdict(dict)
    left_out: dict[tuple[date, bool], Total] = defaultdict(Total)

    @cache  # a day has a move of each kind
    def begin_of(period: str) -> date:
        return beginning(date.fromisoformat(f"{period}-01"[:10]), span.unit)

    for move in found:
        begin = begin_of(move.period)
        kinds = sums[begin]
        kinds[move.kind] = kinds.get(move.kind, Total()).plus(move.total)
    for leg in legs_in(own, currency, span.first, span.last):
        begin = begin_of(leg.day)
        kinds = sums[begin]
        kinds[leg.kind] = kinds[leg.kind].plus(leg_total(leg).negative())
        if not kinds[leg.kind].flows:
            del kinds[leg.kind]
        left_out[begin, leg.is_view] = left_out[begin, leg.is_view].plus(leg_total(leg))
    periods = []
    for first, last in span.periods():
        begin = beginning(first, span.unit)
        end = _end(span, is_open=is_open) if last == span.last else last
        verdict = verdict_on(accounts, first, None if end == date.max else end + DAY, currency)
        transfers, views = left_out[begin, False], left_out[begin, True]
        periods.append(ChartPeriod(first, last, sums.get(begin, {}), verdict, transfers, views))
    return periods


def _end(span: Span, *, is_open: bool) -> date:
    """Return the last day of a span; if it has no end, the end of its last period."""
    return last_day(beginning(span.last, span.unit), span.unit) if is_open else span.last


def _span(query: OverviewQuery, accounts: Sequence[Account], now: datetime) -> Span:
    """Return the requested days; by default those up to the newest day with a flow, or up to today."""
    newest = [account.snapshot.last_day for account in accounts]
    days = [date.fromisoformat(day) for day in newest if day is not None]
    last = query.last or max(days, default=now.date())
    first = query.first or beginning(add_days(last, 1 - SPANS[query.unit].days), query.unit)
    return Span(query.unit, min(first, last), last)
