"""The lines of the proof of cash: records, verdicts, reasons, and the money that breaks hide. Pure."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from liushui.ledger.read.balances import CheckStatus
from liushui.ledger.read.completeness import Completeness, Verdict
from liushui.ledger.read.month_calendar import Month
from liushui.ledger.read.stated_balances import Key, Origin
from liushui.money import EXACT, ZERO, to_plain_string
from liushui.reconcile.chain import Break, BreakCause, RowKey

# ---------------------------------------------------------------- lines


class LineCause(StrEnum):
    """Why a line fails or could not be checked."""

    DIFFERS = "differs"
    """A stated figure differs from that of the flows."""
    CARRIED = "carried"
    """The balances differ by the same amount at the beginning and at the end: the cause is before the period."""
    BREAK = "break"
    """A stated balance of the period does not follow from the one before, although the figures agree."""
    NOT_OVER = "not_over"
    INCOMPLETE = "incomplete"
    """Flows of the period may be missing."""
    NO_OPENING_BALANCE = "no_opening_balance"
    """The opening balance of the account is not known."""
    OPENING_NOT_STATED = "opening_not_stated"
    CLOSING_NOT_STATED = "closing_not_stated"
    ONLY_ONE = "only_one"
    """Only one balance is stated, and the opening balance is computed from it."""
    ADVISORY = "advisory"
    """The provider calls its balances indicative, and nobody else states a balance."""


class Figures(NamedTuple):
    """Opening and closing balance, and the money that moved in between: `money_in` >= 0, `money_out` <= 0. None: not
    known."""

    opening: Decimal | None = None
    money_in: Decimal | None = None
    money_out: Decimal | None = None
    closing: Decimal | None = None


FIGURES: Final = Figures._fields


class ProofLine(NamedTuple):
    """The proof of cash of one subaccount and currency.

    `ledger` are the figures of the flows, and `stated` the stated figures. `opening_by` and `closing_by` say who stated
    the two balances. `breaks` are the breaks of the balance chain in the period. `statements` are the ids of balances
    that a person stated and that differ. `verdict`: whether all flows of the period are in the ledger.
    """

    account: str
    subaccount: str
    currency: str
    flows: int
    ledger: Figures
    stated: Figures
    opening_by: Origin | None
    closing_by: Origin | None
    status: CheckStatus
    cause: LineCause | None
    breaks: tuple[Break, ...]
    statements: tuple[str, ...]
    verdict: Verdict

    @property
    def key(self) -> Key:
        """Its subaccount and currency."""
        return self.subaccount, self.currency

    @property
    def difference(self) -> Figures:
        """The stated figure minus the figure of the flows. None: not stated."""
        return Figures(*map(difference_of, self.stated, self.ledger))

    @property
    def reason(self) -> str:
        """The reason in English why it fails or could not be checked, for programs and terminals; empty if it
        passes."""
        if self.cause is None:
            return ""
        reason = _REASONS[self.cause]
        if self.cause is LineCause.DIFFERS:
            parts = [
                f"{_FIGURE_NAMES[name]} by {to_plain_string(value)}"
                for name, value in zip(FIGURES, self.difference, strict=True)
                if value
            ]
            parts += [f"statement {id_}" for id_ in self.statements]
            reason = f"{reason}: {', '.join(parts)}"
        elif self.cause is LineCause.CARRIED:
            reason = reason.format(to_plain_string(self.difference.opening or ZERO))
        elif self.cause is LineCause.INCOMPLETE:
            return self.verdict.reason
        if self.status is CheckStatus.FAIL and self.verdict.status in _MISSING:
            reason = f"{reason}; the period is not complete: {self.verdict.reason}"
        return reason


_FIGURE_NAMES: Final = dict(zip(FIGURES, ("opening", "receipts", "payments", "closing"), strict=True))
_REASONS: Final = {
    LineCause.DIFFERS: "stated and computed figures differ",
    LineCause.CARRIED: "the balances differ by {} since before the period",
    LineCause.BREAK: "stated balances do not follow from those before them",
    LineCause.NOT_OVER: "the period is not over",
    LineCause.INCOMPLETE: "flows may be missing",
    LineCause.NO_OPENING_BALANCE: "the opening balance of the account is not known",
    LineCause.OPENING_NOT_STATED: "no balance is stated at the beginning of the period",
    LineCause.CLOSING_NOT_STATED: "no balance is stated at the end of the period",
    LineCause.ONLY_ONE: "only one balance is stated, and the opening balance is computed from it",
    LineCause.ADVISORY: "the provider calls its balances indicative, and nobody else states one",
}
_MISSING: Final = (Completeness.INCOMPLETE, Completeness.PARTIAL)


class AccountMonth(NamedTuple):
    """The proof of cash of an account's month. `verdict`: whether all of its flows are in the ledger.

    An account without lines passes if no flow can be missing, because no money moved then.
    """

    account: str
    month: Month
    lines: tuple[ProofLine, ...]
    verdict: Verdict
    is_over: bool

    @property
    def status(self) -> CheckStatus:
        """The worst status of its lines."""
        if not self.lines:
            return CheckStatus.PASS if self.is_over and self.verdict.is_complete else CheckStatus.UNCHECKED
        return min((line.status for line in self.lines), key=_WORST.index)

    @property
    def cause(self) -> LineCause | None:
        """The cause of its worst line; None if it passes."""
        if self.lines:
            return min(self.lines, key=lambda line: _WORST.index(line.status)).cause
        if self.status is CheckStatus.PASS:
            return None
        return LineCause.INCOMPLETE if self.is_over else LineCause.NOT_OVER

    @property
    def reason(self) -> str:
        """The reasons of the lines with its status, in English, without repetition; empty if it passes."""
        if self.lines:
            reasons = [line.reason for line in self.lines if line.status is self.status]
        else:
            reasons = [self.verdict.reason if self.cause is LineCause.INCOMPLETE else _REASONS[LineCause.NOT_OVER]]
        return "" if self.status is CheckStatus.PASS else "; ".join(dict.fromkeys(reasons))


_WORST: Final = (CheckStatus.FAIL, CheckStatus.UNCHECKED, CheckStatus.PASS)


# ---------------------------------------------------------------- what breaks say


class Movement(NamedTuple):
    """Money that moved according to stated balances, but not according to the flows. `row`: the flow before which it
    moved.

    `is_surplus`: `row` is a flow too many, and the difference is its amount with the opposite sign.
    """

    difference: Decimal
    is_surplus: bool
    row: RowKey


def movements(breaks: Sequence[Break]) -> Iterator[Movement]:
    """Return the movements that the breaks of a chain imply. Two breaks around one row are one movement.

    A balance that is wrong once and then right again is not a movement.
    """
    left = list(breaks)
    while left:
        one = left.pop(0)
        is_pair = one.cause in (BreakCause.WRONG_BALANCE, BreakCause.OUT_OF_PLACE)
        if is_pair and left and (left[0].cause, left[0].before) == (one.cause, one.after):
            difference = EXACT.add(one.difference, left.pop(0).difference)
            if one.cause is BreakCause.OUT_OF_PLACE:
                yield Movement(difference, is_surplus=True, row=one.after)
        else:
            yield Movement(one.difference, one.cause is BreakCause.TWICE, one.after)


def hidden_movements(breaks: Sequence[Break], month: Month) -> tuple[Decimal, Decimal]:
    """Return the receipts (or reductions of them) and payments that stated balances imply in addition to a month's
    flows.

    A missing flow is a receipt or a payment by its sign. A flow too many cancels its own amount.
    """
    money_in, money_out = ZERO, ZERO
    inside = [one for one in breaks if month.since_us <= one.after[0] < month.until_us]
    for movement in movements(inside):
        if (movement.difference > 0) is not movement.is_surplus:
            money_in = EXACT.add(money_in, movement.difference)
        else:
            money_out = EXACT.add(money_out, movement.difference)
    return money_in, money_out


def difference_of(stated: Decimal | None, computed: Decimal | None) -> Decimal | None:
    """Return the stated value minus the computed one. None: one of them is not known."""
    return None if stated is None or computed is None else EXACT.subtract(stated, computed)
