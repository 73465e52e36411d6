"""Rows that could not be read: entries of the quarantine, their versions, and what a read of a range says of them.

An unreadable row's time is not known, only the span it was seen in. Entries of equal bytes are told apart by ordinals,
and any of them may be any of the copies that a read saw: what holds is their number in each range that was read whole.
Nothing is deleted: versions of entries end, and keep how.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, pairwise
from typing import Final, NamedTuple

import msgspec
from sqlalchemy.engine import Connection

from liushui.instant import to_us
from liushui.ledger.engines.base import STREAMED
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.flow_row import AT_US, WIRE, Rejected, Row, RowBatch, flow_id, identity_of, wire_rows
from liushui.provider import DecodedRow, Slice

_encode = msgspec.json.Encoder().encode
_holes_of = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


class Piece(NamedTuple):
    """[since, until)."""

    since_us: int
    until_us: int


Span = tuple[Piece, ...]
"""Pieces that do not touch, oldest first. None stands for a span that nobody knows."""


def within(span: Span | None, cut: Piece) -> Span:
    """The part of a span inside a range. Of one that nobody knows: the range."""
    if span is None:
        return (cut,)
    parts = (Piece(max(known.since_us, cut.since_us), min(known.until_us, cut.until_us)) for known in span)
    return tuple(part for part in parts if part.since_us < part.until_us)


def without(span: Span, cut: Piece) -> Span:
    """The part of a span outside a range."""
    parts = chain.from_iterable(
        (
            Piece(known.since_us, min(known.until_us, cut.since_us)),
            Piece(max(known.since_us, cut.until_us), known.until_us),
        )
        for known in span
    )
    return tuple(part for part in parts if part.since_us < part.until_us)


def length_us(span: Span) -> int:
    """How much time a span has."""
    return sum(piece.until_us - piece.since_us for piece in span)


def has(span: Span | None, at_us: int) -> bool:
    """Whether an instant is in a span, or may be."""
    return span is None or any(piece.since_us <= at_us < piece.until_us for piece in span)


def to_columns(span: Span | None) -> tuple[int | None, int | None, str | None]:
    """A span as schema.quarantine has it: its ends, and as JSON the ranges between them that are no part of it."""
    if span is None:
        return None, None, None
    holes = [(before.until_us, after.since_us) for before, after in pairwise(span)]
    return span[0].since_us, span[-1].until_us, _encode(holes).decode() if holes else None


def from_columns(since_us: int | None, until_us: int | None, holes: str | None) -> Span | None:
    """What `to_columns` was given."""
    if since_us is None or until_us is None:
        return None
    edges = [since_us, *chain.from_iterable(_holes_of(holes) if holes else ()), until_us]
    return tuple(Piece(*ends) for ends in zip(edges[::2], edges[1::2], strict=True))


NARROWED, READ, GONE = "narrowed", "read", "withdrawn"
"""How a version of an entry ends: its span became smaller; it could be read and is a flow; a read of all of its span
did not see it. After the last two the entry is resolved."""

_json = msgspec.json.Encoder().encode


class Entry(NamedTuple):
    """An open entry. `batch` entered this version of it."""

    account: str
    id: str
    field: str
    reason: str
    wire: bytes
    span: Span | None
    batch: int

    @property
    def digest(self) -> str:
        """What all entries of its bytes have in common."""
        return identity_of(self.id)

    def row(self) -> Row:
        """The columns of schema.quarantine."""
        since_us, until_us, holes = to_columns(self.span)
        about = (self.account, self.id, self.field, self.reason, self.wire)
        return (*about, since_us, until_us, holes, self.batch, None, None)


Ending = tuple[str, int, str]
"""A version of an entry that ends: its id, the batch that entered it, how."""


@dataclass
class Settlement:
    """What a commit is about to do to the quarantine. Rows have the columns of schema.quarantine."""

    entered: list[Row] = field(default_factory=list)
    ended: list[Ending] = field(default_factory=list)

    def enter(self, entry: Entry) -> None:
        """A new version."""
        self.entered.append(entry.row())

    def end(self, entry: Entry, how: str) -> None:
        """A version ends."""
        self.ended.append((entry.id, entry.batch, how))

    def narrow(self, entry: Entry, span: Span, batch: int) -> None:
        """An entry's span is smaller than was known; an empty one is nowhere any more."""
        if span == entry.span:
            return
        self.end(entry, NARROWED if span else GONE)
        if span:
            self.enter(entry._replace(span=span, batch=batch))

    @property
    def new(self) -> int:
        """How many entries there are that were not there before."""
        return len(self.entered) - sum(how == NARROWED for _, _, how in self.ended)

    @property
    def withdraws(self) -> bool:
        """Whether an entry is gone."""
        return any(how == GONE for _, _, how in self.ended)


