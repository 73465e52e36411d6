"""Months: their proof of cash, closing and reopening them, and the changes in closed months."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from liushui.client import models
from liushui.errors import NotFound
from liushui.instant import from_us
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.closed_months import PeriodDecision, closed_months, list_decisions
from liushui.ledger.read.model import Reading
from liushui.ledger.read.proof_lines import AccountMonth, Figures, ProofLine
from liushui.ledger.read.proof_of_cash import reconcile, reconcile_months
from liushui.money import to_plain_string
from liushui.reconcile.chain import Break
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import endpoint
from liushui.server.api.flows import AccountNames, AccountsParams, flow_model
from liushui.services.periods import Explanations, close_month, line_id, reopen_month


class ReconcileParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects one month of accounts, or other days."""

    account: AccountNames = []
    period: (
        Annotated[
            str,
            Meta(
                description="A month such as 2026-10, a year such as 2026, or days, both included, such as "
                "2026-10-05..2026-10-20. Without it: the last month that is over."
            ),
        ]
        | None
    ) = None


class MonthsParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects months of accounts, both ends included."""

    account: AccountNames = []
    first: Annotated[str, Meta(description="From this month on. Default: the first month of each account.")] | None = (
        None
    )
    last: Annotated[str, Meta(description="Up to this month, included. Default: the last one that is over.")] | None = (
        None
    )


@endpoint("GET", "/reconciliation", scope=Scope.READ)
def show_reconciliation(context: Context, params: NamedDependency[ReconcileParams]) -> Response[models.Reconciliation]:
    """The proof of cash of one month, or of other days: opening, receipts, payments and closing, from the flows and as
    stated.

    A line passes only if both balances are stated and no flow can be missing.
    """
    names = context.accounts(params.account)
    proofs = reconcile(context.read_model, names, params.period) if names else []
    # Not tagged, because whether a month is over depends on the time.
    return context.answer(models.Reconciliation(months=[_month(proof) for proof in proofs]))


@endpoint("GET", "/reconciliation/months", scope=Scope.READ)
def list_months(context: Context, params: NamedDependency[MonthsParams]) -> Response[models.MonthChecks]:
    """The verdict on each month, whether it is closed, and how many of its flows have changed since."""
    names = context.accounts(params.account)
    if not names:
        return context.answer(models.MonthChecks(months=[]))
    months = reconcile_months(context.read_model, names, params.first, params.last)
    with context.read_model.reading(names) as reading:
        closed = closed_months(list_decisions(reading.queries, names))
        changes = _changes(reading)
    return context.answer(
        models.MonthChecks(
            months=[
                models.MonthCheck(
                    account=name,
                    period=proof.month.name,
                    check=proof.status.value,
                    cause=proof.cause,
                    reason=proof.reason,
                    closed=(name, proof.month.name) in closed,
                    changed_after_close=changes.get((name, proof.month.name), 0),
                )
                for name, proofs in months.items()
                for proof in proofs
            ]
        )
    )


def _changes(reading: Reading) -> dict[tuple[str, str], int]:
    """Return the number of changed flows of each closed month."""
    return {
        (name, month.closed.period): len(month.changes)
        for name, account in reading.accounts.items()
        for month in reading.month_changes(account)
    }


@endpoint("GET", "/closed-months", scope=Scope.READ)
def list_closed_months(context: Context, params: NamedDependency[AccountsParams]) -> Response[models.PeriodDecisions]:
    """The decisions about months: who closed or reopened each, and why."""
    names = context.accounts(params.account)
    return context.answer(models.PeriodDecisions(decisions=_decisions(context, names)))


@endpoint("GET", "/closed-months/changes", scope=Scope.READ)
def list_changes(context: Context, params: NamedDependency[AccountsParams]) -> Response[models.ChangesAfterClose]:
    """The flows of closed months that arrived, changed or were withdrawn after the close."""
    names = context.accounts(params.account)
    changes = []
    if names:
        with context.read_model.reading(names) as reading:
            for account in reading.accounts.values():
                changes += [change for month in reading.month_changes(account) for change in month.changes]
    return context.answer(
        models.ChangesAfterClose(
            changes=[
                models.ChangeAfterClose(
                    account=change.account,
                    period=change.period,
                    change=change.kind.value,
                    batch=change.batch,
                    recorded_at=change.recorded_at,
                    ended_as=change.ended_as,
                    flow=flow_model(change.flow),
                    before=None if change.before is None else flow_model(change.before),
                )
                for change in changes
            ]
        )
    )


@endpoint("POST", "/closed-months", scope=Scope.RECORD, status=HTTPStatus.CREATED)
def close(context: Context, data: JSONBody[models.CloseMonth]) -> Response[models.PeriodDecisions]:
    """Close a month under the caller's name, for all requested accounts or none.

    Each line must pass or be explained. Each account gets a certificate. If the month is already closed, or a line does
    not pass and is not explained, the request is refused with 409 and changes nothing.
    """
    names = _named(context, data.accounts)
    explained = Explanations(context.principal.name, {one.line: one.reason for one in data.explanations})
    decisions = close_month(
        context.read_model,
        data.period,
        names,
        explained,
        dict(context.providers),
        sign_with=data.sign_with,
        skip_closed=not data.accounts,
    )
    return _decided(context, decisions, HTTPStatus.CREATED)


@endpoint("POST", "/closed-months/reopen", scope=Scope.RECORD)
def reopen(context: Context, data: JSONBody[models.ReopenMonth]) -> Response[models.PeriodDecisions]:
    """Reopen a closed month under the caller's name, with a reason. The answer is 404 if it is not closed."""
    names = _named(context, data.accounts)
    if not data.accounts:
        with context.ledger.querying() as queries:
            closed = closed_months(list_decisions(queries, names))
        names = tuple(name for name in names if (name, data.period) in closed) or names
    decisions = reopen_month(context.ledger, data.period, names, by=context.principal.name, reason=data.reason)
    return _decided(context, decisions, HTTPStatus.OK)


