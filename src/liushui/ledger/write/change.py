"""Describes one commit: the versions that begin and end, and the changes of day totals and findings."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays
from liushui.ledger.chain import Facts
from liushui.ledger.day_totals import Totals, TotalsBuilder, merge, totals_of
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.findings import SAME_ID, SIDE, Counts, contradictory, count, differing_copies
from liushui.ledger.flow_row import AT_US, BATCH, COLUMNS, COPY_MARK, ID, Row
from liushui.ledger.schema import stated_balances
from liushui.ledger.write.quarantine import Ending, QuarantineChange, sealed_row

RESTATED, WITHDRAWN, RECOUNTED, REDERIVED = "restated", "withdrawn", "recounted", "rederived"
"""The ways in which a version of a flow ends. RESTATED: the provider changed it. WITHDRAWN: a complete read of its
range does not have it. RECOUNTED: an import counted one copy too many. REDERIVED: a newer codec decodes its row
differently. The fifth way is `quarantine.UNDONE`: the import that brought it was undone."""

ADDED, RETRIED, REBUILT, RECORDED = "added", "retried", "rebuilt", "recorded"
STATED, DECIDED, CLOSED, REVIEWED = "stated", "decided", "closed", "reviewed"
"""The states of batches that prove no range. ADDED: an import. RETRIED: quarantined rows that could be decoded, or
whose records came in as other rows. REBUILT: rows decoded again. RECORDED: flows that a program recorded. STATED: a
balance that a person stated or withdrew. DECIDED: a person's decision about a link. CLOSED: a month that a person
closed or opened again. REVIEWED: findings that a person explained, or explanations that were withdrawn.
`quarantine.UNDONE`: an import was undone. The reason of ADDED and UNDONE is the id of the import.
`quarantine.DISCARDED`: bytes were erased, with the user's reason."""

STATED_END: Final = [column.name for column in stated_balances.columns].index("batch")

by_key = itemgetter(AT_US, ID)
_encode = msgspec.json.Encoder().encode


class Committed(NamedTuple):
    """The numbers of versions that one commit added and ended, and of rows that it quarantined."""

    seq: int
    added: int
    restated: int
    withdrawn: int
    quarantined: int


@dataclass
class Change:
    """The changes of a commit to the fact tables. Rows of flows have the columns of schema.flows."""

    added: list[Row] = field(default_factory=list)
    filled: tuple[int, ...] = ()
    """The indexes of the columns that are not empty in every added row. Empty: not computed."""
    ended: list[tuple[Row, str]] = field(default_factory=list)
    """Versions that end, each with the way in which it ends."""
    quarantined: list[Row] = field(default_factory=list)
    """New versions of quarantine entries, with the columns of schema.quarantine."""
    settled: list[Ending] = field(default_factory=list)
    """Versions of quarantine entries that end."""
    edges: list[Row] = field(default_factory=list)
    """New rows of schema.page_edges."""
    ended_edges: list[Row] = field(default_factory=list)
    """Rows of schema.page_edges that end: identity, side, copies, and the batch that entered each."""
    reseals: list[Row] = field(default_factory=list)
    """New rows of schema.reseals."""
    stated: list[Row] = field(default_factory=list)
    """New rows of schema.stated_balances."""
    unstated: list[tuple[int, str]] = field(default_factory=list)
    """Withdrawn stated balances: the batch that stated each, and the reason."""
    decided: list[Row] = field(default_factory=list)
    """New rows of schema.link_decisions."""
    periods: list[Row] = field(default_factory=list)
    """New rows of schema.period_decisions."""
    findings: list[Row] = field(default_factory=list)
    """New rows of schema.finding_decisions."""
    rows_in: int = 0
    joined: int = 0
    """Rows that an import counts as several flows, because one page ended with the row and the next one began with
    it."""
    differing_before: list[Row] = field(default_factory=list)
    """Copies that differ from the first row of their identity and time, before the commit; only those that the commit
    changes."""
    differing_after: list[Row] = field(default_factory=list)
    """The same after the commit."""

    def is_empty(self) -> bool:
        """Whether the change contains no facts."""
        flows = (self.added, self.ended, self.quarantined, self.settled, self.edges, self.ended_edges)
        decisions = (self.stated, self.unstated, self.decided, self.periods, self.findings)
        return not any((*flows, self.reseals, *decisions))

    def add_quarantine(self, change: QuarantineChange) -> None:
        """Add the changes of the quarantine, in the order in which the chain seals them."""
        self.quarantined = sorted(self.quarantined + change.entered, key=itemgetter(1))
        self.settled = sorted(self.settled + change.ended, key=itemgetter(0, 1))

    def sort(self) -> None:
        """Sort everything in the order in which the chain seals it."""
        self.added.sort(key=by_key)
        self.ended.sort(key=lambda ending: by_key(ending[0]))
        self.quarantined.sort(key=itemgetter(1))
        self.edges.sort(key=itemgetter(1, 2, 3))
        self.ended_edges.sort()
        self.reseals.sort()
        self.findings.sort(key=itemgetter(1))

    def find_differing(self, connection: Connection, account: str) -> None:
        """Compute the copies that differ before and after, for a change that did not read every row of its range."""
        ended = [old for old, _ in self.ended]
        # If no version ends, only a new copy can change the result.
        touched = [row for row in self.added if ended or COPY_MARK in row[ID]]  # type: ignore[operator] # a text column
        before = rows_at(connection, account, {row[AT_US] for row in ended + touched})
        ended_keys = {by_key(old) for old in ended}
        self.differing_before = differing_copies(before)
        self.differing_after = differing_copies([row for row in before if by_key(row) not in ended_keys] + self.added)

    def count(self, seq: int) -> Committed:
        """Return the numbers of flows that the change adds, restates and withdraws, and of rows that it rejects."""
        endings = Counter(how for _, how in self.ended)
        replaced = endings[RESTATED] + min(endings[REDERIVED], len(self.added))
        return Committed(
            seq,
            added=len(self.added) - replaced,
            restated=replaced,
            withdrawn=len(self.ended) - replaced,
            quarantined=QuarantineChange(self.quarantined, self.settled).new_entries,
        )

    def facts(self) -> Facts:
        """Return the facts that the batch seals."""
        return Facts(
            added=self.added,
            ended=[(old[AT_US], old[ID], old[BATCH], how) for old, how in self.ended],
            quarantined=[sealed_row(row) for row in self.quarantined],
            edges=self.edges,
            settled=self.settled,
            ended_edges=self.ended_edges,
            reseals=[(batch, digest) for _, batch, _, digest in self.reseals],
            stated=[stated_facts(row) for row in self.stated],
            unstated=self.unstated,
            decided=[decided_facts(row) for row in self.decided],
            periods=[decided_facts(row) for row in self.periods],
            findings=[decided_facts(row) for row in self.findings],
        )


