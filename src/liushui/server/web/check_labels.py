"""The words for verdicts on balances: checks, balance chains, breaks, and lines of the proof of cash."""

from typing import NamedTuple
from zoneinfo import ZoneInfo

from liushui.ledger.read.balances import BalanceCheck, CheckCause, CheckStatus
from liushui.ledger.read.breaks import LedgerBreak
from liushui.ledger.read.chains import ChainState
from liushui.ledger.read.completeness import Completeness, Verdict
from liushui.ledger.read.proof_lines import AccountMonth, LineCause, ProofLine
from liushui.money import ZERO
from liushui.reconcile.chain import BreakCause
from liushui.rules import BalanceRules
from liushui.server.web.i18n import Language
from liushui.server.web.labels import coverage_label


class CheckLabel(NamedTuple):
    """The verdict on a balance for display: its look, its name in a word or two, and why it is not a pass."""

    look: str
    name: str
    reason: str


def check_label(check: BalanceCheck, zone: str, language: Language) -> CheckLabel:
    """Return the verdict on a balance in words, with times in a zone."""
    say = language.say
    reason = ""
    match check.cause:
        case CheckCause.NONE_STATED:
            reason = say("No balance is stated.")
        case CheckCause.ONLY_ONE:
            reason = say("Only one balance is stated, and the opening balance is computed from it.")
        case CheckCause.ADVISORY:
            reason = say("The provider calls its balances indicative.")
        case CheckCause.UNREAD:
            reason = say("Flows between this balance and the source's start date are not in the ledger.")
        case CheckCause.DIFFERS:
            at = language.moment(check.at, ZoneInfo(zone)) if check.at else ""
            expected = language.short_amount(check.expected or ZERO)
            reason = say("At %(at)s the flows come to %(amount)s.", at=at, amount=expected)
    return _label(check.status, reason, language)


def _label(status: CheckStatus, reason: str, language: Language) -> CheckLabel:
    match status:
        case CheckStatus.PASS:
            return CheckLabel("good", language.say("Agrees"), reason)
        case CheckStatus.FAIL:
            return CheckLabel("bad", language.say("Differs"), reason)
        case CheckStatus.UNCHECKED:
            return CheckLabel("", language.say("Could not check"), reason)


def chain_label(
    chain: ChainState | None, rules: BalanceRules | None, language: Language, *, is_explained: bool = False
) -> CheckLabel:
    """Whether the balances of a chain follow from each other. `chain` None: no row states a balance.

    `is_explained`: people explained every break of the account.
    """
    say = language.say
    if rules is not None and rules.advisory:
        return CheckLabel("", say("Could not check"), say("The provider calls its balances indicative."))
    if chain is None:
        return CheckLabel("", say("Could not check"), say("No flow states a balance."))
    if chain.breaks:
        number = language.say_many("%(number)s break", "%(number)s breaks", len(chain.breaks))
        return CheckLabel("warn" if is_explained else "bad", say("Breaks"), number)
    reason = ""
    if chain.reordered:
        reason = language.say_many(
            "%(number)s flow follows in another order than that of the times.",
            "%(number)s flows follow in another order than that of the times.",
            chain.reordered,
        )
    return CheckLabel("good", say("Follows"), reason)


def break_text(one: LedgerBreak, language: Language) -> str:
    """Return the simplest explanation of a break in the reader's language, and the number of equal flows it may refer
    to."""
    if not one.is_ambiguous:
        return _cause_text(one, language)
    which = language.say("It may be any of these %(number)s flows: nothing tells which.", number=len(one.rows))
    return f"{_cause_text(one, language)} {which}"


def _cause_text(one: LedgerBreak, language: Language) -> str:
    say, difference = language.say, language.short_amount(one.difference, one.currency, signed=True)
    match one.cause:
        case BreakCause.MISSING if one.hides_rows:
            return say(
                "%(amount)s is missing before this flow, in rows that the provider does not show or that were not "
                "read, or its amount is off by that.",
                amount=difference,
            )
        case BreakCause.MISSING:
            return say("%(amount)s is missing before this flow, or its amount is off by that.", amount=difference)
        case BreakCause.TWICE:
            return say("This flow is there once too often.")
        case BreakCause.WRONG_BALANCE:
            return say("The balance that this flow states is off, and no amount.")
        case BreakCause.OUT_OF_PLACE:
            return say("This flow does not belong here: without it the balances follow.")
        case BreakCause.RESTATED:
            return say("The balances follow with an earlier version of this flow, which the provider has restated.")


# ---------------------------------------------------------------- the proof of cash


def month_label(month: AccountMonth, zone: str, language: Language) -> CheckLabel:
    """The verdict on a month of an account, with the reason of its worst line."""
    reason = "" if month.cause is None else _line_reason(month.cause, month.verdict, zone, language)
    return _label(month.status, reason, language)


def line_label(line: ProofLine, zone: str, language: Language) -> CheckLabel:
    """The verdict on a line of the proof of cash. A line that fails also says that flows may be missing."""
    reasons = [] if line.cause is None else [_line_reason(line.cause, line.verdict, zone, language)]
    is_incomplete = line.verdict.status in (Completeness.INCOMPLETE, Completeness.PARTIAL)
    if line.status is CheckStatus.FAIL and is_incomplete:
        reasons.append(_line_reason(LineCause.INCOMPLETE, line.verdict, zone, language))
    return _label(line.status, " ".join(reasons), language)


def _line_reason(cause: LineCause, verdict: Verdict, zone: str, language: Language) -> str:
    say = language.say
    match cause:
        case LineCause.DIFFERS:
            return say("A stated figure differs from that of the flows.")
        case LineCause.CARRIED:
            return say("The same difference was there at the beginning of the month.")
        case LineCause.BREAK:
            return say("A stated balance of the month does not follow from the one before it.")
        case LineCause.NOT_OVER:
            return say("The month is not over.")
        case LineCause.INCOMPLETE:
            return say("Flows may be missing.") + " " + coverage_label(verdict, zone, language).meaning
        case LineCause.NO_OPENING_BALANCE:
            return say("The opening balance of the account is not known. State one balance of it.")
        case LineCause.OPENING_NOT_STATED:
            return say("No balance is stated at the beginning of the month.")
        case LineCause.CLOSING_NOT_STATED:
            return say("No balance is stated at the end of the month.")
        case LineCause.ONLY_ONE:
            return say("Only one balance is stated, and the opening balance is computed from it.")
        case LineCause.ADVISORY:
            return say("The provider calls its balances indicative.")