def _named(context: RequestContext, accounts: Sequence[str]) -> tuple[str, ...]:
    """The requested accounts, at least one. Raises ProblemError, NotFound."""
    names = context.accounts(accounts)
    if not names:
        raise NotFound("accounts: there is none that the caller may see")
    return names


# ---------------------------------------------------------------- models


def _month(proof: AccountMonth) -> models.ReconciledMonth:
    return models.ReconciledMonth(
        account=proof.account,
        period=proof.month.name,
        since=from_us(proof.month.since_us),
        until=from_us(proof.month.until_us),
        check=proof.status.value,
        cause=proof.cause,
        reason=proof.reason,
        complete=proof.verdict.is_complete,
        lines=[_line(line) for line in proof.lines],
    )


def _line(line: ProofLine) -> models.ProofLine:
    return models.ProofLine(
        line=line_id(line.account, line.key),
        subaccount=line.subaccount,
        currency=line.currency,
        flows=line.flows,
        ledger=_figures(line.ledger),
        stated=_figures(line.stated),
        difference=_figures(line.difference),
        opening_stated_by=line.opening_by,
        closing_stated_by=line.closing_by,
        check=line.status.value,
        cause=line.cause,
        reason=line.reason,
        breaks=[_break(one) for one in line.breaks],
        statements=list(line.statements),
    )


def _figures(figures: Figures) -> models.Figures:
    return models.Figures(
        **{name: None if value is None else to_plain_string(value) for name, value in figures._asdict().items()}
    )


def _break(one: Break) -> models.ChainBreak:
    return models.ChainBreak(
        difference=to_plain_string(one.difference),
        cause=one.cause.value,
        before=None if one.before is None else one.before[1],
        before_at=None if one.before is None else from_us(one.before[0]),
        after=one.after[1],
        after_at=from_us(one.after[0]),
        rows=[id_ for _, id_ in one.rows],
    )


def _decisions(context: RequestContext, names: tuple[str, ...]) -> list[models.PeriodDecision]:
    if not names:
        return []
    with context.read_model.reading(names) as reading:
        decisions = list_decisions(reading.queries, names)
        closed, changes = closed_months(decisions), _changes(reading)
    return [
        decision_model(one, changes.get(key, 0) if closed.get(key) == one else 0)
        for one in decisions
        for key in [(one.account, one.period)]
    ]


def _decided(
    context: RequestContext, decisions: Sequence[PeriodDecision], status: HTTPStatus
) -> Response[models.PeriodDecisions]:
    return context.answer(models.PeriodDecisions(decisions=[decision_model(one, 0) for one in decisions]), status)


def decision_model(decision: PeriodDecision, changes: int) -> models.PeriodDecision:
    """A decision with the number of flows that have changed since."""
    return models.PeriodDecision.of(
        decision,
        state=decision.state.value,
        certificate=decision.certificate or None,
        lines=[models.ClosedLine(**line._asdict()) for line in decision.lines],
        changed_after_close=changes,
    )
