"""Imports files into an account: each document is staged as a whole, then committed block by block."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection

from liushui.importing.merge import merge_block
from liushui.importing.parse import Advance, documents
from liushui.importing.staging import Block, Staging
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import Rejected
from liushui.ledger.write.change import Change
from liushui.ledger.write.commit import commit_rows
from liushui.ledger.write.quarantine import quarantine_rows
from liushui.provider import Provider

REASONS_MAX: Final = 10

GC_THRESHOLD: Final = 100_000
"""New objects after which the garbage collector runs during an import."""


@dataclass
class Imported:
    """What an import did. Of its `rows`, some were added, some known and some rejected."""

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


def import_files(ledger: Ledger, account: str, provider: Provider, paths: Sequence[Path], advance: Advance) -> Imported:
    """Import files into an existing account. Files that were imported before change nothing.

    Each block of a document is one transaction, so an import that is killed may have added a part of a document. When
    it is repeated it adds the rest. Raises ConfigError for a file that cannot be imported, and LedgerError.
    """
    imported = Imported()
    with closing(Staging(provider.codec)) as staging, _fewer_collections():
        for path in paths:
            for document in documents(path, provider.codec, advance):
                staging.clear()
                for chunk in document.chunks:
                    staging.add(chunk)
                _commit(ledger, account, staging, imported)
            imported.files += 1
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


def _commit(ledger: Ledger, account: str, staging: Staging, imported: Imported) -> None:
    ends = staging.ends()
    if ends is not None:
        for block in staging.blocks():
            imported.rows += len(block)
            _commit_block(ledger, account, block, ends, imported)
    for rejected in staging.rejected():
        imported.rows += len(rejected)
        imported.rejected += len(rejected)
        imported.reasons += [f"{row.field}: {row.reason}" for row in rejected[: REASONS_MAX - len(imported.reasons)]]
        _commit_rejected(ledger, account, rejected, imported)


def _commit_block(ledger: Ledger, account: str, block: Block, ends: tuple[int, int], imported: Imported) -> None:
    joined = 0

    def plan(connection: Connection, batch: int) -> Change:
        nonlocal joined
        change = merge_block(connection, account, block, ends, batch)
        joined = change.joined if change.added else 0
        return change

    committed = commit_rows(ledger, account, plan)
    if committed:
        imported.added += committed.added
        imported.withdrawn += committed.withdrawn
        imported.joined += joined


def _commit_rejected(ledger: Ledger, account: str, rejected: list[Rejected], imported: Imported) -> None:
    committed = commit_rows(
        ledger,
        account,
        lambda c, batch: Change(quarantined=quarantine_rows(c, account, rejected, batch), rows_in=len(rejected)),
    )
    if committed:
        imported.quarantined += committed.quarantined
