"""People's explanations of findings: who explained what, when and why. Reads only.

Decisions are facts, and only commits write facts.

An explanation covers the finding as it was at that time. If the amount or the difference changes later, the explanation
no longer counts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import Connection

from liushui.instant import from_us
from liushui.ledger.engines.base import Queries, queries_of
from liushui.ledger.findings import BREAK, SAME_ID, SIDE, finding_id
from liushui.ledger.flow_row import Row, identity_of
from liushui.ledger.read.chain_segments import Key
from liushui.ledger.read.chains import ChainState
from liushui.ledger.read.flows import LedgerFlow, flows_at, key_of
from liushui.money import EXACT, to_plain_string
from liushui.reconcile.chain import Break, RowKey


class FindingState(StrEnum):
    """The state of a finding."""

    OPEN = "open"
    """Nobody has explained it, or it has changed since it was explained."""
    EXPLAINED = "explained"
    GONE = "gone"
    """It was explained, and no longer exists."""


class FindingAction(StrEnum):
    """A person's decision about a finding."""

    EXPLAINED = "explained"
    WITHDRAWN = "withdrawn"
    """An explanation was withdrawn: the finding is open again."""


class FindingDecision(NamedTuple):
    """A decision of a person about a finding, in batch `batch` of the account. `at_us` and `flow` identify its flow.

    `evidence` is the amounts, or the difference of a break, at the time of the decision.
    """

    account: str
    finding: str
    batch: int
    kind: str
    at_us: int
    flow: str
    evidence: str
    decision: FindingAction
    decided_by: str
    reason: str
    decided_at: datetime

    @property
    def key(self) -> RowKey:
        """The flow's key within the account."""
        return self.at_us, self.flow


def decision_row(decision: FindingDecision, decided_at_us: int) -> Row:
    """The row of schema.finding_decisions for a decision."""
    return (*decision[:-1], decided_at_us)


def list_finding_decisions(queries: Queries, account: str) -> list[FindingDecision]:
    """Return every decision about findings of an account, oldest first."""
    return [_decision(row) for row in queries.rows(_SELECT, account)]


def newest_decisions(decisions: Iterable[FindingDecision]) -> dict[str, FindingDecision]:
    """Return the newest decision on each finding. Expects the decisions oldest first."""
    return {decision.finding: decision for decision in decisions}


def _decision(row: Sequence[Any]) -> FindingDecision:
    account, _finding, batch, kind, at_us, flow, evidence, decision, decided_by, reason, decided_at_us = row
    finding = finding_id(account, kind, at_us, flow)  # the stored one may have an earlier name of the account
    about = (account, finding, batch, kind, at_us, flow, evidence)
    return FindingDecision(*about, FindingAction(decision), decided_by, reason, from_us(decided_at_us))


_SELECT: Final = """
SELECT account, finding, batch, kind, at_us, flow, evidence, decision, decided_by, reason, decided_at_us
FROM finding_decisions WHERE account = ? ORDER BY batch, finding
"""


# ---------------------------------------------------------------- what is found


def side_evidence(flow: LedgerFlow) -> str:
    """Return the evidence that a flow's direction contradicts the sign of its amount."""
    return f"{flow.flow.direction.value} {to_plain_string(flow.flow.amount)} {flow.flow.currency}"


def copy_evidence(flow: LedgerFlow, first: LedgerFlow | None) -> str:
    """Return the evidence that a flow shares its id with a different one."""
    return " / ".join(
        f"{to_plain_string(one.flow.amount)} {one.flow.currency}" for one in (flow, first) if one is not None
    )


def break_evidence(key: Key, one: Break) -> str:
    """Return the evidence of a break: its difference, without trailing zeros."""
    return f"{to_plain_string(one.difference.normalize(EXACT))} {key[1]}"


def chain_breaks(chains: Mapping[Key, ChainState]) -> list[tuple[Key, Break]]:
    """Return the breaks of an account's chains, by time."""
    return sorted(((key, one) for key, chain in chains.items() for one in chain.breaks), key=lambda pair: pair[1].after)


def copies_with_first(
    connection: Connection, account: str, copies: Iterable[LedgerFlow]
) -> list[tuple[LedgerFlow, LedgerFlow | None]]:
    """Return the flows of an account that share their id with another, each with the first flow with this id."""
    known = {key_of(copy): copy for copy in copies}
    firsts = flows_at(connection, account, ((at_us, identity_of(id_)) for at_us, id_ in known))
    return [(copy, firsts.get((at_us, identity_of(id_)))) for (at_us, id_), copy in known.items()]


# ---------------------------------------------------------------- what is explained


@dataclass
class ExplainedCache:
    """Caches valid explanations by account and newest batch. They are read again only after another batch of the
    account."""

    explained: dict[str, tuple[int, dict[str, FindingDecision]]] = field(default_factory=dict)

    def load(
        self,
        connection: Connection,
        account: str,
        head: int,
        chains: Callable[[], Mapping[Key, ChainState]],
    ) -> dict[str, FindingDecision]:
        """Return the valid explanations of an account whose newest batch is `head`. `chains` reads its balance
        chains."""
        cached = self.explained.get(account)
        if cached is not None and cached[0] == head:
            return cached[1]
        newest = newest_decisions(list_finding_decisions(queries_of(connection), account))
        explained = {} if not newest else explanations_that_hold(connection, account, newest, chains())
        self.explained[account] = head, explained
        return explained


def explanations_that_hold(
    connection: Connection, account: str, newest: Mapping[str, FindingDecision], chains: Mapping[Key, ChainState]
) -> dict[str, FindingDecision]:
    """Return the valid explanations of an account, by finding id: the finding must still exist unchanged.

    `newest`: the newest decision on each finding.
    """
    explained = [one for one in newest.values() if one.decision is FindingAction.EXPLAINED]
    if not explained:
        return {}
    evidence = {finding_id(account, BREAK, *one.after): break_evidence(key, one) for key, one in chain_breaks(chains)}
    for kind in (SIDE, SAME_ID):
        keys = sorted(one.key for one in explained if one.kind == kind)
        there = flows_at(connection, account, keys, finding=kind)
        if kind == SIDE:
            evidence |= {finding_id(account, kind, *key): side_evidence(flow) for key, flow in there.items()}
        else:
            for copy, first in copies_with_first(connection, account, there.values()):
                evidence[finding_id(account, kind, *key_of(copy))] = copy_evidence(copy, first)
    return {one.finding: one for one in explained if evidence.get(one.finding) == one.evidence}
