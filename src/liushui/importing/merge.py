"""What a chunk of a document changes in a ledger: only what is new, however often and in whatever order it comes."""

from bisect import bisect_right
from collections import defaultdict
from itertools import count
from typing import NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from liushui.importing.duplicate_count import Side, copies, side_of
from liushui.importing.staging import Copies
from liushui.ledger.coverage import State
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.flow_row import AT_US, COLUMNS, ID, Row, flow_id, identity_of, to_row
from liushui.ledger.write.change import RECOUNTED, Change

_WIRE = COLUMNS.index("wire")
_json = msgspec.json.Encoder().encode


class _Known(NamedTuple):
    """What the ledger has at the times of a chunk."""

    flows: dict[tuple[object, str], list[Row]]
    """By time and identity, in the order of their ordinals."""
    edges: dict[str, set[tuple[Side, int]]]
    """Counts at the ends of pages, by identity."""
    proven: list[tuple[int, int]]
    """Ranges, oldest first."""

    def is_proven(self, at_us: int) -> bool:
        """Whether the provider's own answer for that time is here, whole."""
        before = bisect_right(self.proven, at_us, key=lambda known: known[0])
        return before > 0 and at_us < self.proven[before - 1][1]


def merge_chunk(connection: Connection, account: str, chunk: list[Copies], ends: tuple[int, int], batch: int) -> Change:
    """The change that keeps a chunk of a page whose rows lie from ends[0] to ends[1]. The chunk is in order of time."""
    change = Change(rows_in=sum(len(found.rows) for found in chunk))
    known = _known(connection, account, chunk)
    for found in chunk:
        _merge(account, found, known, side_of(found.at_us, ends), batch, change)
    return change


def _merge(account: str, found: Copies, known: _Known, side: Side, batch: int, change: Change) -> None:
    kept = known.flows.get((found.at_us, found.identity), [])
    if kept and known.is_proven(found.at_us):
        return
    edges = known.edges[found.identity]
    seen = edges | {(side, len(found.rows))}
    if kept and not edges:
        seen.add((Side.WITHIN, len(kept)))
    if edges or side is not Side.WITHIN:
        change.edges += [(account, found.identity, at.value, many, batch) for at, many in sorted(seen - edges)]
        known.edges[found.identity] = seen
    wanted = copies(seen)
    change.joined += wanted > max(many for _, many in seen)
    texts = {row[_WIRE] for row in kept}
    rows = sorted(found.rows, key=lambda received: received.row.decode() in texts) if texts else found.rows
    taken = {row[ID] for row in kept}  # by a slice that had the same identity at another instant too
    free = (id_ for ordinal in count() if (id_ := flow_id(found.identity, ordinal)) not in taken)
    for received, id_ in zip(rows[: max(0, wanted - len(kept))], free, strict=False):
        change.added.append(to_row(account, id_, received, batch))
    change.ended += [(row, RECOUNTED) for row in kept[wanted:]]


def _known(connection: Connection, account: str, chunk: list[Copies]) -> _Known:
    """Three statements, however many rows the chunk has."""
    times = sorted({found.at_us for found in chunk})
    flows: dict[tuple[object, str], list[Row]] = defaultdict(list)
    for row in connection.exec_driver_sql(_SELECT_FLOWS.on(connection), (_json(times).decode(), account)):
        flows[row[AT_US], identity_of(row[ID])].append(tuple(row))
    for rows in flows.values():
        rows.sort(key=lambda row: (len(str(row[ID])), str(row[ID])))
    edges: dict[str, set[tuple[Side, int]]] = defaultdict(set)
    identities = sorted({found.identity for found in chunk})
    found = connection.exec_driver_sql(_SELECT_EDGES.on(connection), (_json(identities).decode(), account))
    for identity, side, many in found:
        edges[identity].add((Side(side), many))
    proven = connection.exec_driver_sql(_SELECT_PROVEN, (account, State.PROVEN.value, times[-1], times[0]))
    return _Known(flows, edges, [(row[0], row[1]) for row in proven])


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
WHERE account = ? AND identity = wanted
"""
    )
)
_SELECT_PROVEN = """
SELECT since_us, until_us FROM coverage
WHERE account = ? AND state = ? AND since_us <= ? AND until_us > ? ORDER BY since_us
"""
