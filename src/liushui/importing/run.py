"""Imports files into an account: each document is staged as a whole, then committed block by block."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection

from liushui.errors import LiushuiError
from liushui.importing.merge import merge_block
from liushui.importing.parse import Advance, documents
from liushui.importing.staging import Block, Staging
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import Rejected
from liushui.ledger.write.change import Change
from liushui.ledger.write.imports import ImportCounts, ImportRecord
from liushui.provider import Provider

REASONS_MAX: Final = 10

GC_THRESHOLD: Final = 100_000
"""New objects after which the garbage collector runs during an import."""


@dataclass
class Imported:
    """What an import did. Of its `rows`, some were added, some known and some rejected."""

    id: str = ""
    """What `import list` and `import undo` call it."""
    files: int = 0
    rows: int = 0
    added: int = 0
    withdrawn: int = 0
    """Flows that ended because an earlier import had counted too many copies of a row."""
    rejected: int = 0
    joined: int = 0
    """Rows that are counted as two flows because one page ended and another one began with them."""
    quarantined: int = 0
    """Rejected rows that were not in the quarantine before."""
    reasons: list[str] = field(default_factory=list)
    """The field and the reason of the first rejections, for display."""

    @property
    def known(self) -> int:
        """Rows that were in the ledger already."""
        return self.rows - self.rejected - self.added

    def counts(self) -> ImportCounts:
        """The counts that the ledger records."""
        return ImportCounts(rows=self.rows, added=self.added, known=self.known, rejected=self.rejected)


def import_files(ledger: Ledger, account: str, provider: Provider, paths: Sequence[Path], advance: Advance) -> Imported:
    """Import files into an existing account. Files that were imported before change nothing.

    Each block of a document is one transaction, so an import that is killed may have added a part of a document. When
    it is repeated it adds the rest. Raises ConfigError for a file that cannot be imported, and LedgerError.
    """
    record = ImportRecord(ledger, account, [path.name for path in paths])
    imported = Imported(record.id)
    try:
        with closing(Staging(provider.codec)) as staging, _fewer_collections():
            for path in paths:
                for document in documents(path, provider.codec, advance):
                    staging.clear()
                    for chunk in document.chunks:
                        staging.add(chunk)
                    _commit(record, staging, imported)
                imported.files += 1
    except LiushuiError as error:
        record.finish(imported.counts(), str(error))
        raise
    record.finish(imported.counts())
    return imported


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Have the garbage collector run less often.

    By default it looks at all new tuples after each 700 of them, of which a row needs several, although none of them is
    part of a cycle. That takes a seventh of an import's time.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(GC_THRESHOLD, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _commit(record: ImportRecord, staging: Staging, imported: Imported) -> None:
    ends = staging.ends()
    if ends is not None:
        for block in staging.blocks():
            imported.rows += len(block)
            _commit_block(record, block, ends, imported)
    for rejected in staging.rejected():
        imported.rows += len(rejected)
        imported.rejected += len(rejected)
        imported.reasons += [f"{row.field}: {row.reason}" for row in rejected[: REASONS_MAX - len(imported.reasons)]]
        _commit_rejected(record, rejected, imported)


def _commit_block(record: ImportRecord, block: Block, ends: tuple[int, int], imported: Imported) -> None:
    joined = 0

    def plan(connection: Connection, batch: int) -> Change:
        nonlocal joined
        change = merge_block(connection, record.account, block, ends, batch)
        joined = change.joined if change.added else 0
        return change

    committed = record.commit(plan, zip(block.at_us, block.identity, strict=True))
    if committed:
        imported.added += committed.added
        imported.withdrawn += committed.withdrawn
        imported.joined += joined


def _commit_rejected(record: ImportRecord, rejected: list[Rejected], imported: Imported) -> None:
    committed = record.commit_rejected(rejected)
    if committed:
        imported.quarantined += committed.quarantined
