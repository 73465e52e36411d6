"""Decodes rows again with a newer codec: the rows of flows (rebuild), and quarantined rows (retry).

A rebuild uses a transaction for each chunk of flows. If it is killed, finished chunks stay, and the next rebuild
continues. Coverage and the received rows are not changed. Flows without a received row are skipped.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from liushui.instant import to_us
from liushui.ledger.coverage import State
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import (
    AT_US,
    BATCH,
    COLUMNS,
    ID,
    WIRE,
    Rejected,
    Row,
    flow_id,
    identity_of,
    read_rows,
    to_row,
)
from liushui.ledger.write.change import REBUILT, REDERIVED, RETRIED, Change, rows_at
from liushui.ledger.write.commit import commit_change
from liushui.ledger.write.quarantine import (
    READ,
    Entry,
    Interval,
    QuarantineChange,
    Span,
    may_contain,
    open_entries,
    settle_undecodable,
)
from liushui.provider import Codec, DecodedRow

CHUNK: Final = 5_000
EXAMPLES_MAX: Final = 10

IDENTITY: Final = "identity"
"""Stands for the id in the list of changed fields."""

Advance = Callable[[int], None]
"""Called with the number of further flows that were processed."""


# ---------------------------------------------------------------- rebuild


class Rederived(NamedTuple):
    """A flow that the codec now decodes differently, or not at all (`rejected`). `fields` are the fields that
    differ."""

    old: Row
    new: DecodedRow | None
    rejected: Rejected | None
    fields: tuple[str, ...]


class FieldChange(NamedTuple):
    """One field of a flow before and after. If the row can no longer be decoded, `new` is the reason."""

    account: str
    at_us: int
    id: str
    field: str
    old: object
    new: object


@dataclass
class RebuildReport:
    """The changes that a rebuild of an account would make, or has made."""

    account: str
    flows: int = 0
    """The number of flows that were processed."""
    changed: int = 0
    """The number of flows that are now decoded differently, or not at all."""
    unreadable: int = 0
    identities: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    """The number of flows in which each field differs."""
    examples: list[FieldChange] = field(default_factory=list)

    def count(self, rederived: Rederived) -> None:
        """Count one flow that differs."""
        self.changed += 1
        self.unreadable += rederived.new is None
        self.identities += IDENTITY in rederived.fields
        self.fields.update(rederived.fields)
        if len(self.examples) < EXAMPLES_MAX:
            self.examples += list(_field_changes(rederived))[: EXAMPLES_MAX - len(self.examples)]


def preview_rebuild(ledger: Ledger, account: str, codec: Codec, advance: Advance) -> RebuildReport:
    """Return the changes that a rebuild would make. Reads only; streams from one state of the ledger."""
    report = RebuildReport(account)
    after = _BEFORE_ALL
    with ledger.reading() as connection:
        while rows := _chunk(connection, account, after):
            report.flows += len(rows)
            for rederived in _rederive(codec, rows):
                report.count(rederived)
            after = _key(rows[-1])
            advance(len(rows))
    return report


def rebuild(ledger: Ledger, account: str, codec: Codec, advance: Advance) -> RebuildReport:
    """Decode the row of every flow again, and commit what differs, chunk by chunk. Returns the changes.

    A chunk without differences takes no write lock.
    """
    report = RebuildReport(account)
    after = _BEFORE_ALL
    while True:
        with ledger.reading() as connection:
            rows = _chunk(connection, account, after)
        if not rows:
            return report
        until = _key(rows[-1])
        if next(_rederive(codec, rows), None) is not None:
            _commit_range(ledger, account, codec, (after, until), report)
        report.flows += len(rows)
        after = until
        advance(len(rows))


_Key = tuple[int, str]
_BEFORE_ALL: Final[_Key] = (-(2**63), "")
_NO_LIMIT: Final = 2**63 - 1


def _commit_range(ledger: Ledger, account: str, codec: Codec, ends: tuple[_Key, _Key], report: RebuildReport) -> None:
    """Commit the differences in the flows after one key, up to and including another."""

    def plan(connection: Connection, batch: int) -> Change:
        # Read again under the account's lock, because another commit may have changed these flows after they were
        # compared.
        after, until = ends
        rederived = list(_rederive(codec, _chunk(connection, account, after, limit=_NO_LIMIT, until=until)))
        for flow in rederived:
            report.count(flow)
        change = replace_flows(connection, account, [Replacement(flow.old, flow.new) for flow in rederived], batch)
        undecodable = [
            (flow.rejected, _slice_of(connection, account, flow.old)) for flow in rederived if flow.rejected is not None
        ]
        change.add_quarantine(settle_undecodable(connection, account, undecodable, batch))
        return change

    commit_change(ledger, account, REBUILT, plan)


def _rederive(codec: Codec, rows: list[Row]) -> Iterator[Rederived]:
    """Yield the flows that the codec decodes differently."""
    for old in rows:
        received, rejected = read_rows(codec, [str(old[WIRE]).encode()])
        if rejected:
            yield Rederived(old, None, rejected[0], ())
        elif fields := _different_fields(old, received[0]):
            yield Rederived(old, received[0], None, fields)


def _different_fields(old: Row, received: DecodedRow) -> tuple[str, ...]:
    new = to_row(str(old[0]), str(old[ID]), received, 0)
    identity = (IDENTITY,) if received.flow.identity != identity_of(str(old[ID])) else ()
    if new[:BATCH] == old[:BATCH]:
        return identity
    columns = zip(COLUMNS[:BATCH], old, new, strict=False)
    return identity + tuple(name for name, before, after in columns if before != after)


def _field_changes(rederived: Rederived) -> Iterator[FieldChange]:
    old, new, rejected, fields = rederived
    about = str(old[0]), _key(old)[0], str(old[ID])
    if new is None:
        if rejected is not None:
            yield FieldChange(*about, rejected.field, old[WIRE], rejected.reason)
        return
    after = dict(zip(COLUMNS, to_row("", new.flow.identity, new, 0), strict=True)) | {IDENTITY: new.flow.identity}
    before = dict(zip(COLUMNS, old, strict=True)) | {IDENTITY: identity_of(str(old[ID]))}
    for name in fields:
        yield FieldChange(*about, name, before[name], after[name])


def _chunk(
    connection: Connection, account: str, after: _Key, *, limit: int = CHUNK, until: _Key | None = None
) -> list[Row]:
    """Yield the flows with a received row after one key, up to and including another."""
    last = until or (2**63 - 1, "\U0010ffff")
    parameters = (account, after[0], *after, last[0], *last, limit)
    return [tuple(row) for row in connection.exec_driver_sql(_SELECT_CHUNK, parameters)]


def _slice_of(connection: Connection, account: str, row: Row) -> Span | None:
    """Return the slice in which a flow was read: its row is in it, independent of its time. None: it was imported."""
    parameters = (account, row[AT_US], row[AT_US], State.PROVEN.value)
    ends = connection.exec_driver_sql(_SELECT_SLICE, parameters).first()
    return None if ends is None else (Interval(*ends),)


def _key(row: Row) -> _Key:
    return int(str(row[AT_US])), str(row[ID])


# The conditions on at_us are redundant. But they let SQLite seek in the primary key, which it does not do for row
# values.
_SELECT_CHUNK: Final = f"""
SELECT {", ".join(COLUMNS)} FROM flows
WHERE account = ? AND at_us >= ? AND (at_us, id) > (?, ?) AND at_us <= ? AND (at_us, id) <= (?, ?) AND wire IS NOT NULL
ORDER BY at_us, id LIMIT ?
"""
_SELECT_SLICE: Final = """
SELECT since_us, until_us FROM coverage WHERE account = ? AND since_us <= ? AND until_us > ? AND state = ?
ORDER BY since_us DESC LIMIT 1
"""


# ---------------------------------------------------------------- retry


@dataclass
class RetryReport:
    """The outcome for an account's open quarantine entries."""

    account: str
    tried: int = 0
    corrected: int = 0
    """Entries whose records were received as other rows."""
    read: int = 0
    unreadable: int = 0
    outside: int = 0
    """Entries that can now be decoded, but with a time outside their span."""


