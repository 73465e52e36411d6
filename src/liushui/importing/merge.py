"""What a block of a document changes in a ledger: only what is new, however often and in whatever order it comes.

How many equal flows there are is told from the pages that a user saved. Rows of one identity within a page, at a time
that is neither the page's oldest nor its newest, are all there are: the page has that time as a whole. At its ends a
page may have been cut between equal rows. A page that ends with `n` of them as its oldest and one that begins with `m`
of them as its newest hold n + m together. A page of one single time has all of it or, if another page has more, the
rest of it. Each count is stored once, so the answer depends only on which pages were seen, not on their order.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection
from enum import StrEnum
from itertools import count
from typing import NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from liushui.importing.staging import Block
from liushui.ledger.coverage import State
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.flow_row import AT_US, COLUMNS, ID, WIRE, Row, flow_id, identity_of
from liushui.ledger.write.change import RECOUNTED, Change

_json = msgspec.json.Encoder().encode


# ---------------------------------------------------------------- counting equal rows


class Position(StrEnum):
    """Where a time is in its page: at an end, or between the ends."""

    WITHIN = "within"
    OLDEST = "oldest"
    NEWEST = "newest"
    ALONE = "alone"
    """The page has no other time."""


Seen = tuple[Position, int]
"""How many equal rows a page had, and where."""


def position_of(at_us: int, ends: tuple[int, int]) -> Position:
    """Where a time is in a page from ends[0] to ends[1]."""
    oldest, newest = ends
    if oldest == newest:
        return Position.ALONE
    if oldest < at_us < newest:
        return Position.WITHIN
    return Position.OLDEST if at_us == oldest else Position.NEWEST


def count_copies(seen: Collection[Seen]) -> int:
    """The number of equal flows that fits what was seen."""
    within = [copies for position, copies in seen if position is Position.WITHIN]
    if within:
        return max(within)
    oldest = {copies for position, copies in seen if position is Position.OLDEST}
    newest = {copies for position, copies in seen if position is Position.NEWEST}
    alone = {copies for position, copies in seen if position is Position.ALONE}
    least = max(oldest | newest, default=0)
    if alone and max(alone) >= least:
        return max(alone)
    oldest, newest = oldest or alone, newest or alone
    if not oldest or not newest:
        return least
    sums = {least} | {n + m for n in oldest for m in newest if n + m >= least}
    return min(sums, key=lambda total: (_unmatched(total, oldest, newest), total))


def _unmatched(total: int, oldest: set[int], newest: set[int]) -> int:
    """How many of the counts have no counterpart that makes up the total."""
    return sum(total - n not in newest for n in oldest) + sum(total - m not in oldest for m in newest)


# ---------------------------------------------------------------- merging


class _Known(NamedTuple):
    """What the ledger has at the times of a block."""

    flows: dict[tuple[object, str], list[Row]]
    """By time and identity, in the order of their ordinals."""
    edges: dict[str, set[Seen]]
    """What was seen at the ends of pages, by identity."""
    proven: list[tuple[int, int]]
    """Ranges that a sync has proven complete, oldest first."""

    def is_proven(self, at_us: int) -> bool:
        """Whether a sync has proven that time complete."""
        index = bisect_right(self.proven, at_us, key=lambda known: known[0])
        return index > 0 and at_us < self.proven[index - 1][1]


def merge_block(connection: Connection, account: str, block: Block, ends: tuple[int, int], batch: int) -> Change:
    """The change that a block makes. `ends` are the oldest and the newest time of its whole page."""
    merger = _Merger(account, ends, batch, _known_at(connection, account, block))
    change = merger.change
    change.rows_in, change.filled = len(block), block.filled
    rows = block.rows(account, batch)
    may_be_special = merger.has_known or block.at_us[0] <= ends[0] or ends[1] <= block.at_us[-1]
    if not may_be_special and len(set(block.identity)) == len(rows):
        change.added = rows
        return change
    keys = list(zip(block.at_us, block.identity, strict=True))
    copies = Counter(keys)
    groups: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for key, row in zip(keys, rows, strict=True):
        if copies[key] == 1 and not (may_be_special and merger.is_special(*key)):
            change.added.append(row)
        else:
            groups[key].append(row)
    for (at_us, identity), group in groups.items():
        merger.merge(at_us, identity, group)
    return change


class _Merger:
    """Puts the change of one block together."""

    def __init__(self, account: str, ends: tuple[int, int], batch: int, known: _Known) -> None:
        self.change = Change()
        self.has_known = bool(known.flows or known.edges)
        """Whether something in the ledger may concern the block."""
        self._account, self._ends, self._batch, self._known = account, ends, batch, known

    def is_special(self, at_us: int, identity: str) -> bool:
        """Whether a row is more than a new one in the middle of its page."""
        return at_us in self._ends or (at_us, identity) in self._known.flows or identity in self._known.edges

    def merge(self, at_us: int, identity: str, rows: list[Row]) -> None:
        """Merge the rows of one identity and time. Their ids are still the identity."""
        change, known = self.change, self._known
        stored = known.flows.get((at_us, identity), [])
        if stored and known.is_proven(at_us):
            return
        position = position_of(at_us, self._ends)
        edges = known.edges.get(identity, set())
        seen = edges | {(position, len(rows))}
        if stored and not edges:
            seen.add((Position.WITHIN, len(stored)))
        if edges or position is not Position.WITHIN:
            new = sorted(seen - edges)
            change.edges += [(self._account, identity, where.value, copies, self._batch) for where, copies in new]
            known.edges[identity] = seen
        wanted = count_copies(seen)
        change.joined += wanted > max(copies for _, copies in seen)
        texts = {row[WIRE] for row in stored}
        # Rows with the bytes of a stored row come last, so that those that are added are other ones.
        rows.sort(key=lambda row: (row[WIRE] in texts, row[WIRE]))
        taken = {row[ID] for row in stored}  # a slice may have had the same identity at another time too
        free = (id_ for ordinal in count() if (id_ := flow_id(identity, ordinal)) not in taken)
        for row, id_ in zip(rows[: max(0, wanted - len(stored))], free, strict=False):
            change.added.append((*row[:ID], id_, *row[ID + 1 :]))
        change.ended += [(row, RECOUNTED) for row in stored[wanted:]]


def _known_at(connection: Connection, account: str, block: Block) -> _Known:
    """A few statements, however many rows the block has. Most blocks are new, which the short ones tell."""
    first_us, last_us = block.at_us[0], block.at_us[-1]
    flows: dict[tuple[object, str], list[Row]] = defaultdict(list)
    if connection.exec_driver_sql(_ANY_FLOW, (account, first_us, last_us)).first() is not None:
        times = _json(sorted(set(block.at_us))).decode()
        for row in connection.exec_driver_sql(_SELECT_FLOWS.on(connection), (times, account)):
            flows[row[AT_US], identity_of(row[ID])].append(tuple(row))
        for rows in flows.values():
            rows.sort(key=lambda row: (len(str(row[ID])), str(row[ID])))
    edges: dict[str, set[Seen]] = defaultdict(set)
    if connection.exec_driver_sql(_ANY_EDGE, (account,)).first() is not None:
        identities = _json(sorted(set(block.identity))).decode()
        for row in connection.exec_driver_sql(_SELECT_EDGES.on(connection), (identities, account)):
            edges[row[0]].add((Position(row[1]), row[2]))
    proven = connection.exec_driver_sql(_SELECT_PROVEN, (account, State.PROVEN.value, last_us, first_us))
    return _Known(flows, edges, [(row[0], row[1]) for row in proven])


_ANY_FLOW = "SELECT 1 FROM flows WHERE account = ? AND at_us >= ? AND at_us <= ? LIMIT 1"
_ANY_EDGE = "SELECT 1 FROM page_edges WHERE account = ? LIMIT 1"
_SELECT_FLOWS = Statement(
    lambda sql: (
        f"""
SELECT {", ".join(COLUMNS)} FROM ({sql.integers_in_json}) AS given CROSS JOIN flows
WHERE account = ? AND at_us = wanted
"""
    )
)
_SELECT_EDGES = Statement(
    lambda sql: (
        f"""
SELECT identity, side, copies FROM ({sql.texts_in_json}) AS given CROSS JOIN page_edges
WHERE account = ? AND identity = wanted AND ended_batch IS NULL
"""
    )
)
_SELECT_PROVEN = """
SELECT since_us, until_us FROM coverage
WHERE account = ? AND state = ? AND since_us <= ? AND until_us > ? ORDER BY since_us
"""
