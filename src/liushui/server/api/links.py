"""Links: flows that belong together, and people's decisions about them."""

from datetime import date
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from liushui.client import models
from liushui.instant import from_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.cursors import flow_key
from liushui.ledger.read.filters import FilterError, check_range
from liushui.ledger.read.link_lists import LinkPosition, LinkQuery, link_in_full, links_page
from liushui.ledger.write.link_decisions import decide_link
from liushui.money import to_plain_string
from liushui.reconcile.links import Link, LinkFlow, LinkKind, LinkState
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import filter_problem
from liushui.server.api.flows import PAGE, PAGE_MAX, AccountNames, Cursor


class LinkParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects links, and a page of them."""

    account: AccountNames = []
    since: (
        Annotated[date, Meta(description="First flows from this time, or this day of their own account, on.")] | None
    ) = None
    until: (
        Annotated[date, Meta(description="First flows before this time, or this day of their own account.")] | None
    ) = None
    kind: Annotated[list[models.LinkKind], Meta(description="These kinds; may be repeated.")] = []
    state: Annotated[
        list[models.LinkState], Meta(description="These states; may be repeated. Without it: all but rejected.")
    ] = []
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Cursor | None = None


@endpoint("GET", "/links", scope=Scope.READ)
def list_links(context: Context, params: NamedDependency[LinkParams]) -> Response[models.LinkPage]:
    """Links between flows by the time of their first flow, in pages.

    The list has only links between accounts that the caller may see. A page may have fewer links than its limit, or
    none, and still have a `next`.
    """
    names = context.accounts(params.account)
    try:
        check_range(params.since, params.until)
    except FilterError as error:
        raise filter_problem(error) from error
    query = context.query_name("links", params.account, params.since, params.until, params.kind, params.state)
    after = None if params.cursor is None else context.read_cursor(query, params.cursor, LinkPosition)

    def make() -> models.LinkPage:
        if not names:
            return models.LinkPage(links=[], next=None)
        wanted = LinkQuery(
            names if params.account else (),
            params.since,
            params.until,
            frozenset(map(LinkKind, params.kind)),
            frozenset(map(LinkState, params.state)),
            context.principal.accounts,
        )
        page = links_page(context.read_model, wanted, limit=params.limit, after=after)
        next_cursor = None if page.next is None else context.sign_cursor(query, page.next)
        return models.LinkPage(links=list(map(_link_model, page.links)), next=next_cursor)

    # The link's state also depends on accounts that the caller may not see, so the answer is not tagged.
    return context.answer(make())


@endpoint("GET", "/links/{link:str}", scope=Scope.READ)
def show_link(context: Context, link: PathText) -> Response[models.LinkInFull]:
    """One link, the other links of its flows, and the decisions about it."""
    return context.answer(_in_full(context, link))


@endpoint("POST", "/links/{link:str}/decision", scope=Scope.RECORD)
def decide(context: Context, link: PathText, data: JSONBody[models.DecideLink]) -> Response[models.LinkInFull]:
    """Confirm or reject a link.

    The decision is recorded in the ledger under the caller's name. If the link was decided before, the request is
    refused with 409, unless `replace` is true.
    """
    link_in_full(context.read_model, link, context.principal.accounts)  # refuses a link that the caller may not see
    decide_link(
        context.ledger,
        context.read_model.rules,
        link,
        LinkState(data.decision),
        decided_by=context.principal.name,
        reason=data.reason,
        replace=data.replace,
        visible=context.principal.accounts,
    )
    return context.answer(_in_full(context, link), HTTPStatus.OK)


def _in_full(context: RequestContext, link: str) -> models.LinkInFull:
    full = link_in_full(context.read_model, link, context.principal.accounts)
    return models.LinkInFull(
        link=_link_model(full.link),
        alternatives=list(map(_link_model, full.rivals)),
        decisions=[models.LinkDecision.of(decision, decision=decision.decision.value) for decision in full.decisions],
    )


def _link_model(link: Link) -> models.Link:
    return models.Link(
        id=link.id,
        kind=models.LinkKind(link.kind.value),
        state=models.LinkState(link.state.value),
        basis=link.basis.value,
        suggested=link.suggested,
        flows=[models.LinkedFlow(**_flow_fields(flow)) for flow in link.flows],
    )


def _flow_fields(flow: LinkFlow) -> dict[str, Any]:
    return {
        "key": flow_key(*flow.key),
        "account": flow.account,
        "id": flow.id,
        "at": from_us(flow.at_us),
        "subaccount": flow.subaccount,
        "amount": to_plain_string(flow.amount),
        "currency": flow.currency,
        "kind": flow.kind,
    }