def retry(ledger: Ledger, account: str, codec: Codec) -> RetryReport:
    """Decode every open quarantine entry again. Those that can be decoded become flows and are resolved.

    A row with a time outside its span stays in the quarantine, because a slice with it would be refused as well.
    """
    report = RetryReport(account)

    def plan(connection: Connection, batch: int) -> Change:
        quarantine = QuarantineChange()
        replacements = []
        for entry in open_entries(connection, account):
            report.tried += 1
            received = _decode(codec, entry, report)
            if received is not None:
                report.read += 1
                quarantine.end(entry, READ)
                replacements.append(Replacement(None, received))
        change = replace_flows(connection, account, replacements, batch)
        change.add_quarantine(quarantine)
        return change

    commit_change(ledger, account, RETRIED, plan)
    return report


def _decode(codec: Codec, entry: Entry, report: RetryReport) -> DecodedRow | None:
    received, _ = read_rows(codec, [entry.wire])
    if not received:
        report.unreadable += 1
        return None
    if not may_contain(entry.span, to_us(received[0].flow.at)):
        report.outside += 1
        return None
    return received[0]


# ---------------------------------------------------------------- replacing flows


class Replacement(NamedTuple):
    """A flow and its replacement. `old` is None for a new flow; `new` is None for a flow that is removed."""

    old: Row | None
    new: DecodedRow | None


