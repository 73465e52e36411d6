"""Caches where pages began, so that a deeper page of the same query continues from there instead of from row 0.

A cached start is valid as long as none of the query's accounts has a new batch.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from typing import Final, NamedTuple

from liushui.instant import to_us
from liushui.ledger.engines.condition_sql import condition
from liushui.ledger.engines.sql_dialects import SQLDialect
from liushui.ledger.read.offset_index import STRIDE, Execute, Offsets, count_rows, from_place
from liushui.provider import FlowQuery

NEAR: Final = 100
"""Offsets below this are not cached: skipping so few rows costs no more than caching."""

QUERIES_MAX: Final = 1_000
"""The most queries whose page starts a connection caches."""

PLACES_MAX: Final = 1_000
"""The most cached starts of one query. Beyond that all of them are dropped."""


class Start(NamedTuple):
    """A query that gives the page with a small offset. `passed`: rows of the original query before its range."""

    query: FlowQuery
    passed: int = 0
    committed: int | None = None
    """The sum of the accounts' batch numbers for which this is valid. None: it is always valid."""


class _Known(NamedTuple):
    committed: int
    places: list[tuple[int, int]]
    """(rows, instant): so many rows of the query are before the instant or, newest first, at or after it."""


class PageStarts:
    """The cached page starts of one connection. Not thread-safe."""

    def __init__(self, execute: Execute, sql: SQLDialect) -> None:
        self._execute = execute
        self._sql = sql
        self._offsets = Offsets(execute, sql)
        self._known: OrderedDict[tuple[object, ...], _Known] = OrderedDict()

    def start(self, query: FlowQuery) -> Start:
        """The nearest known start before the page. At most STRIDE rows, or those of one instant, are left to skip."""
        key = _key(query)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            place = bisect_left(known.places, (query.offset + 1,)) - 1
            if place >= 0:
                passed, edge_us = known.places[place]
                if query.offset - passed <= STRIDE:
                    return Start(from_place(query, edge_us, query.offset - passed), passed, known.committed)
        if query.offset <= STRIDE:
            return Start(query)
        accounts = self._offsets.accounts(query)
        near = self._offsets.near(query, accounts)
        return Start(near, query.offset - near.offset, sum(account.head for account in accounts))

    def committed(self, query: FlowQuery) -> int:
        """The sum of the newest batch numbers of the query's accounts."""
        return sum(account.head for account in self._offsets.accounts(query))

    def remember(self, query: FlowQuery, start: Start, first_us: int, committed: int) -> None:
        """Cache that a page begins at `first_us`, valid for `committed`, unless its offset is below NEAR."""
        if start.query.offset < NEAR:
            return
        since_us, until_us = to_us(start.query.since), to_us(start.query.until)
        since_us, until_us = (first_us + 1, until_us) if query.newest else (since_us, first_us)
        if since_us >= until_us:
            return
        where = condition(query.where, self._sql)
        rows = sum(count_rows(self._execute, name, since_us, until_us, where) for name in query.accounts)
        key = _key(query)
        known = self._known.get(key)
        if known is None or known.committed != committed or len(known.places) >= PLACES_MAX:
            known = self._known[key] = _Known(committed, [])
            if len(self._known) > QUERIES_MAX:
                self._known.popitem(last=False)
        insort(known.places, (start.passed + rows, since_us if query.newest else until_us))

    def forget(self, query: FlowQuery) -> None:
        """Drop the starts of a query, because a commit has changed its accounts."""
        self._known.pop(_key(query), None)


def _key(query: FlowQuery) -> tuple[object, ...]:
    return query.accounts, query.since, query.until, query.where, query.newest
