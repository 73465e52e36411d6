"""What one commit changes: versions that begin and end, how, and what that moves. `commit` writes it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays
from liushui.ledger.chain import Facts
from liushui.ledger.day_totals import Totalling, Totals, merge, totals_of
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.findings import SAME_ID, SIDE, Counts, contradicted, count, unlike
from liushui.ledger.flow_row import AT_US, BATCH, COLUMNS, COPY_MARK, ID, Row
from liushui.ledger.write.quarantine import Ending, Settlement, sealed_row

RESTATED, WITHDRAWN, RECOUNTED, REDERIVED = "restated", "withdrawn", "recounted", "rederived"
"""How a version of a flow ends: changed by the provider; gone from a closed slice; one copy too many in an import; read
otherwise by a codec that learned."""

ADDED, RETRIED, REBUILT, RECORDED = "added", "retried", "rebuilt", "recorded"
"""State of a batch that proves nothing: rows were imported, read after all, derived again, or recorded."""

by_key = itemgetter(AT_US, ID)
_by_edge = itemgetter(1, 2, 3)
_by_entry = itemgetter(0, 1)
_json = msgspec.json.Encoder().encode


class Committed(NamedTuple):
    """What one commit changed."""

    seq: int
    added: int
    restated: int
    withdrawn: int
    quarantined: int


@dataclass
class Change:
    """What a commit is about to do to the fact tables. Rows have the columns of schema.flows."""

    added: list[Row] = field(default_factory=list)
    used: tuple[int, ...] = ()
    """The places of all columns that an added row has a value for. Empty: nobody knows them."""
    ended: list[tuple[Row, str]] = field(default_factory=list)
    quarantined: list[Row] = field(default_factory=list)
    """Versions of quarantine entries that begin, with the columns of schema.quarantine."""
    settled: list[Ending] = field(default_factory=list)
    """Versions of quarantine entries that end."""
    edges: list[Row] = field(default_factory=list)
    rows_in: int = 0
    joined: int = 0
    """Rows of an import that are counted as several because pages ended and began with them."""
    unlike_before: list[Row] = field(default_factory=list)
    """Copies that are unlike the first of their identity, before the commit and after it, where it changes that."""
    unlike_after: list[Row] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Whether no fact changes."""
        return not (self.added or self.ended or self.quarantined or self.settled or self.edges)

    def settle(self, settlement: Settlement) -> None:
        """Take in what happens to the quarantine."""
        self.quarantined = sorted(self.quarantined + settlement.entered, key=itemgetter(1))
        self.settled = sorted(self.settled + settlement.ended, key=_by_entry)

    def sort(self) -> None:
        """Put what a plan gives in the order that it is sealed in."""
        self.added.sort(key=by_key)
        self.ended.sort(key=lambda end: by_key(end[0]))
        self.quarantined.sort(key=itemgetter(1))
        self.edges.sort(key=_by_edge)

    def find_unlike(self, connection: Connection, account: str) -> None:
        """Fill in which copies are unlike, at the instants where that may change. For who does not know all rows."""
        ended = [old for old, _ in self.ended]
        touched = [row for row in self.added if ended or COPY_MARK in row[ID]]  # type: ignore[operator] # a text column
        before = rows_at(connection, account, {row[AT_US] for row in ended + touched})
        gone = {by_key(old) for old in ended}
        self.unlike_before = unlike(before)
        self.unlike_after = unlike([row for row in before if by_key(row) not in gone] + self.added)

    def counted(self, seq: int) -> Committed:
        """What it does, in numbers. A version that ended as restated or rederived may have another in its place."""
        endings = Counter(ended_as for _, ended_as in self.ended)
        replaced = endings[RESTATED] + min(endings[REDERIVED], len(self.added))
        return Committed(
            seq,
            added=len(self.added) - replaced,
            restated=replaced,
            withdrawn=len(self.ended) - replaced,
            quarantined=Settlement(self.quarantined, self.settled).new,
        )

    def facts(self) -> Facts:
        """What the batch seals."""
        return Facts(
            added=self.added,
            ended=[(old[AT_US], old[ID], old[BATCH], ended_as) for old, ended_as in self.ended],
            quarantined=[sealed_row(row) for row in self.quarantined],
            edges=self.edges,
            settled=self.settled,
        )


class Moved:
    """How a change moves the day totals and the counts of findings: complete when its added rows have gone by."""

    def __init__(self, change: Change, days: BusinessDays) -> None:
        self._change, self._days = change, days
        self._added = Totalling(days)
        self._sides: Counts = Counter()

    def passing(self, pieces: Iterable[Sequence[Row]]) -> Iterator[Row]:
        """The added rows, one by one, where they come in pieces."""
        for piece in pieces:
            self._added.add(piece)
            count(self._sides, contradicted(piece), SIDE, self._days)
            yield from piece

    def totals(self) -> Totals:
        """How the day totals move."""
        moved = self._added.totals()
        if self._change.ended:
            left = totals_of((old for old, _ in self._change.ended), self._days)
            moved = merge(moved, {key: total.negative() for key, total in left.items()})
        return moved

    def findings(self) -> Counts:
        """How the counts of findings move."""
        change, counts = self._change, self._sides.copy()
        count(counts, contradicted(old for old, _ in change.ended), SIDE, self._days, -1)
        count(counts, change.unlike_after, SAME_ID, self._days)
        count(counts, change.unlike_before, SAME_ID, self._days, -1)
        return counts


def rows_at(connection: Connection, account: str, times_us: Iterable[object]) -> list[Row]:
    """Every flow that stands at one of these instants."""
    times = _json(list(times_us)).decode()
    return [tuple(row) for row in connection.exec_driver_sql(_SELECT_AT.on(connection), (times, account))]


_SELECT_AT = Statement(
    lambda sql: (
        f"""
SELECT {", ".join(COLUMNS)} FROM ({sql.integers_in_json}) AS given CROSS JOIN flows
WHERE account = ? AND at_us = wanted
"""
    )
)
