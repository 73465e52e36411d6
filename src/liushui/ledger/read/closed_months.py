"""Months that people closed, and the changes in them since then.

Reads only: decisions are facts of the ledger, which only commits write.

The newest decision on a month counts: the month is closed, or was opened again. A flow that arrives, changes or is
withdrawn in a closed month is never refused. It is listed as a change until the month is opened again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from liushui.instant import from_us
from liushui.ledger.engines.base import Queries
from liushui.ledger.flow_row import BATCH, COLUMNS, FACTS_END, ID, Row, to_flow
from liushui.ledger.read.accounts import AccountName, find_accounts
from liushui.ledger.read.month_calendar import month_of

if TYPE_CHECKING:
    from liushui.ledger.read.flows import LedgerFlow


class PeriodState(StrEnum):
    """The state that a person gave a month."""

    CLOSED = "closed"
    REOPENED = "reopened"


class ClosedLine(NamedTuple):
    """A line of a month at its close. Amounts are text, or None if they were not known.

    `check` is the verdict at the close, and `difference` is the difference of the closing balances. `explanation` says
    why a line was accepted that did not pass; otherwise it is empty.
    """

    subaccount: str
    currency: str
    opening: str | None
    money_in: str | None
    money_out: str | None
    closing: str | None
    stated: str | None
    difference: str | None
    check: str
    reason: str
    explanation: str


class PeriodDecision(NamedTuple):
    """A person's decision about an account's month, in batch `batch` of the account.

    `certificate` is the digest of the certificate that was written at the close. It is empty if the month was opened
    again.
    """

    account: str
    period: str
    batch: int
    state: PeriodState
    lines: tuple[ClosedLine, ...]
    certificate: str
    decided_by: str
    reason: str
    decided_at: datetime

    @property
    def first(self) -> date:
        """The first day of the month."""
        return date.fromisoformat(f"{self.period}-01")

    @property
    def explained(self) -> int:
        """The number of lines that were accepted with an explanation."""
        return sum(bool(line.explanation) for line in self.lines)


_lines = msgspec.json.Decoder(tuple[ClosedLine, ...])


def decision_row(decision: PeriodDecision, decided_at_us: int) -> Row:
    """The row of schema.period_decisions for a decision."""
    lines = msgspec.json.encode(decision.lines).decode()
    about = decision.account, decision.period, decision.batch, decision.state.value, lines, decision.certificate
    return (*about, decision.decided_by, decision.reason, decided_at_us)


def list_decisions(queries: Queries, names: Sequence[str] = ()) -> list[PeriodDecision]:
    """Return every decision about the months of these accounts (all if no name is given), by account, month and batch.

    Raises AccountNotFound.
    """
    chosen = {account.account for account in find_accounts(queries, names)}
    rows = queries.rows(_SELECT) if len(chosen) != 1 else queries.rows(_SELECT_OF, *chosen)
    return [_decision(row) for row in rows if row[0] in chosen]


def closed_months(decisions: Sequence[PeriodDecision]) -> dict[tuple[str, str], PeriodDecision]:
    """The months that are closed, by account and month."""
    newest = {(decision.account, decision.period): decision for decision in decisions}
    return {key: decision for key, decision in newest.items() if decision.state is PeriodState.CLOSED}


def _decision(row: Sequence[Any]) -> PeriodDecision:
    account, period, batch, state, lines, certificate, decided_by, reason, decided_at_us = row
    return PeriodDecision(
        account,
        period,
        batch,
        PeriodState(state),
        _lines.decode(lines),
        certificate,
        decided_by,
        reason,
        from_us(decided_at_us),
    )


_SELECT_OF: Final = """
SELECT account, period, batch, decision, lines, certificate, decided_by, reason, decided_at_us FROM period_decisions
WHERE account = ? ORDER BY account, period, batch
"""
_SELECT: Final = _SELECT_OF.replace("WHERE account = ?", "")


# ---------------------------------------------------------------- changed after close


class ChangeKind(StrEnum):
    """The kind of change of a flow after its month was closed."""

    ADDED = "added"
    CHANGED = "changed"
    WITHDRAWN = "withdrawn"


class ChangeAfterClose(NamedTuple):
    """A flow of a closed month that has changed.

    `before`: the flow when the month was closed; None: there was no such flow. `now`: the current flow; None: it was
    withdrawn. `batch` is the commit that changed it last. `ended_as`: how the version of the close ended, or the last
    version of a flow that was withdrawn.
    """

    account: str
    period: str
    kind: ChangeKind
    before: "LedgerFlow | None"
    now: "LedgerFlow | None"
    batch: int
    recorded_at: datetime
    ended_as: str | None

    @property
    def flow(self) -> "LedgerFlow":
        """The current flow, or its last version before it was withdrawn."""
        flow = self.now or self.before
        if flow is None:
            raise AssertionError("a change is of a flow that is, or was")
        return flow


class MonthChanges(NamedTuple):
    """The changes in a closed month since its close, by time. Never empty."""

    closed: PeriodDecision
    changes: tuple[ChangeAfterClose, ...]


@dataclass
class ChangesCache:
    """Caches changes by account and newest batch. They are read again only after another batch of the account."""

    changes: dict[str, tuple[int, list[MonthChanges]]] = field(default_factory=dict)

    def load(self, queries: Queries, account: AccountName, head: int) -> list[MonthChanges]:
        """Return the changes in the closed months of an account whose newest batch is `head`."""
        cached = self.changes.get(account.account)
        if cached is not None and cached[0] == head:
            return cached[1]
        changes = read_changes(queries, account)
        self.changes[account.account] = head, changes
        return changes


def read_changes(queries: Queries, account: AccountName) -> list[MonthChanges]:
    """Return the changes in the closed months of an account, by month."""
    decisions = queries.rows(_SELECT_OF, account.account)
    found = []
    for closed in closed_months([_decision(row) for row in decisions]).values():
        changes = tuple(_changes(queries, account, closed))
        if changes:
            found.append(MonthChanges(closed, changes))
    return found


def _changes(queries: Queries, account: AccountName, closed: PeriodDecision) -> Iterator[ChangeAfterClose]:
    month = month_of(closed.first, account)
    name, (since_us, until_us) = account.account, month.range_us
    # Most commits are about later months. Read the month's flows only if a commit may have changed them.
    if not queries.rows(_MAY_CHANGE, name, closed.batch, until_us, since_us):
        return
    came = {(row[1], row[2]): row for row in queries.rows(_CAME, name, since_us, until_us, closed.batch)}
    gone = {(row[1], row[2]): row for row in queries.rows(_GONE, name, since_us, until_us, closed.batch, closed.batch)}
    # A flow that no longer exists may have been restated before it was withdrawn. Its last end counts.
    ends: dict[tuple[int, str], tuple[int, str]] = {}
    if gone.keys() - came.keys():
        for at_us, id_, batch, ended_as in queries.rows(_ENDS, name, since_us, until_us, closed.batch):
            ends[at_us, id_] = batch, ended_as
    recorded = {}
    for key in sorted(came.keys() | gone.keys()):
        now, before = came.get(key), gone.get(key)
        if now is not None and before is not None and tuple(now[:FACTS_END]) == tuple(before[:FACTS_END]):
            continue  # it was withdrawn, and returned unchanged
        ended_as = None if before is None else before[len(COLUMNS) + 1]
        if now is not None:
            batch = now[BATCH]
        else:
            batch, ended_as = ends[key]
        if batch not in recorded:
            recorded[batch] = from_us(queries.value(_RECORDED, name, batch))
        kind = ChangeKind.WITHDRAWN if now is None else ChangeKind.ADDED if before is None else ChangeKind.CHANGED
        yield ChangeAfterClose(
            name,
            closed.period,
            kind,
            None if before is None else _flow_of(before[: len(COLUMNS)]),
            None if now is None else _flow_of(now),
            batch,
            recorded[batch],
            ended_as,
        )


def _flow_of(row: Sequence[Any]) -> "LedgerFlow":
    from liushui.ledger.read.flows import LedgerFlow  # imported here because few months have changes

    return LedgerFlow(row[0], row[ID], to_flow(row), row[BATCH])


_NAMES: Final = ", ".join(COLUMNS)
_MAY_CHANGE: Final = """
SELECT 1 FROM batches WHERE account = ? AND seq > ? AND (added > 0 OR restated > 0 OR withdrawn > 0)
AND (since_us IS NULL OR since_us < ? AND until_us > ?) LIMIT 1
"""
_CAME: Final = f"SELECT {_NAMES} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ? AND batch > ?"
_GONE: Final = f"""
SELECT {_NAMES}, ended_batch, ended_as FROM history
WHERE account = ? AND at_us >= ? AND at_us < ? AND batch <= ? AND ended_batch > ?
"""
_ENDS: Final = """
SELECT at_us, id, ended_batch, ended_as FROM history
WHERE account = ? AND at_us >= ? AND at_us < ? AND ended_batch > ? ORDER BY ended_batch
"""
_RECORDED: Final = "SELECT recorded_at_us FROM batches WHERE account = ? AND seq = ?"
