"""The pages on which months are reconciled: a grid of accounts and months, and the proof of cash of one month."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple
from urllib.parse import urlencode

from babel.dates import format_skeleton
from litestar import get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Response

from liushui.certificate.keys import list_signing_keys
from liushui.certificate.store import current_certificates
from liushui.errors import AccountNotFound, InvalidField, short_repr
from liushui.instant import to_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.balances import CheckStatus
from liushui.ledger.read.breaks import LedgerBreak, breaks_with_flows
from liushui.ledger.read.chains import ChainState
from liushui.ledger.read.closed_months import (
    ChangeKind,
    PeriodDecision,
    PeriodState,
    closed_months,
    list_decisions,
)
from liushui.ledger.read.month_calendar import month_at, next_month, previous_month, read_month
from liushui.ledger.read.proof_lines import FIGURES, AccountMonth, LineCause, ProofLine
from liushui.ledger.read.proof_of_cash import reconcile, reconcile_month, reconcile_months
from liushui.ledger.read.stated_balances import Origin
from liushui.server.web.account_addresses import account_address, flows_beside, month_address, row_address
from liushui.server.web.check_labels import CheckLabel, break_text, line_label, month_label
from liushui.server.web.forms import Form
from liushui.server.web.i18n import Language
from liushui.server.web.labels import coverage_label
from liushui.server.web.page import CurrentPage, Page, decimal_places
from liushui.services.access import host_of
from liushui.services.periods import NO_LINE, line_id

MONTHS_SHOWN: Final = 6
BREAKS_SHOWN: Final = 100

EXPLAIN: Final = "explain-"
"""Prefix of the form fields that explain a line. Its id follows."""


def month_name(first: date, language: Language) -> str:
    """The name of a month with its year: Oct 2026."""
    return format_skeleton("yMMM", first, locale=language.locale)


# ---------------------------------------------------------------- accounts and months


class Cell(NamedTuple):
    """The verdict on a month of an account, whether it is closed and has changed since, and its address."""

    month: AccountMonth
    label: CheckLabel
    is_closed: bool
    is_changed: bool
    address: str


@get("/reconcile", sync_to_thread=True)
def show_months(page: CurrentPage) -> Response[str]:
    """The verdicts on some months of every account. `until` in the address: the last month that is shown."""
    with page.read_model.reading() as reading:
        names = [account.name for account in reading.accounts.values()]
        closed = closed_months(list_decisions(reading.queries, list(reading.accounts)))
        changed = {
            (name, one.closed.period)
            for name, account in reading.accounts.items()
            for one in reading.month_changes(account)
        }
    newest = max((_last_month(page, name) for name in names), default=previous_month(page.ledger.clock().date()))
    last, error = _last_shown(page, newest)
    firsts = _months_until(last)
    months = reconcile_months(page.read_model, (), firsts[0].isoformat()[:7], last.isoformat()[:7]) if names else {}
    language = page.language
    grid = {
        name: [
            Cell(
                month,
                month_label(month, page.view_zone(name.zone), language),
                (name.account, month.month.name) in closed,
                (name.account, month.month.name) in changed,
                month_address(name.account, month.month.name),
            )
            for month in months[name.account]
        ]
        for name in names
    }
    later = min(_months_after(last), newest)
    return page.render(
        "reconcile/index.html",
        status=400 if error else 200,
        error=error,
        grid=grid,
        firsts=firsts,
        month_name=lambda first: month_name(first, language),
        earlier=previous_month(firsts[0]).isoformat()[:7],
        later=later.isoformat()[:7] if later > last else "",
        account_address=account_address,
    )


@get("/page/reconcile/last", sync_to_thread=True)
def load_last_month(page: CurrentPage) -> Response[str]:
    """How many accounts agree in the last month that has ended: a part of the overview."""
    months = reconcile(page.read_model)
    counts = Counter(month.status for month in months)
    first = max((month.month.first for month in months), default=None)
    return page.render(
        "reconcile/last.html",
        name="" if first is None else month_name(first, page.language),
        agree=counts[CheckStatus.PASS],
        differ=counts[CheckStatus.FAIL],
        unchecked=counts[CheckStatus.UNCHECKED],
    )


def _last_month(page: Page, account: AccountName) -> date:
    """The last month that has ended in the zone of an account."""
    return previous_month(month_at(to_us(page.ledger.clock()), account))


def _last_shown(page: Page, newest: date) -> tuple[date, str]:
    """The last month that the address asks for, or the error in it."""
    text = page.query.get("until", [""])[-1].strip()
    if not text:
        return newest, ""
    try:
        return read_month(text), ""
    except InvalidField:
        return newest, page.say("Expected a month such as 2026-10, got %(got)s.", got=short_repr(text))


def _months_until(last: date) -> list[date]:
    months = [last]
    while len(months) < MONTHS_SHOWN and previous_month(months[0]) < months[0]:
        months.insert(0, previous_month(months[0]))
    return months


def _months_after(last: date) -> date:
    """Return the last month of the next page after the page that ends with a month."""
    for _month in range(MONTHS_SHOWN):
        last = next_month(last).replace(day=1)
    return last


# ---------------------------------------------------------------- one month


class FigureRow(NamedTuple):
    """One figure of a line: the sum of the flows, and the stated figure with its origin. `address`: the address of the
    flows."""

    name: str
    ledger: Decimal | None
    stated: Decimal | None
    difference: Decimal | None
    by: Origin | None
    address: str


class LineView(NamedTuple):
    """A line of the proof of cash, and the breaks of its month with their flows. `id` names it in explanations."""

    id: str
    line: ProofLine
    label: CheckLabel
    figures: Sequence[FigureRow]
    decimals: int
    breaks: Sequence[LedgerBreak]
    flows_address: str
    origin: date | None
    """The month of the last earlier break, if the line has differed since then."""


class ToExplain(NamedTuple):
    """A line that has to be explained before its month can be closed.

    `is_carried`: the difference is from before the month, and the explanation of an earlier month counts.
    """

    id: str
    name: str
    is_carried: bool


@get("/reconcile/{name:str}/{period:str}", sync_to_thread=True)
def show_month(page: CurrentPage, name: FromPath[str], period: FromPath[str]) -> Response[str]:
    """The proof of cash of an account's month, line by line, with the details of each difference."""
    return render_month(page, name, period)


