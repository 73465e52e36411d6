"""Imports files into an account: each document is staged completely, then committed block by block."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from liushui.errors import LiushuiError
from liushui.importing.merge import merge_block
from liushui.importing.read_rows import Advance, Document, documents
from liushui.importing.same_record import Difference, Records, TimesNeededError
from liushui.importing.staging import Block, Staging
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import Rejected
from liushui.ledger.write.chain_segments import store_chains
from liushui.ledger.write.change import Change
from liushui.ledger.write.imports import FlowKey, ImportCounts, ImportRecord
from liushui.ledger.write.quarantine import erased_reasons, row_digest
from liushui.ledger.write.resolve_rejected import resolve_corrected
from liushui.provider import Codec, Provider
from liushui.rules import Paging, Rules

REASONS_MAX: Final = 10
REJECTIONS_MAX: Final = 20
DIFFERENCES_MAX: Final = 1_000

GC_THRESHOLD: Final = 100_000
"""The number of new objects after which the garbage collector runs during an import."""


@dataclass
class Imported:
    """The result of an import. Each of its `rows` was added, was known, differs or was rejected."""

    id: str = ""
    """The import's id in `import list` and `import undo`."""
    files: int = 0
    rows: int = 0
    added: int = 0
    differs: int = 0
    """Rows whose record is in the ledger with other facts."""
    restated: int = 0
    """Those of them that are now the current version."""
    withdrawn: int = 0
    """Flows that ended because an earlier import had counted too many copies of a row."""
    rejected: int = 0
    joined: int = 0
    """Rows that are counted as two flows, because one page ended with the row and another one began with it."""
    quarantined: int = 0
    """Rejected rows that are new in the quarantine."""
    resolved: int = 0
    """Rows in the quarantine whose records have become flows."""
    differences: list[tuple[Path, Difference]] = field(default_factory=list)
    """The first rows that differ, each with the name of its file."""
    reasons: list[str] = field(default_factory=list)
    """The field and the reason of the first rejections, for display."""
    rejections: list[tuple[int, Rejected]] = field(default_factory=list)
    """The first rejected rows, each with its number in its file."""
    discarded: set[str] = field(default_factory=set)
    """Why the bytes of rejected rows had been discarded. These rows are not in the quarantine, and `reasons` does not
    quote them."""
    empty: list[Path] = field(default_factory=list)
    """Files without rows."""

    @property
    def known(self) -> int:
        """Rows that were in the ledger already."""
        return self.rows - self.rejected - self.added - self.differs

    def counts(self) -> ImportCounts:
        """The counts that the ledger stores."""
        return ImportCounts(self.rows, self.added, self.known, self.differs, self.rejected)


def import_files(
    ledger: Ledger,
    account: str,
    provider: Provider,
    paths: Sequence[Path],
    advance: Advance,
    *,
    restate: bool = False,
) -> Imported:
    """Import files into an existing account. Importing the same files again changes nothing.

    `restate`: if a record is known with other facts, the file's version becomes the current version, even if a sync has
    read the other version. Each block of a document is one transaction, so an import that is killed may have added a
    part of a document. Repeating the import adds the rest. Raises ConfigError for a file that cannot be imported, and
    LedgerError.
    """
    files = [ImportFile(path, partial(documents, path, provider.codec, advance)) for path in paths]
    return import_documents(ledger, account, files, provider.codec, provider.rules, restate=restate)


class ImportFile(NamedTuple):
    """A file, and the function that reads its documents. `unit` names the thing that the number of a row counts. If it
    is empty, the number is not shown."""

    path: Path
    documents: Callable[[], Iterable[Document]]
    unit: str = ""


def import_documents(
    ledger: Ledger,
    account: str,
    files: Sequence[ImportFile],
    codec: Codec,
    rules: Rules[Paging],
    *,
    restate: bool = False,
) -> Imported:
    """Import the documents of files into an existing account. See `import_files`."""
    with ledger.reading() as connection:
        is_new = connection.exec_driver_sql(_ANY_FLOW, (account,)).first() is None
    record = ImportRecord(ledger, account, [file.path.name for file in files])
    records = Records.of(rules, restate=restate, is_new=is_new)
    with closing(_Import(ledger, record, codec, records)) as run, _fewer_collections():
        try:
            for file in files:
                run.add_file(file)
        except LiushuiError as error:
            record.finish(run.imported.counts(), type(error).__name__)  # its text may quote content of a file
            raise
        record.finish(run.imported.counts())
        run.imported.resolved = resolve_corrected(ledger, account, rules)
        store_chains(ledger, account, rules.balances)
        return run.imported


