"""Balances, what filtered flows come to, and the balances around one flow.

Sums come from day totals where these can tell, else from the flows themselves. They are exact, and currencies are
never added together.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays, to_us
from liushui.ledger.day_totals import Sums, Total, exact_sums, parse_sum
from liushui.ledger.engine import Ledger
from liushui.ledger.read import history
from liushui.ledger.read.completeness import Basis, Verdict, combine, end_instant
from liushui.ledger.read.filters import (
    AccountFilter,
    Bound,
    FlowFilter,
    bound_instant,
    equals_currency,
    totals_conditions,
)
from liushui.ledger.read.flows import LedgerFlow, begin_us, day_text, ledger_flow, next_day
from liushui.ledger.read.model import Account, ReadModel
from liushui.ledger.schema import day_totals, flows
from liushui.money import EXACT, ZERO

ROWS_MAX: Final = 250_000
"""Flows that one sum looks at, unless the caller asks for all."""


class Balance(NamedTuple):
    """The sum of an account's flows of one subaccount and currency.

    `at`: the instant before which they happened; of a balance without one, up to when it is complete (None: it is not
    even complete at its beginning). `basis`: whether the sum is a balance or a net change.
    """

    account: str
    subaccount: str
    currency: str
    amount: Decimal
    flows: int
    at: datetime | None
    basis: Basis
    verdict: Verdict


class Balances(NamedTuple):
    """Balances by account, subaccount and currency; and the verdict on all the accounts that were asked for, those
    without a flow too."""

    rows: list[Balance]
    verdict: Verdict


def read_balances(
    model: ReadModel,
    names: Sequence[str] = (),
    *,
    at: Bound | None = None,
    as_of: Bound | None = None,
    currency: str | None = None,
) -> Balances:
    """The sums of the flows before `at` (None: of all), exact. Raises AccountNotFound.

    `as_of`: as recorded until then, in time that grows with the number of versions.
    """
    rows: list[Balance] = []
    verdicts: list[Verdict] = []
    with model.reading(names, as_of) as reading:
        for account in reading.accounts.values():
            verdicts.append(verdict := account.verdict(until=at))
            if at is None:
                rows += balances_of(account, verdict, account.snapshot.sums)
            else:
                before = bound_instant(at, account.name.tz)
                sums = _sums_before(reading.connection, account, before, as_of)
                rows += balances_of(account, verdict, sums, before)
    if currency is not None:
        rows = [row for row in rows if equals_currency(row.currency, currency)]
    return Balances(rows, combine(verdicts))


def _sums_before(connection: Connection, account: Account, at: datetime, as_of: Bound | None) -> Sums:
    if as_of is not None:
        return history.sums_as_of(connection, account.name, as_of, to_us(at))
    return sum_flows(connection, FlowFilter(until=at).of(account.name))


def balances_of(account: Account, verdict: Verdict, sums: Sums, at: datetime | None = None) -> list[Balance]:
    """The balances of an account's sums, by subaccount and currency."""
    if at is None and verdict.until_us is not None:
        at = end_instant(verdict.until_us)
    basis = account.completeness.basis()
    return [
        Balance(account.snapshot.account, subaccount, currency, total.net, total.flows, at, basis, verdict)
        for (subaccount, currency), total in sorted(sums.items())
    ]


# ---------------------------------------------------------------- sums of a filter


class FilteredTotals(NamedTuple):
    """Sums by currency, each with its verdict; and the verdict on the filter's range.

    `since_us` None: of all flows of the filter; else only of those from that instant on, for there are too many.
    """

    sums: dict[str, tuple[Total, Verdict]]
    since_us: int | None
    verdict: Verdict


def read_totals(model: ReadModel, wanted: FlowFilter, rows_max: int | None = ROWS_MAX) -> FilteredTotals:
    """What the flows of a filter come to. `rows_max` None: however many flows have to be looked at."""
    sums: dict[str, Total] = defaultdict(Total)
    with model.reading(wanted.accounts) as reading:
        filters = [wanted.of(account.name) for account in reading.accounts.values()]
        since_us = None
        if wanted.needs_rows and rows_max is not None:
            since_us = _bound_us(reading.connection, filters, rows_max)
        for one in filters:
            part = one if since_us is None else one.within(since_us, one.until_us)
            for (_, currency), total in sum_flows(reading.connection, part).items():
                sums[currency] = sums[currency].plus(total)
        verdicts = {currency: reading.verdict(wanted, currency) for currency in sums}
        return FilteredTotals(
            {currency: (total, verdicts[currency]) for currency, total in sums.items()},
            since_us,
            reading.verdict(wanted),
        )


def sum_flows(connection: Connection, wanted: AccountFilter) -> Sums:
    """What the flows of one account's filter come to, by subaccount and currency."""
    if wanted.conditions.needs_rows:
        return _sum_rows(connection, wanted)
    days = BusinessDays(wanted.account.tz)
    first, last = day_text(days, wanted.since_us), day_text(days, wanted.until_us)
    first_begins_us, last_begins_us = begin_us(days, first), begin_us(days, last)
    if first == last:
        return _sum_rows(connection, wanted)
    sums: Sums = {}
    if wanted.since_us > first_begins_us:  # the range begins within a day
        first = next_day(first)
        _add(sums, _sum_rows(connection, wanted.within(wanted.since_us, begin_us(days, first))))
    if wanted.until_us > last_begins_us:  # the range ends within a day
        _add(sums, _sum_rows(connection, wanted.within(last_begins_us, wanted.until_us)))
    _add(sums, _sum_days(connection, wanted, first, last))
    return sums


