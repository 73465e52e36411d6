"""Importing files into an account: each document is staged, then merged chunk by chunk, each chunk one commit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection

from liushui.importing.merge import merge_chunk
from liushui.importing.parse import Advance, documents
from liushui.importing.staging import Copies, Stage
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import Rejected
from liushui.ledger.write.change import Change
from liushui.ledger.write.commit import commit_rows
from liushui.ledger.write.quarantine import quarantine_rows
from liushui.provider import Provider

REASONS_MAX: Final = 10


@dataclass
class Imported:
    """What an import did: rows = added + known + rejected, and some rows may have been taken for copies too many."""

    files: int = 0
    rows: int = 0
    added: int = 0
    withdrawn: int = 0
    rejected: int = 0
    joined: int = 0
    """Rows that end one page and begin another, and are counted as two flows."""
    quarantined: int = 0
    """Rejected rows that were not in the quarantine before."""
    reasons: list[str] = field(default_factory=list)
    """The first few rejections, for showing: field and reason."""

    @property
    def known(self) -> int:
        """Rows that were in the ledger already."""
        return self.rows - self.rejected - self.added


def import_files(ledger: Ledger, account: str, provider: Provider, paths: Sequence[Path], advance: Advance) -> Imported:
    """Bring files into an account that is there. Files that were imported before change nothing."""
    imported = Imported()
    stage = Stage(provider.codec)
    try:
        for path in paths:
            for document in documents(path, provider.codec, advance):
                stage.fill(document.rows)
                _keep(ledger, account, stage, imported)
            imported.files += 1
    finally:
        stage.close()
    return imported


def _keep(ledger: Ledger, account: str, stage: Stage, imported: Imported) -> None:
    ends = stage.ends()
    if ends is not None:
        for chunk in stage.chunks():
            imported.rows += sum(len(copies.rows) for copies in chunk)
            _keep_chunk(ledger, account, chunk, ends, imported)
    for rejected in stage.rejected():
        imported.rows += len(rejected)
        imported.rejected += len(rejected)
        imported.reasons += [f"{row.field}: {row.reason}" for row in rejected[: REASONS_MAX - len(imported.reasons)]]
        _keep_rejected(ledger, account, rejected, imported)


def _keep_chunk(ledger: Ledger, account: str, chunk: list[Copies], ends: tuple[int, int], imported: Imported) -> None:
    def plan(connection: Connection, batch: int) -> Change:
        change = merge_chunk(connection, account, chunk, ends, batch)
        imported.joined += change.joined if change.added else 0
        return change

    committed = commit_rows(ledger, account, plan)
    if committed:
        imported.added += committed.added
        imported.withdrawn += committed.withdrawn


def _keep_rejected(ledger: Ledger, account: str, rejected: list[Rejected], imported: Imported) -> None:
    committed = commit_rows(
        ledger,
        account,
        lambda c, batch: Change(quarantined=quarantine_rows(c, account, rejected, batch), rows_in=len(rejected)),
    )
    if committed:
        imported.quarantined += committed.quarantined
