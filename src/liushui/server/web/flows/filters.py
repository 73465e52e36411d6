"""Which flows an address asks for: read field by field, so that each mistake is told beside its field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from liushui.errors import ConfigError, WireError, short_repr
from liushui.flow import Category, Direction, Kind
from liushui.instant import load_zone, parse_instant
from liushui.ledger.findings import SAME_ID, SIDE
from liushui.ledger.read.balances import FlowFilter, Named
from liushui.money import parse_decimal
from liushui.server.web.i18n import Language
from liushui.server.web.overview.filters import FIRST_YEAR, LAST_YEAR, TEXT_MAX

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "kind": tuple(Kind),
    "category": tuple(Category),
    "direction": tuple(Direction),
    "finding": (SIDE, SAME_ID),
}
"""Fields that are one of several words."""

WORDS: Final = ("currency", "subaccount", "symbol", "ref", "text")
FIELDS: Final = ("from", "to", *CHOICES, *WORDS, "amount_min", "amount_max")
DAY_LETTERS: Final = len("2024-01-31")


@dataclass
class FlowsAsked:
    """What was asked, what of it could be understood, and what is wrong with the rest. Days are those of `zone`."""

    typed: dict[str, str]
    accounts: tuple[str, ...]
    zone: str = "UTC"
    filter: FlowFilter = field(default_factory=lambda: FlowFilter(newest_first=True))
    errors: dict[str, str] = field(default_factory=dict)

    def address(self, path: str = "/flows", **changed: str | None) -> str:
        """The address that asks the same with some fields changed; None leaves one out."""
        values: dict[str, str | None] = {**self.typed, **changed}
        pairs = [(name, value) for name, value in values.items() if value]
        pairs += [("account", name) for name in self.accounts]
        return f"{path}?{urlencode(pairs)}" if pairs else path

    @property
    def is_filtered(self) -> bool:
        """Whether not everything is asked for."""
        return bool(self.typed or self.accounts)


def read_flows_asked(
    query: Mapping[str, Sequence[str]], known: Sequence[Named], currencies: Sequence[str], language: Language
) -> FlowsAsked:
    """Read an address's fields; what does not fit is left as if it were not there, and told."""
    typed = {name: query[name][-1][:TEXT_MAX] for name in FIELDS if query.get(name) and query[name][-1].strip()}
    asked = FlowsAsked(typed, tuple(dict.fromkeys(name[:TEXT_MAX] for name in query.get("account", ()) if name)))
    say, errors = language.say, asked.errors
    names = [account.account for account in known]
    unknown = [name for name in asked.accounts if name not in names]
    if unknown:
        errors["account"] = say("There is no account named %(got)s.", got=short_repr(unknown[0]))
    chosen = () if unknown else asked.accounts
    asked.zone = zone_of([account for account in known if not chosen or account.account in chosen])
    values: dict[str, Any] = {}
    for name, words in CHOICES.items():
        if name in typed and typed[name] not in words:
            errors[name] = say("Expected %(known)s, got %(got)s.", known=", ".join(words), got=short_repr(typed[name]))
        else:
            values[name] = typed.get(name)
    values |= {name: typed.get(name) for name in WORDS}
    if "currency" in typed and typed["currency"] not in currencies:
        errors["currency"] = say("There are no flows in %(got)s.", got=short_repr(typed["currency"]))
        values["currency"] = None
    _read_range(asked, values, language)
    _read_amounts(asked, values, language)
    asked.filter = FlowFilter(accounts=chosen, newest_first=True, **values)
    return asked


def zone_of(accounts: Sequence[Named]) -> str:
    """The zone whose days are meant: that of the accounts, where they share one."""
    zones = {account.zone for account in accounts}
    return zones.pop() if len(zones) == 1 else "UTC"


def _read_range(asked: FlowsAsked, values: dict[str, Any], language: Language) -> None:
    zone = load_zone(asked.zone)
    since = _instant(asked, "from", zone, language, end=False)
    until = _instant(asked, "to", zone, language, end=True)
    if since is not None and until is not None and since >= until:
        asked.errors["to"] = language.say("The end must be after the beginning.")
        since = until = None
    values["since"], values["until"] = since, until


def _instant(asked: FlowsAsked, name: str, zone: ZoneInfo, language: Language, *, end: bool) -> datetime | None:
    """A day or an instant. The day at the end of a range is in it."""
    text = asked.typed.get(name, "").strip()
    if not text:
        return None
    try:
        at = parse_instant(name, text, zone)
        if not FIRST_YEAR <= at.year <= LAST_YEAR:
            asked.errors[name] = language.say(
                "Expected a day from %(first)s to %(last)s, got %(got)s.",
                first=FIRST_YEAR,
                last=LAST_YEAR,
                got=short_repr(text),
            )
            return None
        if end and len(text) == DAY_LETTERS:
            return parse_instant(name, (at.astimezone(zone).date() + timedelta(days=1)).isoformat(), zone)
    except (ConfigError, OverflowError):
        asked.errors[name] = language.say(
            "Expected a date or a time such as 2024-01-31 or 2024-01-31T09:30, got %(got)s.", got=short_repr(text)
        )
        return None
    return at


def _read_amounts(asked: FlowsAsked, values: dict[str, Any], language: Language) -> None:
    low, high = (_amount(asked, name, language) for name in ("amount_min", "amount_max"))
    if low is not None and high is not None and low > high:
        asked.errors["amount_max"] = language.say("The maximum amount is less than the minimum.")
        low = high = None
    values["amount_min"], values["amount_max"] = low, high


def _amount(asked: FlowsAsked, name: str, language: Language) -> Decimal | None:
    text = asked.typed.get(name, "").strip()
    if not text:
        return None
    try:
        return parse_decimal(name, text)
    except WireError:
        asked.errors[name] = language.say("Expected an amount such as -248.60, got %(got)s.", got=short_repr(text))
        return None
