"""Accounts and flows, as they are."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from msgspec import Meta

from liushui.client import models
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import from_us, to_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.completeness import Gap, is_open_end
from liushui.ledger.read.cursors import filter_digest, flow_key, parse_flow_key, sign_cursor
from liushui.ledger.read.filters import FIELDS, TEXT_MAX, FilterError, FlowFilter, check_range, read_filter
from liushui.ledger.read.flows import LedgerFlow, Position, flows_page
from liushui.ledger.read.history import Version, versions_of
from liushui.ledger.read.status import AccountStatus, read_statuses
from liushui.money import to_plain_string
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.cursors import position_of
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import filter_problem, not_found

PAGE: int = 100
PAGE_MAX: int = 1_000

AccountNames = Annotated[list[str], Meta(description="Of these accounts; may stand several times. All, where none.")]


class FlowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which flows, and which page of them."""

    account: AccountNames = []
    since: Annotated[date, Meta(description="From this time, or this day of the account's own zone, on.")] | None = None
    until: (
        Annotated[date, Meta(description="Up to this time, or this day of the account's own zone, excluded.")] | None
    ) = None
    kind: Kind | None = None
    category: Category | None = None
    direction: Direction | None = None
    currency: Annotated[models.SearchText, Meta(description="Whatever its case.")] | None = None
    subaccount: Annotated[str, Meta(max_length=TEXT_MAX)] | None = None
    symbol: Annotated[models.SearchText, Meta(description="Whatever its case.")] | None = None
    ref: Annotated[models.SearchText, Meta(description="A reference of the flow or of its order.")] | None = None
    amount_min: Annotated[models.Amount, Meta(description="Amounts from this on, signs counted.")] | None = None
    amount_max: Annotated[models.Amount, Meta(description="Amounts up to this, signs counted.")] | None = None
    finding: Annotated[Literal["side", "same_id"], Meta(description="Flows to review for this reason.")] | None = None
    text: (
        Annotated[
            models.SearchText,
            Meta(description="Found in the label, name, note, symbol or references, whatever the case."),
        ]
        | None
    ) = None
    order: Annotated[models.Order, Meta(description="Which end comes first.")] = models.Order.NEWEST
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Annotated[str, Meta(description="`next` of the page before, with the same parameters.")] | None = None


@endpoint("GET", "/accounts", scope=Scope.READ)
def list_accounts(context: Context) -> Response[models.Accounts]:
    """The accounts that the caller may see, and how far each is proven."""
    names = context.accounts()
    return context.tagged(names, lambda: models.Accounts(accounts=accounts_said(context, names)))


@endpoint("GET", "/accounts/{account:str}", scope=Scope.READ)
def show_account(context: Context, account: PathText) -> Response[models.Account]:
    """One account."""
    names = context.accounts((account,))
    return context.tagged(names, lambda: accounts_said(context, names)[0])


@endpoint("GET", "/flows", scope=Scope.READ)
def list_flows(context: Context, params: NamedDependency[FlowQuery]) -> Response[models.FlowPage]:
    """Flows by time, page by page. A cursor stays where it is while rows arrive."""
    names = context.accounts(params.account)
    wanted = filter_of(params)._replace(accounts=names)
    about = f"flows {filter_digest(wanted._replace(accounts=tuple(sorted(params.account))), context.whose)}"
    after = None if params.cursor is None else position_of(context.ledger, about, params.cursor, Position)

    def page() -> models.FlowPage:
        if not names:
            return models.FlowPage(flows=[], next=None, complete=True, gaps=[])
        found = flows_page(context.ledger, wanted, limit=params.limit, after=after)
        verdict = context.read_model.verdict(wanted)
        return models.FlowPage(
            flows=[said(one) for one in found.flows],
            next=None if found.next is None else sign_cursor(context.ledger, about, found.next),
            complete=verdict.is_complete,
            gaps=[gap_model(gap) for gap in verdict.gaps],
        )

    return context.tagged(names, page)


@endpoint("GET", "/flows/{key:str}", scope=Scope.READ)
def show_flow(context: Context, key: PathText) -> Response[models.FlowInFull]:
    """One flow, its versions, and the row as the provider sent it."""
    place = parse_flow_key(key)
    if place is None or not context.principal.sees(place[0]):
        raise not_found("flow", key)
    account, at_us, id_ = place
    found = versions_of(context.ledger, account, at_us, id_)
    if not found:
        raise not_found("flow", key)

    def whole() -> models.FlowInFull:
        last, wire, served = found[-1]
        versions = [_version(version) for version, _, _ in found]
        return models.FlowInFull(flow=said(last.found), versions=versions, wire=wire, served=served)

    return context.tagged((account,), whole)


def filter_of(query: FlowQuery) -> FlowFilter:
    """The filter of a query, without its accounts. Raises ProblemError."""
    texts = {
        name: value for name in FIELDS if name not in ("since", "until") and (value := getattr(query, name)) is not None
    }
    try:
        wanted = read_filter(texts)
        check_range(query.since, query.until)
    except FilterError as error:
        raise filter_problem(error) from error
    return wanted._replace(since=query.since, until=query.until, newest_first=query.order is models.Order.NEWEST)


def said(found: LedgerFlow) -> models.Flow:
    """A flow, as the API says it."""
    flow = found.flow
    return models.Flow(
        key=flow_key(found.account, to_us(flow.at), found.id),
        account=found.account,
        id=found.id,
        at=flow.at,
        amount=to_plain_string(flow.amount),
        currency=flow.currency,
        direction=flow.direction,
        kind=flow.kind,
        category=flow.category,
        label=flow.label,
        subaccount=flow.subaccount,
        balance_after=_text(flow.balance_after),
        settled_at=flow.settled_at,
        ref=flow.ref,
        order_ref=flow.order_ref,
        symbol=flow.symbol,
        name=flow.name,
        price=_text(flow.price),
        quantity=_text(flow.quantity),
        note=flow.note,
        fx=_fx(flow),
        detail=None if flow.detail is None else dict(flow.detail),
        batch=found.batch,
    )


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else to_plain_string(amount)


def _fx(flow: Flow) -> models.FxLeg | None:
    if flow.fx is None:
        return None
    return models.FxLeg(
        currency=flow.fx.currency, amount=to_plain_string(flow.fx.amount), rate=to_plain_string(flow.fx.rate)
    )


def _version(version: Version) -> models.FlowVersion:
    return models.FlowVersion(
        flow=said(version.found),
        recorded_at=version.recorded_at,
        ended_at=version.ended_at,
        ended_batch=version.ended_batch,
        ended_as=version.ended_as,
    )


def accounts_said(context: RequestContext, names: tuple[str, ...]) -> list[models.Account]:
    """The accounts, as the API shows them."""
    return [_account(status) for status in read_statuses(context.read_model, names)] if names else []


def _account(status: AccountStatus) -> models.Account:
    return models.Account(
        account=status.account,
        provider=status.provider,
        zone=status.zone,
        flows=status.flows,
        quarantined=status.quarantined,
        findings=status.findings,
        gaps=status.gaps,
        batch=status.batches,
        proven_from=status.proven_from,
        proven_until=status.proven_until,
        complete=status.verdict.is_complete,
        reason=status.verdict.reason,
    )


def gap_model(gap: Gap) -> models.Gap:
    """A gap as the API shows it."""
    since, until = (None if is_open_end(at_us) else from_us(at_us) for at_us in (gap.since_us, gap.until_us))
    return models.Gap(account=gap.account, since=since, until=until, cause=gap.cause.value, reason=gap.reason)
