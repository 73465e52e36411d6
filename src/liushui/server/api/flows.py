"""Accounts and flows, and rejected rows."""

from base64 import b64encode
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from msgspec import Meta

from liushui.client import models
from liushui.flow import Category, Direction, Kind
from liushui.instant import from_us, to_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read import quarantine
from liushui.ledger.read.completeness import Gap, end_instant
from liushui.ledger.read.cursors import current_flow_key, filter_digest, flow_key
from liushui.ledger.read.filters import FIELDS, TEXT_MAX, FilterError, FlowFilter, check_range, read_filter
from liushui.ledger.read.finding_lists import with_finding_rows
from liushui.ledger.read.flows import LedgerFlow, Position, flow_record, flows_page
from liushui.ledger.read.history import versions_of
from liushui.ledger.read.status import Alarm, read_statuses
from liushui.money import to_plain_string
from liushui.reconcile.links import ID_DIGITS
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.errors import filter_problem, not_found

PAGE: Final = 100
PAGE_MAX: Final = 1_000

_DAY: Final = r"((0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])(29|30)|(0[13578]|1[02])31)"
FINDING_PATTERN: Final = (
    rf"^(side|same_id|break|[1-9][0-9]{{3}}{_DAY}T([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]-[0-9a-f]{{{ID_DIGITS}}})$"
)
"""Only for the document: the filter reader checks the value and states what it expects."""

AccountNames = Annotated[list[str], Meta(description="These accounts; may be repeated. Without it: all accounts.")]
Cursor = Annotated[str, Meta(description="`next` of the page before, with the same parameters.")]


class AccountsParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects accounts."""

    account: AccountNames = []


class FlowParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects flows, and a page of them."""

    account: AccountNames = []
    since: Annotated[date, Meta(description="From this time, or this day of the account's own zone, on.")] | None = None
    until: (
        Annotated[date, Meta(description="Up to this time, or this day of the account's own zone, excluded.")] | None
    ) = None
    kind: Kind | None = None
    category: Category | None = None
    direction: Direction | None = None
    currency: Annotated[models.SearchText, Meta(description="Case is ignored.")] | None = None
    subaccount: Annotated[str, Meta(max_length=TEXT_MAX)] | None = None
    symbol: Annotated[models.SearchText, Meta(description="Case is ignored.")] | None = None
    ref: Annotated[models.SearchText, Meta(description="A reference of the flow or of its order.")] | None = None
    amount_min: Annotated[models.Amount, Meta(description="Amounts of at least this; -100 is less than 0.")] | None = (
        None
    )
    amount_max: Annotated[models.Amount, Meta(description="Amounts of at most this; -100 is less than 0.")] | None = (
        None
    )
    amount_near: (
        Annotated[
            models.SearchText,
            Meta(
                description="Amounts near this: within 1 %, or half a step of its last digit if that is more; of both "
                "signs unless one is given. A `text` of `≈ 88` does the same.",
                examples=["88", "-248.60"],
                extra_json_schema={"pattern": r"^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?$"},
            ),
        ]
        | None
    ) = None
    finding: (
        Annotated[
            str,
            Meta(
                max_length=TEXT_MAX,
                description="Flows to review for this reason: side, same_id or break; or the flows of the finding with "
                "this id.",
                extra_json_schema={"pattern": FINDING_PATTERN},
            ),
        ]
        | None
    ) = None
    text: (
        Annotated[
            models.SearchText,
            Meta(description="A text in the label, name, note, symbol or references; case is ignored."),
        ]
        | None
    ) = None
    order: Annotated[models.Order, Meta(description="Which flows come first.")] = models.Order.NEWEST
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Cursor | None = None


@endpoint("GET", "/accounts", scope=Scope.READ)
def list_accounts(context: Context) -> Response[models.Accounts]:
    """The accounts that the caller may see, and how far each is complete."""
    names = context.accounts()
    return context.answer_tagged(names, lambda: models.Accounts(accounts=account_models(context, names)))


@endpoint("GET", "/accounts/{account:str}", scope=Scope.READ)
def show_account(context: Context, account: PathText) -> Response[models.Account]:
    """One account."""
    names = context.accounts((account,))
    return context.answer_tagged(names, lambda: account_models(context, names)[0])