def render_month(page: Page, name: str, period: str, form: Form | None = None) -> Response[str]:
    """The page of a month. `form`: a form that was sent and refused. Raises NotFoundException."""
    model, language = page.read_model, page.language
    try:
        first = read_month(period)
        with model.reading((name,)) as reading:
            account = reading.accounts[name]
            month = reconcile_month(reading, account, first)
            behind = {
                line.key: breaks_with_flows(reading, account, [(line.key, one) for one in line.breaks[:BREAKS_SHOWN]])
                for line in month.lines
            }
            origins = {
                line.key: _origin(reading.chains(account).get(line.key), month, account.name)
                for line in month.lines
                if line.cause is LineCause.CARRIED
            }
            decisions = [one for one in list_decisions(reading.queries, (name,)) if one.period == period]
            changes = [
                change
                for one in reading.month_changes(account)
                if one.closed.period == period
                for change in one.changes
            ]
    except (AccountNotFound, InvalidField) as error:
        raise NotFoundException(str(error)) from error
    zone = page.view_zone(account.name.zone)
    closed = closed_months(decisions).get((name, period))
    before, after = previous_month(first), next_month(first)
    lines = [_line_view(page, zone, month, line, behind[line.key], origins.get(line.key)) for line in month.lines]
    to_explain = [
        ToExplain(view.id, _line_name(view.line), view.line.cause is LineCause.CARRIED)
        for view in lines
        if view.line.status is not CheckStatus.PASS
    ]
    if not lines and month.status is not CheckStatus.PASS:
        to_explain = [ToExplain(line_id(name, NO_LINE), name, is_carried=False)]
    errors = {} if form is None else form.errors
    return page.render(
        "reconcile/month.html",
        status=422 if errors else 200,
        month=month,
        title=month_name(first, language),
        month_name=lambda first: month_name(first, language),
        address=month_address(name, period),
        month_address=month_address,
        account=account,
        account_address=account_address(name),
        label=month_label(month, zone, language),
        coverage=coverage_label(month.verdict, zone, language),
        lines=lines,
        explain=lambda one: break_text(one, language),
        row_address=row_address,
        beside=flows_beside,
        zone=zone,
        earlier=month_address(name, before.isoformat()[:7]),
        later=month_address(name, after.isoformat()[:7]) if after <= _last_month(page, account.name) else "",
        statement_address=account_address(name, "stated"),
        closed=closed,
        explanations=_explanations(closed),
        decisions=list(reversed(decisions)),
        decision_names={PeriodState.CLOSED: page.say("Closed"), PeriodState.REOPENED: page.say("Opened again")},
        changes=changes,
        change_names={
            ChangeKind.ADDED: page.say("Added"),
            ChangeKind.CHANGED: page.say("Changed"),
            ChangeKind.WITHDRAWN: page.say("Withdrawn"),
        },
        certificates=[one for one in reversed(current_certificates(page.ledger, (name,))) if one.period == period],
        keys=list_signing_keys(page.ledger),
        key_name=_key_name(page),
        may_record=page.may(Scope.RECORD),
        may_manage=page.may(Scope.MANAGE),
        to_explain=to_explain,
        explain_field=EXPLAIN,
        name_extra={"autocomplete": "name", "maxlength": "1000"} | ({"readonly": "readonly"} if page.user else {}),
        values={} if form is None else page.form,
        errors=errors,
    )


