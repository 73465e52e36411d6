"""Fees: flows of the kind fee, and fees within other rows, by account, currency and period.

The amount of a row is the change of the balance. Some providers state a fee that is included in it. The codec keeps the
fee as exact text in `Flow.detail`; `Rules.fee_legs` names the keys. Do not subtract these fees again: they are already
part of the amounts.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from threading import Lock
from typing import Final, NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from liushui.errors import WireError
from liushui.flow import Kind
from liushui.instant import BusinessDays
from liushui.ledger.day_totals import Total
from liushui.ledger.engines.base import STREAMED, queries_of
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.chain_check import changed_ranges
from liushui.ledger.read.completeness import Verdict
from liushui.ledger.read.filters import DAY, FIRST_DAY, LAST_DAY, equals_currency
from liushui.ledger.read.model import Account, ReadModel, verdict_on
from liushui.ledger.read.summaries import Period, SummaryQuery, check_days, day_sums, period_of
from liushui.money import parse_decimal
from liushui.rules import FeeLeg

_MONTH: Final = len("2026-01")


class LegTotal(NamedTuple):
    """The fees within some rows. `total` counts the rows; `money_out` is the charged amount, and `money_in` the amount
    that was given back. `unread`: the number of rows whose fee is not a number, so that the sum lacks it."""

    total: Total = Total()
    unread: int = 0

    def plus(self, other: "LegTotal") -> "LegTotal":
        """Return the sum of both."""
        return LegTotal(self.total.plus(other.total), self.unread + other.unread)


LegDays = dict[tuple[str, str], LegTotal]
"""Fees within rows by day and currency."""


class FeeRow(NamedTuple):
    """The fees of an account in one period and currency. `flows`: flows of the kind fee. `within`: fees that are
    included in the amounts of other rows."""

    period: Period
    account: str
    currency: str
    flows: Total
    within: LegTotal
    verdict: Verdict

    @property
    def total(self) -> Total:
        """The sum of all fees."""
        return self.flows.plus(self.within.total)

    @property
    def is_complete(self) -> bool:
        """Whether every flow of the period is in the ledger, and the fee of each row is known."""
        return self.verdict.is_complete and not self.within.unread

    @property
    def reason(self) -> str:
        """The reason in English why it is not complete; empty if it is complete."""
        count = self.within.unread
        unread = f"{count:,} {'row states' if count == 1 else 'rows state'} a fee that is not a number" if count else ""
        return "; ".join(filter(None, (self.verdict.reason, unread)))


class Fees(NamedTuple):
    """Rows by period, account and currency (only those with fees), and the verdict on the whole range."""

    rows: list[FeeRow]
    verdict: Verdict

    @property
    def is_complete(self) -> bool:
        """Whether no fee is missing."""
        return self.verdict.is_complete and not any(row.within.unread for row in self.rows)


def read_fees(model: ReadModel, query: SummaryQuery) -> Fees:
    """Return the fees of a query's accounts, days and currency, by period and always by account.

    Raises FilterError for a reversed range, AccountNotFound.
    """
    check_days(query.first, query.last)
    after = None if query.last is None or query.last == date.max else query.last + DAY
    periods: dict[str, Period] = {}
    found: dict[tuple[str, str, str], tuple[Total, LegTotal]] = {}

    def add(day: str, account: str, currency: str, flows: Total, within: LegTotal) -> None:
        if query.currency is None or equals_currency(currency, query.currency):
            key = period_of(query, day, periods).name, account, currency
            before = found.get(key, (Total(), LegTotal()))
            found[key] = before[0].plus(flows), before[1].plus(within)

    with model.reading(query.accounts) as reading:
        for name, account in reading.accounts.items():
            for key, total in day_sums(reading.connection, account, query).items():
                if key.kind == Kind.FEE:
                    add(key.day, name, key.currency, total, LegTotal())
            rules = model.rules.get(account.name.provider)
            if rules is not None and rules.fee_legs:
                days = model.fee_legs.load(reading.connection, account, rules.fee_legs, query.first, query.last)
                for (day, currency), legs in days.items():
                    add(day, name, currency, Total(), legs)
        rows = []
        for (period_name, name, currency), (flows, within) in sorted(found.items()):
            period = periods[period_name]
            verdict = verdict_on([reading.accounts[name]], period.first, period.until, currency)
            rows.append(FeeRow(period, name, currency, flows, within, verdict))
        return Fees(rows, verdict_on(reading.accounts.values(), query.first, after))


# ---------------------------------------------------------------- fees within rows


class _CachedMonths(NamedTuple):
    """The cached months of an account, as of a batch."""

    head: int
    months: dict[str, LegDays]


class FeeLegCache:
    """Caches fees within rows by account and month. After another batch, only the months that it touched are read
    again."""

    def __init__(self) -> None:
        self._accounts: dict[str, _CachedMonths] = {}
        self._lock = Lock()

    def load(
        self,
        connection: Connection,
        account: Account,
        legs: Sequence[FeeLeg],
        first: date | None,
        last: date | None,
    ) -> LegDays:
        """Return the fees within an account's rows on days from `first` to `last`, both included."""
        first_day, last_day = _day_text(first, FIRST_DAY), _day_text(last, LAST_DAY)
        calendar = BusinessDays(account.name.tz)
        cached = self._current(connection, account, calendar)
        days: LegDays = {}
        for month in _months(connection, account.name.account, first_day, last_day):
            if month not in cached.months:
                cached.months[month] = _read_month(connection, account.name, legs, month, calendar)
            days.update({key: one for key, one in cached.months[month].items() if first_day <= key[0] <= last_day})
        return days

    def _current(self, connection: Connection, account: Account, calendar: BusinessDays) -> _CachedMonths:
        """Return the cached months of the account's newest batch. A reading of an older batch gets its own record."""
        name, head = account.name.account, account.snapshot.head
        with self._lock:
            cached = self._accounts.get(name)
            if cached is not None and cached.head == head:
                return cached
            if cached is not None and cached.head > head:
                return _CachedMonths(head, {})
        months: dict[str, LegDays] = {}
        if cached is not None:
            changed = changed_ranges(connection, name, cached.head)
            months = {
                month: days for month, days in list(cached.months.items()) if not _touches(month, calendar, changed)
            }
        fresh = _CachedMonths(head, months)
        with self._lock:
            self._accounts[name] = fresh
        return fresh


