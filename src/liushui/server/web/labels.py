"""The words for kinds, directions, alarms, completeness and periods, in the reader's language."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from babel.dates import format_interval, format_skeleton

from liushui.instant import from_us
from liushui.ledger.access.users import Role
from liushui.ledger.findings import SAME_ID, SIDE
from liushui.ledger.jobs.notifications import EventKind, RuleKind
from liushui.ledger.read.completeness import Basis, Cause, Completeness, Gap, Verdict, is_open_end
from liushui.ledger.read.status import Alarm, AlarmKind, Severity
from liushui.ledger.read.summaries import Unit
from liushui.meaning import Meaning, Section
from liushui.server.web.i18n import Language


def _(text: str) -> str:
    """Mark a text for the catalogues. It is translated when it is shown."""
    return text


COLUMNS: Final = {
    "time": _("Time"),
    "account": _("Account"),
    "kind": _("Kind"),
    "description": _("Description"),
    "symbol": _("Symbol"),
    "amount": _("Amount"),
    "currency": _("Currency"),
    "balance": _("Balance"),
    "direction": _("Direction"),
    "category": _("Category"),
    "reference": _("Reference"),
    "order_reference": _("Order reference"),
}
"""The columns of the list of flows."""

FILTER_FIELDS: Final = {
    "since": _("From"),
    "until": _("Before"),
    "currency": _("Currency"),
    "kind": _("Kind"),
    "category": _("Category"),
    "direction": _("Direction"),
    "subaccount": _("Subaccount"),
    "symbol": _("Symbol"),
    "ref": _("Reference"),
    "text": _("Text"),
    "amount_min": _("Minimum amount"),
    "amount_max": _("Maximum amount"),
    "amount_near": _("Amount near"),
    "finding": _("To review"),
}
"""The fields of a filter of flows."""

KINDS: Final = {
    "deposit": _("Deposit"),
    "withdrawal": _("Withdrawal"),
    "transfer": _("Transfer"),
    "trade": _("Trade"),
    "fee": _("Fee"),
    "rebate": _("Rebate"),
    "funding": _("Funding fee"),
    "realized_pnl": _("Realized profit and loss"),
    "liquidation": _("Liquidation"),
    "dividend": _("Dividend"),
    "interest": _("Interest"),
    "tax": _("Tax"),
    "receipt": _("Receipt"),
    "refund": _("Refund"),
    "conversion": _("Currency conversion"),
    "adjustment": _("Adjustment"),
    "other": _("Other"),
}

MEANING_NAMES: Final = {
    Meaning.SALES: _("Sales"),
    Meaning.REFUNDS: _("Refunds"),
    Meaning.FEES: _("Fees"),
    Meaning.REBATES: _("Rebates"),
    Meaning.INTEREST: _("Interest"),
    Meaning.DIVIDENDS: _("Dividends"),
    Meaning.TAX: _("Taxes"),
    Meaning.FUNDING: _("Funding fees"),
    Meaning.TRADING_RESULT: _("Trading result"),
    Meaning.OTHER: _("Other"),
    Meaning.OUTSIDE: _("Deposits and withdrawals"),
    Meaning.TRADES: _("Trades"),
    Meaning.CONVERSIONS: _("Currency conversions"),
    Meaning.OWN_TRANSFERS: _("Transfers between your own accounts"),
    Meaning.SEEN_TWICE: _("The same money in another account"),
}

SECTION_NAMES: Final = {
    Section.INCOME: _("Income and expense"),
    Section.OUTSIDE: _("From and to outside"),
    Section.APART: _("Only changed its form or place"),
}

DIRECTIONS: Final = {"in": _("In"), "out": _("Out"), "none": _("Not stated")}

ROLES: Final = {
    Role.VIEWER: _("Viewer"),
    Role.ACCOUNTANT: _("Accountant"),
    Role.OPERATOR: _("Operator"),
    Role.OWNER: _("Owner"),
}

CATEGORIES: Final = {
    "cash": _("Cash"),
    "stock": _("Stock"),
    "fund": _("Fund"),
    "futures": _("Futures"),
    "other": _("Other"),
}


ALARM_KINDS: Final = {
    AlarmKind.REFUSED: _("Credentials refused"),
    AlarmKind.FAILED: _("Sync failed"),
    AlarmKind.NEVER: _("Never synced"),
    AlarmKind.FORGETTING: _("Retention running out"),
    AlarmKind.GAP: _("Gap"),
    AlarmKind.STALE: _("Behind"),
    AlarmKind.LOST: _("No longer available"),
    AlarmKind.QUARANTINE: _("Rejected rows"),
    AlarmKind.BREAK: _("Balance breaks"),
    AlarmKind.CHANGED_AFTER_CLOSE: _("Changed after close"),
    AlarmKind.LINK_CHANGED: _("Confirmed link changed"),
    AlarmKind.BALANCE: _("Balance differs"),
    AlarmKind.FINDING: _("To review"),
    AlarmKind.WAITING: _("Put off"),
    AlarmKind.CLOCK: _("Wrong clock"),
    AlarmKind.DOUBTED: _("Doubted read"),
    AlarmKind.BEYOND_NOW: _("Complete beyond now"),
    AlarmKind.REPEATED: _("Listed twice"),
    AlarmKind.BACKUP_FAILED: _("Backup failed"),
    AlarmKind.BACKUP_OLD: _("Backup overdue"),
}
EVENT_KINDS: Final = {EventKind.LINK_DECIDED: _("Link confirmed or rejected")}


@dataclass(frozen=True)
class Labels:
    """The names in one language. A value without a name, perhaps from an outside provider, is shown as it is."""

    language: Language

    def kind(self, value: str) -> str:
        """The name of a kind of flow."""
        return self._named(KINDS, value)

    def meaning(self, meaning: Meaning) -> str:
        """The name of a meaning of flows."""
        return self.language.say(MEANING_NAMES[meaning])

    def section(self, section: Section) -> str:
        """The name of a part of the table of income and expense."""
        return self.language.say(SECTION_NAMES[section])

    def columns(self) -> dict[str, str]:
        """The names of the columns of the list of flows."""
        return {column: self.language.say(name) for column, name in COLUMNS.items()}

    def filter_fields(self) -> dict[str, str]:
        """The names of the fields of a filter of flows."""
        return {field: self.language.say(name) for field, name in FILTER_FIELDS.items()}

    def direction(self, value: str) -> str:
        """The name of a direction."""
        return self._named(DIRECTIONS, value)

    def category(self, value: str) -> str:
        """The name of a category."""
        return self._named(CATEGORIES, value)

    def rule_kind(self, kind: RuleKind) -> str:
        """The name of what a notification rule reports."""
        return self.language.say(EVENT_KINDS[kind] if isinstance(kind, EventKind) else ALARM_KINDS[kind])

    def role(self, role: Role | None) -> str:
        """The name of a user's role. None: it has no role, for example a token."""
        return self.language.say("token") if role is None else self.language.say(ROLES[role])

    def _named(self, names: dict[str, str], value: str) -> str:
        return self.language.say(names[value]) if value in names else value


