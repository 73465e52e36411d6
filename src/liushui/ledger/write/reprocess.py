"""Deriving flows again from the rows as they came, for a codec that learned something: the difference, and the commit.

A chunk of flows is a transaction: killed anywhere, what was rebuilt stays rebuilt, and the next rebuild goes on.
Coverage and the received rows stay as they are. Flows without a received row are left alone.
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
from liushui.ledger.write.quarantine import READ as READ_NOW
from liushui.ledger.write.quarantine import Entry, Piece, Settlement, Span, has, open_entries, settle_lost
from liushui.provider import Codec, DecodedRow

CHUNK: Final = 5_000
EXAMPLES_MAX: Final = 10

IDENTITY: Final = "identity"
"""Stands for the id among the fields that change."""

Advance = Callable[[int], None]
"""Told how many flows more were looked at."""


class Derived(NamedTuple):
    """A flow that the codec reads otherwise now. `fields`: names of the columns that differ, and IDENTITY."""

    old: Row
    new: DecodedRow | None
    rejected: Rejected | None
    fields: tuple[str, ...]


class Example(NamedTuple):
    """One field of a flow, as it is and as it would be. A row that cannot be read has the reason in place of `new`."""

    account: str
    at_us: int
    id: str
    field: str
    old: object
    new: object


@dataclass
class Difference:
    """What a rebuild of an account would change, or has changed."""

    account: str
    flows: int = 0
    """Flows that were looked at."""
    changed: int = 0
    """Those that are read otherwise: restated in our own words, or not readable any more."""
    unreadable: int = 0
    identities: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    """In how many flows each field differs."""
    examples: list[Example] = field(default_factory=list)

    def count(self, derived: Derived) -> None:
        """Count one flow that differs."""
        self.changed += 1
        self.unreadable += derived.new is None
        self.identities += IDENTITY in derived.fields
        self.fields.update(derived.fields)
        if len(self.examples) < EXAMPLES_MAX:
            self.examples += list(_examples(derived))[: EXAMPLES_MAX - len(self.examples)]


def difference(ledger: Ledger, account: str, codec: Codec, advance: Advance) -> Difference:
    """What a rebuild would change. Reads only, one state of the ledger, streamed."""
    found = Difference(account)
    after = _BEGIN
    with ledger.reading() as connection:
        while rows := _chunk(connection, account, after):
            found.flows += len(rows)
            for derived in _differing(codec, rows):
                found.count(derived)
            after = _key(rows[-1])
            advance(len(rows))
    return found


def rebuild(ledger: Ledger, account: str, codec: Codec, advance: Advance) -> Difference:
    """Derive every flow of an account again, and commit what differs, chunk by chunk. Says what was changed.

    Chunks in which nothing differs commit nothing, and hold nobody up.
    """
    done = Difference(account)
    after = _BEGIN
    while True:
        with ledger.reading() as connection:
            rows = _chunk(connection, account, after)
        if not rows:
            return done
        until = _key(rows[-1])
        if next(_differing(codec, rows), None) is not None:
            _commit(ledger, account, codec, (after, until), done)
        done.flows += len(rows)
        after = until
        advance(len(rows))


_Key = tuple[int, str]
_BEGIN: Final[_Key] = (-(2**63), "")
_ALL: Final = 2**63 - 1


def _commit(ledger: Ledger, account: str, codec: Codec, ends: tuple[_Key, _Key], done: Difference) -> None:
    """Exchange the flows after one key up to another, as they are inside the transaction."""

    def plan(connection: Connection, batch: int) -> Change:
        after, until = ends
        rows = list(_chunk(connection, account, after, limit=_ALL, until=until))
        found = list(_differing(codec, rows))
        for derived in found:
            done.count(derived)
        change = change_of(connection, account, [Exchange(one.old, one.new) for one in found], batch)
        lost = [(one.rejected, _span(connection, account, one.old)) for one in found if one.rejected is not None]
        change.settle(settle_lost(connection, account, lost, batch))
        return change

    commit_change(ledger, account, REBUILT, plan)


def _differing(codec: Codec, rows: list[Row]) -> Iterator[Derived]:
    """The flows that the codec reads otherwise."""
    for old in rows:
        received, rejected = read_rows(codec, [str(old[WIRE]).encode()])
        if rejected:
            yield Derived(old, None, rejected[0], ())
        elif fields := _fields(old, received[0]):
            yield Derived(old, received[0], None, fields)


def _fields(old: Row, received: DecodedRow) -> tuple[str, ...]:
    """The names of what differs."""
    new = to_row(str(old[0]), str(old[ID]), received, 0)
    identity = (IDENTITY,) if received.flow.identity != identity_of(str(old[ID])) else ()
    if new[:BATCH] == old[:BATCH]:
        return identity
    return identity + tuple(name for name, was, is_ in zip(COLUMNS[:BATCH], old, new, strict=False) if was != is_)


def _examples(derived: Derived) -> Iterator[Example]:
    old, new, rejected, fields = derived
    about = str(old[0]), _key(old)[0], str(old[ID])
    if new is None:
        if rejected is not None:
            yield Example(*about, rejected.field, old[WIRE], rejected.reason)
        return
    after = dict(zip(COLUMNS, to_row("", new.flow.identity, new, 0), strict=True)) | {IDENTITY: new.flow.identity}
    before = dict(zip(COLUMNS, old, strict=True)) | {IDENTITY: identity_of(str(old[ID]))}
    for name in fields:
        yield Example(*about, name, before[name], after[name])


def _chunk(
    connection: Connection, account: str, after: _Key, *, limit: int = CHUNK, until: _Key | None = None
) -> list[Row]:
    """The flows with a received row that stand after a key, up to another."""
    last = until or (2**63 - 1, "\U0010ffff")
    values = (account, after[0], *after, last[0], *last, limit)
    return [tuple(row) for row in connection.exec_driver_sql(_SELECT_CHUNK, values)]


def _span(connection: Connection, account: str, row: Row) -> Span | None:
    """The slice that a flow was read in: where its row is, whatever its time. None: no slice was, it was imported."""
    values = (account, row[AT_US], row[AT_US], State.PROVEN.value)
    found = connection.exec_driver_sql(_SELECT_SLICE, values).first()
    return None if found is None else (Piece(*found),)


def _key(row: Row) -> _Key:
    return int(str(row[AT_US])), str(row[ID])


_SELECT_CHUNK = f"""
SELECT {", ".join(COLUMNS)} FROM flows
WHERE account = ? AND at_us >= ? AND (at_us, id) > (?, ?) AND at_us <= ? AND (at_us, id) <= (?, ?) AND wire IS NOT NULL
ORDER BY at_us, id LIMIT ?
"""
_SELECT_SLICE = """
SELECT since_us, until_us FROM coverage WHERE account = ? AND since_us <= ? AND until_us > ? AND state = ?
ORDER BY since_us DESC LIMIT 1
"""


@dataclass
class Retried:
    """What became of an account's open entries. `outside`: they can be read, and have a time they cannot be of."""

    account: str
    tried: int = 0
    read: int = 0
    unreadable: int = 0
    outside: int = 0


