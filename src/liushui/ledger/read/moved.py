"""What there is, and what moved: balances, and money in and out by period and kind. Pure.

Currencies are never added together. Sums are exact.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from liushui.ledger.read.account_snapshot import Facts, Move
from liushui.ledger.read.cover import Cover, Mark, between
from liushui.money import EXACT, ZERO

DAY = timedelta(days=1)

PERIODS_MAX: Final = 400
"""Periods that one answer may have: a year of days, and a month's grace."""


class Unit(StrEnum):
    """How long a period is. A week begins on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Held(NamedTuple):
    """The sum of all flows of a place in one currency, and how far it can be relied on."""

    account: str
    subaccount: str
    currency: str
    amount: Decimal
    flows: int
    mark: Mark


class Moved(NamedTuple):
    """What moved: how many flows, and their sums by sign. `money_in` >= 0, `money_out` <= 0."""

    flows: int = 0
    money_in: Decimal = ZERO
    money_out: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """What is left of it."""
        return EXACT.add(self.money_in, self.money_out)

    @property
    def volume(self) -> Decimal:
        """How much moved, either way."""
        return EXACT.subtract(self.money_in, self.money_out)

    def plus(self, flows: int, money_in: Decimal, money_out: Decimal) -> "Moved":
        """With more of it."""
        return Moved(self.flows + flows, EXACT.add(self.money_in, money_in), EXACT.add(self.money_out, money_out))


class Period(NamedTuple):
    """What moved in the days from `first` to `last`, both included, by kind."""

    first: date
    last: date
    kinds: Mapping[str, Moved]
    mark: Mark

    @property
    def all(self) -> Moved:
        """What moved of every kind."""
        return sum_of(self.kinds.values())


class Span(NamedTuple):
    """The days from `first` to `last`, both included, cut into periods of a unit."""

    unit: Unit
    first: date
    last: date

    def periods(self) -> list[tuple[date, date]]:
        """Each period's days, the outer ones cut to the span."""
        found = []
        begin = beginning(self.first, self.unit)
        while begin <= self.last:
            end = after(begin, self.unit)
            found.append((max(begin, self.first), min(end - DAY, self.last)))
            begin = end
        return found


def beginning(day: date, unit: Unit) -> date:
    """The first day of the period that a day is in."""
    match unit:
        case Unit.DAY:
            return day
        case Unit.WEEK:
            return day - day.weekday() * DAY
        case Unit.MONTH:
            return day.replace(day=1)


def after(begin: date, unit: Unit) -> date:
    """The first day after the period that begins on a day."""
    match unit:
        case Unit.DAY:
            return begin + DAY
        case Unit.WEEK:
            return begin + 7 * DAY
        case Unit.MONTH:
            return (begin + 31 * DAY).replace(day=1)


def held(facts: Facts, covers: Mapping[str, Cover]) -> list[Held]:
    """The balance of each account, subaccount and currency."""
    return [
        Held(
            account.account,
            found.subaccount,
            found.currency,
            amount=EXACT.add(found.money_in, found.money_out),
            flows=found.flows,
            mark=covers[account.account].whole(),
        )
        for account, found in facts.sums()
    ]


def by_period(moves: Iterable[Move], span: Span, covers: Sequence[Cover]) -> list[Period]:
    """What moved in each period of a span, with the mark of these accounts' coverage."""
    found: dict[date, dict[str, Moved]] = defaultdict(dict)
    begins: dict[str, date] = {}
    for move in moves:
        begin = begins.get(move.period)
        if begin is None:
            day = date.fromisoformat(f"{move.period}-01"[:10])
            begin = begins[move.period] = beginning(day, span.unit)
        kinds = found[begin]
        kinds[move.kind] = kinds.get(move.kind, NOTHING).plus(move.flows, move.money_in, move.money_out)
    return [
        Period(first, last, found.get(beginning(first, span.unit), {}), between(covers, first, last))
        for first, last in span.periods()
    ]


def by_kind(periods: Iterable[Period]) -> dict[str, Moved]:
    """What moved of each kind, those first of which most did."""
    sums: dict[str, Moved] = {}
    for period in periods:
        for kind, moved in period.kinds.items():
            sums[kind] = sums.get(kind, NOTHING).plus(*moved)
    return dict(sorted(sums.items(), key=lambda item: (-item[1].volume, item[0])))


def sum_of(moves: Iterable[Moved]) -> Moved:
    """All of it together. Of one currency."""
    result = NOTHING
    for moved in moves:
        result = result.plus(*moved)
    return result


NOTHING: Final = Moved()
