"""liushui findings, finding, breaks: flows to review, what people explain about them, and breaks of balance chains."""

import sys
from typing import TYPE_CHECKING, Final

import click

from liushui.cli import EXIT_INCOMPLETE, options
from liushui.cli.audited import system_user
from liushui.cli.flows import FLOW_TABLE_COLUMNS
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, emit_one, messages
from liushui.instant import to_iso

if TYPE_CHECKING:
    from liushui.ledger.read.breaks import LedgerBreak
    from liushui.ledger.read.finding_decisions import FindingDecision
    from liushui.ledger.read.finding_lists import Finding
    from liushui.ledger.read.flows import LedgerFlow

FINDINGS: Final = ("side", "same_id", "break")
STATES: Final = ("open", "explained", "gone")  # spelled out: their module imports SQLAlchemy

STATE_COLUMNS: Final = ("finding", "finding_id", "state")
DECISION_COLUMNS: Final = ("others", "decided_by", "decided_at", "reason")
BREAK_COLUMNS: Final = (
    *("account", "subaccount", "currency", "at", "difference", "cause", "explanation", "expected", "stated"),
    *("before", "before_at", "after", "rows", "finding_id", "state", "decided_by", "reason"),
)
BREAK_TABLE_COLUMNS: Final = (
    *("account", "subaccount", "currency", "at", "difference", "explanation", "before", "after", "rows"),
    *("finding_id", "state"),
)


@click.command()
@options.accounts
@click.option("--only", type=click.Choice(FINDINGS), help="Only findings of this kind.")
@click.option(
    "--state",
    "states",
    type=click.Choice(STATES),
    multiple=True,
    help="Only this state; repeatable. (default: open)",
)
@options.ledger_and_format
def findings(settings: Settings, accounts: tuple[str, ...], only: str | None, states: tuple[str, ...]) -> None:
    """List flows that deserve a review.

    They are not errors: each is stored as the provider sent it. `side`: the direction contradicts the sign of the
    amount. `same_id`: an earlier, different flow has the same identity and time; `others` has its id. `break`: the
    balance that the flow states does not follow from the one before it; `liushui breaks` says more.

    A finding is open until a person explains it with `liushui finding explain`. `--state explained` lists the explained
    ones. An explained finding that is no longer found is gone.

    \b
    Example: liushui findings broker --only same_id
    """
    from liushui.ledger.findings import KINDS
    from liushui.ledger.read.finding_decisions import FindingState
    from liushui.ledger.read.finding_lists import list_findings
    from liushui.ledger.read.flows import COLUMNS

    form, model = settings.format, settings.open_read_model()
    kinds = KINDS if only is None else (only,)
    found = list_findings(model, accounts, kinds=kinds, states=map(FindingState, states or ("open",)))
    columns = (*FLOW_TABLE_COLUMNS, "id", "others") if form is Format.TABLE else (*COLUMNS, *DECISION_COLUMNS)
    emit(map(_finding_record, found), (*STATE_COLUMNS, *columns), form)


def _finding_record(finding: "Finding") -> Record:
    """A finding by its columns: the fields of its flow, or at least the flow's key if the flow is gone."""
    from liushui.ledger.read.flows import COLUMNS, flow_record

    flow: Record = dict.fromkeys(COLUMNS) | {"account": finding.account, "at": finding.at, "id": finding.flow_id}
    if finding.flow is not None:
        flow = {**flow_record(finding.flow)}
    decision = finding.decision
    return {
        "finding": finding.kind,
        "finding_id": finding.id,
        "state": finding.state.value,
        **flow,
        "others": [other.id for other in finding.others],
        "decided_by": None if decision is None else decision.decided_by,
        "decided_at": None if decision is None else decision.decided_at,
        "reason": None if decision is None else decision.reason,
    }


@click.command()
@options.accounts
@click.option("--again", is_flag=True, help="Check all rows. (default: the rows that changed since the last check)")
@options.ledger_and_format
def breaks(settings: Settings, accounts: tuple[str, ...], again: bool) -> None:
    """List the rows whose stated balance does not follow from the balance before.

    Each break lies between two flows and has a difference and the simplest explanation. `rows` are the flows that may
    be wrong; if these are equal, all of them are named. The check first puts flows of one instant, and of the few
    seconds that a provider's clock may be off, in the order of their balances.

    The exit code is 3 if there is a break that nobody has explained (`liushui finding explain`).

    \b
    Example: liushui breaks shop --format json
    """
    from liushui.ledger.read.breaks import list_breaks
    from liushui.ledger.read.finding_decisions import FindingState
    from liushui.ledger.read.finding_lists import THERE, list_findings

    model = settings.open_read_model()
    known = {one.id: one for one in list_findings(model, accounts, kinds=("break",), states=THERE)}
    found = [(one, known.get(one.finding_id)) for one in list_breaks(model, accounts, again=again)]
    form = settings.format
    records = [_break_record(one, finding) for one, finding in found]
    emit(records, BREAK_TABLE_COLUMNS if form is Format.TABLE else BREAK_COLUMNS, form)
    if any(finding is None or finding.state is FindingState.OPEN for _, finding in found):
        sys.exit(EXIT_INCOMPLETE)


