"""Day totals: money in and out on each business day, by subaccount, currency and kind. Stored with each commit."""

from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from liushui.instant import BusinessDays
from liushui.ledger.engines.base import Queries
from liushui.ledger.flow_row import AMOUNT, AT_US, COLUMNS, CURRENCY, KIND, SUBACCOUNT, Row
from liushui.money import EXACT, ZERO, exact_sum, to_plain_string

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class TotalKey(NamedTuple):
    """The key of a total. `day` is a date in the account's zone."""

    day: str
    subaccount: str
    currency: str
    kind: str


class Total(NamedTuple):
    """The number of flows, and their exact sums by sign: `money_in` >= 0, `money_out` <= 0."""

    flows: int = 0
    money_in: Decimal = ZERO
    money_out: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """The signed sum of all flows."""
        return EXACT.add(self.money_in, self.money_out)

    @property
    def volume(self) -> Decimal:
        """The sum of all amounts without their signs."""
        return EXACT.subtract(self.money_in, self.money_out)

    def plus(self, other: "Total") -> "Total":
        """The sum of both."""
        return Total(
            self.flows + other.flows,
            EXACT.add(self.money_in, other.money_in),
            EXACT.add(self.money_out, other.money_out),
        )

    def negative(self) -> "Total":
        """Its additive inverse."""
        return Total(-self.flows, self.money_in.copy_negate(), self.money_out.copy_negate())


Totals = dict[TotalKey, Total]
Sums = dict[tuple[str, str], Total]
"""Totals over all days and kinds, by subaccount and currency."""

# `_make` is three times as slow, because it is written in Python.
_to_key: Callable[[Iterable[str]], TotalKey] = partial(tuple.__new__, TotalKey)
_to_total: Callable[[Iterable[Decimal | int]], Total] = partial(tuple.__new__, Total)
_totalled: Callable[[Row], tuple[int, str, str, str, str]] = itemgetter(AT_US, SUBACCOUNT, AMOUNT, CURRENCY, KIND)

FLOW_COLUMNS: Final = ", ".join(COLUMNS[: KIND + 1])
"""The columns of flows that are needed for totals. They come first, so that indexes into a row stay valid."""


class TotalsBuilder:
    """Adds up the totals of rows that come in pieces."""

    def __init__(self, days: BusinessDays) -> None:
        self._days = days
        self._sums: dict[tuple[str, str, str, str], list[Decimal | int]] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows with the columns of schema.flows, or of FLOW_COLUMNS."""
        sums, span_of = self._sums, self._days.span_of
        day, begin_us, end_us = "", 0, 0
        with localcontext(EXACT):
            for at_us, subaccount, amount, currency, kind in map(_totalled, rows):
                # Rows mostly come by time, so the day is looked up only when it changes.
                if not begin_us <= at_us < end_us:
                    day, begin_us, end_us = span_of(at_us)
                key = day, subaccount, currency, kind
                try:
                    sum_ = sums[key]
                except KeyError:
                    sum_ = sums[key] = [0, ZERO, ZERO]
                sum_[0] += 1
                if amount[0] == "-":
                    sum_[2] += Decimal(amount)
                else:
                    sum_[1] += Decimal(amount)

    def totals(self) -> Totals:
        """The totals of the rows so far."""
        return dict(zip(map(_to_key, self._sums), map(_to_total, self._sums.values()), strict=True))


def totals_of(rows: Iterable[Row], days: BusinessDays) -> Totals:
    """The totals of rows with the columns of schema.flows, or of FLOW_COLUMNS."""
    builder = TotalsBuilder(days)
    builder.add(rows)
    return builder.totals()


def merge(totals: Totals, change: Totals) -> Totals:
    """The sum of both."""
    result = dict(totals)
    for key, total in change.items():
        result[key] = result.get(key, Total()).plus(total)
    return result


def store(connection: "Connection", account: str, change: Totals) -> None:
    """Add `change` to the stored totals of an account."""
    if not change:
        return
    from liushui.ledger.engines.bulk_insert import insert_rows  # imported here: a reader needs no SQLAlchemy

    days = [key.day for key in change]
    stored = load(connection, account, min(days), max(days))
    new: list[Row] = []
    changed: list[Row] = []
    gone: list[Row] = []
    for key, total in change.items():
        before = stored.get(key)
        now = total if before is None else before.plus(total)
        # A total of zero stays as long as it has flows, which may cancel each other out.
        if now.flows:
            (new if before is None else changed).append(
                (account, *key, now.flows, to_plain_string(now.money_in), to_plain_string(now.money_out))
            )
        else:
            gone.append((account, *key))
    insert_rows(connection, "day_totals", new)
    if changed:
        connection.exec_driver_sql(_UPSERT, changed)
    if gone:
        connection.exec_driver_sql(_DELETE, gone)


def load(connection: "Connection", account: str, first_day: str, last_day: str) -> Totals:
    """The stored totals of an account's days, both ends included."""
    rows = connection.exec_driver_sql(_SELECT, (account, first_day, last_day))
    return {
        TotalKey(day, subaccount, currency, kind): Total(flows, Decimal(str(money_in)), Decimal(str(money_out)))
        for day, subaccount, currency, kind, flows, money_in, money_out in rows
    }


