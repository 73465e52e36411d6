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
            return say("Credentials refused"), say("The provider refuses the credentials: new ones are needed.")
        case Sign.FAILED:
            return say("Sync failed"), say("The last sync, begun %(at)s, did not succeed.", at=at)
        case Sign.NEVER:
            return say("Never synced"), say("Nothing has been collected from this source yet.")
        case Sign.FORGETTING:
            return say("Retention running out"), say_many(
                "In %(number)s day the provider forgets %(day)s, which is not proven.",
                "In %(number)s days the provider forgets %(day)s, which is not proven.",
                alarm.number,
                day=day,
            )
        case Sign.GAP:
            return say("Open gap"), say_many(
                "%(number)s day from %(day)s on is not proven: flows may be missing.",
                "%(number)s days from %(day)s on are not proven: flows may be missing.",
                alarm.number,
                day=day,
            )
        case Sign.STALE:
            return say("Stale"), say("Nothing after %(at)s is proven, though the provider has published more.", at=at)
        case Sign.LOST:
            return say("Out of reach"), say_many(
                "%(number)s day from %(day)s on is not proven, and the provider no longer keeps it.",
                "%(number)s days from %(day)s on are not proven, and the provider no longer keeps them.",
                alarm.number,
                day=day,
            )
        case Sign.QUARANTINE:
            return say("Quarantine"), say_many(
                "%(number)s row could not be read, and is in no total.",
                "%(number)s rows could not be read, and are in no total.",
                alarm.number,
            )
        case Sign.FINDING:
            return say("Finding"), _finding(alarm, language)


def _finding(alarm: Alarm, language: Language) -> str:
    if alarm.words == SIDE:
        return language.say_many(
            "%(number)s flow whose amount says in where its provider says out, or the other way round.",
            "%(number)s flows whose amounts say in where their provider says out, or the other way round.",
            alarm.number,
        )
    if alarm.words == SAME_ID:
        return language.say_many(
            "%(number)s flow that shares its identity and time with one that is unlike it.",
            "%(number)s flows that share their identity and time with one that is unlike them.",
            alarm.number,
        )
    return f"{alarm.words}: {language.number(alarm.number)}"


def _way_out(alarm: Alarm, language: Language) -> tuple[str, str]:
    say, account = language.say, quote(alarm.account, safe="")
    match alarm.sign:
        case Sign.REFUSED:
            return f"/sources/{account}/credentials", say("Give it new credentials")
        case Sign.FAILED:
            return f"/sources/{account}", say("Look at the source")
        case Sign.NEVER | Sign.GAP | Sign.STALE | Sign.FORGETTING:
            return f"/sources/{account}", say("Sync it")
        case Sign.LOST:
            return f"#coverage-{account}", say("See its calendar")
        case Sign.QUARANTINE:
            return f"/flows/quarantine?{urlencode({'account': alarm.account})}", say("Look at the rows")
        case Sign.FINDING:
            query = urlencode({"account": alarm.account, "finding": alarm.words})
            return f"/flows?{query}", say("Look at the flows")


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
            return Sure("good", say("Proven"), say("Every flow up to %(at)s is in it.", at=at))
        case Covered.RUNNING:
            if not at:
                return Sure("busy", say("Not read yet"), say("Nothing of it has been read."))
            return Sure("busy", say("So far"), say("Every flow up to %(at)s is in it; what came later is not.", at=at))
        case Covered.OPEN:
            if mark.holes:
                first = language.moment(from_us(mark.holes[0].since_us), ZoneInfo(zone))
                account = mark.holes[0].account
                return Sure(
                    "warn",
                    say("Gap"),
                    say("Flows may be missing: %(account)s is not proven from %(at)s on.", account=account, at=first),
                )
            return Sure("warn", say("Gap"), say("Flows may be missing."))
        case Covered.UNCLAIMED if at:
            return Sure("", say("Not claimed"), say("Its source begins at %(at)s: nothing earlier is claimed.", at=at))
        case Covered.UNCLAIMED:
            return Sure("", say("Not claimed"), say("No source says what should be here: nothing is proven of it."))


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
