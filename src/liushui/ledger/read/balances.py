"""Balances, with their completeness and a comparison with stated balances.

Sums are exact, and currencies are never added together. The balances of all flows are read with SQL text, so that
`liushui balances` does not have to import SQLAlchemy.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from liushui.instant import from_us, to_iso, to_us
from liushui.ledger.day_totals import Sums, Total
from liushui.ledger.read.completeness import Basis, Completeness, Gap, Verdict, combine, end_instant
from liushui.ledger.read.filters import AFTER_ALL_US, Bound, FlowFilter, bound_instant, equals_currency
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.ledger.read.stated_balances import (
    Key,
    Origin,
    StatedBalance,
    StatedPoint,
    StatedPoints,
    list_stated_balances,
    read_points,
    read_points_as_of,
)
from liushui.money import EXACT, ZERO, to_plain_string

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class CheckStatus(StrEnum):
    """Whether a balance agrees with the stated one."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    UNCHECKED = "could_not_check"
    """No stated balance confirms or contradicts it."""


class CheckCause(StrEnum):
    """Why a balance could not be checked, or why it fails."""

    NONE_STATED = "none_stated"
    ONLY_ONE = "only_one"
    ADVISORY = "advisory"
    UNREAD = "unread"
    """A person stated it before the source begins, and flows in between may be missing."""
    DIFFERS = "differs"


class BalanceCheck(NamedTuple):
    """A balance compared with a stated one. `stated` is the balance that the provider or a person states for the moment
    `at`; `expected` is the balance of the flows at that moment. Both are None if no balance is stated."""

    status: CheckStatus
    cause: CheckCause | None = None
    stated: Decimal | None = None
    expected: Decimal | None = None
    at: datetime | None = None
    origin: Origin | None = None
    id: str | None = None
    """The id of the row or the statement with the stated balance."""

    @property
    def difference(self) -> Decimal | None:
        """The stated balance minus the expected one. None: no balance is stated."""
        if self.stated is None or self.expected is None:
            return None
        return EXACT.subtract(self.stated, self.expected)

    @property
    def reason(self) -> str:
        """Why it fails or could not be checked, in English, for programs and terminals; empty if it passes."""
        match self.cause:
            case None:
                return ""
            case CheckCause.NONE_STATED:
                return "no balance is stated"
            case CheckCause.ONLY_ONE:
                return "only one balance is stated, and the opening balance is computed from it"
            case CheckCause.ADVISORY:
                return "the provider calls its balances indicative"
            case CheckCause.UNREAD:
                stated, expected = (to_plain_string(amount or ZERO) for amount in (self.stated, self.expected))
                why = "flows between it and the source's start date are not in the ledger"
                return f"statement {self.id} states {stated}, the flows come to {expected}: {why}"
            case CheckCause.DIFFERS:
                who = "the provider" if self.origin is Origin.ROW else f"statement {self.id}"
                stated, expected = (to_plain_string(amount or ZERO) for amount in (self.stated, self.expected))
                at = "" if self.at is None else f" at {to_iso(self.at)}"
                return f"{who} states {stated}{at}, the flows come to {expected}"


class Balance(NamedTuple):
    """The sum of an account's flows in one subaccount and currency, including the opening balance if that is known.

    `at`: the balance before that instant. If the query has no instant, it is the time up to which the balance is
    complete, or None if it is not even complete at its beginning. `basis`: whether the sum is a balance or a net
    change. `opening` None: not known, so the sum is a net change.
    """

    account: str
    subaccount: str
    currency: str
    amount: Decimal
    flows: int
    at: datetime | None
    basis: Basis
    verdict: Verdict
    opening: Decimal | None
    check: BalanceCheck


class Balances(NamedTuple):
    """Balances by account, subaccount and currency, and one verdict on all requested accounts, including those without
    flows."""

    rows: list[Balance]
    verdict: Verdict

    @property
    def failures(self) -> list[Balance]:
        """The balances that differ from the stated balance."""
        return [row for row in self.rows if row.check.status is CheckStatus.FAIL]


