"""The only writer of facts.

Each function is one transaction that writes flows, history, quarantine, coverage, totals and the chain.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import wraps
from typing import Final, NamedTuple, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfirmationRequired, ConnectionLost, StaleRead, short_repr
from liushui.instant import load_zone, to_us
from liushui.ledger.chain import NO_FACTS, REOPENED, describe, genesis, link
from liushui.ledger.coverage import Range, State, apply_change, merge_adjacent
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.bulk_insert import insert_rows
from liushui.ledger.findings import differing_copies
from liushui.ledger.flow_row import AT_US, COLUMNS, FACTS_END, ID, Rejected, Row, RowBatch, flow_id, to_row
from liushui.ledger.names import check_not_earlier
from liushui.ledger.write.batch_writer import BatchWriter, batch_writers
from liushui.ledger.write.change import ADDED, RESTATED, WITHDRAWN, Change, Committed, by_key
from liushui.ledger.write.quarantine import Interval, QuarantineChange, Span, settle_imported, settle_slice
from liushui.provider import DecodedRow, Slice

PlanChange = Callable[[Connection, int], Change]
"""Called inside the transaction with the number of the batch; returns the changes of the batch."""

CheckChange = Callable[[Slice, Change, int], None]
"""Called before the change of a slice is written, with the number of its rows. Raises if it must not be written."""

P = ParamSpec("P")
R = TypeVar("R")

CLOCK_TOLERANCE: Final = timedelta(hours=1)
"""The largest difference allowed between the clocks of two machines that share a ledger."""
RETRIES: Final = 2
"""Further attempts after a lost connection. Each waits some seconds for a server that is down."""


class SliceRead(NamedTuple):
    """A slice that was read completely and proven. `read_at` is the beginning of the read."""

    slice_: Slice
    read_at: datetime
    received: Sequence[DecodedRow] | RowBatch
    rejected: Sequence[Rejected] = ()


def make_account(ledger: Ledger, name: str, provider: str, zone: str) -> None:
    """Create an account of a provider. An existing account is not changed. One transaction.

    Raises AlreadyExists for an account of another provider.
    """
    load_zone(zone)
    with ledger.writing() as connection:
        insert_account(connection, name, provider, zone, ledger.clock())


def insert_account(connection: Connection, name: str, provider: str, zone: str, now: datetime) -> None:
    """Begin an account's chain in the caller's transaction. Raises AlreadyExists as `make_account` does, and for a name
    that another account had before it was renamed.

    If an account of this name was removed, its chain continues, so that each batch number of the name has one meaning.
    """
    created_at_us = to_us(now)
    before = connection.exec_driver_sql(_SELECT_TOMBSTONE, (name,)).first()
    if before is None:
        end = 0, genesis(name, provider, zone, created_at_us)
    else:
        reason = describe(provider, zone, created_at_us)
        batch = (name, before[0] + 1, REOPENED, reason, None, None, created_at_us, created_at_us, *[0] * 5, NO_FACTS)
        end = before[0] + 1, link(before[1], batch)
    inserted = connection.exec_driver_sql(_INSERT_ACCOUNT, (name, provider, zone, created_at_us, *end))
    if before is not None and inserted.rowcount:
        insert_rows(connection, "batches", [(*batch, end[1])])
    # After the insertion, which waits for a transaction that renames the account of this name.
    check_not_earlier(connection, name)
    existing = connection.exec_driver_sql("SELECT provider FROM accounts WHERE account = ?", (name,)).scalar()
    if existing != provider:
        raise AlreadyExists(
            f"account {short_repr(name)} holds flows of {existing}, not of {provider}: choose another name"
        )


def _retried(commit: Callable[P, R]) -> Callable[P, R]:
    """Retry a commit after ConnectionLost, for example while a server restarts. ConnectionLost means that nothing was
    committed."""

    @wraps(commit)
    def with_retries(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(RETRIES):
            with suppress(ConnectionLost):
                return commit(*args, **kwargs)
        return commit(*args, **kwargs)

    return with_retries


@_retried
def commit_slice(
    ledger: Ledger,
    account: str,
    slice_: Slice,
    *,
    read_at: datetime,
    received: Sequence[DecodedRow] | RowBatch,
    rejected: Sequence[Rejected] = (),
    may_end: bool = True,
    check: CheckChange | None = None,
) -> Committed:
    """Commit a slice that was read completely and proven. Afterwards its flows are exactly `received`.

    `read_at` is the beginning of the read. Flows that no longer exist, and old versions of changed flows, move to the
    history. Raises StaleRead if a read that began later has already proven a part of the slice. Without `may_end`,
    raises ConfirmationRequired if it would end versions of flows or withdraw rows from quarantine. If one of these or
    `check` raises, nothing is written.
    """
    with batch_writers(ledger, account) as (writer,):
        return _write_slice(writer, SliceRead(slice_, read_at, received, rejected), may_end=may_end, check=check)


@_retried
def commit_slices(
    ledger: Ledger, account: str, slices: Sequence[SliceRead], check: CheckChange | None = None
) -> list[Committed | None]:
    """Commit slices in one transaction, each like `commit_slice` without `may_end`.

    Returns None for a slice that a later read has already proven. The first slice that would end versions, and all
    slices after it, are not committed; then the returned list is shorter than `slices`.
    """
    committed: list[Committed | None] = []
    with batch_writers(ledger, account) as (writer,):
        for read in slices:
            try:
                committed.append(_write_slice(writer, read, may_end=False, check=check))
            except StaleRead:
                committed.append(None)
            except ConfirmationRequired:
                break
    return committed


def _write_slice(writer: BatchWriter, read: SliceRead, *, may_end: bool, check: CheckChange | None = None) -> Committed:
    """It raises before it writes anything, so that the caller may continue the transaction."""
    slice_, read_at, received, rejected = read
    connection, account, read_at_us = writer.connection, writer.account, to_us(read_at)
    known = writer.coverage(slice_)
    # If a read began in the future, a clock was ahead. That read proves nothing against the present one.
    newest_us = to_us(max(read_at, writer.now()) + CLOCK_TOLERANCE)
    if any(part.state is State.PROVEN and read_at_us < part.checked_at_us <= newest_us for part in known):
        raise StaleRead(f"account {account}: this slice was read again by somebody else in the meantime")
    change = compare(connection, account, slice_, received, batch=writer.next_seq)
    quarantine = QuarantineChange()
    if rejected or writer.has_quarantined():
        proven = _proven_beside(writer, slice_, rejected)
        quarantine = settle_slice(connection, account, slice_, received, rejected, writer.next_seq, proven)
        change.add_quarantine(quarantine)
    if not may_end and (change.ended or quarantine.withdraws):
        raise ConfirmationRequired(f"account {account}: this slice would end versions of flows")
    if check is not None:
        check(slice_, change, len(received))
    change.rows_in = len(received) + len(rejected) - quarantine.rows_beside
    proof = Range(to_us(slice_.since), to_us(slice_.until), State.PROVEN, "", read_at_us, writer.next_seq)
    return writer.write(change, known, proof)


def _proven_beside(writer: BatchWriter, slice_: Slice, rejected: Sequence[Rejected]) -> Span:
    """Return the proven ranges around a slice that may contain rows without a readable time."""
    margin = max((one.margin_us for one in rejected), default=0) * timedelta(microseconds=1)
    if not margin:
        return ()
    known = writer.coverage(Slice(slice_.since - margin, slice_.until + margin))
    return tuple(Interval(part.since_us, part.until_us) for part in known if part.state is State.PROVEN)


def compare(
    connection: Connection, account: str, slice_: Slice, received: Sequence[DecodedRow] | RowBatch, *, batch: int = 0
) -> Change:
    """Return the change that a slice would make. Reads only."""
    existing = _flows_in(connection, account, slice_)
    change = Change()
    rows = flow_rows(account, received, batch)
    if isinstance(received, RowBatch):
        change.filled = received.filled
    if rows and rows[0][AT_US] > rows[-1][AT_US]:  # type: ignore[operator] # an integer column
        rows.reverse()  # providers return the newest first, and sorting a nearly sorted list is fast
    rows.sort()  # sorted by key, the first columns of a row; no two rows have the same key
    change.differing_before = differing_copies(list(existing.values()))
    change.differing_after = differing_copies(rows)
    if not existing:
        change.added = rows
        return change
    new = []
    for row in rows:
        old = existing.pop((row[AT_US], row[ID]), None)
        if old is None:
            new.append(row)
        elif old[:FACTS_END] == row[:FACTS_END]:
            continue
        else:
            change.ended.append((old, RESTATED))
        change.added.append(row)
    if existing:
        # A row whose time was restated has the same id at another time: the new version replaces the old one.
        by_id = {row[ID]: row for row in existing.values()}
        for row in new:
            old = by_id.pop(row[ID], None)
            if old is not None:
                del existing[old[AT_US], old[ID]]
                change.ended.append((old, RESTATED))
    change.ended += [(old, WITHDRAWN) for old in existing.values()]
    change.ended.sort(key=lambda ending: by_key(ending[0]))
    return change


@_retried
def commit_gap(ledger: Ledger, account: str, slice_: Slice, *, tried_at: datetime, reason: str) -> None:
    """Record that a slice could not be proven, and why. Ranges that were proven before stay proven."""
    with batch_writers(ledger, account) as (writer,):
        known = writer.coverage(slice_)
        gap = Range(to_us(slice_.since), to_us(slice_.until), State.OPEN, reason, to_us(tried_at), writer.next_seq)
        before, after = ([part[:4] for part in merge_adjacent(ranges)] for ranges in (known, apply_change(known, gap)))
        # If the same gap is known for the same reason, no batch is needed: a provider may be down for days.
        if before != after:
            writer.write(Change(), known, gap)


def commit_rows(ledger: Ledger, account: str, plan: PlanChange, import_id: str = "") -> Committed | None:
    """Commit imported rows, which prove no range. Returns None if nothing was new.

    Quarantine entries with the same bytes as an added row are resolved. `import_id`: see write.imports.
    """

    def with_quarantine(connection: Connection, batch: int) -> Change:
        change = plan(connection, batch)
        change.add_quarantine(settle_imported(connection, account, change.added))
        return change

    return commit_change(ledger, account, ADDED, with_quarantine, import_id)


def commit_change(ledger: Ledger, account: str, state: str, plan: PlanChange, reason: str = "") -> Committed | None:
    """Commit a change as a batch that proves no range. Returns None, without a batch, if nothing changes."""
    (committed,) = commit_changes(ledger, {account: plan}, state, reason)
    return committed


def commit_changes(
    ledger: Ledger, plans: Mapping[str, PlanChange], state: str, reason: str = ""
) -> list[Committed | None]:
    """Call `commit_change` for several accounts, in one transaction."""
    with batch_writers(ledger, *plans) as writers:
        return [_write_plan(writer, plan, state, reason) for writer, plan in zip(writers, plans.values(), strict=True)]


def _write_plan(writer: BatchWriter, plan: PlanChange, state: str, reason: str) -> Committed | None:
    change = plan(writer.connection, writer.next_seq)
    return None if change.is_empty() else write_change(writer, change, state, reason)


def write_change(writer: BatchWriter, change: Change, state: str, reason: str = "") -> Committed:
    """Write an unsorted change as a batch that proves no range."""
    change.sort()
    change.find_differing(writer.connection, writer.account)
    return writer.write(change, [], None, state, reason)


def _flows_in(connection: Connection, account: str, slice_: Slice) -> dict[tuple[object, object], Row]:
    """Return the flows of a slice, by time and id. A row may be there twice if its time was restated outside a
    slice."""
    rows = connection.exec_driver_sql(_SELECT_SLICE, (account, to_us(slice_.since), to_us(slice_.until)))
    return {(row[AT_US], row[ID]): tuple(row) for row in rows}


def flow_rows(account: str, received: Sequence[DecodedRow] | RowBatch, batch: int) -> list[Row]:
    """Return rows of schema.flows. Rows of equal identity are numbered in the order of their bytes, independent of the
    order in which they arrived."""
    if isinstance(received, RowBatch):
        return received.to_rows(account, batch)
    identities = [row.flow.identity for row in received]
    if len(set(identities)) == len(identities):
        return [to_row(account, row.flow.identity, row, batch) for row in received]
    copies: Counter[str] = Counter()
    rows = []
    for row in sorted(received, key=lambda row: row.row):
        identity = row.flow.identity
        rows.append(to_row(account, flow_id(identity, copies[identity]), row, batch))
        copies[identity] += 1
    return rows


_INSERT_ACCOUNT: Final = """
INSERT INTO accounts (account, provider, zone, created_at_us, head, link) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (account) DO NOTHING
"""
_SELECT_TOMBSTONE: Final = "SELECT head, link FROM tombstones WHERE account = ?"
_SELECT_SLICE: Final = f"SELECT {', '.join(COLUMNS)} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?"
