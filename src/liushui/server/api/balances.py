"""Balances, summaries, coverage, breaks, and the heads of the hash chains."""

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from msgspec import Meta

from liushui.client import models
from liushui.flow import Kind
from liushui.instant import from_us, parse_day, to_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.day_totals import Total
from liushui.ledger.read import accounts, breaks
from liushui.ledger.read.balances import Balance, read_balances
from liushui.ledger.read.completeness import combine, end_instant
from liushui.ledger.read.coverage import CoverageRange, coverage_ranges
from liushui.ledger.read.cursors import flow_key
from liushui.ledger.read.daily_balances import DAYS_MAX, BalanceSeries, read_daily_balances
from liushui.ledger.read.fees import FeeRow, read_fees
from liushui.ledger.read.filters import FilterError
from liushui.ledger.read.finding_decisions import FindingState
from liushui.ledger.read.flows import LedgerFlow
from liushui.ledger.read.summaries import SummaryQuery, SummaryRow, Unit, check_days, read_summary
from liushui.meaning import SECTIONS
from liushui.money import to_plain_string
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import endpoint
from liushui.server.api.errors import filter_problem, invalid_parameter
from liushui.server.api.flows import AccountNames, AccountsParams, gap_model

By = Literal["account", "kind", "meaning"]


class BalanceParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects balances."""

    account: AccountNames = []
    at: Annotated[date, Meta(description="Before this time, or before this day of the account's own zone.")] | None = (
        None
    )
    currency: Annotated[models.SearchText, Meta(description="Only this currency; case is ignored.")] | None = None


class SummaryParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects flows, and the fields by which they are added up. Currencies are never added together."""

    account: AccountNames = []
    period: Unit = Unit.MONTH
    by: Annotated[list[By], Meta(description="Also by these; may be given several times.")] = []
    first_day: Annotated[models.Day, Meta(description="From this day on, in each account's own zone.")] | None = None
    last_day: Annotated[models.Day, Meta(description="Up to this day, included.")] | None = None
    currency: Annotated[models.SearchText, Meta(description="Only this currency; case is ignored.")] | None = None
    kind: Kind | None = None


class FeeParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects fees. Currencies are never added together."""

    account: AccountNames = []
    period: Unit = Unit.ALL
    first_day: Annotated[models.Day, Meta(description="From this day on, in each account's own zone.")] | None = None
    last_day: Annotated[models.Day, Meta(description="Up to this day, included.")] | None = None
    currency: Annotated[models.SearchText, Meta(description="Only this currency; case is ignored.")] | None = None


@endpoint("GET", "/balances", scope=Scope.READ)
def list_balances(context: Context, params: NamedDependency[BalanceParams]) -> Response[models.Balances]:
    """Balances at an instant by account, subaccount and currency, and whether each is complete.

    Each is compared with the newest stated balance. A sum without a known opening balance is a net change.
    """
    names = context.accounts(params.account)

    def make() -> models.Balances:
        if not names:
            return models.Balances(balances=[], complete=True, covered=True, gaps=[])
        found = read_balances(context.read_model, names, at=params.at, currency=params.currency)
        complete = found.verdict.is_complete
        return models.Balances(
            balances=[_balance(row) for row in found.rows],
            complete=complete,
            covered=complete,
            gaps=[gap_model(gap) for gap in found.verdict.gaps],
        )

    return context.answer_tagged(names, make)


class DailyParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects end-of-day balances. By default they cover a year, up to each account's newest day that is over."""

    account: AccountNames = []
    first_day: Annotated[models.Day, Meta(description="From this day on, in each account's own zone.")] | None = None
    last_day: Annotated[models.Day, Meta(description="Up to this day, included.")] | None = None
    currency: Annotated[models.SearchText, Meta(description="Only this currency; case is ignored.")] | None = None


@endpoint("GET", "/daily-balances", scope=Scope.READ)
def list_daily_balances(context: Context, params: NamedDependency[DailyParams]) -> Response[models.DailyBalances]:
    """The balance at the end of each day by account, subaccount and currency, and whether it is complete."""
    names = context.accounts(params.account)
    first, last = _days(params)
    today = context.ledger.clock().date()
    if first is not None and (min(last or today, today) - first).days >= DAYS_MAX:
        raise invalid_parameter("first_day", f"at most {DAYS_MAX:,} days before last_day", first.isoformat())

    def make() -> models.DailyBalances:
        if not names:
            return models.DailyBalances(series=[], complete=True, gaps=[])
        found = read_daily_balances(context.read_model, names, first=first, last=last, currency=params.currency)
        verdict = combine([one.days[-1].verdict for one in found])
        return models.DailyBalances(
            series=[_series(one) for one in found],
            complete=verdict.is_complete,
            gaps=[gap_model(gap) for gap in verdict.gaps],
        )

    return context.answer(make())


