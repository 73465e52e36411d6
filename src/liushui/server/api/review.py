"""What is worth a human's look: findings, and rows that could not be read."""

from base64 import b64encode
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from msgspec import Meta

from liushui.client import models
from liushui.instant import from_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read import review
from liushui.server.api.context import context_of
from liushui.server.api.cursors import cursor, place_of
from liushui.server.api.flows import PAGE, PAGE_MAX, AccountNames
from liushui.server.api.params import QUERY
from liushui.server.auth import require_scope


class FindingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of which accounts."""

    account: AccountNames = []


class QuarantineQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows."""

    account: AccountNames = []
    resolved: Annotated[bool, Meta(description="Those too that became flows, or are gone.")] = False
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Annotated[str, Meta(description="`next` of the page before, with the same parameters.")] | None = None


@get("/findings", guards=[require_scope(Scope.READ)], sync_to_thread=True, opt={QUERY: FindingQuery})
def list_findings(request: Request[Any, Any, Any]) -> Response[models.Findings]:
    """How many flows of each day are worth a look, and why."""
    context = context_of(request)
    names = context.accounts(context.query(FindingQuery).account)

    def made() -> models.Findings:
        found = review.count_findings(context.ledger, names) if names else []
        return models.Findings(
            findings=[
                models.FindingCount(account=one.account, day=one.day, finding=one.finding, flows=one.flows)
                for one in found
            ]
        )

    return context.tagged(names, made)


@get("/quarantine", guards=[require_scope(Scope.READ)], sync_to_thread=True, opt={QUERY: QuarantineQuery})
def list_quarantined(request: Request[Any, Any, Any]) -> Response[models.QuarantinePage]:
    """Rows that could not be read, with their bytes and the reason: nothing that came is lost."""
    context = context_of(request)
    asked = context.query(QuarantineQuery)
    names = context.accounts(asked.account)
    about = msgspec.json.encode(("quarantine", sorted(asked.account), asked.resolved, context.whose)).decode()
    after = None if asked.cursor is None else place_of(context.ledger, about, asked.cursor, tuple[str, str, int])

    def made() -> models.QuarantinePage:
        if not names:
            return models.QuarantinePage(rows=[], next=None)
        found = review.quarantined_page(
            context.ledger, names, limit=asked.limit + 1, after=after, resolved=asked.resolved
        )
        following = None
        if len(found) > asked.limit:
            found = found[: asked.limit]
            last = found[-1]
            following = cursor(context.ledger, about, (last.account, last.id, last.batch))
        return models.QuarantinePage(rows=[_said(one) for one in found], next=following)

    return context.tagged(names, made)


def _said(found: review.Quarantined) -> models.QuarantinedRow:
    seen = None
    if found.span is not None:
        seen = [models.Span(since=from_us(since_us), until=from_us(until_us)) for since_us, until_us in found.span]
    return models.QuarantinedRow(
        account=found.account,
        id=found.id,
        field=found.field,
        reason=found.reason,
        wire=b64encode(found.wire).decode(),
        seen=seen,
        batch=found.batch,
        recorded_at=found.recorded_at,
        resolved_batch=found.resolved_batch,
        resolved_as=found.resolved_as,
    )
