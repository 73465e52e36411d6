"""An overview in words: alarms and what to do about them, marks, periods. All of it in one reader's language."""

from datetime import date
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from babel.dates import format_interval, format_skeleton

from liushui.instant import from_us
from liushui.ledger.findings import SAME_ID, SIDE
from liushui.ledger.read.alarms import Alarm, Grave, Sign
from liushui.ledger.read.cover import Covered, Mark
from liushui.ledger.read.moved import Unit
from liushui.server.web.i18n import Language

LOOKS = {Grave.BAD: "bad", Grave.WARN: "warn", Grave.NOTE: ""}


class Told(NamedTuple):
    """An alarm as it is shown: how it looks, what it is called, what it says, and where somebody can do something."""

    look: str
    name: str
    account: str
    text: str
    why: str
    link: str
    action: str


def told(alarm: Alarm, zone: str, language: Language) -> Told:
    """An alarm in words."""
    name, text = _said(alarm, zone, language)
    link, action = _way_out(alarm, language)
    why = alarm.words if alarm.sign in (Sign.REFUSED, Sign.FAILED, Sign.GAP) else ""
    return Told(LOOKS[alarm.grave], name, alarm.account, text, why, link, action)


def _said(alarm: Alarm, zone: str, language: Language) -> tuple[str, str]:
    say, say_many = language.say, language.say_many
    at = language.moment(alarm.at, ZoneInfo(zone)) if alarm.at else ""
    day = language.day(alarm.day) if alarm.day else ""
    match alarm.sign:
        case Sign.REFUSED:
            return say("Credentials refused"), say("The provider refuses the credentials. Enter new ones.")
        case Sign.FAILED:
            return say("Sync failed"), say("The sync that started at %(at)s failed.", at=at)
        case Sign.NEVER:
            return say("Never synced"), say("Nothing has been collected from this source yet.")
        case Sign.FORGETTING:
            return say("Retention running out"), say_many(
                "The provider deletes the flows of %(day)s in %(number)s day, and that day is not complete.",
                "The provider deletes the flows of %(day)s in %(number)s days, and that day is not complete.",
                alarm.number,
                day=day,
            )
        case Sign.GAP:
            return say("Gap"), say_many(
                "%(number)s day from %(day)s on is not complete: flows may be missing.",
                "%(number)s days from %(day)s on are not complete: flows may be missing.",
                alarm.number,
                day=day,
            )
        case Sign.STALE:
            return say("Behind"), say(
                "Nothing after %(at)s is complete, although the provider has published more.", at=at
            )
        case Sign.LOST:
            return say("No longer available"), say_many(
                "%(number)s day from %(day)s on is not complete, and the provider no longer keeps it.",
                "%(number)s days from %(day)s on are not complete, and the provider no longer keeps them.",
                alarm.number,
                day=day,
            )
        case Sign.QUARANTINE:
            return say("Rejected rows"), say_many(
                "%(number)s row was rejected because it could not be read. It is in no total.",
                "%(number)s rows were rejected because they could not be read. They are in no total.",
                alarm.number,
            )
        case Sign.FINDING:
            return say("To review"), _finding(alarm, language)


def _finding(alarm: Alarm, language: Language) -> str:
    if alarm.words == SIDE:
        return language.say_many(
            "%(number)s flow has a direction that contradicts the sign of its amount. Review it.",
            "%(number)s flows have a direction that contradicts the sign of their amount. Review them.",
            alarm.number,
        )
    if alarm.words == SAME_ID:
        return language.say_many(
            "%(number)s flow shares its ID with a different flow at the same time. Review it.",
            "%(number)s flows share an ID with a different flow at the same time. Review them.",
            alarm.number,
        )
    return f"{alarm.words}: {language.number(alarm.number)}"


def _way_out(alarm: Alarm, language: Language) -> tuple[str, str]:
    say, account = language.say, quote(alarm.account, safe="")
    match alarm.sign:
        case Sign.REFUSED:
            return f"/sources/{account}/credentials", say("Enter new credentials")
        case Sign.FAILED:
            return f"/sources/{account}", say("View the source")
        case Sign.NEVER | Sign.GAP | Sign.STALE | Sign.FORGETTING:
            return f"/sources/{account}", say("View the source")
        case Sign.LOST:
            return f"#coverage-{account}", say("See its calendar")
        case Sign.QUARANTINE:
            return f"/flows/quarantine?{urlencode({'account': alarm.account})}", say("View the rows")
        case Sign.FINDING:
            query = urlencode({"account": alarm.account, "finding": alarm.words})
            return f"/flows?{query}", say("Review the flows")


class Sure(NamedTuple):
    """A mark as it is shown: how it looks, its name, and what it means."""

    look: str
    name: str
    meaning: str


def sure(mark: Mark, zone: str, language: Language) -> Sure:
    """A mark in words. Instants are told in a zone."""
    say = language.say
    at = language.moment(from_us(mark.until_us), ZoneInfo(zone)) if mark.until_us is not None else ""
    match mark.state:
        case Covered.PROVEN:
            return Sure("good", say("Complete"), say("All flows up to %(at)s are included.", at=at))
        case Covered.RUNNING:
            if not at:
                return Sure("busy", say("Not read yet"), say("Nothing has been read yet."))
            return Sure(
                "busy",
                say("Complete so far"),
                say("All flows up to %(at)s are included. Later ones have not been read yet.", at=at),
            )
        case Covered.OPEN:
            if mark.holes:
                first = language.moment(from_us(mark.holes[0].since_us), ZoneInfo(zone))
                account = mark.holes[0].account
                return Sure(
                    "warn",
                    say("Gap"),
                    say("Flows may be missing: %(account)s is not complete from %(at)s on.", account=account, at=first),
                )
            return Sure("warn", say("Gap"), say("Flows may be missing."))
        case Covered.UNCLAIMED if at:
            return Sure(
                "",
                say("Cannot be checked"),
                say("The source starts at %(at)s. Earlier flows are not collected.", at=at),
            )
        case Covered.UNCLAIMED:
            return Sure("", say("Cannot be checked"), say("Nothing says which flows should be here."))


def period_name(unit: Unit, first: date, last: date, language: Language) -> str:
    """A period in a few letters: a day, a week's two ends, a month. One that a span cuts short keeps its name."""
    match unit:
        case Unit.DAY:
            return format_skeleton("yMMMd", first, locale=language.locale)
        case Unit.WEEK:
            return format_interval(first, last, "yMMMd", locale=language.locale)
        case Unit.MONTH:
            return format_skeleton("yMMM", first, locale=language.locale)


def axis_name(unit: Unit, first: date, language: Language) -> str:
    """A period as an axis names it: without its year, which stands where one begins."""
    skeleton = "MMM" if unit is Unit.MONTH else "MMMd"
    if first.month == 1 and (unit is Unit.MONTH or first.day <= 7):
        skeleton = f"y{skeleton}"
    return format_skeleton(skeleton, first, locale=language.locale)


def unit_names(language: Language) -> dict[Unit, str]:
    """What the units are called."""
    return {Unit.DAY: language.say("Day"), Unit.WEEK: language.say("Week"), Unit.MONTH: language.say("Month")}


def place_name(account: str, subaccount: str) -> str:
    """An account's part."""
    return f"{account} · {subaccount}" if subaccount else account


def money(amount: Decimal, currency: str, language: Language) -> str:
    """An amount with its currency."""
    return f"{language.amount(amount)} {currency}"
