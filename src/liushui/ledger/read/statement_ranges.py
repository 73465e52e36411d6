"""Ranges that statement files prove: their flows lead from the opening balance to the closing balance.

A statement proves its period for one subaccount and currency. An account's range is complete if statements prove it for
every subaccount and currency of the account. This is computed from the current flows. If a flow is changed, added or
undone later, so that a statement no longer adds up, that statement proves nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, reduce
from typing import TYPE_CHECKING

from liushui.ledger.coverage import Range, State, merge_adjacent, replay
from liushui.ledger.engines.base import Queries
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.filters import Bound
from liushui.ledger.read.stated_balances import BalanceRows, CurrentRows, Key, RowsAsOf
from liushui.money import EXACT

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


@dataclass
class StatementRangesCache:
    """Caches the ranges by account and newest batch. They are computed again only after another batch of the
    account."""

    ranges: dict[str, tuple[int, tuple[Range, ...]]] = field(default_factory=dict)

    def load(self, queries: Queries, account: AccountName, head: int) -> tuple[Range, ...]:
        """Return the ranges of an account whose newest batch is `head`, oldest first."""
        cached = self.ranges.get(account.account)
        if cached is not None and cached[0] == head:
            return cached[1]
        ranges = _statement_ranges(CurrentRows(queries, account))
        self.ranges[account.account] = head, ranges
        return ranges


def statement_ranges_as_of(connection: "Connection", account: AccountName, as_of: Bound) -> tuple[Range, ...]:
    """Return the ranges as recorded until an instant, oldest first."""
    return _statement_ranges(RowsAsOf(connection, account, as_of))


def _statement_ranges(rows: BalanceRows) -> tuple[Range, ...]:
    periods = rows.periods()
    if not periods:
        return ()

    @cache  # a statement mostly begins where the previous one ends
    def sum_before(key: Key, at_us: int) -> Decimal:
        return rows.sum_before(key, at_us)

    proven: dict[Key, list[Range]] = defaultdict(list)
    for since_us, until_us, subaccount, currency, opening, closing, batch, recorded_at_us in periods:
        key = subaccount, currency
        flows = EXACT.subtract(sum_before(key, until_us), sum_before(key, since_us))
        if EXACT.add(Decimal(opening), flows) == Decimal(closing):
            proven[key].append(Range(since_us, until_us, State.PROVEN, "", recorded_at_us, batch))
    keys = {*rows.list_keys(), *((subaccount, currency) for _, _, subaccount, currency, *_ in periods)}
    ranges = reduce(_intersect, (replay(proven.get(key, ())) for key in sorted(keys)))
    return tuple(merge_adjacent(ranges))


def _intersect(left: Sequence[Range], right: Sequence[Range]) -> list[Range]:
    """Return the intersection of two lists of ranges. Each side is sorted, and its ranges do not overlap."""
    both: list[Range] = []
    first = second = 0
    while first < len(left) and second < len(right):
        one, other = left[first], right[second]
        since_us, until_us = max(one.since_us, other.since_us), min(one.until_us, other.until_us)
        if since_us < until_us:
            checked_at_us, batch = max(one.checked_at_us, other.checked_at_us), max(one.batch, other.batch)
            both.append(Range(since_us, until_us, State.PROVEN, "", checked_at_us, batch))
        if one.until_us <= other.until_us:
            first += 1
        else:
            second += 1
    return both
