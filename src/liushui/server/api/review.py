"""What needs a review: findings, and rejected rows."""

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
from liushui.server.api.context import Context
from liushui.server.api.endpoint import endpoint
from liushui.server.api.flows import PAGE, PAGE_MAX, AccountNames, AccountsParams, Cursor


class QuarantineParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects rejected rows, and a page of them."""

    account: AccountNames = []
    resolved: Annotated[bool, Meta(description="Also those that have become flows, or are gone.")] = False
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Cursor | None = None


@endpoint("GET", "/findings", scope=Scope.READ)
def list_findings(context: Context, params: NamedDependency[AccountsParams]) -> Response[models.Findings]:
    """How many flows of each day need a review, and why."""
    names = context.accounts(params.account)

    def make() -> models.Findings:
        counts = review.count_findings(context.ledger, names) if names else []
        return models.Findings(findings=[models.FindingCount.of(count) for count in counts])

    return context.answer_tagged(names, make)


@endpoint("GET", "/quarantine", scope=Scope.READ)
def list_quarantined(context: Context, params: NamedDependency[QuarantineParams]) -> Response[models.QuarantinePage]:
    """Rejected rows, which could not be read: their bytes and the reason. Nothing that was received is lost."""
    names = context.accounts(params.account)
    query = context.query_name("quarantine", params.account, params.resolved)
    after = None if params.cursor is None else context.read_cursor(query, params.cursor, tuple[str, str, int])

    def make() -> models.QuarantinePage:
        if not names:
            return models.QuarantinePage(rows=[], next=None)
        limit = params.limit
        rows = review.quarantined_page(context.ledger, names, limit=limit + 1, after=after, resolved=params.resolved)
        last = rows[limit - 1] if len(rows) > limit else None
        return models.QuarantinePage(
            rows=[_row_model(row) for row in rows[:limit]],
            next=None if last is None else context.sign_cursor(query, (last.account, last.id, last.batch)),
        )

    return context.answer_tagged(names, make)


def _row_model(row: review.Quarantined) -> models.QuarantinedRow:
    seen = None
    if row.span is not None:
        seen = [models.Span(since=from_us(since_us), until=from_us(until_us)) for since_us, until_us in row.span]
    return models.QuarantinedRow.of(row, wire=b64encode(row.wire).decode(), seen=seen)
