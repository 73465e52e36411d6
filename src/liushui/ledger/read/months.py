"""Months of an account's zone: the periods that are reconciled, closed and certified. Pure."""

import re
from datetime import date
from typing import Final, NamedTuple

from liushui.errors import InvalidField, short_repr
from liushui.instant import BusinessDays
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.filters import begin_us

_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


class Month(NamedTuple):
    """A month of an account's zone, [since_us, until_us). `first` is its first day."""

    name: str
    first: date
    since_us: int
    until_us: int

    @property
    def range_us(self) -> tuple[int, int]:
        """Its two ends."""
        return self.since_us, self.until_us


def read_month(name: str, field: str = "period") -> date:
    """The first day of the month `2026-10`. Raises InvalidField."""
    if not _MONTH.fullmatch(name) or name.startswith("0000"):
        raise InvalidField(field, "a month such as 2026-10", short_repr(name))
    return date.fromisoformat(f"{name}-01")


def month_of(first: date, account: AccountName) -> Month:
    """The month that begins on a day, in the zone of an account."""
    days = BusinessDays(account.tz)
    ends = (begin_us(days, day.isoformat()) for day in (first, next_month(first)))
    return Month(first.isoformat()[:7], first, *ends)


def next_month(first: date) -> date:
    """The first day of the month after; the calendar's last day after its last month."""
    if (first.year, first.month) == (date.max.year, date.max.month):
        return date.max
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def previous_month(first: date) -> date:
    """The first day of the month before. The calendar's first month has none before it."""
    if (first.year, first.month) == (1, 1):
        return first
    return date(first.year - (first.month == 1), (first.month - 2) % 12 + 1, 1)


def month_at(at_us: int, account: AccountName) -> date:
    """The first day of the month, in the zone of an account, that an instant is in."""
    return date.fromisoformat(BusinessDays(account.tz).day_of(at_us)).replace(day=1)
