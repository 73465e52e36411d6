"""End-of-day balances: the balance of an account after each of its days, and how far it is complete.

Each one equals what `read_balances` returns for the beginning of the next day, but one query serves all days.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError
from liushui.instant import BusinessDays
from liushui.ledger.day_totals import parse_sum
from liushui.ledger.engines.condition_sql import exact_sums
from liushui.ledger.read.account_sums import sum_flows
from liushui.ledger.read.balances import opening_balance, with_unread_before
from liushui.ledger.read.completeness import Basis, Cause, Gap, Verdict
from liushui.ledger.read.filters import DAY, FlowFilter, equals_currency
from liushui.ledger.read.model import Account, Reading, ReadModel
from liushui.ledger.read.stated_balances import Key, StatedPoints
from liushui.ledger.read.summaries import check_days
from liushui.ledger.schema import day_totals
from liushui.money import EXACT, ZERO

DAYS_SHOWN: Final = 365
"""The default number of days if no first day is given."""
DAYS_MAX: Final = 3_700
"""The most days of one query: ten years."""


class DayBalance(NamedTuple):
    """The balance at the end of a day. `verdict` is about all flows up to then. `gap` says why flows of the day itself
    may be missing. None: all of them are in the ledger, or the account has no source."""

    day: date
    amount: Decimal
    verdict: Verdict
    gap: Gap | None

    @property
    def is_whole(self) -> bool:
        """Whether all flows of the day itself are in the ledger."""
        return self.gap is None and not any(gap.cause is Cause.NO_SOURCE for gap in self.verdict.gaps)


class BalanceSeries(NamedTuple):
    """The end-of-day balances of one subaccount and currency, one for each day. `basis`: whether they are balances or a
    net change."""

    account: str
    subaccount: str
    currency: str
    basis: Basis
    days: list[DayBalance]


class DayRun(NamedTuple):
    """Consecutive days of a series in the same state: balances complete, balances not complete, or flows of the days
    missing.

    `gap`: the gap of the first day, if the days are not complete.
    """

    first: date
    last: date
    is_complete: bool
    has_gap: bool
    gap: Gap | None


def read_daily_balances(
    model: ReadModel,
    names: Sequence[str] = (),
    *,
    first: date | None = None,
    last: date | None = None,
    currency: str | None = None,
    subaccount: str | None = None,
    days_max: int = DAYS_SHOWN,
) -> list[BalanceSeries]:
    """Return the end-of-day balances from `first` to `last`, both included, by account, subaccount and currency.

    `last` None: the newest day of each account that has ended. `first` None: the `days_max` days up to `last`, but not
    before the account's history begins. Raises FilterError for a reversed range, ConfigError for too many days,
    AccountNotFound.
    """
    check_days(first, last)
    series: list[BalanceSeries] = []
    with model.reading(names) as reading:
        for account in reading.accounts.values():
            days = _days_of(reading, account, first, last, days_max)
            if days:
                found = _series_of(reading, account, days)
                series += [
                    one
                    for one in found
                    if (currency is None or equals_currency(one.currency, currency))
                    and subaccount in (None, one.subaccount)
                ]
    return series


def _check_length(first: date, last: date) -> None:
    days = (last - first).days + 1
    if days > DAYS_MAX:
        raise ConfigError(f"since: expected at most {DAYS_MAX:,} days, got {days:,}: ask for a later first day")


def _days_of(reading: Reading, account: Account, first: date | None, last: date | None, days_max: int) -> list[date]:
    """Return the requested days of an account. No day is in the future."""
    over = reading.now.astimezone(account.name.tz).date() - DAY
    last = over if last is None else min(last, over)
    if first is None:
        calendar = BusinessDays(account.name.tz)
        begins = [one for one in (account.snapshot.first_flow_us, _source_begin_us(account)) if one is not None]
        begin = date.fromisoformat(calendar.day_of(min(begins))) if begins else last
        first = max(begin, last - timedelta(days=days_max - 1))
    elif first <= last:
        _check_length(first, last)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _source_begin_us(account: Account) -> int | None:
    return account.completeness.begin_us if account.completeness.has_source else None


def _series_of(reading: Reading, account: Account, days: Sequence[date]) -> Iterator[BalanceSeries]:
    points = reading.stated_points(account)
    before = sum_flows(reading.connection, FlowFilter(until=days[0]).of(account.name))
    moved = _moved(reading.connection, account, days[0], days[-1])
    calendar, basis = BusinessDays(account.name.tz), account.completeness.basis()
    ends_us = [calendar.begin_us(day + DAY) for day in days]
    verdicts = [account.verdict(until=day + DAY) for day in days]
    gaps = [_gap_of(account, day) for day in days]
    for key in sorted({*account.snapshot.sums, *points}):
        stated = points.get(key, StatedPoints())
        opening = opening_balance(account, stated)
        amount = ZERO if opening is None else opening
        if key in before:
            amount = EXACT.add(amount, before[key].net)
        balances = []
        for day, end_us, verdict, gap in zip(days, ends_us, verdicts, gaps, strict=True):
            amount = EXACT.add(amount, moved.get((day.isoformat(), *key), ZERO))
            whole = verdict if opening is None else with_unread_before(account, verdict, stated, end_us)
            balances.append(DayBalance(day, amount, whole, gap))
        yield BalanceSeries(account.name.account, *key, basis if opening is None else Basis(), balances)


def _gap_of(account: Account, day: date) -> Gap | None:
    """Return the gap that may hide flows of a day. None: all of them are in the ledger, or the account has no
    source."""
    if not account.completeness.has_source:
        return None
    calendar = BusinessDays(account.name.tz)
    gaps = account.completeness.gaps(calendar.begin_us(day), calendar.begin_us(day + DAY))
    return gaps[0] if gaps else None


def _moved(connection: Connection, account: Account, first: date, last: date) -> dict[tuple[str, str, str], Decimal]:
    """Return the sums of each day's flows, by day, subaccount and currency."""
    t = day_totals.c
    keys = t.day, t.subaccount, t.currency
    money_in, money_out = exact_sums(connection, t.money_in, t.money_out)
    query = sa.select(*keys, money_in, money_out).where(
        t.account == account.name.account, t.day >= first.isoformat(), t.day <= last.isoformat()
    )
    return {
        (day, subaccount, currency): EXACT.add(parse_sum(inward), parse_sum(outward))
        for day, subaccount, currency, inward, outward in connection.execute(query.group_by(*keys))
    }


def day_stretches(days: Iterable[DayBalance]) -> list[DayRun]:
    """Return runs of days in the same state, oldest first."""
    runs = []
    for (is_complete, has_gap), group in groupby(days, key=lambda one: (one.verdict.is_complete, one.gap is not None)):
        alike = list(group)
        gap = alike[0].gap if has_gap else next(iter(alike[0].verdict.gaps), None)
        runs.append(DayRun(alike[0].day, alike[-1].day, is_complete, has_gap, None if is_complete else gap))
    return runs


def keys_of(account: Account) -> list[Key]:
    """Return the subaccounts and currencies of an account, those with the most flows first."""
    sums = account.snapshot.sums
    return sorted(sums, key=lambda key: (-sums[key].flows, key))