def stated_facts(row: Row) -> Row:
    """Return the facts of a schema.stated_balances row that the chain seals: the statements of the person or the
    file."""
    return (*row[1:STATED_END], *statement_facts(row[-2], row[-1]))


def statement_facts(since_us: object, opening: object) -> Row:
    """The facts about a statement file's period that the chain seals. Without a period there are none, as in older
    ledgers."""
    return () if since_us is None and opening is None else (since_us, opening)


def decided_facts(row: Row) -> Row:
    """Return the facts of a decision's row that the chain seals: all columns except account and batch."""
    _account, about, _batch, *decision = row
    return (about, *decision)


class DerivedChange:
    """The effect of a change on day totals and finding counts. It is complete when all added rows have passed through
    `watch`."""

    def __init__(self, change: Change, days: BusinessDays) -> None:
        self._change, self._days = change, days
        self._added = TotalsBuilder(days)
        self._contradictory: Counts = Counter()

    def watch(self, pieces: Iterable[Sequence[Row]]) -> Iterator[Row]:
        """Yield the added rows, which come in pieces, and count them."""
        return chain.from_iterable(map(self._count, pieces))

    def _count(self, piece: Sequence[Row]) -> Sequence[Row]:
        self._added.add(piece)
        count(self._contradictory, contradictory(piece), SIDE, self._days)
        return piece

    def totals(self) -> Totals:
        """Return the additions to the day totals."""
        totals = self._added.totals()
        if self._change.ended:
            ended = totals_of((old for old, _ in self._change.ended), self._days)
            totals = merge(totals, {key: total.negative() for key, total in ended.items()})
        return totals

    def findings(self) -> Counts:
        """Return the additions to the finding counts."""
        change, counts = self._change, self._contradictory.copy()
        count(counts, contradictory(old for old, _ in change.ended), SIDE, self._days, -1)
        count(counts, change.differing_after, SAME_ID, self._days)
        count(counts, change.differing_before, SAME_ID, self._days, -1)
        return counts


def rows_at(connection: Connection, account: str, times_us: Iterable[object]) -> list[Row]:
    """Return every flow at one of these instants."""
    parameters = _encode(list(times_us)).decode(), account
    return [tuple(row) for row in connection.exec_driver_sql(_SELECT_AT.on(connection), parameters)]


_SELECT_AT: Final = Statement(
    lambda sql: (
        f"""
SELECT {", ".join(COLUMNS)} FROM ({sql.integers_in_json}) AS given CROSS JOIN flows
WHERE account = ? AND at_us = wanted
"""
    )
)