# ---------------------------------------------------------------- alarms

LOOKS: Final = {Severity.BAD: "bad", Severity.WARN: "warn", Severity.NOTE: ""}


_WITH_REASON: Final = frozenset(
    {
        AlarmKind.REFUSED,
        AlarmKind.FAILED,
        AlarmKind.GAP,
        AlarmKind.WAITING,
        AlarmKind.BACKUP_FAILED,
        AlarmKind.BACKUP_OLD,
    }
)
"""The kinds of alarms whose detail is shown as it is."""


class AlarmLabel(NamedTuple):
    """An alarm for display, with a link to the page where it can be solved; the link is empty if there is no such
    page."""

    look: str
    name: str
    account: str
    text: str
    why: str
    link: str
    action: str


def alarm_label(alarm: Alarm, zone: str, language: Language) -> AlarmLabel:
    """An alarm in words."""
    name, text = _alarm_text(alarm, zone, language)
    link, action = _alarm_link(alarm, language)
    has_reason = alarm.kind in _WITH_REASON
    why = alarm.detail if has_reason else ""
    return AlarmLabel(LOOKS[alarm.severity], name, alarm.account, text, why, link, action)


def _alarm_text(alarm: Alarm, zone: str, language: Language) -> tuple[str, str]:
    say, say_many = language.say, language.say_many
    at = language.moment(alarm.at, ZoneInfo(zone)) if alarm.at else ""
    day = language.day(alarm.day) if alarm.day else ""
    match alarm.kind:
        case AlarmKind.REFUSED:
            return say("Credentials refused"), say("The provider refuses the credentials. Enter new ones.")
        case AlarmKind.FAILED:
            return say("Sync failed"), say("The sync that started at %(at)s failed.", at=at)
        case AlarmKind.NEVER:
            return say("Never synced"), say("Nothing has been collected from this source yet.")
        case AlarmKind.FORGETTING:
            return say("Retention running out"), say_many(
                "The provider deletes the flows of %(day)s in %(number)s day, and that day is not complete.",
                "The provider deletes the flows of %(day)s in %(number)s days, and that day is not complete.",
                alarm.number,
                day=day,
            )
        case AlarmKind.GAP:
            return say("Gap"), say_many(
                "%(number)s day from %(day)s on is not complete: flows may be missing.",
                "%(number)s days from %(day)s on are not complete: flows may be missing.",
                alarm.number,
                day=day,
            )
        case AlarmKind.STALE:
            return say("Behind"), say(
                "Nothing after %(at)s is complete, although the provider has published more.", at=at
            )
        case AlarmKind.LOST:
            return say("No longer available"), say_many(
                "%(number)s day from %(day)s on is not complete, and the provider no longer keeps it.",
                "%(number)s days from %(day)s on are not complete, and the provider no longer keeps them.",
                alarm.number,
                day=day,
            )
        case AlarmKind.QUARANTINE:
            return say("Rejected rows"), say_many(
                "%(number)s row was rejected because it could not be read. It is in no total.",
                "%(number)s rows were rejected because they could not be read. They are in no total.",
                alarm.number,
            )
        case AlarmKind.BREAK:
            return say("Balance breaks"), say_many(
                "%(number)s balance does not follow from the one before it: see the flow at %(at)s.",
                "%(number)s balances do not follow from those before them, the first one at %(at)s.",
                alarm.number,
                at=at,
            )
        case AlarmKind.CHANGED_AFTER_CLOSE:
            return say("Changed after close"), say_many(
                "%(number)s flow of a closed month has changed since it was closed: %(periods)s.",
                "%(number)s flows of closed months have changed since they were closed: %(periods)s.",
                alarm.number,
                periods=alarm.detail,
            )
        case AlarmKind.LINK_CHANGED:
            return say("Confirmed link changed"), say_many(
                "A flow of %(number)s link that a person confirmed has changed or was withdrawn. It no longer counts.",
                "Flows of %(number)s links that people confirmed have changed or were withdrawn. They no longer count.",
                alarm.number,
            )
        case AlarmKind.BALANCE:
            return say("Balance differs"), say_many(
                "%(number)s balance differs from the stated balance at %(at)s.",
                "%(number)s balances differ from stated balances, the first one at %(at)s.",
                alarm.number,
                at=at,
            )
        case AlarmKind.FINDING:
            return say("To review"), _finding(alarm, language)
        case AlarmKind.BACKUP_FAILED:
            return say("Backup failed"), say("The last backup failed. It is tried again.")
        case AlarmKind.BACKUP_OLD if at:
            return say("Backup overdue"), say("The newest backup is of %(at)s, and the next one is overdue.", at=at)
        case AlarmKind.BACKUP_OLD:
            return say("Backup overdue"), say("A backup is overdue, and there is none yet.")
        case _:
            return _service_text(alarm, at, day, language)