def _key_name(page: Page) -> str:
    """A name for the ledger's first signing key: an address without its scheme."""
    host = page.request.headers.get("host", "")
    return f"{host_of(f'//{host}')}/ledger"


def _line_name(line: ProofLine) -> str:
    return f"{line.subaccount} · {line.currency}" if line.subaccount else line.currency


def _explanations(closed: PeriodDecision | None) -> dict[str, str]:
    """Return why lines that did not pass were accepted at the close, by line id."""
    lines = () if closed is None else closed.lines
    account = "" if closed is None else closed.account
    return {line_id(account, (one.subaccount, one.currency)): one.explanation for one in lines if one.explanation}


def _origin(chain: ChainState | None, month: AccountMonth, account: AccountName) -> date | None:
    """The month of the last break before a month. None: it does not exist."""
    breaks = () if chain is None else chain.breaks
    earlier = [one.after[0] for one in breaks if one.after[0] < month.month.since_us]
    return month_at(max(earlier), account) if earlier else None


def _line_view(
    page: Page, zone: str, month: AccountMonth, line: ProofLine, breaks: Sequence[LedgerBreak], origin: date | None
) -> LineView:
    say = page.say
    names = dict(
        zip(FIGURES, (say("Opening balance"), say("Receipts"), say("Payments"), say("Closing balance")), strict=True)
    )
    since, until = month.month.first.isoformat(), next_month(month.month.first).isoformat()
    fields = {"account": line.account, "subaccount": line.subaccount, "currency": line.currency}
    fields |= {"since": since, "until": until}
    more = {"money_in": {"amount_min": "0"}, "money_out": {"amount_max": "0"}}
    by = {"opening": line.opening_by, "closing": line.closing_by}
    figures = [
        FigureRow(name, ours, stated, difference, by.get(field), _flows(fields | more[field]) if field in more else "")
        for (field, name), ours, stated, difference in zip(
            names.items(), line.ledger, line.stated, line.difference, strict=True
        )
    ]
    amounts = [amount for amount in (*line.ledger, *line.stated, *line.difference) if amount is not None]
    return LineView(
        line_id(line.account, line.key),
        line,
        line_label(line, zone, page.language),
        figures,
        decimal_places(amounts),
        breaks,
        _flows(fields),
        origin,
    )


def _flows(fields: dict[str, str]) -> str:
    return f"/flows?{urlencode({name: value for name, value in fields.items() if value})}"
