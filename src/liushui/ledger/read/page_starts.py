"""Where pages began: a page of the same query goes on from a place that is known, instead of from the query's end.

A place holds for one state of its accounts: for as long as no batch of theirs has been committed since.
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
"""Rows that are passed over without a thought: to remember a place costs as much."""

QUERIES_MAX: Final = 1_000
"""Queries that a connection remembers the places of."""

PLACES_MAX: Final = 1_000
"""Starts of one query: beyond them it begins anew."""


class Start(NamedTuple):
    """A page, asked for from a place: `passed` rows of the query asked stand before it."""

    query: FlowQuery
    passed: int = 0
    committed: int | None = None
    """The batches that the accounts had come to, all together, when that was so. None: it is so in every state."""


class _Known(NamedTuple):
    committed: int
    places: list[tuple[int, int]]
    """So many rows stand before an instant, from the query's end on; or, from its newest end, at it and after it."""


class PageStarts:
    """One connection's: not for two threads at once."""

    def __init__(self, execute: Execute, sql: SQLDialect) -> None:
        self._execute = execute
        self._sql = sql
        self._offsets = Offsets(execute, sql)
        self._known: OrderedDict[tuple[object, ...], _Known] = OrderedDict()

    def start(self, query: FlowQuery) -> Start:
        """The nearest place that is known before the page: at most STRIDE rows, and those of one instant, are left."""
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
        """The batches that the query's accounts have come to, all together."""
        return sum(account.head for account in self._offsets.accounts(query))

    def remember(self, query: FlowQuery, start: Start, first_us: int, committed: int) -> None:
        """That a page begins with a row of that instant, in a state, where it is far enough from where it started."""
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
        """A commit has come between: what was known is of another state."""
        self._known.pop(_key(query), None)


def _key(query: FlowQuery) -> tuple[object, ...]:
    return query.accounts, query.since, query.until, query.where, query.newest