def _add(sums: Sums, more: Sums) -> None:
    for key, total in more.items():
        sums[key] = sums.get(key, Total()).plus(total)


def _sum_days(connection: Connection, wanted: AccountFilter, first: str, until: str) -> Sums:
    """The totals of whole days, `until` excluded."""
    t = day_totals.c
    money_in, money_out = exact_sums(connection, t.money_in, t.money_out)
    query = sa.select(t.subaccount, t.currency, sa.func.sum(t.flows), money_in, money_out)
    query = query.where(t.account == wanted.account.account, t.day >= first, t.day < until)
    query = query.where(*totals_conditions(wanted.conditions)).group_by(t.subaccount, t.currency)
    return {
        (subaccount, currency): Total(int(count), parse_sum(inward), parse_sum(outward))
        for subaccount, currency, count, inward, outward in connection.execute(query)
    }


def _sum_rows(connection: Connection, wanted: AccountFilter) -> Sums:
    if wanted.since_us >= wanted.until_us:
        return {}
    f = flows.c
    is_out = sa.func.substr(sa.cast(f.amount, sa.Text), 1, 1) == "-"
    (amounts,) = exact_sums(connection, f.amount)
    query: sa.Select[Any] = sa.select(f.subaccount, f.currency, is_out, sa.func.count(), amounts)
    query = wanted.apply(query, flows).group_by(f.subaccount, f.currency, is_out)
    sums: Sums = {}
    for subaccount, currency, out, count, text in connection.execute(query):
        amount: Decimal = parse_sum(text)
        total = Total(count, ZERO, amount) if out else Total(count, amount, ZERO)
        _add(sums, {(subaccount, currency): total})
    return sums


def _bound_us(connection: Connection, filters: Sequence[AccountFilter], rows_max: int) -> int | None:
    """The instant from which on about `rows_max` flows are in the filters' ranges. None: there are no more than that.

    Counted in whole days, from the newest on.
    """
    t = day_totals.c
    counts: dict[str, int] = defaultdict(int)
    for one in filters:
        days = BusinessDays(one.account.tz)
        query = sa.select(t.day, sa.func.sum(t.flows)).where(
            t.account == one.account.account,
            t.day >= day_text(days, one.since_us),
            t.day <= day_text(days, one.until_us),
        )
        for day, count in connection.execute(query.group_by(t.day)):
            counts[day] += int(count)
    left = rows_max
    newer: str | None = None
    for day in sorted(counts, reverse=True):
        left -= counts[day]
        if left < 0 and newer is not None:
            return max(BusinessDays(one.account.tz).begin_us(date.fromisoformat(newer)) for one in filters)
        newer = day
    return None


# ---------------------------------------------------------------- balance chain

# One flow among those around it, and whether each balance follows from the one before. The providers state balances;
# they do not say in which order flows of one instant came.


NEIGHBOURS: Final = 3
"""How many flows are shown before and after the one in question."""

SKIPPED_MAX: Final = 2_000
"""Flows of other subaccounts and currencies that are skipped in the search for neighbours. Then it stops."""


class Chained(StrEnum):
    """Whether the balance before plus the amount is the stated balance."""

    FOLLOWS = "follows"
    DIFFERS = "differs"
    UNTOLD = "untold"
    """Unknown: one of the two balances is not stated, or there is no flow before."""


class Neighbour(NamedTuple):
    """A flow of the same account, subaccount and currency. `off`: the stated balance minus the expected one."""

    found: LedgerFlow
    chained: Chained
    off: Decimal | None
    is_it: bool


def neighbours(ledger: Ledger, it: LedgerFlow, many: int = NEIGHBOURS) -> list[Neighbour]:
    """The flow `it` with those before and after it in the same running balance, oldest first."""
    with ledger.reading() as connection:
        older = _nearest(connection, it, many + 1, newer=False)
        newer = _nearest(connection, it, many, newer=True)
    row = [*reversed(older), it, *newer]
    shown = len(older) > many
    found = [_chained(row[at - 1] if at else None, one, is_it=one is it) for at, one in enumerate(row)]
    return found[1:] if shown else found


def _chained(before: LedgerFlow | None, one: LedgerFlow, *, is_it: bool) -> Neighbour:
    stated = one.flow.balance_after
    if before is None or before.flow.balance_after is None or stated is None:
        return Neighbour(one, Chained.UNTOLD, None, is_it)
    off = EXACT.subtract(stated, EXACT.add(before.flow.balance_after, one.flow.amount))
    return Neighbour(one, Chained.DIFFERS if off else Chained.FOLLOWS, off or None, is_it)


def _nearest(connection: Connection, it: LedgerFlow, many: int, *, newer: bool) -> Sequence[LedgerFlow]:
    """The nearest flows of the same subaccount and currency, before or after `it`, the nearest first."""
    f = flows.c
    at_us, key = to_us(it.flow.at), sa.tuple_(f.at_us, f.id)
    place = sa.tuple_(sa.literal(at_us), sa.literal(it.id))
    query = sa.select(*flows.columns).where(f.account == it.account)
    query = query.where(f.at_us >= at_us if newer else f.at_us <= at_us, key > place if newer else key < place)
    order = (f.at_us, f.id) if newer else (f.at_us.desc(), f.id.desc())
    near = query.order_by(*order).limit(SKIPPED_MAX).subquery("near")
    n = near.c
    mine = sa.select(near).where(n.subaccount == it.flow.subaccount, n.currency == it.flow.currency)
    mine = mine.order_by(n.at_us, n.id) if newer else mine.order_by(n.at_us.desc(), n.id.desc())
    found = connection.execute(mine.limit(many)).all()
    return [ledger_flow(row) for row in found]
