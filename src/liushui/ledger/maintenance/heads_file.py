"""The heads file: a log, next to a ledger, of where each account's chain ended. `verify` compares the two.

Every process that adds to a chain also appends to the file: each command at its end, each sync of a source, and `serve`
every minute. It is a separate file, so that it survives if a ledger is cut or replaced by an older copy. A line is one
JSON object.
"""

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import LedgerError
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.maintenance.anchors import Anchor
from liushui.ledger.maintenance.backup import publish, temporary_beside
from liushui.ledger.names import current_names
from liushui.ledger.read.accounts import Head, list_heads
from liushui.ledger.schema import batches
from liushui.ledger.tombstones import chain_beginning, list_tombstones

SUFFIX: Final = ".heads"
OLDER_SUFFIX: Final = ".heads.1"
"""The content of the file before its last rotation."""
BYTES_MAX: Final = 512 * 1024
"""The size at which the file is rotated: the new file begins with the newest head of each account. This is about 2,500
heads."""


class RecordedHead(msgspec.Struct, frozen=True, tag="head", tag_field="event", forbid_unknown_fields=True):
    """A line: an account ended at a batch."""

    account: str
    batch: int
    link: str
    recorded_at: datetime


class RecordedRestore(msgspec.Struct, frozen=True, tag="restored", tag_field="event", forbid_unknown_fields=True):
    """A line: `db restore` replaced the ledger. Earlier heads belong to the replaced ledger."""

    backup: str
    recorded_at: datetime


@dataclass
class RecordedHeads:
    """The content of a heads file."""

    heads: list[tuple[RecordedHead, str]] = field(default_factory=list)
    """The heads since the last restore, each with the file that has it."""
    restore: RecordedRestore | None = None
    errors: list[str] = field(default_factory=list)
    """Lines that liushui did not write."""

    @property
    def anchors(self) -> list[Anchor]:
        """The heads, as anchors."""
        return [Anchor(head.account, head.batch, head.link, file, head.recorded_at) for head, file in self.heads]

    @property
    def newest(self) -> dict[str, RecordedHead]:
        """The newest head of each account, in the order in which they were recorded."""
        newest: dict[str, RecordedHead] = {}
        for head, _ in self.heads:
            newest.pop(head.account, None)
            newest[head.account] = head
        return newest


def read_heads_file(ledger: Ledger) -> RecordedHeads:
    """Read the ledger's heads file; the result is empty if it does not exist. Raises LedgerError if it cannot be
    read."""
    recorded = RecordedHeads()
    for suffix in (OLDER_SUFFIX, SUFFIX):
        path = ledger.local_path(suffix)
        try:
            lines = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LedgerError(f"{path} cannot be read: {error.strerror}") from error
        # After the last line break, the file ends, or has an incomplete line of a killed writer.
        _read_lines(lines[:-1], path.name, recorded)
    return recorded


def _read_lines(lines: Sequence[bytes], name: str, recorded: RecordedHeads) -> None:
    for number, line in enumerate(lines, 1):
        try:
            event = _decode(line)
        except msgspec.MsgspecError as error:
            recorded.errors.append(f"{name}, line {number}, is not one that liushui wrote: {error}")
            continue
        if isinstance(event, RecordedRestore):
            recorded.heads, recorded.restore = [], event
        else:
            recorded.heads.append((event, name))


def record_heads(ledger: Ledger) -> list[str]:
    """Append the current head of each account's chain, if it has changed. Durable when it returns.

    If an account's chain does not continue the last recorded head, its ledger was cut or replaced. Then nothing is
    appended for it, and a sentence about it is returned. A sentence about the first line that liushui did not write is
    returned, too. Raises LedgerError if the ledger or the file cannot be used.
    """
    path = ledger.local_path(SUFFIX)
    ledger.has_appended = False
    with _locked(path) as file, ledger.reading() as connection:
        recorded = read_heads_file(ledger)
        # The file may name accounts as they were called then.
        renamed = current_names(queries_of(connection))
        newest = {renamed.get(head.account, head.account): head for head in recorded.newest.values()}
        removed = [Head(known.account, known.head, known.link) for known in list_tombstones(connection)]
        heads = {head.account: head for head in (*removed, *list_heads(queries_of(connection)))}
        diverged = [
            f"account {account} does not continue from batch {head.batch}, which {path.name} recorded: "
            "`liushui verify` tells more"
            for account, head in newest.items()
            if not _continues(connection, heads.get(account), head)
        ]
        now = ledger.clock()
        events = [
            RecordedHead(*head, now)
            for account, head in heads.items()
            if account not in newest
            or (newest[account].batch < head.batch and _continues(connection, head, newest[account]))
        ]
        _append(file, events)
        if file.seek(0, os.SEEK_END) > BYTES_MAX:
            _rotate(ledger, path)
    return [*(f"{error}: `liushui verify` tells more" for error in recorded.errors[:1]), *diverged]


def try_record_heads(ledger: Ledger) -> list[str]:
    """Like `record_heads`, but an unwritable heads file does not stop the caller: the error is returned as a
    sentence."""
    try:
        return record_heads(ledger)
    except LedgerError as error:
        return [f"the ends of the chains are not recorded: {error}"]


def record_restore(ledger: Ledger, backup: Path) -> None:
    """Append that a ledger was restored. Does nothing without a heads file. Raises LedgerError."""
    path = ledger.local_path(SUFFIX)
    if path.exists():
        with _locked(path) as file:
            _append(file, [RecordedRestore(str(backup), ledger.clock())])
        record_heads(ledger)


def _continues(connection: Connection, head: Head | None, recorded: RecordedHead) -> bool:
    """Whether an account's chain contains a batch that was recorded."""
    if head is None or head.batch < recorded.batch:
        return False
    if recorded.batch == 0:
        return recorded.link == chain_beginning(connection, head.account)
    is_batch = sa.and_(batches.c.account == head.account, batches.c.seq == recorded.batch)
    return connection.scalar(sa.select(batches.c.link).where(is_batch)) == recorded.link


# ---------------------------------------------------------------- the file


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open the file, create it if necessary, and lock it. Processes that append to it wait for each other."""
    try:
        while True:
            with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if _is_at(path, file):
                    yield file
                    return
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}") from error


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether an open file still has its name. The previous holder of the lock may have rotated it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _append(file: BinaryIO, events: Sequence[RecordedHead | RecordedRestore]) -> None:
    """Append lines. An incomplete line of a killed process is cut off first."""
    if not events:
        return
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    end = file.read().rfind(b"\n") + 1
    if end < size:
        file.truncate(end)
    lines = _encoder.encode_lines(events)
    if file.write(lines) != len(lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file.fileno())


def _rotate(ledger: Ledger, path: Path) -> None:
    """Begin the file again with the newest heads. The previous file is kept next to it until the next rotation."""
    recorded = read_heads_file(ledger)
    events = [*([recorded.restore] if recorded.restore else []), *recorded.newest.values()]
    older = ledger.local_path(OLDER_SUFFIX)
    with temporary_beside(older) as temporary:
        temporary.write_bytes(path.read_bytes())
        publish(temporary, older, force=True)
    with temporary_beside(path) as temporary:
        temporary.write_bytes(_encoder.encode_lines(events))
        publish(temporary, path, force=True)


_encoder = msgspec.json.Encoder()
_decode = msgspec.json.Decoder(RecordedHead | RecordedRestore).decode
