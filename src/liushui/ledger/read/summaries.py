"""Summaries: what moved in and out by day, week, month or year, each with how far it is complete. From day totals."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from liushui.ledger.day_totals import Total, Totals, load_grouped
from liushui.ledger.engines.base import queries_of
from liushui.ledger.read import history
from liushui.ledger.read.completeness import Verdict
from liushui.ledger.read.filters import (
    DAY,
    FIRST_DAY,
    LAST_DAY,
    Bound,
    FaultKind,
    FilterError,
    FilterFault,
    equals_currency,
)
from liushui.ledger.read.model import Account, ReadModel, verdict_on
from liushui.ledger.read.own_transfers import OwnLeg, is_within, leg_total
from liushui.meaning import Meaning, meaning_of

PERIODS_MAX: Final = 400
"""Periods that one chart may have: a year of days, and a month more."""


class Unit(StrEnum):
    """How long a period is. A week begins on Monday; its name is that of ISO 8601."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ALL = "all"


_ORDER: Final = tuple(Meaning)
NO_MEANING: Final = -1

_LETTERS: Final = {Unit.DAY: 10, Unit.WEEK: 10, Unit.MONTH: 7, Unit.YEAR: 4, Unit.ALL: 0}
"""How much of a day's text names the totals that the database adds up."""


class SummaryQuery(NamedTuple):
    """Which flows are summed, and by what. Days are of each account's own zone, both ends included."""

    accounts: tuple[str, ...] = ()
    unit: Unit = Unit.MONTH
    by_account: bool = True
    by_kind: bool = True
    first: date | None = None
    last: date | None = None
    currency: str | None = None
    kind: str | None = None
    by_meaning: bool = False


class Period(NamedTuple):
    """The days from `first` to `last`, both included. None: there is no end on that side."""

    first: date | None
    last: date | None
    name: str

    @property
    def until(self) -> date | None:
        """The day after it."""
        return None if self.last is None or self.last == date.max else self.last + DAY


class SummaryRow(NamedTuple):
    """What moved in one period, in one currency. `account`, `kind` and `meaning` None: all of them together.

    By meaning, own transfers are rows of their own, and no part of other rows.

    `own`: transfers between the accounts that were asked for. A total of several accounts leaves them out; that of one
    account counts them, because they moved its money. None: not known, as of a recorded time of several accounts.
    """

    period: Period
    account: str | None
    currency: str
    kind: str | None
    total: Total
    verdict: Verdict
    own: Total | None
    meaning: Meaning | None = None


class _Group(NamedTuple):
    """What a row of a summary is about, in the order of the rows. "": all of them together, or not asked for.

    `meaning` is its place in the list of all meanings.
    """

    period: str
    account: str
    currency: str
    meaning: int
    kind: str


class Summary(NamedTuple):
    """Rows by period, account, currency and kind; and the verdict on the whole range that was asked for."""

    rows: list[SummaryRow]
    verdict: Verdict


def read_summary(model: ReadModel, query: SummaryQuery, as_of: Bound | None = None) -> Summary:
    """What moved in and out. Raises FilterError for a reversed range, AccountNotFound.

    `as_of`: as recorded until then, in time that grows with the number of versions.
    """
    check_days(query.first, query.last)
    after = None if query.last is None or query.last == date.max else query.last + DAY
    sums: dict[_Group, Total] = {}
    periods: dict[str, Period] = {}

    def group_of(day: str, account: str, currency: str, kind: str) -> _Group:
        period = period_of(query, day, periods).name
        meaning = _ORDER.index(meaning_of(kind)) if query.by_meaning else NO_MEANING
        return _Group(period, account if query.by_account else "", currency, meaning, kind if query.by_kind else "")

    with model.reading(query.accounts, as_of) as reading:
        accounts = reading.accounts
        for name, account in accounts.items():
            for key, total in day_sums(reading.connection, account, query, as_of).items():
                if query.currency is not None and not equals_currency(key.currency, query.currency):
                    continue
                if query.kind not in (None, key.kind):
                    continue
                group = group_of(key.day, name, key.currency, key.kind)
                sums[group] = sums.get(group, Total()).plus(total)
        own: dict[_Group, Total] = {}
        is_known = as_of is None or len(accounts) < 2  # one account has no transfers to another
        if as_of is None:
            for leg in _own_legs(model, reading.connection, accounts, query):
                group, total = group_of(leg.day, leg.account, leg.currency, leg.kind), leg_total(leg)
                if query.by_meaning:
                    sums[group] = sums[group].plus(total.negative())
                    group = group._replace(meaning=_ORDER.index(Meaning.OWN_TRANSFERS))
                    sums[group] = sums.get(group, Total()).plus(total)
                elif not query.by_account:
                    sums[group] = sums[group].plus(total.negative())
                own[group] = own.get(group, Total()).plus(total)
        verdicts: dict[tuple[str, str, str], Verdict] = {}
        rows = []
        for group, total in sorted(sums.items()):
            if query.by_meaning and not total.flows:
                continue  # all of it was own transfers
            period, about = periods[group.period], group[:3]
            if about not in verdicts:
                chosen = [accounts[group.account]] if query.by_account else list(accounts.values())
                verdicts[about] = verdict_on(chosen, period.first, period.until, group.currency)
            rows.append(
                SummaryRow(
                    period,
                    group.account if query.by_account else None,
                    group.currency,
                    group.kind if query.by_kind else None,
                    total,
                    verdicts[about],
                    own.get(group, Total()) if is_known else None,
                    _ORDER[group.meaning] if query.by_meaning else None,
                )
            )
        whole = verdict_on(accounts.values(), query.first, after)
    return Summary(rows, whole)


