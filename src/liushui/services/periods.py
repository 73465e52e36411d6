"""Closing months: lines that pass or are explained are certified and closed in one transaction.

A month can be reopened.

A close is a fact of each account's chain. It names the certificate, which is stored in the same transaction, so that
one never exists without the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from liushui.certificate.keys import load_signing_key
from liushui.certificate.make import finished_month, sign_certificate
from liushui.certificate.note import SigningKey
from liushui.certificate.store import StoredCertificate, insert_into
from liushui.errors import AlreadyExists, InvalidField, LedgerBusy, NotFound, NotReconciled, short_repr
from liushui.instant import to_iso, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read.balances import CheckStatus
from liushui.ledger.read.closed_months import (
    ClosedLine,
    PeriodDecision,
    PeriodState,
    closed_months,
    decision_row,
    list_decisions,
)
from liushui.ledger.read.model import Reading, ReadModel
from liushui.ledger.read.month_calendar import read_month
from liushui.ledger.read.proof_lines import AccountMonth, LineCause, ProofLine
from liushui.ledger.read.proof_of_cash import reconcile_month
from liushui.ledger.read.stated_balances import Key
from liushui.ledger.write.change import CLOSED, Change
from liushui.ledger.write.commit import PlanChange, commit_changes
from liushui.money import to_plain_string
from liushui.provider import Provider

TEXT_MAX: Final = 1_000
"""The most characters of a name, a reason or an explanation."""
ATTEMPTS: Final = 3
"""How often a close is retried because another process has committed to an account."""

NO_LINE: Final[Key] = ("", "")
"""The key for an account's month without lines."""


class Explanations(NamedTuple):
    """Explanations of lines that do not pass, by line id: see `line_id`. `by`: the person who explains them."""

    by: str
    texts: Mapping[str, str]


class _Outdated(Exception):
    """Another process has committed to an account since it was read."""


def line_id(account: str, key: Key) -> str:
    """Return the name of a line in explanations: `shop:CNY`, `shop:futures:USD`; `shop` for an account without
    lines."""
    if key == NO_LINE:
        return account
    subaccount, currency = key
    return ":".join((account, subaccount, currency) if subaccount else (account, currency))


def close_month(
    model: ReadModel,
    period: str,
    names: Sequence[str],
    explained: Explanations,
    providers: dict[str, Provider],
    *,
    sign_with: str | None = None,
    skip_closed: bool = False,
) -> list[PeriodDecision]:
    """Close a month of these accounts (of all if no name is given), in one transaction.

    `skip_closed`: skip accounts that have closed the month already. Each account gets a certificate of the month,
    signed with the key of this name; None: the newest key. Nothing is changed if an error is raised: AccountNotFound;
    NotFound or ConfigError for the key; InvalidField for an invalid month, a month that is not over, or explanations
    that are empty or fit no line; AlreadyExists for a closed month; NotReconciled, with each line that fails or could
    not be checked and has no explanation.
    """
    read_month(period)
    _check_text("by", explained.by, is_required=True)
    for name, text in explained.texts.items():
        _check_text(f"explain {name}", text, is_required=True)
    key = load_signing_key(model.ledger, sign_with)
    for _ in range(ATTEMPTS):
        try:
            return _close(model, period, names, explained, key, providers, skip_closed=skip_closed)
        except _Outdated:
            continue
    raise LedgerBusy("somebody else commits to these accounts all the time: try again")


