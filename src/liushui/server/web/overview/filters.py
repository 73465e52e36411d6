"""What an address of the overview asks for, with each fault in the reader's words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from urllib.parse import urlencode

from liushui.errors import short_repr
from liushui.ledger.read.filters import equals_currency
from liushui.ledger.read.flows import DAY
from liushui.ledger.read.overview import OverviewQuery
from liushui.ledger.read.summaries import PERIODS_MAX, Span, Unit
from liushui.server.web.i18n import Language

FIELDS: Final = ("unit", "currency", "since", "until")
ALIASES: Final[Mapping[str, str]] = {"from": "since", "to": "until"}
"""Names that links of earlier releases have. They mean the same as the names they stand for."""
UNITS: Final = (Unit.DAY, Unit.WEEK, Unit.MONTH)
TEXT_MAX: Final = 200
FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2200
"""Years of days that can be asked for: those that every calendar and zone can be trusted for."""


@dataclass
class OverviewRequest:
    """What was typed, the query it means, and what is wrong with it."""

    typed: dict[str, str]
    accounts: tuple[str, ...]
    query: OverviewQuery = field(default_factory=OverviewQuery)
    errors: dict[str, str] = field(default_factory=dict)

    def address(self, path: str = "/", **changed: str | None) -> str:
        """The address that asks the same with some fields changed; None leaves one out."""
        values: dict[str, str | None] = {**self.typed, **changed}
        pairs = [(name, value) for name, value in values.items() if value]
        pairs += [("account", name) for name in self.accounts]
        return f"{path}?{urlencode(pairs)}" if pairs else path


def read_overview_request(
    fields: Mapping[str, Sequence[str]], accounts: Sequence[str], currencies: Sequence[str], language: Language
) -> OverviewRequest:
    """Read the fields of an address. A faulty one is an error, and the overview is shown without it."""
    given = {ALIASES.get(name, name): values[-1][:TEXT_MAX] for name, values in fields.items() if values and values[-1]}
    chosen = tuple(dict.fromkeys(name[:TEXT_MAX] for name in fields.get("account", ()) if name))
    request = OverviewRequest({name: given[name] for name in FIELDS if name in given}, chosen)
    say, errors, typed = language.say, request.errors, request.typed
    unknown = [name for name in given if name not in (*FIELDS, "account")]
    if unknown:
        known, got = ", ".join(FIELDS), short_repr(unknown[0])
        errors["unknown"] = say("There is no filter named %(got)s. Filters: %(known)s.", got=got, known=known)
    absent = [name for name in chosen if name not in accounts]
    if absent:
        errors["account"] = say("There is no account named %(got)s.", got=short_repr(absent[0]))
        chosen = ()
    unit = Unit.MONTH
    if typed.get("unit", unit) in UNITS:
        unit = Unit(typed.get("unit", unit))
    else:
        errors["unit"] = say("Expected %(known)s, got %(got)s.", known=", ".join(UNITS), got=short_repr(typed["unit"]))
    currency = None
    if "currency" in typed:
        currency = next((one for one in currencies if equals_currency(one, typed["currency"])), None)
        if currency is None:
            errors["currency"] = say("There are no flows in %(got)s.", got=short_repr(typed["currency"]))
    since, until = (_day(typed, name, errors, language) for name in ("since", "until"))
    if since and until and since >= until:
        errors["until"] = say("The end must be after the beginning.")
        since = until = None
    last = until - DAY if until else None
    periods = len(Span(unit, since, last).periods()) if since and last else 0
    if periods > PERIODS_MAX:
        errors["until"] = say(
            "Expected at most %(most)s periods, got %(got)s. Choose longer periods or fewer days.",
            most=PERIODS_MAX,
            got=periods,
        )
        since = last = None
    request.query = OverviewQuery(unit, currency, since, last, chosen)
    return request


def _day(typed: Mapping[str, str], name: str, errors: dict[str, str], language: Language) -> date | None:
    text = typed.get(name)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        errors[name] = language.say("Expected a date such as 2024-01-31, got %(got)s.", got=short_repr(text))
        return None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        errors[name] = language.say(
            "Expected a day from %(first)s to %(last)s, got %(got)s.",
            first=FIRST_YEAR,
            last=LAST_YEAR,
            got=short_repr(text),
        )
        return None
    return day