def read_balances(
    model: ReadModel,
    names: Sequence[str] = (),
    *,
    at: Bound | None = None,
    as_of: Bound | None = None,
    currency: str | None = None,
) -> Balances:
    """Return the exact balances before `at` (None: of all flows). Raises AccountNotFound.

    `as_of`: as recorded until then. The time for this grows with the number of versions.
    """
    rows: list[Balance] = []
    verdicts: list[Verdict] = []
    with model.reading(names, as_of, text_only=at is None and as_of is None) as reading:
        for account in reading.accounts.values():
            verdicts.append(verdict := account.verdict(until=at))
            if at is None and as_of is None:
                rows += current_balances(reading, account)
                continue
            before, sums = None, account.snapshot.sums
            if at is not None:
                before = bound_instant(at, account.name.tz)
                sums = _sums_before(reading.connection, account, before, as_of)
            until_us = AFTER_ALL_US if before is None else to_us(before)
            if as_of is None:
                points = read_points(reading.queries, account.name, until_us=until_us)
            else:
                points = read_points_as_of(reading.connection, account.name, as_of, until_us=until_us)
            rows += balances_of(account, verdict, sums, points, before)
    if currency is not None:
        rows = [row for row in rows if equals_currency(row.currency, currency)]
    return Balances(rows, combine([*verdicts, *(row.verdict for row in rows)]))


def current_balances(reading: Reading, account: Account) -> list[Balance]:
    """The balances of all flows of an account, by subaccount and currency."""
    return balances_of(account, account.verdict(), account.snapshot.sums, reading.stated_points(account))


def _sums_before(connection: "Connection", account: Account, at: datetime, as_of: Bound | None) -> Sums:
    if as_of is not None:
        from liushui.ledger.read import history

        return history.sums_as_of(connection, account.name, as_of, to_us(at))
    from liushui.ledger.read.account_sums import sum_flows

    return sum_flows(connection, FlowFilter(until=at).of(account.name))


def balances_of(
    account: Account,
    verdict: Verdict,
    sums: Sums,
    points: Mapping[Key, StatedPoints],
    at: datetime | None = None,
) -> list[Balance]:
    """Return the balances before `at`, by subaccount and currency. Balances that are only stated are included.

    `points`: the account's stated balances.
    """
    until_us = AFTER_ALL_US if at is None else to_us(at)
    if at is None and verdict.until_us is not None:
        at = end_instant(verdict.until_us)
    basis = account.completeness.basis()
    balances = []
    for key in sorted({*sums, *points}):
        total, stated = sums.get(key, Total()), points.get(key, StatedPoints())
        opening = opening_balance(account, stated)
        amount = total.net if opening is None else EXACT.add(opening, total.net)
        balances.append(
            Balance(
                account.snapshot.account,
                *key,
                amount,
                total.flows,
                at,
                basis if opening is None else Basis(),
                verdict if opening is None else with_unread_before(account, verdict, stated, until_us),
                opening,
                _check(account, opening, stated, until_us),
            )
        )
    return balances


def opening_balance(account: Account, stated: StatedPoints) -> Decimal | None:
    """The balance before the first flow of the ledger. None: not known.

    It is zero if the flows reach back to the account's beginning. Otherwise it is computed from the first row that
    states a balance, or from the earliest balance that a person stated.
    """
    if account.completeness.basis().is_balance:
        return ZERO
    anchor = opening_anchor(account, stated)
    return None if anchor is None else anchor.opening


def opening_anchor(account: Account, stated: StatedPoints) -> StatedPoint | None:
    """Return the stated balance that determines the opening balance. None: no balance is stated, or the opening balance
    is zero."""
    return stated.anchor(by_rows=not _is_advisory(account), begin_us=account.completeness.begin_us)


def unread_since_anchor(account: Account, stated: StatedPoints, until_us: int = AFTER_ALL_US) -> list[Gap]:
    """Return the unread range between the source's beginning and an earlier balance that a person stated.

    Empty unless the opening balance depends on such a balance. `until_us`: the instant of the balance that is
    requested.
    """
    completeness, anchor = account.completeness, opening_anchor(account, stated)
    if not completeness.has_source or completeness.basis().is_balance:
        return []
    if anchor is None or anchor.origin is not Origin.PERSON:
        return []
    since_us = min(anchor.at_us, until_us)
    end_us = min(completeness.begin_us, max(anchor.at_us, until_us))
    return completeness.gaps(since_us, end_us) if since_us < end_us else []


