"""Summaries that say how far they are proven: by day, week, month or year, account and kind. From the day totals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from liushui.errors import WireError, short_repr
from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger.coverage import Range, State, merged, missing
from liushui.ledger.day_totals import Total, Totals, load
from liushui.ledger.engine import Ledger
from liushui.ledger.read.balances import FIRST_DAY, LAST_DAY, Named, accounts_named, ranges_in
from liushui.money import EXACT

UNREAD: Final = "nothing was read here"
"""The reason of a gap that no read has tried."""


class Period(StrEnum):
    """What a summary is by."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ALL = "all"


class Wanted(NamedTuple):
    """Which flows are summed, and by what. Days are of each account's own zone, both ends included."""

    accounts: tuple[str, ...]
    period: Period = Period.MONTH
    by_account: bool = False
    by_kind: bool = False
    first_day: str | None = None
    last_day: str | None = None
    currency: str | None = None
    kind: str | None = None


class Gap(NamedTuple):
    """A range that nothing proves. None at an end: it goes on there."""

    account: str
    since: datetime | None
    until: datetime | None
    reason: str


class Row(NamedTuple):
    """What moved in one period, in one currency. None: all of them together."""

    period: str
    first_day: str
    last_day: str
    account: str | None
    currency: str
    kind: str | None
    flows: int
    money_in: Decimal
    money_out: Decimal
    net: Decimal
    covered: bool


class Summed(NamedTuple):
    """Rows, by period, account, currency and kind; and the gaps in the range that was asked for."""

    rows: list[Row]
    gaps: list[Gap]


class _Group(NamedTuple):
    first_day: str
    last_day: str
    period: str
    account: str
    currency: str
    kind: str


def check_day(name: str, text: str | None) -> None:
    """Raises WireError where text is no date."""
    try:
        if text is not None and date.fromisoformat(text).isoformat() != text:
            raise ValueError(text)
    except ValueError as error:
        raise WireError(name, f"expected a date such as 2024-01-31, got {short_repr(text)}") from error


def summed(ledger: Ledger, wanted: Wanted) -> Summed:
    """What moved in and out. A row is covered where its days, as far as they are asked for, are proven in its accounts.

    Where no first or last day is named, an account is asked for from its first flow or proof on, and up to its last.
    """
    with ledger.reading() as connection:
        chosen = accounts_named(connection, wanted.accounts) if wanted.accounts else []
        known = [_load(connection, account, wanted) for account in chosen]
    sums: dict[_Group, Total] = {}
    for one in known:
        for key, total in one.totals.items():
            group = _group(wanted, one.account, key.day, key.currency, key.kind)
            sums[group] = sums.get(group, Total()).plus(total)
    rows = []
    for group, total in sorted(sums.items()):
        of_it = [one for one in known if not wanted.by_account or one.account == group.account]
        rows.append(_row(wanted, group, total, covered=all(one.covers(group) for one in of_it)))
    return Summed(rows, [gap for one in known for gap in one.gaps])


@dataclass(frozen=True)
class _Known:
    """What is known of one account: its totals, the range that is asked for, and what of that is not proven."""

    account: str
    days: BusinessDays
    totals: Totals
    ends: tuple[int, int]
    unproven: list[tuple[int, int]]
    gaps: list[Gap]

    def covers(self, group: _Group) -> bool:
        """Whether the days of a group are proven, as far as they are asked for."""
        since_us = max(_begin_us(self.days, group.first_day), self.ends[0])
        until_us = min(_end_us(self.days, group.last_day), self.ends[1])
        return not any(gap[0] < until_us and gap[1] > since_us for gap in self.unproven)


def _load(connection: Connection, account: Named, wanted: Wanted) -> _Known:
    days = BusinessDays(load_zone(account.zone))
    kept = load(connection, account.account, wanted.first_day or FIRST_DAY, wanted.last_day or LAST_DAY)
    ranges = ranges_in(connection, account.account)
    ends = _ends(wanted, days, sorted({key.day for key in kept}), ranges)
    totals = {
        key: total
        for key, total in kept.items()
        if wanted.currency in (None, key.currency) and wanted.kind in (None, key.kind)
    }
    proven = [known for known in ranges if known.state is State.PROVEN]
    gaps = _gaps_in(account.account, ranges, ends)
    return _Known(account.account, days, totals, ends, missing(proven, ends), gaps)


