"""Findings: flows to review, their states, and people's explanations of them."""

from http import HTTPStatus
from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from liushui.client import models
from liushui.ledger.access.tokens import Scope
from liushui.ledger.findings import KINDS
from liushui.ledger.read import finding_lists
from liushui.ledger.read.cursors import flow_key
from liushui.ledger.read.finding_decisions import FindingDecision, FindingState
from liushui.ledger.read.finding_lists import Finding, FindingPosition, find_finding, findings_page
from liushui.ledger.read.flows import LedgerFlow, key_of
from liushui.ledger.write.finding_decisions import explain_findings, withdraw_explanations
from liushui.server.api.context import Context, RequestContext
from liushui.server.api.endpoint import PathText, endpoint
from liushui.server.api.flows import PAGE, PAGE_MAX, AccountNames, AccountsParams, Cursor, flow_model

Kind = Literal["side", "same_id", "break"]
State = Literal["open", "explained", "gone"]


class FindingParams(msgspec.Struct, frozen=True, kw_only=True):
    """Selects findings, and a page of them."""

    account: AccountNames = []
    kind: Annotated[list[Kind], Meta(description="These kinds; may be repeated. Without it: all.")] = []
    state: Annotated[list[State], Meta(description="These states; may be repeated. Without it: open.")] = []
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Cursor | None = None


@endpoint("GET", "/findings", scope=Scope.READ)
def count_findings(context: Context, params: NamedDependency[AccountsParams]) -> Response[models.Findings]:
    """The number of flows of each day that need a review, by reason. Explained ones are not counted."""
    names = context.accounts(params.account)

    def make() -> models.Findings:
        counts = finding_lists.count_findings(context.read_model, names) if names else []
        return models.Findings(findings=[models.FindingCount.of(count) for count in counts])

    return context.answer_tagged(names, make)


@endpoint("GET", "/findings/list", scope=Scope.READ)
def list_findings(context: Context, params: NamedDependency[FindingParams]) -> Response[models.FindingPage]:
    """Flows to review by account, kind and time, in pages."""
    names = context.accounts(params.account)
    query = context.query_name("findings", params.account, params.kind, params.state)
    after = None if params.cursor is None else context.read_cursor(query, params.cursor, FindingPosition)
    states = [FindingState(state) for state in params.state] or [FindingState.OPEN]

    def make() -> models.FindingPage:
        if not names:
            return models.FindingPage(findings=[], next=None)
        page = findings_page(
            context.read_model, names, kinds=params.kind or KINDS, states=states, limit=params.limit, after=after
        )
        next_cursor = None if page.next is None else context.sign_cursor(query, page.next)
        return models.FindingPage(findings=list(map(_finding_model, page.findings)), next=next_cursor)

    return context.answer_tagged(names, make)


@endpoint("GET", "/findings/{finding:str}", scope=Scope.READ)
def show_finding(context: Context, finding: PathText) -> Response[models.FindingInFull]:
    """One finding, its flows, and the decisions about it."""
    return context.answer(_in_full(context, finding))


@endpoint("POST", "/findings/{finding:str}/explain", scope=Scope.RECORD)
def explain(
    context: Context, finding: PathText, data: JSONBody[models.DecideFinding]
) -> Response[models.FindingInFull]:
    """Explain a finding. It then no longer needs attention.

    The explanation is recorded in the ledger under the caller's name. It holds as long as the finding stays the same.
    If the finding is already explained, the request is refused with 409.
    """
    explain_findings(context.read_model, [finding], by=context.principal.name, reason=data.reason)
    return context.answer(_in_full(context, finding), HTTPStatus.OK)


@endpoint("POST", "/findings/{finding:str}/withdraw", scope=Scope.RECORD)
def withdraw(
    context: Context, finding: PathText, data: JSONBody[models.DecideFinding]
) -> Response[models.FindingInFull]:
    """Withdraw the explanation of a finding. The finding is open again, and the explanation stays in the ledger."""
    withdraw_explanations(context.read_model, [finding], by=context.principal.name, reason=data.reason)
    return context.answer(_in_full(context, finding), HTTPStatus.OK)


def _in_full(context: RequestContext, id_: str) -> models.FindingInFull:
    full = find_finding(context.read_model, id_)
    return models.FindingInFull(
        finding=_finding_model(full.finding),
        flows=[flow_model(flow) for flow in full.finding.flows],
        decisions=[_decision_model(decision) for decision in full.decisions],
    )


def _finding_model(finding: Finding) -> models.Finding:
    decision = finding.decision
    return models.Finding(
        id=finding.id,
        account=finding.account,
        kind=finding.kind,
        state=finding.state.value,
        at=finding.at,
        flow_id=finding.flow_id,
        flow=None if finding.flow is None else _key(finding.flow),
        others=[_key(flow) for flow in finding.others],
        evidence=finding.evidence,
        explanation=None if finding.located is None else finding.located.explanation,
        decision=None if decision is None else _decision_model(decision),
    )


def _decision_model(decision: FindingDecision) -> models.FindingDecision:
    return models.FindingDecision.of(decision, decision=decision.decision.value)


def _key(flow: LedgerFlow) -> str:
    return flow_key(flow.account, *key_of(flow))
