"""People explain findings. An explanation is a fact: the chain seals it, and only another fact withdraws it."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfigError, InvalidField, LedgerBusy, short_repr
from liushui.instant import from_us, to_iso, to_us
from liushui.ledger.read.finding_decisions import FindingAction, FindingDecision, FindingState, decision_row
from liushui.ledger.read.finding_lists import Finding, findings_named
from liushui.ledger.read.model import ReadModel
from liushui.ledger.write.change import REVIEWED, Change
from liushui.ledger.write.commit import PlanChange, commit_changes

TEXT_MAX: Final = 1_000
"""The most characters of a name or a reason."""
IDS_MAX: Final = 1_000
"""The most findings that one call decides about."""
ATTEMPTS: Final = 3
"""How often a decision is retried because another process has committed to an account."""


class _Outdated(Exception):
    """Another process has committed to an account since its findings were read."""


def explain_findings(model: ReadModel, ids: Sequence[str], *, by: str, reason: str) -> list[FindingDecision]:
    """Explain findings, all of them in one transaction. Returns the decisions as they were recorded.

    Raises NotFound for an unknown id, AlreadyExists for a finding that is explained, ConfigError for a finding that no
    longer exists, and InvalidField without a name or a reason. Then nothing is changed.
    """
    return _decide(model, ids, FindingAction.EXPLAINED, by, reason)


def withdraw_explanations(model: ReadModel, ids: Sequence[str], *, by: str, reason: str) -> list[FindingDecision]:
    """Withdraw the explanations of findings, all of them in one transaction. The findings are open again.

    Raises NotFound for an unknown id, ConfigError for a finding that is not explained, and InvalidField.
    """
    return _decide(model, ids, FindingAction.WITHDRAWN, by, reason)


def _decide(model: ReadModel, ids: Sequence[str], action: FindingAction, by: str, reason: str) -> list[FindingDecision]:
    for field, text in (("by", by), ("reason", reason)):
        if not text.strip():
            raise InvalidField(field, "who decides" if field == "by" else "why", "nothing")
        if len(text) > TEXT_MAX or "\0" in text:
            raise InvalidField(field, f"at most {TEXT_MAX} characters, without U+0000", short_repr(text))
    chosen = list(dict.fromkeys(ids))
    if not 1 <= len(chosen) <= IDS_MAX:
        raise InvalidField("finding", f"1 to {IDS_MAX:,} ids", f"{len(chosen):,}")
    for _ in range(ATTEMPTS):
        try:
            return _commit(model, chosen, action, by.strip(), reason.strip())
        except _Outdated:
            continue
    raise LedgerBusy("somebody else commits to these accounts all the time: try again")


def _commit(model: ReadModel, ids: Sequence[str], action: FindingAction, by: str, reason: str) -> list[FindingDecision]:
    now_us = to_us(model.ledger.clock())
    with model.reading() as reading:
        chosen = findings_named(reading, ids)
        heads = {name: account.snapshot.head for name, account in reading.accounts.items()}
    for finding in chosen:
        _check(finding, action)
    decisions: dict[str, FindingDecision] = {}

    def plan_of(account: str) -> PlanChange:
        def plan(_connection: Connection, batch: int) -> Change:
            if batch != heads[account] + 1:
                raise _Outdated
            for one in chosen:
                if one.account == account:
                    about = (account, one.id, batch, one.kind, one.at_us, one.flow_id, one.evidence)
                    decisions[one.id] = FindingDecision(*about, action, by, reason, from_us(now_us))
            rows = [decision_row(one, now_us) for one in decisions.values() if one.account == account]
            return Change(findings=rows)

        return plan

    plans = {account: plan_of(account) for account in dict.fromkeys(one.account for one in chosen)}
    commit_changes(model.ledger, plans, REVIEWED)
    return [decisions[id_] for id_ in ids]


def _check(finding: Finding, action: FindingAction) -> None:
    """Raise AlreadyExists or ConfigError if a finding cannot be decided in this way."""
    name, decision = finding.id, finding.decision
    if action is FindingAction.WITHDRAWN:
        if decision is None or decision.decision is FindingAction.WITHDRAWN:
            raise ConfigError(f"finding: {name} is not explained")
    elif finding.state is FindingState.GONE:
        raise ConfigError(f"finding: {name} is no longer found, so there is nothing to explain")
    elif finding.state is FindingState.EXPLAINED and decision is not None:
        raise AlreadyExists(f"finding: {describe_decision(decision)}: withdraw that explanation if it is wrong")


def describe_decision(decision: FindingDecision) -> str:
    """Return a decision as a sentence without its full stop."""
    what = {FindingAction.EXPLAINED: "was explained", FindingAction.WITHDRAWN: "is open again, as was decided"}
    at = to_iso(decision.decided_at)
    return f"{decision.finding} {what[decision.decision]} by {decision.decided_by} at {at} ({decision.reason})"