def _service_text(alarm: Alarm, at: str, day: str, language: Language) -> tuple[str, str]:
    """Describe an alarm about what syncs have observed about the provider's service."""
    say, say_many = language.say, language.say_many
    match alarm.kind:
        case AlarmKind.WAITING:
            return say("Put off"), say(
                "The provider wants no calls before %(at)s. The next sync waits until then.", at=at
            )
        case AlarmKind.CLOCK:
            length = language.span(timedelta(seconds=abs(alarm.number)))
            if alarm.number > 0:
                text = say(
                    "The clock of this machine is %(length)s behind the provider's, at %(at)s.", length=length, at=at
                )
            else:
                text = say(
                    "The clock of this machine is %(length)s ahead of the provider's, at %(at)s.", length=length, at=at
                )
            return say("Wrong clock"), text
        case AlarmKind.DOUBTED:
            return say("Doubted read"), say_many(
                "A read at %(at)s lacked %(number)s known flow of %(day)s or later. "
                "It stays until a later read lacks it too.",
                "A read at %(at)s lacked %(number)s known flows of %(day)s or later. "
                "They stay until a later read lacks them too.",
                alarm.number,
                at=at,
                day=day,
            )
        case AlarmKind.BEYOND_NOW:
            return say("Complete beyond now"), say(
                "A range up to %(at)s was called complete while a clock was ahead. The next sync reads it again.", at=at
            )
        case _:
            return say("Listed twice"), say_many(
                "At %(at)s an answer of the provider listed a record twice. It counts once.",
                "At %(at)s answers of the provider listed a record twice, %(number)s times. Each counts once.",
                alarm.number,
                at=at,
            )