def _break_record(one: "LedgerBreak", finding: "Finding | None") -> Record:
    decision = None if finding is None else finding.decision
    return {
        **{name: getattr(one, name) for name in ("account", "subaccount", "currency", "difference", "explanation")},
        "at": one.after.flow.at,
        "cause": one.cause.value,
        "expected": one.expected,
        "stated": one.stated,
        "before": None if one.before is None else one.before.id,
        "before_at": None if one.before is None else to_iso(one.before.flow.at),
        "after": one.after.id,
        "rows": [row.id for row in one.rows],
        "finding_id": one.finding_id,
        "state": "open" if finding is None else finding.state.value,
        "decided_by": None if decision is None else decision.decided_by,
        "reason": None if decision is None else decision.reason,
    }


# ---------------------------------------------------------------- explanations


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def finding() -> None:
    """Explain flows to review, and show what was explained.

    An explained finding no longer needs attention. The explanation is recorded in the hash chain that `verify` checks,
    with the name of the person. It holds as long as the finding stays the same: if an amount or the difference of a
    break changes later, the finding is open again.
    """


_ids = click.argument(
    "ids", nargs=-1, required=True, metavar="FINDING...", help="Their ids, as `liushui findings` prints them."
)
_by = click.option(
    "--by",
    "by",
    metavar="NAME",
    help="Who decides. (default: the name of the user of this computer)",
    default=system_user,
)
_reason = click.option("--reason", metavar="TEXT", required=True, help="Why. It is kept with the decision.")


@finding.command()
@click.argument("id_", metavar="FINDING", help="The finding's id, as `liushui findings` prints it.")
@options.ledger_and_format
def show(settings: Settings, id_: str) -> None:
    """Print one finding: the flows that it is about, and what was decided.

    \b
    Example: liushui finding show 20260130T093000-0f1e2d3c4b5a
    """
    from liushui.ledger.read.finding_lists import find_finding
    from liushui.ledger.write.finding_decisions import describe_decision

    full = find_finding(settings.open_read_model(), id_)
    as_text = settings.format is Format.TABLE
    one = full.finding
    record: dict[str, object] = {
        "finding": one.id,
        "kind": one.kind,
        "state": one.state.value,
        "account": one.account,
        "at": one.at if as_text else to_iso(one.at),
        "flow": one.flow_id,
        "about": one.evidence,
        "explanation": None if one.located is None else one.located.explanation,
        "flows": [_flow_text(flow) if as_text else _flow_record(flow) for flow in one.flows],
        "decisions": [
            describe_decision(decision) if as_text else _decision_record(decision) for decision in full.decisions
        ],
    }
    emit_one(record, settings.format)


@finding.command()
@_ids
@_by
@_reason
@options.ledger_and_format
def explain(settings: Settings, ids: tuple[str, ...], by: str, reason: str) -> None:
    """Explain findings: all of them, or none where one cannot be explained.

    \b
    Example: liushui finding explain 20260130T093000-0f1e2d3c4b5a --reason "a refund that our key may not see"
    """
    from liushui.ledger.write.finding_decisions import explain_findings

    _emit(settings, explain_findings(settings.open_read_model(), ids, by=by, reason=reason))


@finding.command()
@_ids
@_by
@_reason
@options.ledger_and_format
def withdraw(settings: Settings, ids: tuple[str, ...], by: str, reason: str) -> None:
    """Withdraw explanations that are wrong. They stay in the ledger, and the findings are open again.

    \b
    Example: liushui finding withdraw 20260130T093000-0f1e2d3c4b5a --reason "it was another refund"
    """
    from liushui.ledger.write.finding_decisions import withdraw_explanations

    _emit(settings, withdraw_explanations(settings.open_read_model(), ids, by=by, reason=reason))


def _emit(settings: Settings, decisions: "list[FindingDecision]") -> None:
    if settings.format is Format.TABLE:
        from rich.markup import escape

        from liushui.ledger.write.finding_decisions import describe_decision

        for decision in decisions:
            messages.print(escape(describe_decision(decision)))
    else:
        columns = ("finding", "account", "kind", "decision", "decided_by", "reason", "decided_at", "batch")
        emit(map(_decision_record, decisions), columns, settings.format)


def _decision_record(decision: "FindingDecision") -> Record:
    record = {name: getattr(decision, name) for name in ("finding", "account", "kind", "decided_by", "reason", "batch")}
    return {**record, "decision": decision.decision.value, "decided_at": to_iso(decision.decided_at)}


def _flow_record(flow: "LedgerFlow") -> Record:
    from liushui.ledger.read.flows import export_record

    return export_record(flow)


def _flow_text(flow: "LedgerFlow") -> str:
    from liushui.money import to_plain_string

    amount = to_plain_string(flow.flow.amount)
    balance = "" if flow.flow.balance_after is None else f", balance {to_plain_string(flow.flow.balance_after)}"
    return f"{flow.id}: {amount} {flow.flow.currency} at {to_iso(flow.flow.at)}{balance}"
