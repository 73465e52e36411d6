"""Sum the flows of one account that match a filter: from day totals if they suffice, else from the flows.

Sums are exact, and currencies are never added together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays
from liushui.ledger.day_totals import Sums, Total, parse_sum
from liushui.ledger.engines.condition_sql import exact_sums
from liushui.ledger.read.filters import (
    AFTER_ALL_US,
    BEFORE_ALL_US,
    AccountFilter,
    FlowFilter,
    begin_us,
    day_text,
    equals_currency,
    next_day,
    totals_conditions,
)
from liushui.ledger.schema import day_totals, flows
from liushui.money import ZERO

KindSums = dict[tuple[str, str, str], Total]
"""Totals by subaccount, currency and kind."""


def sum_flows(connection: Connection, wanted: AccountFilter) -> Sums:
    """Return the sums of one account's flows that match a filter, by subaccount and currency."""
    return _sum(connection, wanted, ("subaccount", "currency"))


def sum_kinds(connection: Connection, wanted: AccountFilter) -> KindSums:
    """Return the sums of one account's flows that match a filter, by subaccount, currency and kind."""
    return _sum(connection, wanted, ("subaccount", "currency", "kind"))


@dataclass
class KindSumsCache:
    """Caches the totals of all flows of accounts, by account and newest batch. They are added up again only after
    another batch."""

    sums: dict[str, tuple[int, KindSums]] = field(default_factory=dict)

    def load(self, connection: Connection, wanted: AccountFilter, head: int) -> KindSums:
        """Return the same as `sum_kinds` for an account whose newest batch is `head`. Reads nothing if the filter has
        no time range and its sums are cached."""
        conditions = wanted.conditions
        is_all_time = wanted.since_us <= BEFORE_ALL_US and wanted.until_us >= AFTER_ALL_US
        if conditions.needs_rows or not is_all_time:
            return sum_kinds(connection, wanted)
        name = wanted.account.account
        cached = self.sums.get(name)
        if cached is None or cached[0] != head:
            cached = head, sum_kinds(connection, wanted._replace(conditions=FlowFilter()))
            self.sums[name] = cached
        return {
            (subaccount, currency, kind): total
            for (subaccount, currency, kind), total in cached[1].items()
            if conditions.subaccount in (None, subaccount)
            and conditions.kind in (None, kind)
            and (conditions.currency is None or equals_currency(currency, conditions.currency))
        }


def _sum(connection: Connection, wanted: AccountFilter, names: Sequence[str]) -> dict[Any, Total]:
    """Totals by the values of some columns."""
    if wanted.conditions.needs_rows:
        return _sum_rows(connection, wanted, names)
    days = BusinessDays(wanted.account.tz)
    first, last = day_text(days, wanted.since_us), day_text(days, wanted.until_us)
    first_begins_us, last_begins_us = begin_us(days, first), begin_us(days, last)
    if first == last:
        return _sum_rows(connection, wanted, names)
    sums: dict[Any, Total] = {}
    if wanted.since_us > first_begins_us:  # the range begins within a day
        first = next_day(first)
        _add(sums, _sum_rows(connection, wanted.within(wanted.since_us, begin_us(days, first)), names))
    if wanted.until_us > last_begins_us:  # the range ends within a day
        _add(sums, _sum_rows(connection, wanted.within(last_begins_us, wanted.until_us), names))
    _add(sums, _sum_days(connection, wanted, first, last, names))
    return sums


def _add(sums: dict[Any, Total], more: dict[Any, Total]) -> None:
    for key, total in more.items():
        sums[key] = sums.get(key, Total()).plus(total)


def _sum_days(
    connection: Connection, wanted: AccountFilter, first: str, until: str, names: Sequence[str]
) -> dict[Any, Total]:
    """The totals of whole days, `until` excluded."""
    t = day_totals.c
    keys = [t[name] for name in names]
    money_in, money_out = exact_sums(connection, t.money_in, t.money_out)
    query: sa.Select[Any] = sa.select(*keys, sa.func.sum(t.flows), money_in, money_out)
    query = query.where(t.account == wanted.account.account, t.day >= first, t.day < until)
    query = query.where(*totals_conditions(wanted.conditions)).group_by(*keys)
    return {
        tuple(key): Total(int(count), parse_sum(inward), parse_sum(outward))
        for *key, count, inward, outward in connection.execute(query)
    }


def _sum_rows(connection: Connection, wanted: AccountFilter, names: Sequence[str]) -> dict[Any, Total]:
    if wanted.since_us >= wanted.until_us:
        return {}
    f = flows.c
    keys = [f[name] for name in names]
    is_out = sa.func.substr(sa.cast(f.amount, sa.Text), 1, 1) == "-"
    (amounts,) = exact_sums(connection, f.amount)
    query: sa.Select[Any] = sa.select(*keys, is_out, sa.func.count(), amounts)
    query = wanted.apply(query, flows).group_by(*keys, is_out)
    sums: dict[Any, Total] = {}
    for *key, out, count, text in connection.execute(query):
        amount: Decimal = parse_sum(text)
        total = Total(count, ZERO, amount) if out else Total(count, amount, ZERO)
        _add(sums, {tuple(key): total})
    return sums