def _day_text(day: date | None, default: str) -> str:
    return default if day is None else day.isoformat()


def _months(connection: Connection, account: str, first_day: str, last_day: str) -> list[str]:
    """Return the months of a range that have flows."""
    rows = queries_of(connection).rows(_MONTHS, account, first_day, last_day)
    return [month for (month,) in rows]


def _range_us(month: str, calendar: BusinessDays) -> tuple[int, int]:
    """Return the instants [begin, end) of a month."""
    first = date.fromisoformat(f"{month}-01")
    last = first.replace(day=31) if first.month == 12 else first.replace(month=first.month + 1) - DAY
    return calendar.range_us(first.isoformat())[0], calendar.range_us(last.isoformat())[1]


def _touches(month: str, calendar: BusinessDays, ranges: Sequence[tuple[int, int]]) -> bool:
    begin_us, end_us = _range_us(month, calendar)
    return any(since_us < end_us and until_us > begin_us for since_us, until_us in ranges)


def _read_month(
    connection: Connection, account: AccountName, legs: Sequence[FeeLeg], month: str, calendar: BusinessDays
) -> LegDays:
    """Return the fees within the rows of a month."""
    days: LegDays = {}
    values = account.account, *_range_us(month, calendar)
    for at_us, currency, detail in connection.exec_driver_sql(_DETAILS, values, execution_options=STREAMED):
        for leg in _legs_in(detail, legs):
            key = calendar.day_of(at_us), currency
            days[key] = days.get(key, LegTotal()).plus(leg)
    return days


def _legs_in(detail: str, legs: Sequence[FeeLeg]) -> Iterator[LegTotal]:
    """Return the fees in a flow's detail. A fee of zero does not count."""
    values = msgspec.json.decode(detail, type=dict[str, msgspec.Raw])
    for leg in legs:
        raw = values.get(leg.key)
        if raw is None or bytes(raw) in (b"null", b'""'):
            continue
        try:
            stated = parse_decimal(leg.key, msgspec.json.decode(raw, type=str))
        except (WireError, msgspec.ValidationError):
            yield LegTotal(unread=1)
            continue
        fee: Decimal = stated.copy_negate() if leg.is_charge_positive else stated
        if fee:
            yield LegTotal(Total(1, *((fee, Decimal(0)) if fee > 0 else (Decimal(0), fee))))


_MONTHS: Final = f"SELECT DISTINCT substr(day, 1, {_MONTH}) FROM day_totals WHERE account = ? AND day >= ? AND day <= ?"
_DETAILS: Final = """
SELECT at_us, currency, detail FROM flows
WHERE account = ? AND at_us >= ? AND at_us < ? AND detail IS NOT NULL AND kind <> 'fee'
"""
"""Rows that are fees themselves are counted as flows; such a row may state its amount again as a fee within it."""