def _series(series: BalanceSeries) -> models.BalanceSeries:
    return models.BalanceSeries(
        account=series.account,
        subaccount=series.subaccount,
        currency=series.currency,
        measure=series.basis.measure,
        since=None if series.basis.since_us is None else from_us(series.basis.since_us),
        days=[
            models.DayBalance(
                day=day.day.isoformat(),
                amount=to_plain_string(day.amount),
                complete=day.verdict.is_complete,
                day_complete=day.is_whole,
                reason=day.verdict.reason,
            )
            for day in series.days
        ],
    )


def _balance(row: Balance) -> models.Balance:
    complete, check = row.verdict.is_complete, row.check
    return models.Balance.of(
        row,
        amount=to_plain_string(row.amount),
        opening=_amount(row.opening),
        stated=_amount(check.stated),
        stated_at=check.at,
        stated_by=None if check.origin is None else check.origin.value,
        difference=_amount(check.difference),
        check=check.status.value,
        check_reason=check.reason,
        measure=row.basis.measure,
        since=None if row.basis.since_us is None else from_us(row.basis.since_us),
        complete=complete,
        covered=complete,
    )


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else to_plain_string(amount)


@endpoint("GET", "/summary", scope=Scope.READ)
def show_summary(context: Context, params: NamedDependency[SummaryParams]) -> Response[models.Summary]:
    """Money in and out by day, week, month or year of each account's own zone, and by currency.

    By meaning, the sums are sales, refunds, fees and other income and expense, and money from and to outside. Trades,
    own transfers and money that another account shows too have sums of their own.
    """
    names = context.accounts(params.account)
    first, last = _days(params)
    wanted = SummaryQuery(
        accounts=names,
        unit=params.period,
        by_account="account" in params.by,
        by_kind="kind" in params.by,
        by_meaning="meaning" in params.by,
        first=first,
        last=last,
        currency=params.currency,
        kind=params.kind and params.kind.value,
    )
    return context.answer_tagged(names, lambda: _summary(context, wanted))


def _summary(context: RequestContext, wanted: SummaryQuery) -> models.Summary:
    if not wanted.accounts:
        return models.Summary(rows=[], complete=True, covered=True, gaps=[])
    found = read_summary(context.read_model, wanted)
    complete = found.verdict.is_complete
    return models.Summary(
        rows=[_summary_row(row) for row in found.rows],
        complete=complete,
        covered=complete,
        gaps=[gap_model(gap) for gap in found.verdict.gaps],
    )


def _summary_row(row: SummaryRow) -> models.SummaryRow:
    complete, until_us = row.verdict.is_complete, row.verdict.until_us
    first, last = row.period.first or date.min, row.period.last or date.max
    own = row.own or Total()
    return models.SummaryRow.of(
        row,
        period=row.period.name,
        first_day=first.isoformat(),
        last_day=last.isoformat(),
        flows=row.total.flows,
        money_in=to_plain_string(row.total.money_in),
        money_out=to_plain_string(row.total.money_out),
        net=to_plain_string(row.total.net),
        own_in=to_plain_string(own.money_in),
        own_out=to_plain_string(own.money_out),
        meaning=row.meaning,
        section=None if row.meaning is None else SECTIONS[row.meaning],
        complete=complete,
        complete_until=end_instant(until_us),
        covered=complete,
    )


@endpoint("GET", "/fees", scope=Scope.READ)
def list_fees(context: Context, params: NamedDependency[FeeParams]) -> Response[models.Fees]:
    """The fees of each account by currency and period: flows of their own, and those within the amounts of others."""
    names = context.accounts(params.account)
    first, last = _days(params)
    wanted = SummaryQuery(names, params.period, first=first, last=last, currency=params.currency)

    def make() -> models.Fees:
        if not names:
            return models.Fees(rows=[], complete=True, gaps=[])
        found = read_fees(context.read_model, wanted)
        return models.Fees(
            rows=[_fee_row(row) for row in found.rows],
            complete=found.is_complete,
            gaps=[gap_model(gap) for gap in found.verdict.gaps],
        )

    return context.answer_tagged(names, make)


