"""The quarantine: rows that could not be decoded, and how later reads of their range change them.

The time of such a row is not known, only its span: the range in which it was received. Entries with equal bytes get
ordinals, but they cannot be matched one by one with the copies in a later read. Only their number in each completely
read range is exact. Nothing is deleted: versions of an entry end, with the way in which they ended.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
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
_decode_holes = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


# ---------------------------------------------------------------- spans


class Interval(NamedTuple):
    """[since, until), in microseconds since the epoch."""

    since_us: int
    until_us: int


Span = tuple[Interval, ...]
"""Intervals that do not touch, oldest first. None instead of a Span means any time: the row was imported."""


def intersect(span: Span | None, cut: Interval) -> Span:
    """Return the part of a span inside an interval."""
    if span is None:
        return (cut,)
    parts = (Interval(max(part.since_us, cut.since_us), min(part.until_us, cut.until_us)) for part in span)
    return tuple(part for part in parts if part.since_us < part.until_us)


def subtract(span: Span, cut: Interval) -> Span:
    """Return the part of a span outside an interval."""
    parts = chain.from_iterable(
        (
            Interval(part.since_us, min(part.until_us, cut.since_us)),
            Interval(max(part.since_us, cut.until_us), part.until_us),
        )
        for part in span
    )
    return tuple(part for part in parts if part.since_us < part.until_us)


def unite(*spans: Span) -> Span:
    """Return the union of the spans."""
    united: list[Interval] = []
    for part in sorted(chain.from_iterable(spans)):
        if united and part.since_us <= united[-1].until_us:
            united[-1] = Interval(united[-1].since_us, max(united[-1].until_us, part.until_us))
        else:
            united.append(part)
    return tuple(united)


def length_us(span: Span) -> int:
    """Return the length of a span, in microseconds."""
    return sum(part.until_us - part.since_us for part in span)


def may_contain(span: Span | None, at_us: int) -> bool:
    """Whether an instant is in a span."""
    return span is None or any(part.since_us <= at_us < part.until_us for part in span)


def to_columns(span: Span | None) -> tuple[int | None, int | None, str | None]:
    """Return the columns of schema.quarantine for a span: its ends, and the holes between its intervals as JSON."""
    if span is None:
        return None, None, None
    holes = [(before.until_us, after.since_us) for before, after in pairwise(span)]
    return span[0].since_us, span[-1].until_us, _encode(holes).decode() if holes else None


def from_columns(since_us: int | None, until_us: int | None, holes: str | None) -> Span | None:
    """Return the span in columns of schema.quarantine."""
    if since_us is None or until_us is None:
        return None
    edges = [since_us, *chain.from_iterable(_decode_holes(holes) if holes else ()), until_us]
    return tuple(Interval(*ends) for ends in zip(edges[::2], edges[1::2], strict=True))


# ---------------------------------------------------------------- entries

UNDONE, DISCARDED = "undone", "discarded"
"""The states of batches that undo an import, and that erase bytes. Versions of flows and entries can end in these ways
too."""

NARROWED, ERASED, READ, GONE = "narrowed", "erased", "read", "withdrawn"
"""The ways in which a version of an entry ends. NARROWED: another version follows, with another span, nearly always a
smaller one. ERASED: another version follows, without the bytes. READ: the row could be decoded, and is a flow. GONE:
the whole span was read again, and the row was not there."""
CORRECTED: Final = "corrected"
"""Prefix of the ending of a version whose record was received as another row; the flow's time and id follow
(`corrected_by`)."""
CONTINUED: Final = (NARROWED, ERASED)
"""Endings after which another version of the entry follows. Every other ending resolves the entry: READ, GONE,
CORRECTED, UNDONE (its import was undone), DISCARDED (a user has erased its bytes, and no flow is missing without
it)."""


def corrected_by(at_us: int, id_: str) -> str:
    """Return the ending of an entry's last version if this flow is its record."""
    return f"{CORRECTED} {at_us} {id_}"