def reopen_month(ledger: Ledger, period: str, names: Sequence[str], *, by: str, reason: str) -> list[PeriodDecision]:
    """Open a closed month again, in one transaction. Without names, for all accounts that have closed it.

    Raises AccountNotFound; InvalidField for an invalid month, or without a name or a reason; NotFound if the month is
    not closed.
    """
    read_month(period)
    _check_text("by", by, is_required=True)
    _check_text("reason", reason, is_required=True)
    with ledger.querying() as queries:
        closed = closed_months(list_decisions(queries, names))
    accounts = list(dict.fromkeys(names)) or [account for account, month in closed if month == period]
    missing = [account for account in accounts if (account, period) not in closed]
    if missing or not accounts:
        raise NotFound(f"period: {period} is not closed in {', '.join(missing) or 'any account'}")
    now, decided = ledger.clock(), {}

    def plan_of(account: str) -> PlanChange:
        def plan(connection: Connection, batch: int) -> Change:
            # Looked up again, because the account is locked now.
            current = closed_months(list_decisions(queries_of(connection), (account,)))
            if (account, period) not in current:
                raise NotFound(f"period: {period} is not closed in {account}")
            decision = PeriodDecision(
                account, period, batch, PeriodState.REOPENED, (), "", by.strip(), reason.strip(), now
            )
            decided[account] = decision
            return Change(periods=[decision_row(decision, to_us(now))])

        return plan

    commit_changes(ledger, {account: plan_of(account) for account in accounts}, CLOSED)
    return [decided[account] for account in accounts]


def describe_decision(decision: PeriodDecision) -> str:
    """Return a decision as a sentence without its full stop."""
    state = "closed" if decision.state is PeriodState.CLOSED else "opened again"
    reason = f" ({decision.reason})" if decision.reason else ""
    at = to_iso(decision.decided_at)
    return f"{decision.period} of {decision.account} was {state} by {decision.decided_by} at {at}{reason}"


# ---------------------------------------------------------------- closing


def _close(
    model: ReadModel,
    period: str,
    names: Sequence[str],
    explained: Explanations,
    key: SigningKey,
    providers: dict[str, Provider],
    *,
    skip_closed: bool,
) -> list[PeriodDecision]:
    with model.reading(names) as reading:
        decisions = list_decisions(reading.queries, names)
        proofs = _proofs(reading, period, decisions, skip_closed=skip_closed)
        heads = {name: account.snapshot.head for name, account in reading.accounts.items()}
        now = reading.now
    lines = _accepted(period, proofs, explained, decisions)
    certificates = {}
    for proof in proofs:
        certificate, _ = sign_certificate(model, proof.account, period, key, providers)
        if certificate.batch != heads[proof.account]:
            raise _Outdated
        certificates[proof.account] = certificate
    plans = _Plans(period, explained.by.strip(), now, heads, lines, certificates)
    commit_changes(model.ledger, {proof.account: plans.of(proof.account) for proof in proofs}, CLOSED)
    return [plans.decided[proof.account] for proof in proofs]


class _Plans:
    """The data to commit to each account."""

    def __init__(
        self,
        period: str,
        closed_by: str,
        now: datetime,
        heads: Mapping[str, int],
        lines: Mapping[str, tuple[ClosedLine, ...]],
        certificates: Mapping[str, StoredCertificate],
    ) -> None:
        self._period, self._closed_by, self._now = period, closed_by, now
        self._heads, self._lines, self._certificates = heads, lines, certificates
        self.decided: dict[str, PeriodDecision] = {}

    def of(self, account: str) -> PlanChange:
        """Return the plan for one account: its certificate and the decision."""

        def plan(connection: Connection, batch: int) -> Change:
            if batch != self._heads[account] + 1:
                raise _Outdated
            certificate, lines = self._certificates[account], self._lines[account]
            insert_into(connection, certificate)
            reasons = dict.fromkeys(line.explanation for line in lines if line.explanation)
            decision = PeriodDecision(
                account,
                self._period,
                batch,
                PeriodState.CLOSED,
                lines,
                certificate.digest,
                self._closed_by,
                "; ".join(reasons),
                self._now,
            )
            self.decided[account] = decision
            return Change(periods=[decision_row(decision, to_us(self._now))])

        return plan


