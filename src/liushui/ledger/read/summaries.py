"""Summaries: money in and out by day, week, month or year, each with its completeness. They come from day totals."""

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
"""The most periods of one chart: a year of days, and a month more."""


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
"""The number of characters of a day's text that identify the period by which the database groups."""


class SummaryQuery(NamedTuple):
    """Which flows are summed, and by which fields. Days are of each account's own zone, both ends included."""

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
    """The days from `first` to `last`, both included. None: no limit on that side."""

    first: date | None
    last: date | None
    name: str

    @property
    def until(self) -> date | None:
        """The day after it."""
        return None if self.last is None or self.last == date.max else self.last + DAY


class SummaryRow(NamedTuple):
    """The money that moved in one period and currency. `account`, `kind` and `meaning` None: all together.

    By meaning, own transfers and flows that show money a second time have their own rows, and are not part of other
    rows.

    `own`: transfers between the requested accounts, and flows that show the same money as a flow of another one of
    them. A total of several accounts leaves them out. A total of one account counts them, because they moved its money.
    None: not known, for several accounts as of a recorded time.
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
    """The key of a row in a summary; its order is the order of the rows. "": all together, or not requested.

    `meaning` is the index in the list of all meanings.
    """

    period: str
    account: str
    currency: str
    meaning: int
    kind: str


class Summary(NamedTuple):
    """Rows by period, account, currency and kind, and the verdict on the whole requested range."""

    rows: list[SummaryRow]
    verdict: Verdict


def read_summary(model: ReadModel, query: SummaryQuery, as_of: Bound | None = None) -> Summary:
    """Return the sums of a query. Raises FilterError for a reversed range, AccountNotFound.

    `as_of`: as recorded until then. The time for this grows with the number of versions.
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
                    meaning = Meaning.SEEN_TWICE if leg.is_view else Meaning.OWN_TRANSFERS
                    group = group._replace(meaning=_ORDER.index(meaning))
                    sums[group] = sums.get(group, Total()).plus(total)
                elif not query.by_account:
                    sums[group] = sums[group].plus(total.negative())
                own[group] = own.get(group, Total()).plus(total)
        verdicts: dict[tuple[str, str, str], Verdict] = {}
        rows = []
        for group, total in sorted(sums.items()):
            if query.by_meaning and not total.flows:
                continue  # these were only own transfers
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
    """Return the flows that a total of the accounts leaves out and the query is about."""
    transfers = model.own_transfers.read(connection, model.rules, tuple(accounts), query.first, query.last)
    for leg in (leg for transfer in transfers for leg in transfer.legs):
        is_asked = query.currency is None or equals_currency(leg.currency, query.currency)
        if is_asked and query.kind in (None, leg.kind) and is_within(leg.day, query.first, query.last):
            yield leg


def check_days(first: date | None, last: date | None) -> None:
    """Raise FilterError if the last day is before the first."""
    if first is not None and last is not None and first > last:
        expected = f"no earlier than first_day, {first.isoformat()}"
        raise FilterError([FilterFault("last_day", FaultKind.REVERSED_RANGE, expected, last.isoformat())])


def day_sums(connection: Connection, account: Account, query: SummaryQuery, as_of: Bound | None = None) -> Totals:
    """Return an account's totals on the days of a query, added up over its periods. Instead of a day, the keys have the
    part of the date that names the period, or the day itself for weeks."""
    first = FIRST_DAY if query.first is None else query.first.isoformat()
    last = LAST_DAY if query.last is None else query.last.isoformat()
    if as_of is not None:
        return history.totals_as_of(connection, account.name, as_of, first, last)
    return load_grouped(queries_of(connection), account.snapshot.account, first, last, letters=_LETTERS[query.unit])


def period_of(query: SummaryQuery, day: str, periods: dict[str, Period]) -> Period:
    """Return the period that contains a day or the beginning of a date, cut to the requested range."""
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
    """Return `2024-01-31`, `2024-W05`, `2024-01`, `2024` or `all`."""
    if unit is Unit.WEEK:
        year, week, _ = date.fromisoformat(day).isocalendar()
        return f"{year:04}-W{week:02}"
    return day[: _LETTERS[unit]] or "all"


def period_days(unit: Unit, day: str) -> tuple[date | None, date | None]:
    """Return the first and the last day of the period that contains a day or the beginning of a date."""
    if unit is Unit.ALL:
        return None, None
    first = beginning(date.fromisoformat(f"{day}-01-01"[:10]), unit)
    return first, last_day(first, unit)


def beginning(day: date, unit: Unit) -> date:
    """Return the first day of the period that contains a day."""
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
    """Return the last day of the period that begins on a day."""
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
    """The money that moved in a period, by kind, without what a total leaves out: `own`, the sum of own transfers, and
    `views`, the sum of flows that show the same money as another one."""

    first: date
    last: date
    kinds: Mapping[str, Total]
    verdict: Verdict
    own: Total = Total()
    views: Total = Total()

    @property
    def total(self) -> Total:
        """The total over all kinds."""
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
    """Add up totals of one currency."""
    result = Total()
    for total in totals:
        result = result.plus(total)
    return result


def by_kind(periods: Sequence[ChartPeriod]) -> dict[str, Total]:
    """Return the total of each kind, the kind with the greatest volume first."""
    sums: dict[str, Total] = {}
    for period in periods:
        for kind, total in period.kinds.items():
            sums[kind] = sums.get(kind, Total()).plus(total)
    return dict(sorted(sums.items(), key=lambda item: (-item[1].volume, item[0])))
