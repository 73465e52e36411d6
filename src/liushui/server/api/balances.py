"""What flows come to: balances, summaries, and the coverage that says how far either is proven."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from msgspec import Meta

from liushui.client import models
from liushui.errors import WireError
from liushui.flow import Kind
from liushui.instant import from_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.coverage import Range
from liushui.ledger.read import balances as ledger_query
from liushui.ledger.read import summaries as summing
from liushui.money import to_plain_string
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import endpoint
from liushui.server.api.errors import invalid_parameter
from liushui.server.api.flows import AccountNames

By = Literal["account", "kind"]


class BalanceQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which balances."""

    account: AccountNames = []
    at: Annotated[datetime, Meta(description="Of the flows before this instant. All, where none.")] | None = None
    currency: str | None = None


class SummaryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which flows are summed, and by what. Currencies are always told apart."""

    account: AccountNames = []
    period: summing.Period = summing.Period.MONTH
    by: Annotated[list[By], Meta(description="By these, too; may stand several times.")] = []
    first_day: Annotated[models.Day, Meta(description="From this day on, in each account's own zone.")] | None = None
    last_day: Annotated[models.Day, Meta(description="Up to this day, itself included.")] | None = None
    currency: str | None = None
    kind: Kind | None = None


class CoverageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts' coverage."""

    account: AccountNames = []


@endpoint("GET", "/balances", scope=Scope.READ)
def list_balances(context: Context, params: NamedDependency[BalanceQuery]) -> Response[models.Balances]:
    """Balances at an instant, by account, subaccount and currency, and whether every flow up to there is proven."""
    names = context.accounts(params.account)

    def made() -> models.Balances:
        if not names:
            return models.Balances(balances=[], covered=True, gaps=[])
        found = ledger_query.balances(context.ledger, names, params.at)
        gaps = _gaps(summing.gaps_before(context.ledger, names, params.at))
        uncovered = {gap.account for gap in gaps}
        balances = [
            models.Balance(
                account=one.account,
                subaccount=one.subaccount,
                currency=one.currency,
                amount=to_plain_string(one.amount),
                flows=one.flows,
                at=one.at,
                covered=one.account not in uncovered,
            )
            for one in found
            if params.currency in (None, one.currency)
        ]
        return models.Balances(balances=balances, covered=not gaps, gaps=gaps)

    return context.tagged(names, made)


@endpoint("GET", "/summary", scope=Scope.READ)
def show_summary(context: Context, params: NamedDependency[SummaryQuery]) -> Response[models.Summary]:
    """What moved in and out, by day, week, month or year of each account's own zone, and by currency."""
    names = context.accounts(params.account)
    for name in ("first_day", "last_day"):
        _check_day(name, getattr(params, name))
    if params.first_day and params.last_day and params.first_day > params.last_day:
        raise invalid_parameter("last_day", f"no earlier than first_day, {params.first_day}", params.last_day)
    wanted = summing.Wanted(
        accounts=names,
        period=params.period,
        by_account="account" in params.by,
        by_kind="kind" in params.by,
        first_day=params.first_day,
        last_day=params.last_day,
        currency=params.currency,
        kind=params.kind and params.kind.value,
    )
    return context.tagged(names, lambda: _summary(context, wanted))


def _summary(context: RequestContext, wanted: summing.Wanted) -> models.Summary:
    found = summing.summed(context.ledger, wanted)
    rows = [
        models.SummaryRow(
            period=row.period,
            first_day=row.first_day,
            last_day=row.last_day,
            account=row.account,
            currency=row.currency,
            kind=None if row.kind is None else Kind(row.kind),
            flows=row.flows,
            money_in=to_plain_string(row.money_in),
            money_out=to_plain_string(row.money_out),
            net=to_plain_string(row.net),
            covered=row.covered,
        )
        for row in found.rows
    ]
    return models.Summary(rows=rows, covered=not found.gaps, gaps=_gaps(found.gaps))


@endpoint("GET", "/coverage", scope=Scope.READ)
def show_coverage(context: Context, params: NamedDependency[CoverageQuery]) -> Response[models.Coverage]:
    """Which ranges of the accounts are proven, and when, and which are open, and why."""
    names = context.accounts(params.account)

    def made() -> models.Coverage:
        found = ledger_query.coverage_of(context.ledger, names) if names else {}
        return models.Coverage(ranges=[_range(account, one) for account, every in found.items() for one in every])

    return context.tagged(names, made)


def _range(account: str, found: Range) -> models.CoveredRange:
    return models.CoveredRange(
        account=account,
        since=from_us(found.since_us),
        until=from_us(found.until_us),
        state=found.state.value,
        reason=found.reason,
        checked_at=from_us(found.checked_at_us),
        batch=found.batch,
    )


def _gaps(found: list[summing.Gap]) -> list[models.Gap]:
    return [models.Gap(account=gap.account, since=gap.since, until=gap.until, reason=gap.reason) for gap in found]


def _check_day(name: str, text: str | None) -> None:
    """Raises ProblemError where a day is none of the calendar's."""
    try:
        summing.check_day(name, text)
    except WireError as error:
        raise invalid_parameter(name, "a date such as 2024-01-31", text) from error