def load_grouped(queries: Queries, account: str, first_day: str, last_day: str, *, letters: int) -> Totals:
    """The stored totals of an account's days, both ends included, added up over subaccounts and periods.

    A period is the first `letters` of a date: 10 for days, 7 for months, 4 for years, 0 for all days together. The
    keys have it in place of the day, and an empty subaccount.
    """
    key = f"substr(day, 1, {letters:d}), currency, kind"
    sums = f"sum(flows), {queries.sql.exact_sum('money_in')}, {queries.sql.exact_sum('money_out')}"
    rows = queries.rows(
        f"SELECT {key}, {sums} FROM day_totals WHERE account = ? AND day >= ? AND day <= ? GROUP BY {key}",
        account,
        first_day,
        last_day,
    )
    return {
        TotalKey(day, "", currency, kind): Total(int(flows), parse_sum(money_in), parse_sum(money_out))
        for day, currency, kind, flows, money_in, money_out in rows
    }


def load_sums(queries: Queries, account: str) -> Sums:
    """The stored totals of an account, added up over days and kinds."""
    money_in, money_out = queries.sql.exact_sum("money_in"), queries.sql.exact_sum("money_out")
    # In two steps, because the kinds of a day are neighbours in the key and can be added up without sorting. Then only
    # the far fewer remaining rows are sorted.
    days = (
        f"SELECT subaccount, currency, sum(flows) AS flows, {money_in} AS money_in, {money_out} AS money_out "
        "FROM day_totals WHERE account = ? GROUP BY day, subaccount, currency"
    )
    rows = queries.rows(
        f"SELECT subaccount, currency, sum(flows), {money_in}, {money_out} FROM ({days}) AS days "
        "GROUP BY subaccount, currency ORDER BY subaccount, currency",
        account,
    )
    return {
        (subaccount, currency): Total(int(flows), parse_sum(money_in), parse_sum(money_out))
        for subaccount, currency, flows, money_in, money_out in rows
    }


def sums_of(totals: Totals) -> Sums:
    """Totals added up over days and kinds."""
    sums: Sums = {}
    for (_, subaccount, currency, _), total in totals.items():
        sums[subaccount, currency] = sums.get((subaccount, currency), Total()).plus(total)
    return sums


def parse_sum(value: object) -> Decimal:
    """The sum in a column that `SQLDialect.exact_sum` has summed."""
    if value is None:
        return ZERO
    return exact_sum(map(Decimal, value.split(" "))) if isinstance(value, str) else Decimal(str(value))


def flows_by_day(queries: Queries, account: str, first_day: str, last_day: str) -> list[tuple[str, int]]:
    """The number of flows on each day that has any, both ends included, in order."""
    rows = queries.rows(
        "SELECT day, sum(flows) FROM day_totals WHERE account = ? AND day >= ? AND day <= ? GROUP BY day ORDER BY day",
        account,
        first_day,
        last_day,
    )
    return [(day, int(flows)) for day, flows in rows]


_SELECT = """
SELECT day, subaccount, currency, kind, flows, money_in, money_out FROM day_totals
WHERE account = ? AND day >= ? AND day <= ?
"""
_UPSERT = """
INSERT INTO day_totals (account, day, subaccount, currency, kind, flows, money_in, money_out)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (account, day, subaccount, currency, kind)
DO UPDATE SET flows = excluded.flows, money_in = excluded.money_in, money_out = excluded.money_out
"""
_DELETE = "DELETE FROM day_totals WHERE account = ? AND day = ? AND subaccount = ? AND currency = ? AND kind = ?"