def digest_of(row: bytes) -> str:
    """What stands for the bytes of a row in the ids of entries."""
    return blake2b(row, digest_size=16).hexdigest()


def settle(
    connection: Connection,
    account: str,
    asked: Slice,
    received: Iterable[DecodedRow] | RowBatch,
    rejected: Iterable[Rejected],
    batch: int,
) -> Settlement:
    """What a slice that was read whole says: afterwards the entries in it are exactly `rejected`. Reads only.

    Of entries with the bytes of a row that was seen, those that can only be in the slice are taken for it first.
    """
    cut = Piece(to_us(asked.since), to_us(asked.until))
    refused = _by_digest(rejected)
    known = [_entry(row) for row in connection.exec_driver_sql(_SELECT_IN, (account, *cut[::-1]))]
    anywhere = connection.exec_driver_sql(_ANY_ANYWHERE, (account,)).first() is not None
    readable = Counter(map(digest_of, wire_rows(received))) if known or anywhere else Counter[str]()
    if anywhere:
        known += [entry for entry in _of_digests(connection, account, {*refused, *readable}) if entry.span is None]
    settlement = Settlement()
    entries = _grouped(known)
    for digest in sorted({*entries, *refused}):
        copies = refused.get(digest, [])
        for entry in sorted(entries.get(digest, []), key=lambda entry: _reach(entry, cut)):
            if copies:
                settlement.narrow(entry, within(entry.span, cut), batch)
                copies.pop()
            elif readable[digest]:
                settlement.end(entry, READ)
                readable[digest] -= 1
            elif entry.span is not None:
                settlement.narrow(entry, without(entry.span, cut), batch)
        _enter_new(connection, account, digest, [(copy, (cut,)) for copy in copies], batch, settlement)
    return settlement


def settle_lost(
    connection: Connection, account: str, lost: Iterable[tuple[Rejected, Span | None]], batch: int
) -> Settlement:
    """What flows that cannot be read any more become, each with the span it is known to be in. Reads only.

    An entry of the same bytes that may be anywhere came with an import: it is the same row.
    """
    settlement = Settlement()
    by_digest: dict[str, list[tuple[Rejected, Span | None]]] = defaultdict(list)
    for rejected, span in lost:
        by_digest[digest_of(rejected.row)].append((rejected, span))
    open_entries = _grouped(_of_digests(connection, account, by_digest))
    for digest, copies in sorted(by_digest.items()):
        for entry in open_entries.get(digest, []):
            if copies and entry.span is None:
                _, span = copies.pop()
                if span is not None:
                    settlement.narrow(entry, span, batch)
        _enter_new(connection, account, digest, copies, batch, settlement)
    return settlement


def settle_read(connection: Connection, account: str, added: Iterable[Row]) -> Settlement:
    """What flows that an import adds end: entries of the same bytes, whose span holds the flow's time. Reads only."""
    settlement = Settlement()
    if not any_open(connection, account):
        return settlement
    times: dict[str, list[int]] = defaultdict(list)
    for row in added:
        times[digest_of(str(row[WIRE]).encode())].append(int(str(row[AT_US])))
    for entry in _of_digests(connection, account, times):
        here = times[entry.digest]
        if here and has(entry.span, here[-1]):
            here.pop()
            settlement.end(entry, READ)
    return settlement


def quarantine_rows(connection: Connection, account: str, rejected: Iterable[Rejected], batch: int) -> list[Row]:
    """The rows of schema.quarantine for what an import could not read and is not there yet, wherever it was seen."""
    settlement = Settlement()
    refused = _by_digest(rejected)
    there = Counter(entry.digest for entry in _of_digests(connection, account, refused))
    for digest, copies in sorted(refused.items()):
        unknown = [(copy, None) for copy in copies[there[digest] :]]
        _enter_new(connection, account, digest, unknown, batch, settlement)
    return settlement.entered


def write(connection: Connection, account: str, ended: Iterable[Ending], batch: int) -> None:
    """Mark versions as ended."""
    values = [(batch, how, account, id_, entered) for id_, entered, how in ended]
    if values:
        connection.exec_driver_sql(_END, values)