def retry(ledger: Ledger, account: str, codec: Codec) -> Retried:
    """Read every open entry with the codec. What can be read becomes flows, and its entries are resolved.

    A row whose time is outside the span that it was seen in stays where it is: a slice with it would be refused, too.
    """
    retried = Retried(account)

    def plan(connection: Connection, batch: int) -> Change:
        settlement = Settlement()
        exchanges = []
        for entry in open_entries(connection, account):
            retried.tried += 1
            received = _read(codec, entry, retried)
            if received is not None:
                retried.read += 1
                settlement.end(entry, READ_NOW)
                exchanges.append(Exchange(None, received))
        change = change_of(connection, account, exchanges, batch)
        change.settle(settlement)
        return change

    commit_change(ledger, account, RETRIED, plan)
    return retried


def _read(codec: Codec, entry: Entry, retried: Retried) -> DecodedRow | None:
    received, _ = read_rows(codec, [entry.wire])
    if not received:
        retried.unreadable += 1
        return None
    if not has(entry.span, to_us(received[0].flow.at)):
        retried.outside += 1
        return None
    return received[0]


class Exchange(NamedTuple):
    """A flow as it is, and what it becomes. `old` None: it was none; `new` None: it is none any more."""

    old: Row | None
    new: DecodedRow | None


class _Member(NamedTuple):
    """One of the rows of an identity and instant after the exchange, and the version it comes from."""

    old: Row | None
    row: Row


def change_of(connection: Connection, account: str, exchanges: Iterable[Exchange], batch: int) -> Change:
    """What exchanging flows changes. Reads only.

    Rows of one identity and instant are numbered in the order of their bytes, as a read of a slice numbers them: where
    one comes or goes, others may have to take another number.
    """
    change = Change()
    in_place: dict[_Key, Row] = {}
    leaving: dict[_Key, Row] = {}
    arriving: dict[tuple[object, str], list[_Member]] = defaultdict(list)
    olds: dict[_Key, Row] = {}
    for old, new in exchanges:
        if old is not None:
            olds[_key(old)] = old
        if old is not None and new is not None and _place(old) == _place_of(new):
            in_place[_key(old)] = to_row(account, str(old[ID]), new, batch)
            continue
        if old is not None:
            leaving[_key(old)] = old
        if new is not None:
            row = to_row(account, new.flow.identity, new, batch)
            arriving[_place_of(new)].append(_Member(old, row))
    change.ended += [(old, REDERIVED) for old in leaving.values()]
    places = {_place(old) for old in leaving.values()} | arriving.keys()
    members = {place: list(found) for place, found in arriving.items()}
    for row in rows_at(connection, account, {at_us for at_us, _ in places}):
        if _place(row) in places and _key(row) not in leaving:
            members.setdefault(_place(row), []).append(_Member(row, in_place.pop(_key(row), row)))
    for (_, identity), found in members.items():
        _number(identity, found, batch, change)
    for key, row in in_place.items():
        change.ended.append((olds[key], REDERIVED))
        change.added.append(row)
    return change


def _number(identity: str, found: list[_Member], batch: int, change: Change) -> None:
    for ordinal, (old, row) in enumerate(sorted(found, key=_order)):
        final = (*row[:ID], flow_id(identity, ordinal), *row[ID + 1 : BATCH], batch)
        if old is not None and old[:BATCH] == final[:BATCH]:
            continue
        if old is not None and _place(old) == _place(final):
            change.ended.append((old, REDERIVED))
        change.added.append(final)


def _order(member: _Member) -> tuple[str, bool, int, str]:
    """By bytes; of equal ones those that stand there keep their order, and what arrives comes after them."""
    id_ = "" if member.old is None else str(member.old[ID])
    return str(member.row[WIRE] or ""), member.old is None, len(id_), id_


def _place(row: Row) -> tuple[object, str]:
    return row[AT_US], identity_of(str(row[ID]))


def _place_of(received: DecodedRow) -> tuple[object, str]:
    return to_us(received.flow.at), received.flow.identity