def with_unread_before(account: Account, verdict: Verdict, stated: StatedPoints, until_us: int) -> Verdict:
    """Return the verdict on a balance: not complete if flows may be missing between a person's statement and the
    source's beginning."""
    gaps = unread_since_anchor(account, stated, until_us)
    if not gaps:
        return verdict
    others = [gap for gap in verdict.gaps if gap.until_us <= gaps[0].since_us or gap.since_us >= gaps[-1].until_us]
    return Verdict(Completeness.INCOMPLETE, None, tuple(sorted((*gaps, *others))))


def _is_advisory(account: Account) -> bool:
    """Whether the balances on an account's rows are only indicative, so that they prove nothing."""
    return account.balance_rules is not None and account.balance_rules.advisory


def _check(account: Account, opening: Decimal | None, stated: StatedPoints, until_us: int) -> BalanceCheck:
    """Return the check of the balances that are stated before an instant: the newest failing check, or else the newest
    check.

    Of the rows, only the newest is compared: the balance chain checks the others.
    """
    people = [point for point in stated.by_people if point.at_us <= until_us]
    points = [point for point in (stated.newest_row, *people) if point is not None]
    if opening is None or not points:
        return BalanceCheck(CheckStatus.UNCHECKED, CheckCause.NONE_STATED)
    newest_first = sorted(points, key=lambda point: point.at_us, reverse=True)
    checks = [_check_point(account, opening, stated, point) for point in newest_first]
    return min(checks, key=lambda check: _ORDER.index(check.status))


def _check_point(account: Account, opening: Decimal, stated: StatedPoints, point: StatedPoint) -> BalanceCheck:
    expected = EXACT.add(opening, point.flows_before)
    status, cause = CheckStatus.PASS, None
    if point.origin is Origin.ROW and _is_advisory(account):
        status, cause = CheckStatus.UNCHECKED, CheckCause.ADVISORY
    elif expected != point.amount and is_unread_after(account, point):
        status, cause = CheckStatus.UNCHECKED, CheckCause.UNREAD
    elif expected != point.amount:
        status, cause = CheckStatus.FAIL, CheckCause.DIFFERS
    elif not account.completeness.basis().is_balance and _is_anchor(account, stated, point):
        status, cause = CheckStatus.UNCHECKED, CheckCause.ONLY_ONE
    at = from_us(point.at_us if point.origin is Origin.PERSON else point.at_us - 1)
    return BalanceCheck(status, cause, point.amount, expected, at, point.origin, point.id)


def is_unread_after(account: Account, point: StatedPoint) -> bool:
    """Whether a person stated a balance before the source begins, so that flows in between may be missing."""
    completeness = account.completeness
    if point.origin is not Origin.PERSON or not completeness.has_source or point.at_us >= completeness.begin_us:
        return False
    return bool(completeness.gaps(point.at_us, completeness.begin_us))


def _is_anchor(account: Account, stated: StatedPoints, point: StatedPoint) -> bool:
    begin_us = account.completeness.begin_us
    return stated.is_anchor(point, by_rows=not _is_advisory(account), begin_us=begin_us)


def check_statements(
    model: ReadModel, names: Sequence[str] = (), *, withdrawn: bool = False
) -> list[tuple[StatedBalance, BalanceCheck | None]]:
    """The balances that people stated, by account and time, each compared with the flows.

    `withdrawn`: include withdrawn statements, which have no check. Raises AccountNotFound.
    """
    result: list[tuple[StatedBalance, BalanceCheck | None]] = []
    with model.reading(names, text_only=True) as reading:
        for balance in list_stated_balances(reading.queries, names, withdrawn=withdrawn):
            account = reading.accounts[balance.account]
            stated = reading.stated_points(account).get((balance.subaccount, balance.currency), StatedPoints())
            point = next((point for point in stated.by_people if point.id == balance.id), None)
            opening = opening_balance(account, stated)
            check = None if point is None or opening is None else _check_point(account, opening, stated, point)
            result.append((balance, check))
    return result


_ORDER: Final = (CheckStatus.FAIL, CheckStatus.PASS, CheckStatus.UNCHECKED)