def sealed_row(row: Row) -> Row:
    """A row of schema.quarantine as its batch seals it: without how it ended, which another batch seals."""
    *about, holes, batch = row[: _BATCH + 1]
    return (*about, batch) if holes is None else (*about, holes, batch)


def open_entries(connection: Connection, account: str) -> Iterator[Entry]:
    """Every entry of an account that is open, by id, streamed."""
    found = connection.exec_driver_sql(_SELECT_OPEN, (account,), execution_options=STREAMED)
    return (_entry(row) for row in found)


def any_open(connection: Connection, account: str) -> bool:
    """Whether an account has an open entry."""
    return connection.exec_driver_sql(_ANY_OPEN, (account,)).first() is not None


def count_open(connection: Connection, account: str) -> int:
    """How many entries of an account are open."""
    return int(connection.exec_driver_sql(_COUNT_OPEN, (account,)).scalar() or 0)


def _enter_new(
    connection: Connection,
    account: str,
    digest: str,
    copies: Iterable[tuple[Rejected, Span | None]],
    batch: int,
    settlement: Settlement,
) -> None:
    """Enter copies under ids that no open entry has."""
    copies = list(copies)
    if not copies:
        return
    taken = {entry.id for entry in _of_digests(connection, account, [digest])}
    ordinal = 0
    for refused, span in copies:
        while (id_ := flow_id(digest, ordinal)) in taken:
            ordinal += 1
        taken.add(id_)
        settlement.enter(Entry(account, id_, refused.field, refused.reason, refused.row, span, batch))


def _reach(entry: Entry, cut: Piece) -> tuple[object, ...]:
    """Sorts entries by how much of them a range leaves: those that can be nowhere else come first."""
    if entry.span is None:
        return True, 0, len(entry.id), entry.id
    return False, length_us(without(entry.span, cut)), len(entry.id), entry.id


def _by_digest(rejected: Iterable[Rejected]) -> dict[str, list[Rejected]]:
    found: dict[str, list[Rejected]] = defaultdict(list)
    for refused in rejected:
        found[digest_of(refused.row)].append(refused)
    return dict(found)


def _grouped(entries: Iterable[Entry]) -> Mapping[str, list[Entry]]:
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.digest].append(entry)
    return dict(found)


def _of_digests(connection: Connection, account: str, digests: Iterable[str]) -> list[Entry]:
    """The open entries of those bytes."""
    wanted = _json(sorted(digests)).decode()
    return [_entry(row) for row in connection.exec_driver_sql(_SELECT_DIGESTS.on(connection), (wanted, account))]


def _entry(row: Iterable[object]) -> Entry:
    account, id_, field_, reason, wire, since_us, until_us, holes, batch = row
    span = from_columns(since_us, until_us, holes)  # type: ignore[arg-type] # the columns' own types
    return Entry(str(account), str(id_), str(field_), str(reason), bytes(wire), span, int(str(batch)))  # type: ignore[call-overload]


SEALED: Final = "account, id, field, reason, wire, since_us, until_us, holes, batch"
"""The columns that are sealed by the batch that entered a version."""

_BATCH: Final = SEALED.split(", ").index("batch")
_OPEN = f"SELECT {SEALED} FROM quarantine WHERE account = ? AND ended_batch IS NULL"
_SELECT_OPEN = f"{_OPEN} ORDER BY id"
_SELECT_IN = f"{_OPEN} AND since_us < ? AND until_us > ?"
_ANY_OPEN = "SELECT 1 FROM quarantine WHERE account = ? AND ended_batch IS NULL LIMIT 1"
_ANY_ANYWHERE = "SELECT 1 FROM quarantine WHERE account = ? AND ended_batch IS NULL AND until_us IS NULL LIMIT 1"
_COUNT_OPEN = "SELECT count(*) FROM quarantine WHERE account = ? AND ended_batch IS NULL"
_SELECT_DIGESTS = Statement(
    lambda sql: (
        f"""
SELECT {SEALED} FROM ({sql.texts_in_json}) AS given CROSS JOIN quarantine
WHERE account = ? AND id >= wanted AND id < wanted || '\x7f' AND ended_batch IS NULL ORDER BY length(id), id
"""
    )
)
_END = "UPDATE quarantine SET ended_batch = ?, ended_as = ? WHERE account = ? AND id = ? AND batch = ?"