def _ends(wanted: Wanted, days: BusinessDays, kept: Sequence[str], ranges: Sequence[Range]) -> tuple[int, int]:
    """The range of an account that is asked for, in microseconds."""
    begins, ends = [known.since_us for known in ranges], [known.until_us for known in ranges]
    if kept and (not begins or _end_us(days, kept[0]) <= min(begins)):
        begins.append(_begin_us(days, kept[0]))
    if kept and (not ends or _begin_us(days, kept[-1]) >= max(ends)):
        ends.append(_end_us(days, kept[-1]))
    since_us = min(begins, default=-_FAR_US) if wanted.first_day is None else _begin_us(days, wanted.first_day)
    until_us = max(ends, default=_FAR_US) if wanted.last_day is None else _end_us(days, wanted.last_day)
    return since_us, until_us


def _row(wanted: Wanted, group: _Group, total: Total, *, covered: bool) -> Row:
    return Row(
        group.period,
        group.first_day,
        group.last_day,
        group.account if wanted.by_account else None,
        group.currency,
        group.kind if wanted.by_kind else None,
        total.flows,
        total.money_in,
        total.money_out,
        EXACT.add(total.money_in, total.money_out),
        covered,
    )


def gaps_before(ledger: Ledger, names: tuple[str, ...], at: datetime | None) -> list[Gap]:
    """What is not proven of the flows before an instant (None: before the last that was read), account by account."""
    with ledger.reading() as connection:
        return [gap for account in accounts_named(connection, names) for gap in _before(connection, account, at)]


def _before(connection: Connection, account: Named, at: datetime | None) -> Iterator[Gap]:
    ranges = ranges_in(connection, account.account)
    if not ranges:
        yield Gap(account.account, None, at, UNREAD)
        return
    begin, end = ranges[0].since_us, max(known.until_us for known in ranges)
    if at is not None:
        end = to_us(at)
    if begin < end:
        yield from _gaps_in(account.account, ranges, (begin, end))


def _gaps_in(account: str, ranges: Sequence[Range], ends: tuple[int, int]) -> list[Gap]:
    """The parts of a range that are not proven, each with why, oldest first."""
    found = []
    proven = [known for known in ranges if known.state is State.PROVEN]
    tried = merged(known for known in ranges if known.state is State.OPEN)
    for since_us, until_us in missing(proven, ends):
        reasons = [known.reason for known in tried if known.since_us < until_us and known.until_us > since_us]
        since = None if since_us <= -_FAR_US else from_us(since_us)
        until = None if until_us >= _FAR_US else from_us(until_us)
        found.append(Gap(account, since, until, "; ".join(dict.fromkeys(reasons)) or UNREAD))
    return found


_FAR_US: Final = 2**62


def _group(wanted: Wanted, account: str, day: str, currency: str, kind: str) -> _Group:
    first, last, period = _period(wanted, day)
    return _Group(first, last, period, account if wanted.by_account else "", currency, kind if wanted.by_kind else "")


def _period(wanted: Wanted, day: str) -> tuple[str, str, str]:
    """The first and the last day of a day's period, within what is wanted, and its name."""
    found = date.fromisoformat(day)
    match wanted.period:
        case Period.DAY:
            first = last = found
            name = day
        case Period.WEEK:
            year, week, weekday = found.isocalendar()
            first = found - timedelta(days=min(weekday - 1, (found - date.min).days))
            last = found + timedelta(days=min(7 - weekday, (date.max - found).days))
            name = f"{year:04}-W{week:02}"
        case Period.MONTH:
            first = found.replace(day=1)
            last = _month_end(found)
            name = day[:7]
        case Period.YEAR:
            first, last, name = found.replace(month=1, day=1), found.replace(month=12, day=31), day[:4]
        case Period.ALL:
            first, last, name = date.min, date.max, "all"
    low, high = wanted.first_day or FIRST_DAY, wanted.last_day or LAST_DAY
    return max(first.isoformat(), low), min(last.isoformat(), high), name


def _month_end(day: date) -> date:
    if day.month == 12:
        return day.replace(day=31)
    return day.replace(month=day.month + 1, day=1) - timedelta(days=1)


_MARGIN: Final = timedelta(days=3)


def _begin_us(days: BusinessDays, day: str) -> int:
    if day == FIRST_DAY or date.fromisoformat(day) <= date.min + _MARGIN:
        return -_FAR_US
    return days.begin_us(date.fromisoformat(day))


def _end_us(days: BusinessDays, day: str) -> int:
    if day == LAST_DAY or date.fromisoformat(day) >= date.max - _MARGIN:
        return _FAR_US
    return days.begin_us(date.fromisoformat(day) + timedelta(days=1))