def correcting_flow(ended_as: str) -> tuple[int, str] | None:
    """Return the time and id of the flow that an entry's record became. None: it was resolved in another way."""
    how, _, flow = ended_as.partition(" ")
    if how != CORRECTED:
        return None
    at_us, _, id_ = flow.partition(" ")
    return int(at_us), id_


ROW: Final = "row"
"""The field of an entry if no single field is at fault."""


class Entry(NamedTuple):
    """An open entry. `batch` is the batch that entered this version of it."""

    account: str
    id: str
    field: str
    reason: str
    wire: bytes
    span: Span | None
    batch: int

    @property
    def digest(self) -> str:
        """The digest of its bytes, which is the same for all entries with equal bytes."""
        return identity_of(self.id)

    def to_row(self) -> Row:
        """The columns of schema.quarantine."""
        since_us, until_us, holes = to_columns(self.span)
        about = (self.account, self.id, self.field, self.reason, self.wire)
        return (*about, since_us, until_us, holes, self.batch, None, None)


Ending = tuple[str, int, str]
"""The end of an entry's version: its id, the batch that entered it, and the way in which it ends."""


@dataclass
class QuarantineChange:
    """The changes of a commit to the quarantine. Rows have the columns of schema.quarantine."""

    entered: list[Row] = field(default_factory=list)
    ended: list[Ending] = field(default_factory=list)
    rows_beside: int = 0
    """The number of rows that came with the slice and may lie outside of it."""

    def enter(self, entry: Entry) -> None:
        """Add a version."""
        self.entered.append(entry.to_row())

    def end(self, entry: Entry, how: str) -> None:
        """End a version."""
        self.ended.append((entry.id, entry.batch, how))

    def narrow(self, entry: Entry, span: Span, batch: int) -> None:
        """Give an entry a smaller span. With an empty span the entry is withdrawn."""
        if span == entry.span:
            return
        self.end(entry, NARROWED if span else GONE)
        if span:
            self.enter(entry._replace(span=span, batch=batch))

    @property
    def new_entries(self) -> int:
        """The number of added entries, without new versions of existing ones."""
        return len(self.entered) - sum(how in CONTINUED for _, _, how in self.ended)

    @property
    def withdraws(self) -> bool:
        """Whether an entry is withdrawn."""
        return any(how == GONE for _, _, how in self.ended)


# ---------------------------------------------------------------- what a commit does to the quarantine


def settle_slice(
    connection: Connection,
    account: str,
    slice_: Slice,
    received: Iterable[DecodedRow] | RowBatch,
    rejected: Sequence[Rejected],
    batch: int,
    proven: Span = (),
) -> QuarantineChange:
    """Return the change that a completely read slice makes: afterwards the entries in it are exactly `rejected`. Reads
    only.

    If several entries have the bytes of a received row, the entries that fit best into the slice are matched first.

    A row with a margin may lie outside the slice, but not in a range that is `proven` there, because then it would have
    an entry.
    """
    cut = Interval(to_us(slice_.since), to_us(slice_.until))
    rejected_by_digest = _rejected_by_digest(rejected)
    widest = _reach(cut, rejected)
    known = [
        _entry(row) for row in connection.exec_driver_sql(_SELECT_IN_RANGE, (account, widest.until_us, widest.since_us))
    ]
    any_unplaced = connection.exec_driver_sql(_SELECT_ANY_UNPLACED, (account,)).first() is not None
    # Digests of thousands of rows take time, and are not needed if the account has no entries.
    readable = Counter(map(row_digest, wire_rows(received))) if known or any_unplaced else Counter[str]()
    if any_unplaced:
        same_bytes = open_with_digests(connection, account, {*rejected_by_digest, *readable})
        known += [entry for entry in same_bytes if entry.span is None]
    records = {digest for digest, (copy, *_) in rejected_by_digest.items() if copy.is_record}
    if records:
        known += set(open_with_digests(connection, account, records)).difference(known)
    change = QuarantineChange()
    entries = _by_digest(known)
    for digest in sorted({*entries, *rejected_by_digest}):
        copies = rejected_by_digest.get(digest, [])
        reach = _reach(cut, copies)  # equal bytes have the same margin
        possible = unite((cut,), *(_without(part, proven) for part in subtract((reach,), cut)))
        near = [entry for entry in entries.get(digest, []) if digest in records or intersect(entry.span, reach)]
        for entry in sorted(near, key=lambda entry: _fit(entry, cut)):
            if copies:  # it was received and still cannot be decoded: it is inside the slice, or next to it
                span = _seen_again(entry.span, copies.pop(), cut, reach, possible)
                change.narrow(entry, span, batch)
                change.rows_beside += not intersect(span, cut)
            elif readable[digest]:  # it was received, and is a flow now
                change.end(entry, READ)
                readable[digest] -= 1
            elif entry.span is not None:  # it was not received: it is outside the slice
                change.narrow(entry, subtract(entry.span, cut), batch)
        enter_new(connection, account, digest, [(copy, possible) for copy in copies], batch, change)
    return change