def _finding(alarm: Alarm, language: Language) -> str:
    if alarm.detail == SIDE:
        return language.say_many(
            "%(number)s flow has a direction that contradicts the sign of its amount. Review it.",
            "%(number)s flows have a direction that contradicts the sign of their amount. Review them.",
            alarm.number,
        )
    if alarm.detail == SAME_ID:
        return language.say_many(
            "%(number)s flow shares its ID with a different flow at the same time. Review it.",
            "%(number)s flows share an ID with a different flow at the same time. Review them.",
            alarm.number,
        )
    return f"{alarm.detail}: {language.number(alarm.number)}"


def _alarm_link(alarm: Alarm, language: Language) -> tuple[str, str]:
    say, account = language.say, quote(alarm.account, safe="")
    match alarm.kind:
        case AlarmKind.REFUSED:
            return f"/sources/{account}/credentials", say("Enter new credentials")
        case AlarmKind.FAILED | AlarmKind.NEVER | AlarmKind.STALE:
            return f"/sources/{account}", say("View the source")
        case AlarmKind.GAP | AlarmKind.FORGETTING | AlarmKind.LOST:
            return coverage_address(alarm.account), say("See what is missing")
        case AlarmKind.QUARANTINE:
            return f"/flows/quarantine?{urlencode({'account': alarm.account})}", say("View the rows")
        case AlarmKind.BREAK:
            return f"/accounts/{account}#breaks", say("See where")
        case AlarmKind.CHANGED_AFTER_CLOSE:
            month = alarm.day.isoformat()[:7] if alarm.day else ""
            return f"/reconcile/{account}/{month}#changes", say("See what has changed")
        case AlarmKind.LINK_CHANGED:
            # Its withdrawn flow is in no list. Its other flow is, in another account, with the link beside it.
            day = alarm.day.isoformat() if alarm.day else ""
            return f"/flows?{urlencode({'at': day})}", say("View the flows of that time")
        case AlarmKind.BALANCE:
            return f"/accounts/{account}#balances", say("See the balances")
        case AlarmKind.FINDING:
            query = urlencode({"account": alarm.account, "finding": alarm.detail})
            return f"/review?{query}", say("Review the flows")
        case AlarmKind.BACKUP_FAILED | AlarmKind.BACKUP_OLD:
            return "", ""
        case _:
            return f"/sources/{account}", say("View the source")


class CoverageLabel(NamedTuple):
    """A verdict for display: its look, its name in a word or two, its meaning in a sentence, and a link.

    `link`: the address of the coverage of the account whose gap the sentence names. Empty if there is no gap.
    """

    look: str
    name: str
    meaning: str
    link: str = ""