_ANY_FLOW: Final = "SELECT 1 FROM flows WHERE account = ? LIMIT 1"


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Let the garbage collector run less often.

    By default the collector examines all new tuples after each 700 of them. A row needs several tuples, and none of
    them is part of a cycle. That takes a seventh of an import's time.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(GC_THRESHOLD, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


class _Import:
    """One import: it stages one document after another, and commits each block by block."""

    def __init__(self, ledger: Ledger, record: ImportRecord, codec: Codec, records: Records | None) -> None:
        self.imported = Imported(record.id)
        self._ledger, self._record, self._codec, self._records = ledger, record, codec, records
        self._staging = Staging(codec)

    def add_file(self, file: ImportFile) -> None:
        """Import one file."""
        rows_before = self.imported.rows
        for document in file.documents():
            self._staging.clear()
            for chunk in document.chunks:
                self._staging.add(chunk)
            self._commit_flows(file.path)
            self._commit_rejected(file.unit)
        self.imported.files += 1
        if self.imported.rows == rows_before:
            self.imported.empty.append(file.path)

    def _commit_flows(self, path: Path) -> None:
        """Commit the rows of the document that could be decoded."""
        ends, records = self._staging.ends(), self._records
        if ends is None:
            return
        if records is not None:
            records.begin_document(self._staging.keys)
        for block in self._staging.blocks():
            self.imported.rows += len(block)
            try:
                self._commit_block(path, block, ends)
            except TimesNeededError:
                if records is not None:
                    records.load(self._ledger, self._record.account)
                self._commit_block(path, block, ends)
        if records is not None:
            records.end_document()

    def _commit_block(self, path: Path, block: Block, ends: tuple[int, int]) -> None:
        imported, records, change = self.imported, self._records, Change()

        def plan(connection: Connection, batch: int) -> Change:
            nonlocal change
            change = merge_block(connection, self._record.account, block, ends, batch, records)
            return change

        def keys() -> Iterable[FlowKey]:
            # If the ledger's version stays, the import does not count as having this row.
            kept = {one.row for one in records.differences if not one.is_restated} if records is not None else set()
            for key, number in zip(zip(block.at_us, block.identity, strict=True), block.numbers, strict=True):
                if number not in kept:
                    yield key

        committed = self._record.commit(plan, keys)
        if committed:
            imported.added += committed.added
            imported.restated += committed.restated
            imported.withdrawn += committed.withdrawn
            imported.joined += change.joined if change.added else 0
        if records is not None:
            records.add(change.added)
            imported.differs += len(records.differences)
            left = max(0, DIFFERENCES_MAX - len(imported.differences))
            imported.differences += [(path, difference) for difference in records.differences[:left]]

    def _commit_rejected(self, unit: str) -> None:
        """Commit the rows of the document that could not be decoded."""
        imported = self.imported
        imported.rejections += self._staging.first_rejected(REJECTIONS_MAX - len(imported.rejections))
        if unit:
            left = max(0, REASONS_MAX - len(imported.reasons))
            first = self._staging.first_rejected(left)
            imported.reasons += [f"{unit} {number}: {row.field}: {row.reason}" for number, row in first]
        for rejected in self._staging.rejected():
            imported.rows += len(rejected)
            imported.rejected += len(rejected)
            with self._ledger.reading() as connection:
                erased = erased_reasons(connection, self._record.account, rejected)
            imported.discarded.update(erased.values())
            kept = [row for row in rejected if row_digest(row.row) not in erased] if erased else rejected
            if not unit:
                left = max(0, REASONS_MAX - len(imported.reasons))
                imported.reasons += [f"{row.field}: {row.reason}" for row in kept[:left]]
            committed = self._record.commit_rejected(rejected)
            if committed:
                imported.quarantined += committed.quarantined

    def close(self) -> None:
        """Delete the temporary files."""
        self._staging.close()
        if self._records is not None:
            self._records.close()
