"""The only writer of facts. Each function is one transaction: flows, history, quarantine, coverage, totals, chain."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import wraps
from typing import Final, NamedTuple, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, ConfirmationRequired, ConnectionLost, StaleRead, short_repr
from liushui.instant import load_zone, to_us
from liushui.ledger.chain import genesis
from liushui.ledger.coverage import Range, State, fold, merged
from liushui.ledger.engine import Ledger
from liushui.ledger.findings import unlike
from liushui.ledger.flow_row import AT_US, COLUMNS, FACTS_END, ID, Rejected, Row, RowBatch, flow_id, to_row
from liushui.ledger.write.batch_writer import Batches, writing_batches
from liushui.ledger.write.change import ADDED, RESTATED, WITHDRAWN, Change, Committed, by_key
from liushui.ledger.write.quarantine import Settlement, settle, settle_read
from liushui.provider import DecodedRow, Slice

PlanRows = Callable[[Connection, int], Change]
"""Says, inside the transaction, what the batch of that number changes."""


P = ParamSpec("P")
R = TypeVar("R")

LOST_TRIES: Final = 2
"""How often a commit is tried again whose connection was lost. Each time a server that is down is waited for."""


class SliceRead(NamedTuple):
    """A slice that was read whole and proven, as it came. `read_at`: when its reading began."""

    asked: Slice
    read_at: datetime
    received: Sequence[DecodedRow] | RowBatch
    rejected: Sequence[Rejected] = ()


def make_account(ledger: Ledger, name: str, provider: str, zone: str) -> None:
    """Begin an account's chain; nothing happens where it is there already. Raises ConfigError where it is another's."""
    load_zone(zone)
    created_at_us = to_us(ledger.clock())
    with ledger.writing() as connection:
        start = genesis(name, provider, zone, created_at_us)
        connection.exec_driver_sql(_MAKE_ACCOUNT, (name, provider, zone, created_at_us, 0, start))
        found = connection.exec_driver_sql("SELECT provider FROM accounts WHERE account = ?", (name,)).scalar()
        if found != provider:
            raise ConfigError(
                f"account {short_repr(name)} holds flows of {found}, not of {provider}: choose another name"
            )


def _again_where_lost(commit: Callable[P, R]) -> Callable[P, R]:
    """A commit that is tried again where the connection was lost before it was kept: a server that is started again."""

    @wraps(commit)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(LOST_TRIES):
            with suppress(ConnectionLost):
                return commit(*args, **kwargs)
        return commit(*args, **kwargs)

    return tried


@_again_where_lost
def commit_slice(
    ledger: Ledger,
    account: str,
    asked: Slice,
    *,
    read_at: datetime,
    received: Sequence[DecodedRow] | RowBatch,
    rejected: Sequence[Rejected] = (),
    may_end: bool = True,
) -> Committed:
    """Keep a slice that was read whole and proven: afterwards its flows are exactly `received`.

    `read_at` is when the reading began. Rows no longer there become history, and so do versions that changed.
    Raises StaleRead where a part of the slice was proven by a read that began later, and, unless it `may_end` versions
    or withdraw rows from quarantine, ConfirmationRequired where it would: nothing is kept then.
    """
    with writing_batches(ledger, account) as (batches,):
        return _keep(batches, SliceRead(asked, read_at, received, rejected), may_end=may_end)


@_again_where_lost
def commit_slices(ledger: Ledger, account: str, slices: Sequence[SliceRead]) -> list[Committed | None]:
    """Keep slices one after the other in one transaction, as `commit_slice` keeps one that may not end versions.

    None stands for a slice that was proven by a later read. The list is shorter than `slices` where one of them would
    end versions: that one and those after it are not kept.
    """
    kept: list[Committed | None] = []
    with writing_batches(ledger, account) as (batches,):
        for one in slices:
            try:
                kept.append(_keep(batches, one, may_end=False))
            except StaleRead:
                kept.append(None)
            except ConfirmationRequired:
                break
    return kept


def _keep(batches: Batches, read: SliceRead, *, may_end: bool) -> Committed:
    """Keep a slice. What it raises, it raises before it writes."""
    asked, read_at, received, rejected = read
    connection, account, read_at_us = batches.connection, batches.account, to_us(read_at)
    known = batches.coverage(asked)
    if any(part.state is State.PROVEN and part.checked_at_us > read_at_us for part in known):
        raise StaleRead(f"account {account}: this slice was read again by somebody else in the meantime")
    change = compare(connection, account, asked, received, batch=batches.next)
    settlement = Settlement()
    if rejected or batches.has_quarantined():
        settlement = settle(connection, account, asked, received, rejected, batches.next)
        change.settle(settlement)
    if not may_end and (change.ended or settlement.withdraws):
        raise ConfirmationRequired(f"account {account}: this slice would end versions of flows")
    change.rows_in = len(received) + len(rejected)
    proof = Range(to_us(asked.since), to_us(asked.until), State.PROVEN, "", read_at_us, batches.next)
    return batches.write(change, known, proof)


def compare(
    connection: Connection, account: str, asked: Slice, received: Sequence[DecodedRow] | RowBatch, *, batch: int = 0
) -> Change:
    """What committing a closed slice would change. Reads only."""
    kept = _kept(connection, account, asked)
    change = Change()
    rows = flow_rows(account, received, batch)
    if isinstance(received, RowBatch):
        change.used = received.used
    if rows and rows[0][AT_US] > rows[-1][AT_US]:  # type: ignore[operator] # an integer column
        rows.reverse()  # a list that is nearly in order is sorted in no time
    rows.sort()  # a row begins with its key, and no two have the same
    change.unlike_before, change.unlike_after = unlike(list(kept.values())), unlike(rows)
    if not kept:
        change.added = rows
        return change
    unmet = []
    for row in rows:
        old = kept.pop((row[AT_US], row[ID]), None)
        if old is None:
            unmet.append(row)
        elif old[:FACTS_END] == row[:FACTS_END]:
            continue
        else:
            change.ended.append((old, RESTATED))
        change.added.append(row)
    if kept:
        of_id = {row[ID]: row for row in kept.values()}
        for row in unmet:
            old = of_id.pop(row[ID], None)
            if old is not None:
                del kept[old[AT_US], old[ID]]
                change.ended.append((old, RESTATED))
    change.ended += [(old, WITHDRAWN) for old in kept.values()]
    change.ended.sort(key=lambda end: by_key(end[0]))
    return change


@_again_where_lost
def commit_gap(ledger: Ledger, account: str, asked: Slice, *, tried_at: datetime, reason: str) -> None:
    """Record that a slice could not be proven, and why. What was proven in it before stays proven."""
    with writing_batches(ledger, account) as (batches,):
        known = batches.coverage(asked)
        gap = Range(to_us(asked.since), to_us(asked.until), State.OPEN, reason, to_us(tried_at), batches.next)
        if [part[:4] for part in merged(fold(known, gap))] != [part[:4] for part in merged(known)]:
            batches.write(Change(), known, gap)


def commit_rows(ledger: Ledger, account: str, change_of: PlanRows) -> Committed | None:
    """Keep rows that prove no range: what `change_of` says, inside the transaction. None: nothing was new.

    Rows that were in quarantine and are among the added ones are resolved.
    """

    def planned(connection: Connection, batch: int) -> Change:
        change = change_of(connection, batch)
        change.settle(settle_read(connection, account, change.added))
        return change

    return commit_change(ledger, account, ADDED, planned)


def commit_change(ledger: Ledger, account: str, state: str, change_of: PlanRows) -> Committed | None:
    """Commit what `change_of` says, inside the transaction, as a batch that proves no range. None: nothing changes."""
    (committed,) = commit_changes(ledger, {account: change_of}, state)
    return committed


def commit_changes(ledger: Ledger, plans: Mapping[str, PlanRows], state: str) -> list[Committed | None]:
    """Commit what a plan for each account says, all of it in one transaction, as batches that prove no range."""
    with writing_batches(ledger, *plans) as every:
        return [_changed(batches, change_of, state) for batches, change_of in zip(every, plans.values(), strict=True)]


def _changed(batches: Batches, change_of: PlanRows, state: str) -> Committed | None:
    change = change_of(batches.connection, batches.next)
    if change.is_empty():
        return None
    change.sort()
    change.find_unlike(batches.connection, batches.account)
    return batches.write(change, [], None, state)


def _kept(connection: Connection, account: str, asked: Slice) -> dict[tuple[object, object], Row]:
    """The flows of a slice that are here, by time and id: a row whose time was restated may be here twice."""
    found = connection.exec_driver_sql(_SELECT_SLICE, (account, to_us(asked.since), to_us(asked.until)))
    return {(row[AT_US], row[ID]): tuple(row) for row in found}


def flow_rows(account: str, received: Sequence[DecodedRow] | RowBatch, batch: int) -> list[Row]:
    """Rows of the flows table. Those of equal identity are numbered by their bytes, in whatever order they arrived."""
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


_MAKE_ACCOUNT = """
INSERT INTO accounts (account, provider, zone, created_at_us, head, link) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (account) DO NOTHING
"""
_SELECT_SLICE = f"SELECT {', '.join(COLUMNS)} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?"