def _own_legs(
    model: ReadModel, connection: Connection, accounts: Mapping[str, Account], query: SummaryQuery
) -> Iterator[OwnLeg]:
    """The legs of own transfers that the query is about."""
    transfers = model.own_transfers.read(connection, model.rules, tuple(accounts), query.first, query.last)
    for leg in (leg for transfer in transfers for leg in transfer):
        is_asked = query.currency is None or equals_currency(leg.currency, query.currency)
        if is_asked and query.kind in (None, leg.kind) and is_within(leg.day, query.first, query.last):
            yield leg


def check_days(first: date | None, last: date | None) -> None:
    """Raises FilterError where the last day is before the first."""
    if first is not None and last is not None and first > last:
        expected = f"no earlier than first_day, {first.isoformat()}"
        raise FilterError([FilterFault("last_day", FaultKind.REVERSED_RANGE, expected, last.isoformat())])


def day_sums(connection: Connection, account: Account, query: SummaryQuery, as_of: Bound | None = None) -> Totals:
    """The totals of an account on the days of a query, added up over its periods. In place of a day, their keys have
    the part of a date that names a period, or the day itself where weeks are asked for."""
    first = FIRST_DAY if query.first is None else query.first.isoformat()
    last = LAST_DAY if query.last is None else query.last.isoformat()
    if as_of is not None:
        return history.totals_as_of(connection, account.name, as_of, first, last)
    return load_grouped(queries_of(connection), account.snapshot.account, first, last, letters=_LETTERS[query.unit])


def period_of(query: SummaryQuery, day: str, periods: dict[str, Period]) -> Period:
    """The period that a day, or the beginning of one, is in, cut to the range that was asked for."""
    name = period_name(query.unit, day)
    if name not in periods:
        first, last = period_days(query.unit, day)
        if query.first is not None:
            first = query.first if first is None else max(first, query.first)
        if query.last is not None:
            last = query.last if last is None else min(last, query.last)
        periods[name] = Period(first, last, name)
    return periods[name]


def period_name(unit: Unit, day: str) -> str:
    """`2024-01-31`, `2024-W05`, `2024-01`, `2024` or `all`."""
    if unit is Unit.WEEK:
        year, week, _ = date.fromisoformat(day).isocalendar()
        return f"{year:04}-W{week:02}"
    return day[: _LETTERS[unit]] or "all"


def period_days(unit: Unit, day: str) -> tuple[date | None, date | None]:
    """The first and the last day of the period that a day, or the beginning of one, is in."""
    if unit is Unit.ALL:
        return None, None
    first = beginning(date.fromisoformat(f"{day}-01-01"[:10]), unit)
    return first, last_day(first, unit)


def beginning(day: date, unit: Unit) -> date:
    """The first day of the period that a day is in."""
    match unit:
        case Unit.DAY:
            return day
        case Unit.WEEK:
            return day - min(day.weekday(), (day - date.min).days) * DAY
        case Unit.MONTH:
            return day.replace(day=1)
        case Unit.YEAR:
            return day.replace(month=1, day=1)
        case Unit.ALL:
            return date.min


def last_day(first: date, unit: Unit) -> date:
    """The last day of the period that begins on a day."""
    match unit:
        case Unit.DAY:
            return first
        case Unit.WEEK:
            return first + min(6 - first.weekday(), (date.max - first).days) * DAY
        case Unit.MONTH:
            if first.month == 12:
                return first.replace(day=31)
            return first.replace(month=first.month + 1) - DAY
        case Unit.YEAR:
            return first.replace(month=12, day=31)
        case Unit.ALL:
            return date.max


# ---------------------------------------------------------------- periods of a chart


class ChartPeriod(NamedTuple):
    """What moved in a period, by kind, without own transfers. `own`: what they came to."""

    first: date
    last: date
    kinds: Mapping[str, Total]
    verdict: Verdict
    own: Total = Total()

    @property
    def total(self) -> Total:
        """What moved of every kind."""
        return sum_totals(self.kinds.values())


class Span(NamedTuple):
    """The days from `first` to `last`, both included, cut into periods of a unit."""

    unit: Unit
    first: date
    last: date

    def periods(self) -> list[tuple[date, date]]:
        """Each period's first and last day, the outer periods cut to the span."""
        found = []
        begin = beginning(self.first, self.unit)
        while begin <= self.last:
            end = last_day(begin, self.unit)
            found.append((max(begin, self.first), min(end, self.last)))
            if end == date.max:
                break
            begin = end + DAY
        return found


def sum_totals(totals: Iterable[Total]) -> Total:
    """The sum of totals of one currency."""
    result = Total()
    for total in totals:
        result = result.plus(total)
    return result


def by_kind(periods: Sequence[ChartPeriod]) -> dict[str, Total]:
    """What moved of each kind, the kinds with the greatest volume first."""
    sums: dict[str, Total] = {}
    for period in periods:
        for kind, total in period.kinds.items():
            sums[kind] = sums.get(kind, Total()).plus(total)
    return dict(sorted(sums.items(), key=lambda item: (-item[1].volume, item[0])))
