"""The sums of a filter by currency, over all of its accounts; for very many flows, only of the newest ones."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays
from liushui.ledger.day_totals import Total
from liushui.ledger.read.completeness import Verdict
from liushui.ledger.read.filters import AccountFilter, FlowFilter, day_text
from liushui.ledger.read.model import ReadModel
from liushui.ledger.schema import day_totals

ROWS_MAX: Final = 250_000
"""The most flows that one sum reads, unless the caller asks for all."""


class FilteredTotals(NamedTuple):
    """Sums by currency, each with its verdict, and the verdict on the filter's range.

    `since_us` None: the sums include all flows of the filter. Otherwise they include only the flows from that instant
    on, because there are too many.
    """

    sums: dict[str, tuple[Total, Verdict]]
    since_us: int | None
    verdict: Verdict


def read_totals(model: ReadModel, wanted: FlowFilter, rows_max: int | None = ROWS_MAX) -> FilteredTotals:
    """Return the sums of a filter. `rows_max` None: read any number of flows."""
    sums: dict[str, Total] = defaultdict(Total)
    with model.reading(wanted.accounts) as reading:
        filters = [wanted.of(account.name) for account in reading.accounts.values()]
        since_us = None
        if wanted.needs_rows and rows_max is not None:
            since_us = _bound_us(reading.connection, filters, rows_max)
        for one in filters:
            part = one if since_us is None else one.within(since_us, one.until_us)
            head = reading.accounts[one.account.account].snapshot.head
            for (_, currency, _), total in model.kind_sums.load(reading.connection, part, head).items():
                sums[currency] = sums[currency].plus(total)
        verdicts = {currency: reading.verdict(wanted, currency) for currency in sums}
        return FilteredTotals(
            {currency: (total, verdicts[currency]) for currency, total in sums.items()},
            since_us,
            reading.verdict(wanted),
        )


def _bound_us(connection: Connection, filters: Sequence[AccountFilter], rows_max: int) -> int | None:
    """Return the instant from which on the filters' ranges have about `rows_max` flows. None: they have no more flows
    than that.

    Whole days are counted, from the newest on.
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
