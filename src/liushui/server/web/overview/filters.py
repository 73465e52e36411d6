"""What an overview is asked for in an address: read field by field, so that each mistake is told beside its field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from urllib.parse import urlencode

from liushui.errors import short_repr
from liushui.ledger.read.moved import PERIODS_MAX, Span, Unit
from liushui.ledger.read.overview import Asked
from liushui.server.web.i18n import Language

FIELDS: Final = ("unit", "currency", "from", "to", "account")
TEXT_MAX: Final = 200


@dataclass
class Asking:
    """What was asked, what of it could be understood, and what is wrong with the rest."""

    typed: dict[str, str]
    accounts: tuple[str, ...]
    asked: Asked = field(default_factory=Asked)
    errors: dict[str, str] = field(default_factory=dict)

    def address(self, path: str = "/", **changed: str | None) -> str:
        """The address that asks the same with some fields changed; None leaves one out."""
        values: dict[str, str | None] = {**self.typed, **changed}
        pairs = [(name, value) for name, value in values.items() if value]
        pairs += [("account", name) for name in self.accounts]
        return f"{path}?{urlencode(pairs)}" if pairs else path


def read_asked(query: Mapping[str, Sequence[str]], language: Language) -> Asking:
    """Read an address's fields; what does not fit is left as if it were not there, and told."""
    typed = {name: query[name][-1][:TEXT_MAX] for name in FIELDS[:-1] if query.get(name)}
    accounts = tuple(dict.fromkeys(name[:TEXT_MAX] for name in query.get("account", ()) if name))
    asking = Asking(typed, accounts)
    say, errors = language.say, asking.errors
    unit = Unit.MONTH
    if "unit" in typed:
        if typed["unit"] in tuple(Unit):
            unit = Unit(typed["unit"])
        else:
            errors["unit"] = say(
                "Expected %(known)s, got %(got)s.", known=", ".join(Unit), got=short_repr(typed["unit"])
            )
    first, last = (_day(typed, name, errors, language) for name in ("from", "to"))
    if first and last and first > last:
        errors["to"] = say("The end date is before the start date.")
        first = last = None
    elif first and last and len(Span(unit, first, last).periods()) > PERIODS_MAX:
        errors["to"] = say(
            "Expected at most %(most)s periods, got %(got)s. Choose longer periods or fewer days.",
            most=PERIODS_MAX,
            got=len(Span(unit, first, last).periods()),
        )
        first = last = None
    asking.asked = Asked(unit, typed.get("currency"), first, last, accounts)
    return asking


def check_known(asking: Asking, accounts: Sequence[str], currencies: Sequence[str], language: Language) -> None:
    """Tell of accounts and a currency that the ledger does not have; they are then as if they were not named."""
    unknown = [name for name in asking.accounts if name not in accounts]
    if unknown:
        asking.errors["account"] = language.say("There is no account named %(got)s.", got=short_repr(unknown[0]))
        asking.asked = asking.asked._replace(accounts=())
    currency = asking.asked.currency
    if currency is not None and currency not in currencies:
        asking.errors["currency"] = language.say("There are no flows in %(got)s.", got=short_repr(currency))
        asking.asked = asking.asked._replace(currency=None)


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


FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2200
"""Years that days may be asked for in: what a calendar and every zone's clock can be counted on for."""
