"""What filtered flows come to, by currency: from day totals where they can tell, else from the flows themselves.

Of the flows themselves so many are looked at, from the newest on; a sum that ends there says how far it goes.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger.day_totals import exact_sums, summed
from liushui.ledger.engine import Ledger
from liushui.ledger.read.balances import FIRST_DAY, LAST_DAY, FlowFilter, Named, accounts_named, restricted
from liushui.ledger.read.moved import NOTHING, Moved
from liushui.ledger.schema import day_totals, flows
from liushui.money import ZERO

DAY = timedelta(days=1)

ROWS_MAX: Final = 250_000
"""Flows that are looked at for one sum, where nobody asks for more."""

_UNTOTALLED: Final = ("category", "direction", "symbol", "ref", "amount_min", "amount_max", "text", "finding")
"""Conditions that day totals know nothing of."""

_FAR_US: Final = 2**62


class Filtered(NamedTuple):
    """The sums by currency. `since_us` None: of all flows that are meant; else of those from that instant on."""

    sums: dict[str, Moved]
    since_us: int | None


def filtered(ledger: Ledger, wanted: FlowFilter, rows_max: int | None = ROWS_MAX) -> Filtered:
    """What the flows of a filter come to. `rows_max` None: however many have to be looked at."""
    sums: dict[str, Moved] = defaultdict(lambda: NOTHING)
    with ledger.reading() as connection:
        chosen = accounts_named(connection, wanted.accounts)
        if all(getattr(wanted, name) is None for name in _UNTOTALLED):
            for account in chosen:
                _add(sums, _from_totals(connection, account, wanted))
            return Filtered(dict(sums), None)
        since_us = None if rows_max is None else _bound(connection, chosen, wanted, rows_max)
        if since_us is not None:
            wanted = wanted._replace(since=from_us(since_us))
        for account in chosen:
            _add(sums, _from_flows(connection, wanted._replace(accounts=(account.account,))))
    return Filtered(dict(sums), since_us)


def _add(sums: dict[str, Moved], found: Iterable[tuple[str, Moved]]) -> None:
    for currency, moved in found:
        sums[currency] = sums[currency].plus(*moved)


def _from_totals(connection: Connection, account: Named, wanted: FlowFilter) -> list[tuple[str, Moved]]:
    """The whole days of a range from their totals, and the parts of days at its ends from the flows."""
    days = BusinessDays(load_zone(account.zone))
    first, last = FIRST_DAY, LAST_DAY
    found: list[tuple[str, Moved]] = []
    mine = wanted._replace(accounts=(account.account,))
    since_us = None if wanted.since is None else to_us(wanted.since)
    until_us = None if wanted.until is None else to_us(wanted.until)
    if since_us is not None:
        first, begin_us, end_us = _day_of(days, since_us)
        if since_us > begin_us:
            part_us = end_us if until_us is None else min(end_us, until_us)
            found += _from_flows(connection, mine._replace(until=from_us(part_us)))
            first = (date.fromisoformat(first) + DAY).isoformat()
            if until_us is not None and until_us <= end_us:
                return found
    if until_us is not None:
        last, begin_us, _ = _day_of(days, until_us)
        if until_us > begin_us:
            found += _from_flows(connection, mine._replace(since=from_us(max(begin_us, since_us or begin_us))))
        last = (date.fromisoformat(last) - DAY).isoformat()
    t = day_totals.c
    money_in, money_out = exact_sums(connection, t.money_in, t.money_out)
    query = sa.select(t.currency, sa.func.sum(t.flows), money_in, money_out)
    query = query.where(t.account == account.account, t.day >= first, t.day <= last)
    for name in ("currency", "kind", "subaccount"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(t[name] == value)
    for currency, many, inward, outward in connection.execute(query.group_by(t.currency)):
        found.append((currency, Moved(int(many), summed(inward), summed(outward))))
    return found


def _day_of(days: BusinessDays, at_us: int) -> tuple[str, int, int]:
    """The day of an instant, when it begins and when it ends."""
    day = days.day_of(at_us)
    found = date.fromisoformat(day)
    return day, days.begin_us(found), days.begin_us(found + DAY)


def _from_flows(connection: Connection, wanted: FlowFilter) -> list[tuple[str, Moved]]:
    """The sums of the flows themselves, of one account."""
    is_out = sa.func.substr(sa.cast(flows.c.amount, sa.Text), 1, 1) == "-"
    (amounts,) = exact_sums(connection, flows.c.amount)
    query: sa.Select[Any] = restricted(sa.select(flows.c.currency, is_out, sa.func.count(), amounts), flows, wanted)
    found: list[tuple[str, Moved]] = []
    for currency, out, many, text in connection.execute(query.group_by(flows.c.currency, is_out)):
        amount: Decimal = summed(text)
        found.append((currency, Moved(many, ZERO, amount) if out else Moved(many, amount, ZERO)))
    return found


def _bound(connection: Connection, chosen: Sequence[Named], wanted: FlowFilter, rows_max: int) -> int | None:
    """From when on so many flows stand in a filter's range. None: there are no more than that."""
    t = day_totals.c
    query = sa.select(t.day, sa.func.sum(t.flows)).where(t.account.in_([account.account for account in chosen]))
    calendars = [BusinessDays(load_zone(account.zone)) for account in chosen]
    if wanted.since is not None:
        query = query.where(t.day >= min(days.day_of(to_us(wanted.since)) for days in calendars))
    if wanted.until is not None:
        query = query.where(t.day <= max(days.day_of(to_us(wanted.until)) for days in calendars))
    left = rows_max
    newer: str | None = None
    for day, many in connection.execute(query.group_by(t.day).order_by(t.day.desc())):
        left -= int(many)
        if left < 0 and newer is not None:
            return max(days.begin_us(date.fromisoformat(newer)) for days in calendars)
        newer = day
    return None