class _Copy(NamedTuple):
    """One of the rows with an identity and instant after the change, and the version that it replaces."""

    old: Row | None
    row: Row


def replace_flows(connection: Connection, account: str, replacements: Iterable[Replacement], batch: int) -> Change:
    """Return the change that replaces flows. Reads only.

    Copies (rows with the same identity and instant) are numbered in the order of their bytes, as in `flow_rows`. So if
    a copy is added or removed, others may get another number.
    """
    change = Change()
    in_place: dict[_Key, Row] = {}
    leaving: dict[_Key, Row] = {}
    copies: dict[tuple[object, str], list[_Copy]] = defaultdict(list)
    olds: dict[_Key, Row] = {}
    for old, new in replacements:
        if old is not None:
            olds[_key(old)] = old
        # If the identity and instant are unchanged, the flow keeps its id, unless other copies are added or removed.
        if old is not None and new is not None and _group(old) == _group_of(new):
            in_place[_key(old)] = to_row(account, str(old[ID]), new, batch)
            continue
        if old is not None:
            leaving[_key(old)] = old
        if new is not None:
            row = to_row(account, new.flow.identity, new, batch)
            copies[_group_of(new)].append(_Copy(old, row))
    change.ended += [(old, REDERIVED) for old in leaving.values()]
    # If copies are added or removed, all remaining copies have to be numbered again.
    groups = {_group(old) for old in leaving.values()} | copies.keys()
    for row in rows_at(connection, account, {at_us for at_us, _ in groups}):
        if _group(row) in groups and _key(row) not in leaving:
            copies[_group(row)].append(_Copy(row, in_place.pop(_key(row), row)))
    for (_, identity), rows in copies.items():
        _number(identity, rows, batch, change)
    for key, row in in_place.items():
        change.ended.append((olds[key], REDERIVED))
        change.added.append(row)
    return change


def _number(identity: str, copies: list[_Copy], batch: int, change: Change) -> None:
    for ordinal, (old, row) in enumerate(sorted(copies, key=_order)):
        # The row with its number, as a version of this batch. A copy with the same number and facts is not changed.
        final = (*row[:ID], flow_id(identity, ordinal), *row[ID + 1 : BATCH], batch)
        if old is not None and old[:BATCH] == final[:BATCH]:
            continue
        if old is not None and _group(old) == _group(final):
            change.ended.append((old, REDERIVED))
        change.added.append(final)


def _order(copy: _Copy) -> tuple[str, bool, int, str]:
    """Order rows by bytes. Equal stored rows keep their order, and new ones follow."""
    id_ = "" if copy.old is None else str(copy.old[ID])
    return str(copy.row[WIRE] or ""), copy.old is None, len(id_), id_


def _group(row: Row) -> tuple[object, str]:
    return row[AT_US], identity_of(str(row[ID]))


def _group_of(received: DecodedRow) -> tuple[object, str]:
    return to_us(received.flow.at), received.flow.identity