def _fee_row(row: FeeRow) -> models.FeeRow:
    within = row.within.total
    return models.FeeRow(
        period=row.period.name,
        first_day=(row.period.first or date.min).isoformat(),
        last_day=(row.period.last or date.max).isoformat(),
        account=row.account,
        currency=row.currency,
        flows=row.flows.flows,
        flows_in=to_plain_string(row.flows.money_in),
        flows_out=to_plain_string(row.flows.money_out),
        rows_with_fee=within.flows,
        within_in=to_plain_string(within.money_in),
        within_out=to_plain_string(within.money_out),
        net=to_plain_string(row.total.net),
        complete=row.is_complete,
        complete_until=end_instant(row.verdict.until_us),
        reason=row.reason,
    )


@endpoint("GET", "/coverage", scope=Scope.READ)
def show_coverage(context: Context, params: NamedDependency[AccountsParams]) -> Response[models.Coverage]:
    """The ranges of the accounts: whether each is complete, why not, and when it was read."""
    names = context.accounts(params.account)

    def make() -> models.Coverage:
        if not names:
            return models.Coverage(ranges=[], complete=True)
        with context.read_model.reading(names) as reading:
            ranges = [known for account in reading.accounts.values() for known in coverage_ranges(account)]
            complete = all(account.verdict().is_complete for account in reading.accounts.values())
        return models.Coverage(ranges=[_range(known) for known in ranges], complete=complete)

    return context.answer_tagged(names, make)


@endpoint("GET", "/heads", scope=Scope.READ)
def list_heads(context: Context, params: NamedDependency[AccountsParams]) -> Response[models.Heads]:
    """The end of each account's hash chain: its newest commit, and the link that depends on all commits."""
    names, now = context.accounts(params.account), context.ledger.clock()
    with context.ledger.querying() as queries:
        heads = accounts.list_heads(queries, names)
    # Not tagged: a ledger that replaced another one may have the same tag.
    return context.answer(models.Heads(heads=[models.Head.of(head) for head in heads], read_at=now))


@endpoint("GET", "/breaks", scope=Scope.READ)
def list_breaks(context: Context, params: NamedDependency[AccountsParams]) -> Response[models.Breaks]:
    """Breaks: where a stated balance does not follow from the one before, with the difference and an explanation."""
    names = context.accounts(params.account)

    def make() -> models.Breaks:
        if not names:
            return models.Breaks(breaks=[], complete=True, gaps=[])
        with context.read_model.reading(names) as reading:
            verdict = combine([account.verdict() for account in reading.accounts.values()])
            explained = {id_ for account in reading.accounts.values() for id_ in reading.explained(account)}
        return models.Breaks(
            breaks=[_break(one, explained) for one in breaks.list_breaks(context.read_model, names)],
            complete=verdict.is_complete,
            gaps=[gap_model(gap) for gap in verdict.gaps],
        )

    return context.answer_tagged(names, make)


def _break(one: breaks.LedgerBreak, explained: Collection[str]) -> models.Break:
    return models.Break(
        account=one.account,
        subaccount=one.subaccount,
        currency=one.currency,
        at=one.after.flow.at,
        before=None if one.before is None else _key(one.before),
        after=_key(one.after),
        stated=to_plain_string(one.stated),
        expected=to_plain_string(one.expected),
        difference=to_plain_string(one.difference),
        cause=one.cause.value,
        explanation=one.explanation,
        rows=[_key(row) for row in one.rows],
        finding=one.finding_id,
        state=FindingState.EXPLAINED if one.finding_id in explained else FindingState.OPEN,
    )


def _key(flow: LedgerFlow) -> str:
    return flow_key(flow.account, to_us(flow.flow.at), flow.id)


def _range(known: CoverageRange) -> models.CoveredRange:
    return models.CoveredRange.of(
        known,
        since=from_us(known.since_us),
        until=end_instant(known.until_us),
        state=known.state.value,
        cause=None if known.gap is None else known.gap.cause.value,
        reason="" if known.gap is None else known.gap.reason,
        checked_at=None if known.checked_at_us is None else from_us(known.checked_at_us),
    )


def _days(params: SummaryParams | FeeParams | DailyParams) -> tuple[date | None, date | None]:
    """The first and the last day. Raises ProblemError, also if they are reversed."""
    first, last = (_day(name, getattr(params, name)) for name in ("first_day", "last_day"))
    try:
        check_days(first, last)
    except FilterError as error:
        raise filter_problem(error) from error
    return first, last


def _day(name: str, text: str | None) -> date | None:
    """A day of the calendar. Raises ProblemError."""
    if text is None:
        return None
    day = parse_day(text)
    if day is None:
        raise invalid_parameter(name, "a date such as 2024-01-31", text)
    return day
