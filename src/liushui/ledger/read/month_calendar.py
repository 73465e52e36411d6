"""Months of an account's zone, which are reconciled, closed and certified, and other days to reconcile. Pure."""

import re
from datetime import date, timedelta
from typing import Final, NamedTuple

from liushui.errors import InvalidField, short_repr
from liushui.instant import BusinessDays
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.filters import begin_us

_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_YEAR: Final = re.compile(r"\d{4}", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Month(NamedTuple):
    """A month in an account's zone, [since_us, until_us), or other whole days that are reconciled in the same way.

    `first` is its first day, and `after` the day after its last one.
    """

    name: str
    first: date
    after: date
    since_us: int
    until_us: int

    @property
    def is_month(self) -> bool:
        """Whether it is a month, which can be closed, and not other days."""
        return self.name == self.first.isoformat()[:7]

    @property
    def range_us(self) -> tuple[int, int]:
        """Its beginning and its end."""
        return self.since_us, self.until_us


def read_month(name: str, field: str = "period") -> date:
    """Return the first day of the month `2026-10`. Raises InvalidField."""
    if not _MONTH.fullmatch(name) or name.startswith("0000"):
        raise InvalidField(field, "a month such as 2026-10", short_repr(name))
    return date.fromisoformat(f"{name}-01")


def month_of(first: date, account: AccountName) -> Month:
    """Return the month that begins on a day, in an account's zone."""
    return days_of(Days(first.isoformat()[:7], first, next_month(first)), account)


class Days(NamedTuple):
    """Whole days, from `first` to the day before `after`, in any zone. `name` is the text that a person typed."""

    name: str
    first: date
    after: date


def read_days(text: str, field: str = "period") -> Days:
    """Read a month `2026-10`, a year `2026`, or a range of days, both included: `2026-10-05..2026-10-20`. Raises
    InvalidField."""
    if _MONTH.fullmatch(text):
        first = read_month(text, field)
        return Days(text, first, next_month(first))
    expected = "a month such as 2026-10, a year such as 2026, or days such as 2026-10-05..2026-10-20"
    begin, dots, end = text.partition("..")
    try:
        if dots and _DAY.fullmatch(begin) and _DAY.fullmatch(end):
            first, last = date.fromisoformat(begin), date.fromisoformat(end)
            if first <= last < date.max:
                return Days(text, first, last + timedelta(days=1))
            expected = "two days of which the second is not before the first"
        elif not dots and _YEAR.fullmatch(text):
            first = date(int(text), 1, 1)
            return Days(text, first, date.max if first.year == date.max.year else date(first.year + 1, 1, 1))
    except ValueError:
        pass  # not a day of the calendar, for example 2026-02-30
    raise InvalidField(field, expected, short_repr(text))


def days_of(days: Days, account: AccountName) -> Month:
    """Return these days in an account's zone."""
    business_days = BusinessDays(account.tz)
    ends = (begin_us(business_days, day.isoformat()) for day in (days.first, days.after))
    return Month(*days, *ends)


def next_month(first: date) -> date:
    """Return the first day of the next month. After the last month of the calendar, it is the calendar's last day."""
    if (first.year, first.month) == (date.max.year, date.max.month):
        return date.max
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def previous_month(first: date) -> date:
    """Return the first day of the previous month. The calendar's first month has none before it."""
    if (first.year, first.month) == (1, 1):
        return first
    return date(first.year - (first.month == 1), (first.month - 2) % 12 + 1, 1)


def month_at(at_us: int, account: AccountName) -> date:
    """Return the first day of the month that contains an instant, in an account's zone."""
    return date.fromisoformat(BusinessDays(account.tz).day_of(at_us)).replace(day=1)
