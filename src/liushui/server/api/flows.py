"""Accounts and flows, as they are."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from msgspec import Meta

from liushui.client import models
from liushui.errors import WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import to_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read import balances as ledger_query
from liushui.ledger.read.balances import FlowFilter, LedgerFlow
from liushui.ledger.read.history import Version, versions_of
from liushui.ledger.read.pages import Place, flows_page
from liushui.money import parse_decimal, to_plain_string
from liushui.server.api.context import Context, RequestContext, digest_of
from liushui.server.api.cursors import cursor, flow_of, key_of, place_of
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import invalid_parameter, not_found

PAGE: int = 100
PAGE_MAX: int = 1_000

AccountNames = Annotated[list[str], Meta(description="Of these accounts; may stand several times. All, where none.")]


class FlowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which flows, and which page of them."""

    account: AccountNames = []
    since: Annotated[datetime, Meta(description="From this instant on, itself included.")] | None = None
    until: Annotated[datetime, Meta(description="Up to this instant, itself left out.")] | None = None
    kind: Kind | None = None
    category: Category | None = None
    direction: Direction | None = None
    currency: str | None = None
    subaccount: str | None = None
    symbol: str | None = None
    ref: Annotated[str, Meta(description="A reference of the flow's, or of its order's.")] | None = None
    amount_min: Annotated[models.Amount, Meta(description="Amounts from this on, signs counted.")] | None = None
    amount_max: Annotated[models.Amount, Meta(description="Amounts up to this, signs counted.")] | None = None
    finding: Annotated[Literal["side", "same_id"], Meta(description="Something that was found about it.")] | None = None
    text: (
        Annotated[str, Meta(min_length=1, max_length=200, description="Somewhere in its words, symbol or references.")]
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
    about = f"flows {digest_of(wanted._replace(accounts=tuple(sorted(params.account))), context.whose)}"
    after = None if params.cursor is None else place_of(context.ledger, about, params.cursor, Place)

    def page() -> models.FlowPage:
        if not names:
            return models.FlowPage(flows=[], next=None)
        found = flows_page(context.ledger, wanted, limit=params.limit, after=after)
        following = None if found.next is None else cursor(context.ledger, about, found.next)
        return models.FlowPage(flows=[said(one) for one in found.flows], next=following)

    return context.tagged(names, page)


@endpoint("GET", "/flows/{key:str}", scope=Scope.READ)
def show_flow(context: Context, key: PathText) -> Response[models.FlowInFull]:
    """One flow, its versions, and the row as the provider sent it."""
    place = flow_of(key)
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


def filter_of(asked: FlowQuery) -> FlowFilter:
    """The filter that parameters say, without its accounts. Raises ProblemError where they cannot be meant."""
    if asked.since is not None and asked.until is not None and asked.since >= asked.until:
        raise invalid_parameter("until", f"later than since, {asked.since.isoformat()}", asked.until.isoformat())
    bounds = {}
    for name in ("amount_min", "amount_max"):
        text = getattr(asked, name)
        try:
            bounds[name] = None if text is None else parse_decimal(name, text)
        except WireError as error:
            raise invalid_parameter(name, "decimal text such as -248.60", text) from error
    low, high = bounds["amount_min"], bounds["amount_max"]
    if low is not None and high is not None and low > high:
        raise invalid_parameter("amount_max", f"at least amount_min, {to_plain_string(low)}", to_plain_string(high))
    return FlowFilter(
        since=asked.since,
        until=asked.until,
        currency=asked.currency,
        kind=asked.kind and asked.kind.value,
        symbol=asked.symbol,
        newest_first=asked.order is models.Order.NEWEST,
        category=asked.category and asked.category.value,
        direction=asked.direction and asked.direction.value,
        subaccount=asked.subaccount,
        ref=asked.ref,
        amount_min=low,
        amount_max=high,
        text=asked.text,
        finding=asked.finding,
    )


def said(found: LedgerFlow) -> models.Flow:
    """A flow, as the API says it."""
    flow = found.flow
    return models.Flow(
        key=key_of(found.account, to_us(flow.at), found.id),
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
    """The accounts, as the API says them."""
    if not names:
        return []
    zones = {one.account: one.zone for one in ledger_query.named(context.ledger, names)}
    return [
        models.Account(
            account=one.account,
            provider=one.provider,
            zone=zones[one.account],
            flows=one.flows,
            quarantined=one.quarantined,
            findings=one.findings,
            gaps=one.gaps,
            batch=one.batches,
            proven_from=one.proven_from,
            proven_until=one.proven_until,
        )
        for one in ledger_query.statuses(context.ledger, names)
    ]
