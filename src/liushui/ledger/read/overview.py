"""An overview, put together from one state of a ledger."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from liushui.instant import load_zone
from liushui.ledger.engine import Ledger
from liushui.ledger.read import moved, transfer_matching
from liushui.ledger.read.account_snapshot import AccountFacts, Facts, Kept, moves, read_facts
from liushui.ledger.read.alarms import Alarm, alarms
from liushui.ledger.read.cover import Cover, covers_of
from liushui.ledger.read.coverage_calendar import Day, days_of
from liushui.ledger.read.money_streams import Streams, streams_of
from liushui.ledger.read.moved import Held, Period, Span, Unit
from liushui.rules import Paging, Rules

DAY = timedelta(days=1)

SPANS: Final[Mapping[Unit, timedelta]] = {
    Unit.DAY: timedelta(days=45),
    Unit.WEEK: timedelta(weeks=26),
    Unit.MONTH: timedelta(days=365),
}
"""How long a span is that nobody asked for, about: it begins with a period."""


class Asked(NamedTuple):
    """What an overview is asked of. None: what is most likely meant. Days are included at both ends."""

    unit: Unit = Unit.MONTH
    currency: str | None = None
    first: date | None = None
    last: date | None = None
    accounts: tuple[str, ...] = ()


class Overview(NamedTuple):
    """What a person wants to see first. `currency` None: there are no flows, and so no periods."""

    facts: Facts
    alarms: Sequence[Alarm]
    held: Sequence[Held]
    covers: Mapping[str, Cover]
    currencies: Sequence[str]
    currency: str | None
    span: Span
    periods: Sequence[Period]


class Flowing(NamedTuple):
    """The streams of a span, and the first day on which transfers were looked for (None: on all of them)."""

    streams: Streams
    matched_from: date | None


def overview(ledger: Ledger, rules: Mapping[str, Rules[Paging]], asked: Asked, kept: Kept) -> Overview:
    """The overview as of now. `rules` by provider."""
    now = ledger.clock()
    with ledger.reading() as connection:
        facts = read_facts(connection, kept)
        covers = covers_of(facts.accounts, rules, now)
        currencies = facts.currencies()
        currency = asked.currency or next(iter(currencies), None)
        chosen = [account for account in facts.accounts if not asked.accounts or account.account in asked.accounts]
        span = _span(asked, chosen, now)
        found = []
        if currency is not None:
            first, last = span.first.isoformat(), span.last.isoformat()
            names = [account.account for account in chosen]
            found = moves(connection, names, currency, first, last, by_month=asked.unit is Unit.MONTH)
    having = {account.account for account in chosen if any(one.currency == currency for one in account.sums)}
    marked = [covers[name] for name in sorted(having)]
    return Overview(
        facts,
        alarms(facts.accounts, covers, rules, now),
        moved.held(facts, covers),
        covers,
        currencies,
        currency,
        span,
        moved.by_period(found, span, marked),
    )


def flowing(ledger: Ledger, currency: str, span: Span, zones: Mapping[str, str]) -> Flowing:
    """Where one currency came from and went in a span. `zones` of the accounts, by name."""
    with ledger.reading() as connection:
        first, last = span.first.isoformat(), span.last.isoformat()
        found = moves(connection, list(zones), currency, first, last, by_month=True)
        ends = transfer_matching.candidates(connection, zones, currency, span.first, span.last)
    return Flowing(streams_of(found, transfer_matching.matches(ends.ends)), ends.since)


def calendar(account: AccountFacts, rules: Rules[Paging], *, first: date, now: datetime) -> list[Day]:
    """What is known of each day of an account from `first` on; none of an account that has no source."""
    if account.since is None:
        return []
    zone = load_zone(account.zone)
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    return list(days_of(rules, account.ranges, zone=zone, since=max(account.since, begin), now=now))


def _span(asked: Asked, accounts: Sequence[AccountFacts], now: datetime) -> Span:
    """The days that are asked for; else those that end with the newest day that has a flow, or with today."""
    last_days = [date.fromisoformat(account.last_day) for account in accounts if account.last_day]
    last = asked.last or max(last_days, default=now.date())
    first = asked.first or moved.beginning(last - SPANS[asked.unit] + DAY, asked.unit)
    return Span(asked.unit, min(first, last), last)