def _reach(cut: Interval, rejected: Iterable[Rejected]) -> Interval:
    """Return where rows that came with a slice may lie."""
    margin_us = max((one.margin_us for one in rejected), default=0)
    return Interval(cut.since_us - margin_us, cut.until_us + margin_us)


def _without(part: Interval, span: Span) -> Span:
    """Return an interval without the part that a span covers."""
    rest: Span = (part,)
    for piece in span:
        rest = subtract(rest, piece)
    return rest


def _seen_again(span: Span | None, row: Rejected, cut: Interval, reach: Interval, possible: Span) -> Span:
    """Return where a row may lie that has an entry with this span and also came with another slice."""
    if span is None:
        return possible
    both = intersect(span, reach)
    if row.margin_us == 0 or (row.is_record and both):
        return both
    inside = Interval(cut.since_us + row.margin_us, cut.until_us - row.margin_us)
    if inside.since_us < inside.until_us and intersect(span, inside):
        return both
    # If the slices only touch, it may be one row at their common edge, or two equal rows if rows have no ids. If they
    # do not touch, the service returns a record without a time for any range.
    return unite(span, possible)


def settle_undecodable(
    connection: Connection, account: str, undecodable: Iterable[tuple[Rejected, Span | None]], batch: int
) -> QuarantineChange:
    """Return the change for flows that a rebuild can no longer decode, each with its span. Reads only.

    An open entry with the same bytes and no span was imported, and stands for the same row.
    """
    change = QuarantineChange()
    by_digest: dict[str, list[tuple[Rejected, Span | None]]] = defaultdict(list)
    for rejected, span in undecodable:
        by_digest[row_digest(rejected.row)].append((rejected, span))
    entries = _by_digest(open_with_digests(connection, account, by_digest))
    for digest, copies in sorted(by_digest.items()):
        for entry in entries.get(digest, []):
            if copies and entry.span is None:
                _, span = copies.pop()
                if span is not None:
                    change.narrow(entry, span, batch)
        enter_new(connection, account, digest, copies, batch, change)
    return change


def settle_imported(connection: Connection, account: str, added: Iterable[Row]) -> QuarantineChange:
    """Return the change that imported flows make: they end entries with the same bytes whose span contains their time.
    Reads only."""
    change = QuarantineChange()
    if not has_open_entries(connection, account):
        return change
    times: dict[str, list[int]] = defaultdict(list)
    for row in added:
        times[row_digest(str(row[WIRE]).encode())].append(int(str(row[AT_US])))
    for entry in open_with_digests(connection, account, times):
        unmatched = times[entry.digest]
        if unmatched and may_contain(entry.span, unmatched[-1]):
            unmatched.pop()
            change.end(entry, READ)
    return change


