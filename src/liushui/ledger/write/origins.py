"""Where the flows of an account came from: syncs, imports, programs. Undoing an import needs it. Reads only."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from liushui.ledger.coverage import State
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.flow_row import AT_US, BATCH, ID, WIRE, Row
from liushui.ledger.write.change import ADDED, REBUILT, REDERIVED, RETRIED
from liushui.ledger.write.quarantine import UNDONE, resolved_entries, row_digest

OTHER: Final = ""
"""Stands for every origin of flows other than a recorded import."""

Key = tuple[int, str]
"""The time and the id of a flow."""

_encode = msgspec.json.Encoder().encode


class BatchPurpose(NamedTuple):
    """A batch that proves no range: its purpose, and the range [since, until) of its flows."""

    seq: int
    state: str
    reason: str
    since_us: int | None
    until_us: int | None
    recorded_at_us: int

    @property
    def range(self) -> tuple[int, int]:
        """The times of its flows. All times, if an older version did not store them."""
        if self.since_us is None or self.until_us is None:
            return -(2**62), 2**62
        return self.since_us, self.until_us


class Origin(NamedTuple):
    """The origin of a flow: an import's id, OTHER, or None: an undo restored it, and only sightings of it count.
    `batch` is the batch that added the flow."""

    import_id: str | None
    batch: int


class Evidence:
    """The known origins of flows, apart from one import."""

    def __init__(self, connection: Connection, account: str) -> None:
        self._connection, self._account = connection, account
        self.batches = {row[0]: BatchPurpose(*row) for row in connection.exec_driver_sql(_SELECT_BATCHES, (account,))}
        known = connection.exec_driver_sql(_SELECT_IMPORTS, (account,)).all()
        self._undone = {str(row[0]) for row in known if row[2] is not None}
        self._ended_at_us = {str(row[0]): row[1] for row in known}
        proven = connection.exec_driver_sql(_SELECT_PROVEN, (account, State.PROVEN.value))
        self._proven = [(int(row[0]), int(row[1]), int(row[2])) for row in proven]
        self.resolved = resolved_entries(connection, account)
        """Quarantine entries that became flows, by the batch that resolved them."""

    def is_live(self, import_id: str | None) -> bool:
        """Whether a flow still has an origin: an import that is not undone, or anything else."""
        return import_id is not None and import_id not in self._undone

    def is_proven_since(self, at_us: int, batch: int) -> bool:
        """Whether a sync has read that time after a batch. If so, the sync has read the flow or withdrawn it."""
        index = bisect_right(self._proven, at_us, key=lambda known: known[0])
        return index > 0 and at_us < self._proven[index - 1][1] and self._proven[index - 1][2] > batch

    def origin(self, row: Row) -> Origin:
        """Return the origin of a flow's version, ignoring later rebuilds."""
        seq = int(str(row[BATCH]))
        while (batch := self.batches.get(seq)) is not None and batch.state == REBUILT:
            before = self._batch_before(row, batch)
            if before is None:
                return Origin(OTHER, seq)
            seq = before
        if batch is not None and batch.state == RETRIED:
            digest = row_digest(str(row[WIRE]).encode())
            entered = [
                entry.batch for entry in self.resolved.get(seq, ()) if entry.digest == digest and entry.span is None
            ]
            return Origin(self.import_of(entered[0]) if entered else OTHER, seq)
        return Origin(self.import_of(seq), seq)

    def _batch_before(self, row: Row, rebuild: BatchPurpose) -> int | None:
        """Return the batch of the version that a rebuild replaced. None: not known."""
        at_us = key_of(row)[0]
        for since_us, until_us in ((at_us, at_us + 1), rebuild.range):  # most often the time has not changed
            parameters = (self._account, rebuild.seq, row[WIRE], REDERIVED, since_us, until_us)
            before = self._connection.exec_driver_sql(_SELECT_REDERIVED_BATCH, parameters).scalar()
            if before is not None:
                return int(before)
        return None

    def import_of(self, seq: int) -> str | None:
        """Return the import that wrote a batch; OTHER if no import did, None if an undo did."""
        batch = self.batches.get(seq)
        if batch is None:
            return OTHER
        return None if batch.state == UNDONE else batch.reason if batch.state == ADDED else OTHER

    def is_sighted(self, origin: Origin, imports: Iterable[str]) -> bool:
        """Whether one of the imports that had a flow with this key had this version of it.

        An import that ended before this version existed had another version. If an undo has restored the version, the
        undo itself recorded which imports have it.
        """
        if origin.import_id is None:
            return any(True for _ in imports)
        batch = self.batches.get(origin.batch)
        begun_us = 0 if batch is None else batch.recorded_at_us
        ends = [self._ended_at_us.get(import_id, -1) for import_id in imports if import_id != OTHER]
        return any(end is None or end >= begun_us for end in ends)

    def sightings(self, keys: Iterable[Key]) -> dict[Key, set[str]]:
        """Return the imports, without undone ones, that had flows added by others, by key."""
        times = sorted({at_us for at_us, _ in keys})
        found: dict[Key, set[str]] = defaultdict(set)
        parameters = _encode(times).decode(), self._account
        for at_us, id_, import_id in self._connection.exec_driver_sql(
            _SELECT_SIGHTINGS.on(self._connection), parameters
        ):
            if self.is_live(import_id):
                found[at_us, id_].add(import_id)
        return found


def key_of(row: Row) -> Key:
    """Return the key of a flow in its account."""
    return int(str(row[AT_US])), str(row[ID])


_SELECT_BATCHES: Final = """
SELECT seq, state, reason, since_us, until_us, recorded_at_us FROM batches
WHERE account = ? AND state NOT IN ('proven', 'open') ORDER BY seq
"""
_SELECT_IMPORTS: Final = "SELECT id, ended_at_us, undone_at_us FROM imports WHERE account = ?"
_SELECT_PROVEN: Final = """
SELECT since_us, until_us, batch FROM coverage WHERE account = ? AND state = ? ORDER BY since_us
"""
_SELECT_REDERIVED_BATCH: Final = """
SELECT batch FROM history
WHERE account = ? AND ended_batch = ? AND wire = ? AND ended_as = ? AND at_us >= ? AND at_us < ? LIMIT 1
"""
_SELECT_SIGHTINGS: Final = Statement(
    lambda sql: (
        f"""
SELECT at_us, id, import_id FROM ({sql.integers_in_json}) AS given CROSS JOIN import_sightings
WHERE account = ? AND at_us = wanted
"""
    )
)