@endpoint("GET", "/flows", scope=Scope.READ)
def list_flows(context: Context, params: NamedDependency[FlowParams]) -> Response[models.FlowPage]:
    """Flows by time, in pages; those of one moment in the order of their balances. New flows do not move the position
    of a cursor: a flow that is there all the time is on exactly one page."""
    names = context.accounts(params.account)
    wanted = _filter(params)._replace(accounts=names)
    query = context.query_name("flows", params.account, filter_digest(wanted._replace(accounts=())))
    after = None if params.cursor is None else context.read_cursor(query, params.cursor, Position)

    def make() -> models.FlowPage:
        if not names:
            return models.FlowPage(flows=[], next=None, complete=True, gaps=[])
        named = with_finding_rows(context.read_model, wanted)
        page = flows_page(context.ledger, named, limit=params.limit, after=after, rules=context.read_model.rules)
        verdict = context.read_model.verdict(wanted)
        return models.FlowPage(
            flows=[flow_model(flow) for flow in page.flows],
            next=None if page.next is None else context.sign_cursor(query, page.next),
            complete=verdict.is_complete,
            gaps=[gap_model(gap) for gap in verdict.gaps],
        )

    return context.answer_tagged(names, make)


@endpoint("GET", "/flows/{key:str}", scope=Scope.READ)
def show_flow(context: Context, key: PathText) -> Response[models.FlowInFull]:
    """One flow, its versions, and the row as the provider sent it."""
    parsed = current_flow_key(context.ledger, key)
    if parsed is None or not context.principal.sees(parsed[0]):
        raise not_found("flow", key)
    account, at_us, id_ = parsed
    versions = versions_of(context.ledger, account, at_us, id_)
    if not versions:
        raise not_found("flow", key)

    def make() -> models.FlowInFull:
        newest = versions[-1]
        return models.FlowInFull(
            flow=flow_model(newest.version.found),
            versions=[
                models.FlowVersion.of(version, flow=flow_model(version.found)) for version, _wire, _served in versions
            ],
            wire=newest.wire,
            served=newest.served,
        )

    return context.answer_tagged((account,), make)


def _filter(query: FlowParams) -> FlowFilter:
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


def flow_model(found: LedgerFlow) -> models.Flow:
    """A flow as the API shows it."""
    fields: dict[str, Any] = {
        name: to_plain_string(value) if isinstance(value, Decimal) else value
        for name, value in flow_record(found).items()
    }
    currency, amount, rate = (fields.pop(name) for name in ("fx_currency", "fx_amount", "fx_rate"))
    fx = None if currency is None else models.FxLeg(currency=currency, amount=amount, rate=rate)
    return models.Flow(key=flow_key(found.account, to_us(found.flow.at), found.id), fx=fx, **fields)


def account_models(context: RequestContext, names: tuple[str, ...]) -> list[models.Account]:
    """The accounts as the API shows them."""
    if not names:
        return []
    return [
        models.Account.of(
            status,
            batch=status.batches,
            complete=status.verdict.is_complete,
            reason=status.verdict.reason,
            alarms=[alarm_model(alarm) for alarm in status.alarms],
        )
        for status in read_statuses(context.read_model, names)
    ]


def alarm_model(alarm: Alarm) -> models.Alarm:
    """An alarm as the API shows it."""
    return models.Alarm(
        severity=alarm.severity.value,
        kind=alarm.kind.value,
        number=alarm.number,
        day=None if alarm.day is None else alarm.day.isoformat(),
        at=alarm.at,
        reason=alarm.reason,
    )


def gap_model(gap: Gap) -> models.Gap:
    """A gap as the API shows it."""
    since, until = end_instant(gap.since_us), end_instant(gap.until_us)
    return models.Gap(account=gap.account, since=since, until=until, cause=gap.cause.value, reason=gap.reason)


# ---------------------------------------------------------------- rejected rows


class QuarantineParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects rejected rows, and a page of them."""

    account: AccountNames = []
    resolved: Annotated[bool, Meta(description="Also resolved rows, such as those that have become flows.")] = False
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Cursor | None = None


@endpoint("GET", "/quarantine", scope=Scope.READ)
def list_quarantined(context: Context, params: NamedDependency[QuarantineParams]) -> Response[models.QuarantinePage]:
    """Rejected rows: rows that could not be read, with their bytes and the reason."""
    names = context.accounts(params.account)
    query = context.query_name("quarantine", params.account, params.resolved)
    after = None if params.cursor is None else context.read_cursor(query, params.cursor, tuple[str, str, int])

    def make() -> models.QuarantinePage:
        if not names:
            return models.QuarantinePage(rows=[], next=None)
        limit = params.limit
        rows = quarantine.quarantined_page(
            context.ledger, names, limit=limit + 1, after=after, resolved=params.resolved
        )
        last = rows[limit - 1] if len(rows) > limit else None
        return models.QuarantinePage(
            rows=[_row_model(row) for row in rows[:limit]],
            next=None if last is None else context.sign_cursor(query, (last.account, last.id, last.batch)),
        )

    return context.answer_tagged(names, make)


def _row_model(row: quarantine.Quarantined) -> models.QuarantinedRow:
    seen = None
    if row.span is not None:
        seen = [models.Span(since=from_us(since_us), until=from_us(until_us)) for since_us, until_us in row.span]
    return models.QuarantinedRow.of(row, wire=b64encode(row.wire).decode(), seen=seen)