def quarantine_rows(connection: Connection, account: str, rejected: Iterable[Rejected], batch: int) -> list[Row]:
    """Return rows of schema.quarantine for rows that an import could not decode.

    It leaves out rows that already have an open entry, and rows whose bytes a user has discarded.
    """
    change = QuarantineChange()
    by_digest = _rejected_by_digest(rejected)
    known = Counter(entry.digest for entry in open_with_digests(connection, account, by_digest))
    for digest, copies in sorted(by_digest.items()):
        if erased_reason(connection, account, digest) is not None:
            continue
        new = [(copy, None) for copy in copies[known[digest] :]]
        enter_new(connection, account, digest, new, batch, change)
    return change.entered


def end_versions(connection: Connection, account: str, ended: Iterable[Ending], batch: int) -> None:
    """Mark versions of entries as ended by a batch."""
    values = [(batch, how, account, id_, entered) for id_, entered, how in ended]
    if values:
        connection.exec_driver_sql(_END_VERSION, values)


def sealed_row(row: Row) -> Row:
    """Return the part of a schema.quarantine row that the batch which entered it seals. Another batch seals the way in
    which it ended."""
    *about, holes, batch = row[: _BATCH + 1]
    return (*about, batch) if holes is None else (*about, holes, batch)  # this column is newer than many chains


def open_entries(connection: Connection, account: str) -> Iterator[Entry]:
    """Stream every open entry of an account, by id."""
    return map(_entry, connection.exec_driver_sql(_SELECT_OPEN, (account,), execution_options=STREAMED))


def erased_reason(connection: Connection, account: str, digest: str) -> str | None:
    """Return why the bytes with a digest were erased, from their entries. None: they were not erased."""
    reason = connection.exec_driver_sql(_SELECT_ERASED, (account, digest, f"{digest}\x7f")).scalar()
    return None if reason is None else str(reason)


def erased_reasons(connection: Connection, account: str, rejected: Iterable[Rejected]) -> dict[str, str]:
    """Return why the bytes of some of these rows were erased, by digest."""
    if connection.exec_driver_sql(_SELECT_ANY_ERASED, (account,)).first() is None:
        return {}
    reasons = {
        digest: erased_reason(connection, account, digest) for digest in {row_digest(one.row) for one in rejected}
    }
    return {digest: reason for digest, reason in reasons.items() if reason is not None}


def resolved_entries(connection: Connection, account: str) -> dict[int, list[Entry]]:
    """Return the entries that became flows, in their last open version, by the batch that resolved them."""
    entries: dict[int, list[Entry]] = defaultdict(list)
    for row in connection.exec_driver_sql(_SELECT_READ, (account, READ)):
        entries[row[-1]].append(_entry(row[:-1]))
    return entries


def corrected_entries(connection: Connection, account: str) -> dict[tuple[int, str], list[Entry]]:
    """Return the entries whose records became other rows, by the time and the id of each flow."""
    entries: dict[tuple[int, str], list[Entry]] = defaultdict(list)
    for row in connection.exec_driver_sql(_SELECT_CORRECTED, (account, f"{CORRECTED} ", f"{CORRECTED}!")):
        flow = correcting_flow(str(row[-1]))
        if flow is not None:
            entries[flow].append(_entry(row[:-1]))
    return entries


def has_open_entries(connection: Connection, account: str) -> bool:
    """Whether an account has an open entry."""
    return connection.exec_driver_sql(_SELECT_ANY_OPEN, (account,)).first() is not None


def row_digest(row: bytes) -> str:
    """Return the digest of a row's bytes, with which the ids of its entries begin."""
    return blake2b(row, digest_size=16).hexdigest()


def enter_new(
    connection: Connection,
    account: str,
    digest: str,
    copies: Iterable[tuple[Rejected, Span | None]],
    batch: int,
    change: QuarantineChange,
) -> None:
    """Enter copies of one row, with their spans, under ids that no open entry has.

    If a user has discarded the bytes, they are not stored again: the entry is then without them.
    """
    copies = list(copies)
    if not copies:
        return
    erased = erased_reason(connection, account, digest)
    if erased is not None:
        copies = [(Rejected(b"", ROW, erased), span) for _, span in copies]
    # Ids of resolved entries may be used again, because the keys of their versions contain other batches.
    taken = {entry.id for entry in open_with_digests(connection, account, [digest])}
    ordinal = 0
    for rejected, span in copies:
        while (id_ := flow_id(digest, ordinal)) in taken:
            ordinal += 1
        taken.add(id_)
        change.enter(Entry(account, id_, rejected.field, rejected.reason, rejected.row, span, batch))


