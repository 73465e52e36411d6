"""Records the rows of each import, so that imports can be listed and undone.

The batches of an import have its id as their reason, which identifies the flows that it added. Rows that the ledger
already had are not added again. Instead a sighting records that this import had them too. If the import that added them
is undone, they stay. Flows that a sync has proven need no sighting, because they stay anyway.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from secrets import token_hex
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError
from liushui.instant import to_us
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.flow_row import AT_US, ID, Rejected, Row, identity_of
from liushui.ledger.schema import imports, insert_new
from liushui.ledger.write.change import Change, Committed
from liushui.ledger.write.commit import PlanChange, commit_rows
from liushui.ledger.write.quarantine import open_with_digests, quarantine_rows, row_digest

ID_BYTES: Final = 4

ANY_TIME_US: Final = -(2**62)
"""The time of a sighting of a quarantine entry, because an unreadable row has no time."""

FlowKey = tuple[int, str]
"""The time and the identity of a row."""

_encode = msgspec.json.Encoder().encode


class ImportCounts(NamedTuple):
    """The rows of an import. Each row was added, known, known with other content (`differing`) or rejected."""

    rows: int = 0
    added: int = 0
    known: int = 0
    differing: int = 0
    rejected: int = 0


class ImportRecord:
    """Commits the rows of one import to an account, and stores the import together with the first of them."""

    def __init__(self, ledger: Ledger, account: str, files: Sequence[str]) -> None:
        self.id = token_hex(ID_BYTES)
        self.account = account
        self._ledger, self._files = ledger, list(files)
        self._started_at_us = to_us(ledger.clock())
        self._batches: set[int] = set()

    def commit(self, plan: PlanChange, keys: Callable[[], Iterable[FlowKey]]) -> Committed | None:
        """Commit rows like `commit_rows`. `keys` returns the keys of all rows, including rows that the ledger already
        has.

        It is called after `plan`, and again at the commit.

        Raises ConfigError if the import was undone in the meantime.
        """

        def plan_and_record(connection: Connection, batch: int) -> Change:
            self._insert(connection)
            change = plan(connection, batch)
            if len(change.added) < change.rows_in:
                self._record_known(connection, Counter(keys()), change.added)
            return change

        return self._commit(plan_and_record)

    def commit_rejected(self, rejected: Sequence[Rejected]) -> Committed | None:
        """Commit rows that could not be decoded. Raises as `commit`."""

        def plan(connection: Connection, batch: int) -> Change:
            self._insert(connection)
            new = quarantine_rows(connection, self.account, rejected, batch)
            if len(new) < len(rejected):
                self._record_quarantined(connection, Counter(row_digest(row.row) for row in rejected))
            return Change(quarantined=new, rows_in=len(rejected))

        return self._commit(plan)

    def finish(self, counts: ImportCounts, error: str = "") -> None:
        """Record the result. If an error ended an import before it committed anything, the import leaves no record."""
        values = {**counts._asdict(), "ended_at_us": to_us(self._ledger.clock()), "error": error}
        with self._ledger.writing() as connection:
            if not error:
                insert_new(connection, imports, self._values())
            is_this = sa.and_(imports.c.account == self.account, imports.c.id == self.id)
            connection.execute(imports.update().where(is_this).values(values))

    def _commit(self, plan: Callable[[Connection, int], Change]) -> Committed | None:
        committed = commit_rows(self._ledger, self.account, plan, self.id)
        if committed is not None:
            self._batches.add(committed.seq)
        return committed

    def _insert(self, connection: Connection) -> None:
        if not insert_new(connection, imports, self._values()):
            is_this = sa.and_(imports.c.account == self.account, imports.c.id == self.id)
            if connection.scalar(sa.select(imports.c.undone_at_us).where(is_this)) is not None:
                raise ConfigError(f"import {self.id} was undone while it was running: import the files again")

    def _values(self) -> dict[str, object]:
        return {
            "account": self.account,
            "id": self.id,
            "files": _encode(self._files).decode(),
            "started_at_us": self._started_at_us,
            **ImportCounts()._asdict(),
            "error": "",
        }

    def _record_known(self, connection: Connection, keys: Counter[FlowKey], added: Iterable[Row]) -> None:
        """Record sightings of flows that other imports added; for equal rows, as many as this import has."""
        keys -= Counter((int(str(row[AT_US])), identity_of(str(row[ID]))) for row in added)
        if not keys:
            return
        times = [at_us for at_us, _ in keys]
        parameters = (_encode(sorted(set(times))).decode(), self.account, State.PROVEN.value)
        stored: dict[FlowKey, list[str]] = defaultdict(list)
        for at_us, id_, batch in connection.exec_driver_sql(_SELECT_UNPROVEN.on(connection), parameters):
            if batch not in self._batches:
                stored[at_us, identity_of(id_)].append(id_)
        self._insert_sightings(
            connection,
            [
                (at_us, id_)
                for (at_us, identity), copies in keys.items()
                for id_ in sorted(stored.get((at_us, identity), ()), key=lambda id_: (len(id_), id_))[:copies]
            ],
        )

    def _record_quarantined(self, connection: Connection, digests: Counter[str]) -> None:
        entries: dict[str, list[str]] = defaultdict(list)
        for entry in open_with_digests(connection, self.account, digests):
            if entry.span is None and entry.batch not in self._batches:
                entries[entry.digest].append(entry.id)
        self._insert_sightings(
            connection,
            [(ANY_TIME_US, id_) for digest, copies in digests.items() for id_ in entries[digest][:copies]],
        )

    def _insert_sightings(self, connection: Connection, keys: Sequence[tuple[int, str]]) -> None:
        if keys:
            values = [(self.account, at_us, id_, self.id) for at_us, id_ in keys]
            connection.exec_driver_sql(INSERT_SIGHTING, values)


INSERT_SIGHTING: Final = """
INSERT INTO import_sightings (account, at_us, id, import_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_SELECT_UNPROVEN: Final = Statement(
    lambda sql: (
        f"""
SELECT at_us, id, batch FROM ({sql.integers_in_json}) AS given CROSS JOIN flows
WHERE account = ? AND at_us = wanted AND NOT EXISTS (
  SELECT 1 FROM coverage WHERE coverage.account = flows.account AND coverage.state = ?
  AND coverage.since_us <= flows.at_us AND coverage.until_us > flows.at_us AND coverage.batch >= flows.batch
)
"""
    )
)
"""Flows at given times, except those that a sync has read later."""