def coverage_label(verdict: Verdict, zone: str, language: Language) -> CoverageLabel:
    """Return a verdict in words, with times in a zone."""
    say = language.say
    at = _moment(verdict.until_us, zone, language)
    match verdict.status:
        case Completeness.COMPLETE:
            meaning = say("All flows up to %(at)s are included.", at=at) if at else say("All flows are included.")
            return CoverageLabel("good", say("Complete"), meaning)
        case Completeness.PARTIAL:
            return CoverageLabel(
                "busy",
                say("Complete so far"),
                say("All flows up to %(at)s are included. Later ones have not been read yet.", at=at),
            )
        case Completeness.INCOMPLETE:
            return CoverageLabel("warn", say("Not complete"), _reasons(verdict, zone, language), _gap_link(verdict))
        case Completeness.UNKNOWN:
            return CoverageLabel("", say("Cannot be checked"), _reasons(verdict, zone, language), _gap_link(verdict))


def _gap_link(verdict: Verdict) -> str:
    return coverage_address(verdict.gaps[0].account)


def coverage_address(account: str) -> str:
    """Return the address of an account's coverage."""
    return f"/accounts/{quote(account, safe='')}#coverage"


def _reasons(verdict: Verdict, zone: str, language: Language) -> str:
    """Say why flows may be missing: the first gap in full, and the number of further ones."""
    first = verdict.gaps[0]
    text = language.say("%(account)s: %(reason)s.", account=first.account, reason=gap_reason(first, zone, language))
    more = len(verdict.gaps) - 1
    if not more:
        return text
    return f"{text} " + language.say_many("And %(number)s more gap.", "And %(number)s more gaps.", more)


def gap_reason(gap: Gap, zone: str, language: Language) -> str:
    """Why a range is not complete, and since when, in the reader's language."""
    say, reason = language.say, cause_text(gap, language)
    since, until = _moment(gap.since_us, zone, language), _moment(gap.until_us, zone, language)
    if since and until:
        return say("%(reason)s, from %(since)s to %(until)s", reason=reason, since=since, until=until)
    return say("%(reason)s, from %(since)s on", reason=reason, since=since) if since else reason


def cause_text(gap: Gap, language: Language) -> str:
    """Why a range is not complete, in the reader's language."""
    say = language.say
    return {
        Cause.NO_SOURCE: say("no source to check it against"),
        Cause.BEFORE_SOURCE: say("before the source's start date"),
        Cause.BEFORE_FLOOR: say("older than what the provider's API answers"),
        Cause.NOT_KEPT: say("older than what the provider keeps"),
        Cause.READ_FAILED: say("read failed: %(detail)s", detail=gap.detail),
        Cause.NOT_READ: say("not read yet"),
        Cause.NOT_PUBLISHED: say("not published yet"),
        Cause.REJECTED_ROWS: language.say_many("%(number)s rejected row", "%(number)s rejected rows", gap.rows),
    }[gap.cause]


def basis_label(basis: Basis, language: Language) -> str:
    """Describe a sum that is not a balance: since when it is a net change. Empty for a balance."""
    return language.say("Net change since %(day)s", day=language.day(basis.since_day)) if basis.since_day else ""


def _moment(at_us: int | None, zone: str, language: Language) -> str:
    return "" if at_us is None or is_open_end(at_us) else language.moment(from_us(at_us), ZoneInfo(zone))


def period_name(unit: Unit, first: date, last: date, language: Language) -> str:
    """The name of a period: a day, the two ends of a week, a month. A period that the span cuts keeps its name."""
    match unit:
        case Unit.DAY:
            return format_skeleton("yMMMd", first, locale=language.locale)
        case Unit.WEEK:
            return format_interval(first, last, "yMMMd", locale=language.locale)
        case _:
            return format_skeleton("yMMM", first, locale=language.locale)


def axis_name(unit: Unit, first: date, language: Language) -> str:
    """The name of a period on an axis: the year is only in the first name of each year."""
    skeleton = "MMM" if unit is Unit.MONTH else "MMMd"
    if first.month == 1 and (unit is Unit.MONTH or first.day <= 7):
        skeleton = f"y{skeleton}"
    return format_skeleton(skeleton, first, locale=language.locale)


def unit_names(language: Language) -> dict[Unit, str]:
    """The names of the units."""
    return {Unit.DAY: language.say("Day"), Unit.WEEK: language.say("Week"), Unit.MONTH: language.say("Month")}


def account_label(account: str, subaccount: str) -> str:
    """An account with its subaccount, if any."""
    return f"{account} · {subaccount}" if subaccount else account
