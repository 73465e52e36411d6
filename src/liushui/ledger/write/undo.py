"""Undoes an import: flows without another origin are withdrawn, and the versions that the import replaced are restored.

A flow stays if a sync has read it since, if another import that is not undone had it too, or if it has any other
origin. In doubt it stays. If a later import depends on changes of this one, the later one has to be undone first. The
batches of the undo have the import's id as their reason. An undo is one transaction, and its memory does not grow with
the import.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, NotFound, short_repr
from liushui.instant import from_us, to_iso, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import AT_US, BATCH, COLUMNS, COPY_MARK, ID, WIRE, Rejected, Row, identity_of
from liushui.ledger.schema import imports
from liushui.ledger.write.batch_writer import BatchWriter, batch_writers
from liushui.ledger.write.change import (
    ADDED,
    REBUILT,
    RECOUNTED,
    REDERIVED,
    RESTATED,
    RETRIED,
    Change,
)
from liushui.ledger.write.commit import write_change
from liushui.ledger.write.imports import ANY_TIME_US, INSERT_SIGHTING
from liushui.ledger.write.origins import BatchPurpose, Evidence, Key, key_of
from liushui.ledger.write.quarantine import (
    UNDONE,
    Entry,
    QuarantineChange,
    corrected_entries,
    enter_new,
    open_entries,
    row_digest,
)

CHUNK: Final = 5_000
"""The most flows that one batch of an undo withdraws."""


class ImportNotFound(NotFound):
    """The ledger has no import with this id."""

    def __init__(self, id_: str) -> None:
        super().__init__(f"import: there is none with the id {short_repr(id_)} (`liushui import list` shows them)")


class AlreadyUndone(ConfigError):
    """The import was undone before."""

    def __init__(self, id_: str, undone_at: datetime) -> None:
        super().__init__(f"import: {id_} was undone before, at {to_iso(undone_at)}")


class LaterImports(ConfigError):
    """Later imports depend on changes of this one. They have to be undone before it."""

    def __init__(self, id_: str, later: Sequence[str]) -> None:
        commands = ", ".join(f"`liushui import undo {one}`" for one in later)
        super().__init__(
            f"import: {id_} changed rows that later imports have as well; undo those first, the newest at the "
            f"beginning: {commands}; nothing was undone"
        )


@dataclass
class UndoResult:
    """The result of undoing an import. `batches`: the number of batches that it wrote."""

    account: str
    id: str
    withdrawn: int = 0
    kept: int = 0
    """Flows that stay, because a sync or another import had them too."""
    restored: int = 0
    """Earlier versions that are current again."""
    rejected: int = 0
    """Rejected rows of the import that were withdrawn."""
    batches: int = 0


def account_of_import(connection: Connection, id_: str) -> str:
    """Return the account of an import. Raises ImportNotFound."""
    account = connection.scalar(sa.select(imports.c.account).where(imports.c.id == id_))
    if account is None:
        raise ImportNotFound(id_)
    return str(account)


def undo_import(ledger: Ledger, id_: str) -> UndoResult:
    """Undo an import. Raises ImportNotFound, AlreadyUndone and LaterImports; then nothing is written."""
    with ledger.reading() as connection:
        account = account_of_import(connection, id_)
    with batch_writers(ledger, account) as (writer,):
        _mark_undone(writer.connection, account, id_, to_us(ledger.clock()))
        return _Undo(writer, id_).run()


def _mark_undone(connection: Connection, account: str, id_: str, now_us: int) -> None:
    is_this = sa.and_(imports.c.account == account, imports.c.id == id_)
    undone_at_us = connection.scalar(sa.select(imports.c.undone_at_us).where(is_this))
    if undone_at_us is not None:
        raise AlreadyUndone(id_, from_us(undone_at_us))
    connection.execute(imports.update().where(is_this).values(undone_at_us=now_us))


# ---------------------------------------------------------------- undoing


class _Candidate(NamedTuple):
    """A flow that is withdrawn unless it has another origin. `keys`: its key, and its keys before rebuilds."""

    row: Row
    keys: tuple[Key, ...]


class _Undo:
    """One undo, inside the transaction of its writer."""

    def __init__(self, writer: BatchWriter, id_: str) -> None:
        self._writer, self._connection, self._account, self._id = writer, writer.connection, writer.account, id_
        self._evidence = Evidence(self._connection, self._account)
        self._batches = [
            batch for batch in self._evidence.batches.values() if (batch.state, batch.reason) == (ADDED, id_)
        ]
        self._seqs = {batch.seq for batch in self._batches}
        self._first_seq = writer.next_seq
        self._change = Change()
        self._ending: set[Key] = set()
        """The keys of the flows that the change withdraws."""
        self._edges = self._load_edges()
        self._edge_identities = {str(edge[0]) for edge in self._edges}
        self._shared_identities: set[str] = set()
        """The identities of page edges that another import has as well."""
        self._read = [entry for seq in sorted(self._seqs) for entry in self._evidence.resolved.get(seq, ())]
        """Quarantine entries that became flows through this import."""
        self._withdrawn_digests: Counter[str] = Counter()
        self._corrected = corrected_entries(self._connection, self._account)
        """Quarantine entries whose records were received as other rows, by the flow that resolved each."""
        self._withdrawn: set[Key] = set()
        """Those of these flows that are withdrawn."""
        self._result = UndoResult(self._account, id_)

    def run(self) -> UndoResult:
        """Write the batches."""
        if later := self._resting_on_this():
            raise LaterImports(self._id, later)
        for candidates in self._candidates():
            self._withdraw(candidates)
        for batch in self._batches:
            self._restore(batch)
        self._settle_quarantine()
        self._change.ended_edges = [edge for edge in self._edges if edge[0] not in self._shared_identities]
        self._write()
        return self._result

    def _write(self) -> None:
        write_change(self._writer, self._change, UNDONE, self._id)
        self._writer.flush()
        self._result.batches += 1
        self._change, self._ending = Change(), set()

    # ------------------------------------------------------------ order

    def _resting_on_this(self) -> list[str]:
        """Return the later imports that depend on rows as this import left them, the newest first.

        If this import replaced a version, a later one has only recorded that it has the same version. So nothing would
        show which version to restore. And a copy that a later import counted depends on the rows before it.
        """
        later = [str(row[0]) for row in self._connection.exec_driver_sql(_SELECT_LATER, (self._account, self._id))]
        resting: set[str] = set()
        if not later:
            return []
        has_replaced = any(self._has_replaced(batch) for batch in self._batches)
        for import_id in later:
            for rows in self._pages(_SELECT_SIGHTED, (import_id,)):
                if any((has_replaced or self._is_edge_copy(row)) and self._is_own(row) for row in rows):
                    resting.add(import_id)
                    break
        copies = self._connection.exec_driver_sql(_SELECT_COPIES, (self._account, f"%{COPY_MARK}%"))
        for copy in (tuple(row) for row in copies):
            origin = self._evidence.origin(copy).import_id
            if origin in later and origin not in resting and self._has_of_identity(copy):
                resting.add(origin)
        return [import_id for import_id in later if import_id in resting]

    def _is_edge_copy(self, row: Row) -> bool:
        """Whether a row was counted again because it was at the edges of two pages."""
        return COPY_MARK in str(row[ID]) and identity_of(str(row[ID])) in self._edge_identities

    def _is_own(self, row: Row) -> bool:
        return self._evidence.origin(row).import_id == self._id

    def _has_replaced(self, batch: BatchPurpose) -> bool:
        parameters = (self._account, batch.seq, RESTATED, RECOUNTED, *batch.range)
        return self._connection.exec_driver_sql(f"{_SELECT_ENDED} LIMIT 1", parameters).first() is not None

    def _has_of_identity(self, copy: Row) -> bool:
        """Whether this import added a row with the same time and identity."""
        rows = self._connection.exec_driver_sql(_SELECT_AT, (self._account, copy[AT_US]))
        identity = identity_of(str(copy[ID]))
        return any(identity_of(str(row[ID])) == identity and self._is_own(row) for row in map(tuple, rows))

    # ------------------------------------------------------------ flows

    def _candidates(self) -> Iterator[list[_Candidate]]:
        """Yield the flows that the import added or had, a few thousand at a time."""
        for batch in self._batches:
            for rows in self._pages(_SELECT_OF_BATCH, (batch.seq, *batch.range)):
                yield [_Candidate(row, (key_of(row),)) for row in rows]
        for batch, wires in self._rederived():
            decoded = self._connection.exec_driver_sql(_SELECT_ALL_OF_BATCH, (self._account, batch.seq, *batch.range))
            yield list(_take(map(tuple, decoded.all()), wires))
        for rows in self._pages(_SELECT_SIGHTED, (self._id,)):
            yield [_Candidate(row, (key_of(row),)) for row in rows if row[BATCH] not in self._seqs]

    def _pages(self, statement: str, parameters: tuple[object, ...]) -> Iterator[list[Row]]:
        """Yield the rows of a statement that continues after a key. Rows may be withdrawn between two pages."""
        after: Key = (-(2**63), "")
        while rows := [
            tuple(row)
            for row in self._connection.exec_driver_sql(
                statement, (self._account, *parameters, after[0], *after, CHUNK)
            )
        ]:
            yield rows
            after = key_of(rows[-1])

    def _rederived(self) -> Iterator[tuple[BatchPurpose, dict[str, list[Key]]]]:
        """Return later batches that decoded rows of the import again, and the earlier keys of these rows, by their
        bytes."""
        of_import: dict[int, set[str]] = {}
        for seq, batch in sorted(self._evidence.batches.items()):
            wires: dict[str, list[Key]] = defaultdict(list)
            if batch.state == REBUILT:
                parameters = (self._account, seq, REDERIVED, *batch.range)
                for at_us, id_, before, wire in self._connection.exec_driver_sql(_SELECT_REDERIVED, parameters):
                    if before in self._seqs or wire in of_import.get(before, ()):
                        wires[wire].append((at_us, id_))
            elif batch.state == RETRIED:
                for entry in self._evidence.resolved.get(seq, ()):
                    if entry.batch in self._seqs and entry.span is None:
                        wires[entry.wire.decode(errors="replace")].append((ANY_TIME_US, entry.id))
            if wires:
                of_import[seq] = set(wires)
                yield batch, wires

    def _withdraw(self, candidates: Sequence[_Candidate]) -> None:
        """End the versions that have no other origin."""
        sightings = self._evidence.sightings(key for candidate in candidates for key in candidate.keys)
        for row, keys in candidates:
            key = key_of(row)
            if key in self._ending:
                continue
            identity = identity_of(key[1])
            origin = self._evidence.origin(row)
            is_sighted = self._evidence.is_sighted(origin, {one for known in keys for one in sightings.get(known, ())})
            if is_sighted and identity in self._edge_identities:
                self._shared_identities.add(identity)
            is_brought = is_sighted or self._evidence.is_live(origin.import_id)
            if is_brought or self._evidence.is_proven_since(key[0], origin.batch):
                self._result.kept += 1
                continue
            self._change.ended.append((row, UNDONE))
            self._ending.add(key)
            self._result.withdrawn += 1
            if key in self._corrected:
                self._withdrawn.add(key)
            if self._read and row[WIRE] is not None:
                self._withdrawn_digests[row_digest(str(row[WIRE]).encode())] += 1
            if len(self._change.ended) >= CHUNK:
                self._write()

    def _restore(self, batch: BatchPurpose) -> None:
        """Restore versions that a batch of the import had ended."""
        parameters = (self._account, batch.seq, RESTATED, RECOUNTED, *batch.range)
        ended = [(tuple(row[:-1]), str(row[-1])) for row in self._connection.exec_driver_sql(_SELECT_ENDED, parameters)]
        if not ended:
            return
        if self._change.ended:
            self._write()  # so that the tables show the current flows
        withdrawn = (self._account, self._first_seq, UNDONE, *batch.range)
        replaced = {identity_of(row[0]) for row in self._connection.exec_driver_sql(_SELECT_IDS_UNDONE, withdrawn)}
        for version, how in ended:
            row = self._live_version(version)
            if row is None or (how == RESTATED and identity_of(str(version[ID])) not in replaced):
                continue
            at_us, id_ = key_of(row)
            is_there = self._connection.exec_driver_sql(_SELECT_FLOW, (self._account, at_us, id_)).first()
            if is_there is not None or self._evidence.is_proven_since(at_us, batch.seq) or (at_us, id_) in self._ending:
                continue
            self._ending.add((at_us, id_))
            self._withdrawn.discard((at_us, id_))
            self._change.added.append((*row[:BATCH], self._writer.next_seq))
            origin = self._evidence.origin(row).import_id
            if self._evidence.is_live(origin):
                self._connection.exec_driver_sql(INSERT_SIGHTING, (self._account, at_us, id_, origin))
            self._result.restored += 1

    def _live_version(self, row: Row | None) -> Row | None:
        """Return the newest version, from this one backwards, that has an origin. None: no version has an origin."""
        while row is not None:
            key = key_of(row)
            origin = self._evidence.origin(row)
            seen_by = self._evidence.sightings([key]).get(key, ())
            if self._evidence.is_live(origin.import_id) or self._evidence.is_sighted(origin, seen_by):
                return row
            before = self._connection.exec_driver_sql(_SELECT_BEFORE, (self._account, row[BATCH], row[ID], RESTATED))
            previous = before.first()
            row = None if previous is None else tuple(previous)
        return None

    # ------------------------------------------------------------ the rest

    def _load_edges(self) -> list[Row]:
        edges = self._connection.exec_driver_sql(_SELECT_EDGES, (self._account,))
        return [tuple(row) for row in edges if row[-1] in self._seqs]

    def _settle_quarantine(self) -> None:
        """End the entries that only this import has, and reopen those that its flows had resolved."""
        change, evidence = QuarantineChange(), self._evidence
        entries = [entry for entry in open_entries(self._connection, self._account) if entry.span is None]
        sightings = evidence.sightings([(ANY_TIME_US, "")]) if entries else {}
        for entry in entries:
            if not evidence.is_live(evidence.import_of(entry.batch)) and not sightings.get((ANY_TIME_US, entry.id)):
                change.end(entry, UNDONE)
                self._result.rejected += 1
        for entry in self._read:
            if self._withdrawn_digests[entry.digest] and evidence.is_live(evidence.import_of(entry.batch)):
                self._withdrawn_digests[entry.digest] -= 1
                self._reopen(entry, change)
        for key in sorted(self._withdrawn):
            for entry in self._corrected[key]:
                if evidence.is_live(evidence.import_of(entry.batch)):
                    self._reopen(entry, change)
        self._change.add_quarantine(change)

    def _reopen(self, entry: Entry, change: QuarantineChange) -> None:
        """Reopen an entry whose flow is withdrawn. Discarded bytes stay discarded."""
        copy = Rejected(entry.wire, entry.field, entry.reason)
        seq = self._writer.next_seq
        enter_new(self._connection, self._account, entry.digest, [(copy, entry.span)], seq, change)


def _take(rows: Iterable[Row], wires: dict[str, list[Key]]) -> Iterator[_Candidate]:
    """Take the rows with these bytes. Of equal rows, take as many as there are keys."""
    for row in rows:
        if keys := wires.get(str(row[WIRE])):
            yield _Candidate(row, (key_of(row), keys.pop()))


_NAMES: Final = ", ".join(COLUMNS)
# The conditions on at_us are redundant. But they let SQLite seek in the primary key, which it does not do for row
# values.
_SELECT_OF_BATCH: Final = f"""
SELECT {_NAMES} FROM flows
WHERE account = ? AND batch = ? AND at_us >= ? AND at_us < ? AND at_us >= ? AND (at_us, id) > (?, ?)
ORDER BY at_us, id LIMIT ?
"""
_SELECT_ALL_OF_BATCH: Final = f"""
SELECT {_NAMES} FROM flows WHERE account = ? AND batch = ? AND at_us >= ? AND at_us < ? ORDER BY at_us, id
"""
_SELECT_SIGHTED: Final = f"""
SELECT {", ".join(f"flows.{name}" for name in COLUMNS)} FROM import_sightings AS seen
JOIN flows ON flows.account = seen.account AND flows.at_us = seen.at_us AND flows.id = seen.id
WHERE seen.account = ? AND seen.import_id = ? AND seen.at_us >= ? AND (seen.at_us, seen.id) > (?, ?)
ORDER BY seen.at_us, seen.id LIMIT ?
"""
_SELECT_REDERIVED: Final = """
SELECT at_us, id, batch, wire FROM history
WHERE account = ? AND ended_batch = ? AND ended_as = ? AND at_us >= ? AND at_us < ? AND wire IS NOT NULL
"""
_SELECT_ENDED: Final = f"""
SELECT {_NAMES}, ended_as FROM history
WHERE account = ? AND ended_batch = ? AND ended_as IN (?, ?) AND at_us >= ? AND at_us < ? ORDER BY at_us, id
"""
_SELECT_IDS_UNDONE: Final = """
SELECT id FROM history WHERE account = ? AND ended_batch >= ? AND ended_as = ? AND at_us >= ? AND at_us < ?
"""
_SELECT_LATER: Final = """
SELECT other.id FROM imports AS own JOIN imports AS other ON other.account = own.account
WHERE own.account = ? AND own.id = ? AND other.id != own.id AND other.undone_at_us IS NULL
AND other.started_at_us >= own.started_at_us ORDER BY other.started_at_us DESC, other.id
"""
_SELECT_COPIES: Final = f"SELECT {_NAMES} FROM flows WHERE account = ? AND id LIKE ?"
_SELECT_AT: Final = f"SELECT {_NAMES} FROM flows WHERE account = ? AND at_us = ?"
_SELECT_FLOW: Final = "SELECT 1 FROM flows WHERE account = ? AND at_us = ? AND id = ?"
_SELECT_BEFORE: Final = f"""
SELECT {_NAMES} FROM history WHERE account = ? AND ended_batch = ? AND id = ? AND ended_as = ? LIMIT 1
"""
_SELECT_EDGES: Final = """
SELECT identity, side, copies, batch FROM page_edges WHERE account = ? AND ended_batch IS NULL
"""
