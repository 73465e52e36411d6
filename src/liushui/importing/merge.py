"""What a chunk of a document changes in a ledger: only what is new, however often and in whatever order it comes."""

from sqlalchemy.engine import Connection

from liushui.importing.copies import Side, copies, side_of
from liushui.importing.stage import Copies
from liushui.ledger.commit import RECOUNTED, Change
from liushui.ledger.coverage import State
from liushui.ledger.rows import COLUMNS, COPY_MARK, ID, Row, flow_id, to_row


def merge_chunk(connection: Connection, account: str, chunk: list[Copies], ends: tuple[int, int], batch: int) -> Change:
    """The change that keeps a chunk of a page whose rows lie from ends[0] to ends[1]."""
    change = Change(rows_in=sum(len(found.rows) for found in chunk))
    for found in chunk:
        _merge(connection, account, found, side_of(found.at_us, ends), batch, change)
    return change


def _merge(connection: Connection, account: str, found: Copies, side: Side, batch: int, change: Change) -> None:
    kept = _kept(connection, account, found)
    if kept and _is_proven(connection, account, found.at_us):
        return  # the provider's own answer for that time is here, whole
    edges = {(Side(row[0]), row[1]) for row in connection.exec_driver_sql(_SELECT_EDGES, (account, found.identity))}
    seen = edges | {(side, len(found.rows))}
    if kept and not edges:
        seen.add((Side.WITHIN, len(kept)))
    if edges or side is not Side.WITHIN:
        change.edges += [(account, found.identity, at.value, count, batch) for at, count in sorted(seen - edges)]
    wanted = copies(seen)
    change.joined += wanted > max(count for _, count in seen)
    texts = {row[COLUMNS.index("wire")] for row in kept}
    rows = sorted(found.rows, key=lambda received: received.row.decode() in texts)
    for ordinal, received in zip(range(len(kept), wanted), rows, strict=False):
        change.added.append(to_row(account, flow_id(found.identity, ordinal), received, batch))
    change.ended += [(row, RECOUNTED) for row in kept[wanted:]]


def _kept(connection: Connection, account: str, found: Copies) -> list[Row]:
    """The flows of that identity that are here, by their ordinal."""
    mark = found.identity + COPY_MARK
    after = found.identity + chr(ord(COPY_MARK) + 1)
    rows = connection.exec_driver_sql(_SELECT_KEPT, (account, found.at_us, found.identity, mark, after))
    return sorted((tuple(row) for row in rows), key=lambda row: (len(str(row[ID])), row[ID]))


def _is_proven(connection: Connection, account: str, at_us: int) -> bool:
    row = connection.exec_driver_sql(_SELECT_PROVEN, (account, at_us, at_us, State.PROVEN.value)).first()
    return row is not None


_SELECT_KEPT = f"""
SELECT {", ".join(COLUMNS)} FROM flows
WHERE account = ? AND at_us = ? AND (id = ? OR (id > ? AND id < ?))
"""
_SELECT_EDGES = "SELECT side, copies FROM page_edges WHERE account = ? AND identity = ?"
_SELECT_PROVEN = "SELECT 1 FROM coverage WHERE account = ? AND since_us <= ? AND until_us > ? AND state = ?"