def _fit(entry: Entry, cut: Interval) -> tuple[object, ...]:
    """Sort key for entries: how much of their span is outside an interval. Entries that can only be inside come
    first."""
    if entry.span is None:
        return True, 0, len(entry.id), entry.id
    return False, length_us(subtract(entry.span, cut)), len(entry.id), entry.id


def _rejected_by_digest(rejected: Iterable[Rejected]) -> dict[str, list[Rejected]]:
    by_digest: dict[str, list[Rejected]] = defaultdict(list)
    for row in rejected:
        by_digest[row_digest(row.row)].append(row)
    return dict(by_digest)


def _by_digest(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    by_digest: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_digest[entry.digest].append(entry)
    return dict(by_digest)


def open_with_digests(connection: Connection, account: str, digests: Iterable[str]) -> list[Entry]:
    """Return the open entries of rows with these digests, sorted by ordinal."""
    parameters = _encode(sorted(digests)).decode(), account
    return [_entry(row) for row in connection.exec_driver_sql(_SELECT_DIGESTS.on(connection), parameters)]


def _entry(row: Iterable[object]) -> Entry:
    account, id_, field_, reason, wire, since_us, until_us, holes, batch = row
    span = from_columns(since_us, until_us, holes)  # type: ignore[arg-type] # the columns' own types
    return Entry(str(account), str(id_), str(field_), str(reason), bytes(wire), span, int(str(batch)))  # type: ignore[call-overload]


SEALED_COLUMNS: Final = "account, id, field, reason, wire, since_us, until_us, holes, batch"
"""The columns that the batch which entered a version seals."""

_BATCH: Final = SEALED_COLUMNS.split(", ").index("batch")
_OPEN: Final = "FROM quarantine WHERE account = ? AND ended_batch IS NULL"
_SELECT_OPEN: Final = f"SELECT {SEALED_COLUMNS} {_OPEN} ORDER BY id"
_SELECT_IN_RANGE: Final = f"SELECT {SEALED_COLUMNS} {_OPEN} AND since_us < ? AND until_us > ?"
_SELECT_ERASED: Final = """
SELECT reason FROM quarantine WHERE account = ? AND id >= ? AND id < ? AND length(wire) = 0 LIMIT 1
"""
_SELECT_ANY_ERASED: Final = "SELECT 1 FROM quarantine WHERE account = ? AND length(wire) = 0 LIMIT 1"
_SELECT_READ: Final = f"""
SELECT {SEALED_COLUMNS}, ended_batch FROM quarantine WHERE account = ? AND ended_as = ? ORDER BY id
"""
_SELECT_CORRECTED: Final = f"""
SELECT {SEALED_COLUMNS}, ended_as FROM quarantine WHERE account = ? AND ended_as >= ? AND ended_as < ? ORDER BY id
"""
_SELECT_ANY_OPEN: Final = f"SELECT 1 {_OPEN} LIMIT 1"
_SELECT_ANY_UNPLACED: Final = f"SELECT 1 {_OPEN} AND until_us IS NULL LIMIT 1"
# An id is its digest, or its digest, the copy mark and an ordinal. A range condition on the key uses the index, a LIKE
# would not.
_SELECT_DIGESTS: Final = Statement(
    lambda sql: (
        f"""
SELECT {SEALED_COLUMNS} FROM ({sql.texts_in_json}) AS given CROSS JOIN quarantine
WHERE account = ? AND id >= wanted AND id < wanted || '\x7f' AND ended_batch IS NULL ORDER BY length(id), id
"""
    )
)
_END_VERSION: Final = "UPDATE quarantine SET ended_batch = ?, ended_as = ? WHERE account = ? AND id = ? AND batch = ?"
