"""What is worth a human's look: findings, and rows that could not be read."""

from base64 import b64encode
from typing import Annotated

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from msgspec import Meta

from liushui.client import models
from liushui.instant import from_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read import review
from liushui.ledger.read.cursors import sign_cursor
from liushui.server.api.context import Context
from liushui.server.api.cursors import position_of
from liushui.server.api.endpoint import endpoint
from liushui.server.api.flows import PAGE, PAGE_MAX, AccountNames


class FindingQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of which accounts."""

    account: AccountNames = []


class QuarantineQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows."""

    account: AccountNames = []
    resolved: Annotated[bool, Meta(description="Those too that became flows, or are gone.")] = False
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Annotated[str, Meta(description="`next` of the page before, with the same parameters.")] | None = None


@endpoint("GET", "/findings", scope=Scope.READ)
def list_findings(context: Context, params: NamedDependency[FindingQuery]) -> Response[models.Findings]:
    """How many flows of each day are worth a look, and why."""
    names = context.accounts(params.account)

    def made() -> models.Findings:
        found = review.count_findings(context.ledger, names) if names else []
        return models.Findings(
            findings=[
                models.FindingCount(account=one.account, day=one.day, finding=one.finding, flows=one.flows)
                for one in found
            ]
        )

    return context.tagged(names, made)


@endpoint("GET", "/quarantine", scope=Scope.READ)
def list_quarantined(context: Context, params: NamedDependency[QuarantineQuery]) -> Response[models.QuarantinePage]:
    """Rows that could not be read, with their bytes and the reason: nothing that came is lost."""
    names = context.accounts(params.account)
    about = msgspec.json.encode(("quarantine", sorted(params.account), params.resolved, context.whose)).decode()
    after = None if params.cursor is None else position_of(context.ledger, about, params.cursor, tuple[str, str, int])

    def made() -> models.QuarantinePage:
        if not names:
            return models.QuarantinePage(rows=[], next=None)
        found = review.quarantined_page(
            context.ledger, names, limit=params.limit + 1, after=after, resolved=params.resolved
        )
        following = None
        if len(found) > params.limit:
            found = found[: params.limit]
            last = found[-1]
            following = sign_cursor(context.ledger, about, (last.account, last.id, last.batch))
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