def _proofs(
    reading: Reading, period: str, decisions: Sequence[PeriodDecision], *, skip_closed: bool
) -> list[AccountMonth]:
    """Return the proofs of the accounts whose month is to be closed. Raises InvalidField, AlreadyExists."""
    closed = closed_months(decisions)
    chosen = [name for name in reading.accounts if not skip_closed or (name, period) not in closed]
    for name in chosen:
        finished_month(period, reading.accounts[name].name, reading.now)
        if (name, period) in closed:
            raise AlreadyExists(f"period: {describe_decision(closed[name, period])}: reopen it first")
    if not chosen:
        raise AlreadyExists(f"period: {period} is closed in every account")
    first = read_month(period)
    return [reconcile_month(reading, reading.accounts[name], first) for name in chosen]


def _accepted(
    period: str, proofs: Sequence[AccountMonth], explained: Explanations, decisions: Sequence[PeriodDecision]
) -> dict[str, tuple[ClosedLine, ...]]:
    """Return the lines as they are closed, by account. Raises NotReconciled, InvalidField."""
    left = dict(explained.texts)
    refused: list[tuple[str, str]] = []
    accepted: dict[str, tuple[ClosedLine, ...]] = {}
    passing = set()
    for proof in proofs:
        lines = []
        for key, status, reason, line in _lines_of(proof):
            id_ = line_id(proof.account, key)
            if status is CheckStatus.PASS:
                passing.add(id_)
                lines.append(_closed_line(key, status, reason, line, ""))
                continue
            explanation = left.pop(id_, "").strip() or _carried(proof, line, decisions)
            if not explanation:
                refused.append((id_, f"{status.value.replace('_', ' ')} ({reason})"))
            lines.append(_closed_line(key, status, reason, line, explanation))
        accepted[proof.account] = tuple(lines)
    for id_ in left:
        expected = "a line that does not pass"
        if id_ in passing:
            raise InvalidField("explain", expected, f"{short_repr(id_)}, which passes")
        raise InvalidField(
            "explain", f"{expected}, such as {refused[0][0] if refused else 'shop:CNY'}", short_repr(id_)
        )
    if refused:
        raise NotReconciled(period, refused)
    return accepted


def _lines_of(proof: AccountMonth) -> Iterator[tuple[Key, CheckStatus, str, ProofLine | None]]:
    """Yield the key, verdict and reason of each line; for an account without lines, those of its month."""
    if not proof.lines:
        yield NO_LINE, proof.status, proof.reason, None
    for line in proof.lines:
        yield line.key, line.status, line.reason, line


def _closed_line(key: Key, status: CheckStatus, reason: str, line: ProofLine | None, explanation: str) -> ClosedLine:
    if line is None:
        return ClosedLine(*key, None, None, None, None, None, None, status.value, reason, explanation)
    opening, money_in, money_out, closing, stated, difference = (
        None if amount is None else to_plain_string(amount)
        for amount in (*line.ledger, line.stated.closing, line.difference.closing)
    )
    figures = opening, money_in, money_out, closing, stated, difference
    return ClosedLine(*key, *figures, status.value, reason, explanation)


def _carried(proof: AccountMonth, line: ProofLine | None, decisions: Sequence[PeriodDecision]) -> str:
    """Return the explanation of a difference from an earlier closed month. Empty: it has none."""
    if line is None or line.cause is not LineCause.CARRIED or line.difference.closing is None:
        return ""
    closed = closed_months([one for one in decisions if one.account == proof.account and one.period < proof.month.name])
    for earlier in sorted(closed.values(), key=lambda one: one.period, reverse=True):
        for known in earlier.lines:
            if (known.subaccount, known.currency) != line.key or known.difference is None:
                continue
            text = known.explanation
            if Decimal(known.difference) != line.difference.closing or not text:
                return ""  # the difference has changed since then: it is another one
            return text if text.startswith("as explained for ") else f"as explained for {earlier.period}: {text}"
    return ""


def _check_text(field: str, text: str, *, is_required: bool) -> None:
    if is_required and not text.strip():
        raise InvalidField(field, "a name" if field == "by" else "why", "nothing")
    if len(text) > TEXT_MAX or "\0" in text:
        raise InvalidField(field, f"at most {TEXT_MAX} characters, without U+0000", short_repr(text))
