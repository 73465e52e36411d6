"""The only writer of facts. Each function is one transaction: flows, history, quarantine, coverage, totals, chain."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import wraps
from typing import Final, NamedTuple, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerBusy, Lost, StaleRead, Uncertain, WouldEnd
from liushui.instant import BusinessDays, to_us, zone_named
from liushui.ledger import proofs
from liushui.ledger.bulk import insert_rows
from liushui.ledger.chain import facts_digest, genesis, link
from liushui.ledger.change import ADDED, RESTATED, WITHDRAWN, Change, Committed, by_key
from liushui.ledger.coverage import Range, State, fold, merged
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.statements import FOR_UPDATE
from liushui.ledger.findings import store as store_findings
from liushui.ledger.findings import unlike
from liushui.ledger.quarantine import settle, settle_read
from liushui.ledger.quarantine import write as write_settled
from liushui.ledger.rows import AT_US, COLUMNS, COPY_MARK, FACTS_END, ID, Rejected, Row, Together, flow_id, to_row
from liushui.ledger.totals import store
from liushui.money import shown
from liushui.provider import Received, Slice

PlanRows = Callable[[Connection, int], Change]
"""Says, inside the transaction, what the batch of that number changes."""


P = ParamSpec("P")
R = TypeVar("R")

LOST_TRIES: Final = 2
"""How often a commit is tried again whose connection was lost. Each time a server that is down is waited for."""

_SEALED: Final = "liushui_sealed"
"""Under it a connection remembers the last batch of its transaction."""


class Account(NamedTuple):
    """An account, and the batch its chain has come to."""

    name: str
    provider: str
    zone: str
    head: int
    link: str


class SliceRead(NamedTuple):
    """A slice that was read whole and proven, as it came. `read_at`: when its reading began."""

    asked: Slice
    read_at: datetime
    received: Sequence[Received] | Together
    rejected: Sequence[Rejected] = ()


def make_account(ledger: Ledger, name: str, provider: str, zone: str) -> None:
    """Begin an account's chain; nothing happens where it is there already. Raises ConfigError where it is another's."""
    zone_named(zone)
    created_at_us = to_us(ledger.clock())
    with ledger.writing() as connection:
        start = genesis(name, provider, zone, created_at_us)
        connection.exec_driver_sql(_MAKE_ACCOUNT, (name, provider, zone, created_at_us, 0, start))
        found = connection.exec_driver_sql("SELECT provider FROM accounts WHERE account = ?", (name,)).scalar()
        if found != provider:
            raise ConfigError(f"account {shown(name)} holds flows of {found}, not of {provider}: choose another name")


def _again_where_lost(commit: Callable[P, R]) -> Callable[P, R]:
    """A commit that is tried again where the connection was lost before it was kept: a server that is started again."""

    @wraps(commit)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(LOST_TRIES):
            with suppress(Lost):
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
    received: Sequence[Received] | Together,
    rejected: Sequence[Rejected] = (),
    may_end: bool = True,
) -> Committed:
    """Keep a slice that was read whole and proven: afterwards its flows are exactly `received`.

    `read_at` is when the reading began. Rows no longer there become history, and so do versions that changed.
    Raises StaleRead where a part of the slice was proven by a read that began later, and, unless it `may_end` versions
    or withdraw rows from quarantine, WouldEnd where it would: nothing is kept then.
    """
    with _committing(ledger) as connection:
        return _keep(connection, ledger, account, SliceRead(asked, read_at, received, rejected), may_end=may_end)


@_again_where_lost
def commit_slices(ledger: Ledger, account: str, slices: Sequence[SliceRead]) -> list[Committed | None]:
    """Keep slices one after the other in one transaction, as `commit_slice` keeps one that may not end versions.

    None stands for a slice that was proven by a later read. The list is shorter than `slices` where one of them would
    end versions: that one and those after it are not kept.
    """
    kept: list[Committed | None] = []
    with _committing(ledger) as connection:
        for one in slices:
            try:
                kept.append(_keep(connection, ledger, account, one, may_end=False))
            except StaleRead:
                kept.append(None)
            except WouldEnd:
                break
    return kept


def _keep(connection: Connection, ledger: Ledger, account: str, read: SliceRead, *, may_end: bool) -> Committed:
    """Keep a slice. What it raises, it raises before it writes."""
    asked, read_at, received, rejected = read
    since_us, until_us, read_at_us = to_us(asked.since), to_us(asked.until), to_us(read_at)
    head = load_account(connection, account)
    known = _coverage(connection, account, since_us, until_us)
    if any(part.state is State.PROVEN and part.checked_at_us > read_at_us for part in known):
        raise StaleRead(f"account {account}: this slice was read again by somebody else in the meantime")
    change = compare(connection, account, asked, received, batch=head.head + 1)
    settlement = settle(connection, account, asked, received, rejected, head.head + 1)
    change.settle(settlement)
    if not may_end and (change.ended or settlement.withdraws):
        raise WouldEnd(f"account {account}: this slice would end versions of flows")
    change.rows_in = len(received) + len(rejected)
    proof = Range(since_us, until_us, State.PROVEN, "", read_at_us, head.head + 1)
    return _write(connection, ledger, head, change, known, proof)


def compare(
    connection: Connection, account: str, asked: Slice, received: Sequence[Received] | Together, *, batch: int = 0
) -> Change:
    """What committing a closed slice would change. Reads only."""
    kept = _kept(connection, account, asked)
    change = Change()
    if isinstance(received, Together):
        rows, change.used = received.to_rows(account, batch), received.used
    else:
        rows = _numbered(account, received, batch)
    if not proofs.PROOFS.equal_rows_are_numbered:
        rows = [row for row in rows if COPY_MARK not in str(row[ID])]
    if rows and rows[0][AT_US] > rows[-1][AT_US]:  # type: ignore[operator] # an integer column
        rows.reverse()  # a list that is nearly in order is sorted in no time
    rows.sort(key=by_key)
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
    with _committing(ledger) as connection:
        head = load_account(connection, account)
        known = _coverage(connection, account, to_us(asked.since), to_us(asked.until))
        gap = Range(to_us(asked.since), to_us(asked.until), State.OPEN, reason, to_us(tried_at), head.head + 1)
        if [part[:4] for part in merged(fold(known, gap))] != [part[:4] for part in merged(known)]:
            _write(connection, ledger, head, Change(), known, gap)


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
    with _committing(ledger) as connection:
        head = load_account(connection, account)
        change = change_of(connection, head.head + 1)
        if change.is_empty():
            return None
        change.sort()
        change.find_unlike(connection, account)
        return _write(connection, ledger, head, change, [], None, state)


@contextmanager
def _committing(ledger: Ledger) -> Iterator[Connection]:
    """A writing transaction of batches of one account. It ends well where they are kept, and else they are not.

    Where the connection was lost while they were being committed the account's own chain says which it was. Raises
    Uncertain where that cannot be asked.
    """
    sealed: tuple[str, int, str] | None = None
    try:
        with ledger.writing() as connection:
            connection.info.pop(_SEALED, None)
            yield connection
            sealed = connection.info.pop(_SEALED, None)
    except Uncertain as uncertain:
        try:
            kept = sealed is None or _is_kept(ledger, *sealed)
        except LedgerBusy as error:
            raise uncertain from error
        if not kept:
            raise Lost(
                f"the connection to {ledger.name} was lost in a commit, and nothing of it is kept"
            ) from uncertain


def _is_kept(ledger: Ledger, account: str, seq: int, sealed: str) -> bool:
    """Whether a batch is there. Whoever may still be committing it is waited for: it holds the account."""
    with ledger.writing() as connection:
        load_account(connection, account)
        found = connection.exec_driver_sql(_SELECT_LINK, (account, seq)).scalar()
    return bool(found == sealed)


def load_account(connection: Connection, name: str) -> Account:
    """The account of that name, held until the transaction ends: nobody else commits to it. Raises ConfigError."""
    found = connection.exec_driver_sql(_SELECT_ACCOUNT, (name,)).first()
    if found is None:
        raise ConfigError(f"account: there is none named {shown(name)}")
    return Account(*found)


def _kept(connection: Connection, account: str, asked: Slice) -> dict[tuple[object, object], Row]:
    """The flows of a slice that are here, by time and id: a row whose time was restated may be here twice."""
    found = connection.exec_driver_sql(_SELECT_SLICE, (account, to_us(asked.since), to_us(asked.until)))
    return {(row[AT_US], row[ID]): tuple(row) for row in found}


def _numbered(account: str, received: Sequence[Received], batch: int) -> list[Row]:
    """Rows with their ids: equal identities are numbered in the order of their bytes, however they arrived."""
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


def _coverage(connection: Connection, account: str, since_us: int, until_us: int) -> list[Range]:
    found = connection.exec_driver_sql(_SELECT_COVERAGE, (account, until_us, since_us))
    return [Range(row[0], row[1], State(row[2]), *row[3:]) for row in found]


def _write(
    connection: Connection,
    ledger: Ledger,
    head: Account,
    change: Change,
    known: list[Range],
    found: Range | None,
    state: str = "",
) -> Committed:
    account, seq = head.name, head.head + 1
    days = BusinessDays(zone_named(head.zone))

    if change.ended:
        if proofs.PROOFS.ended_versions_become_history:
            insert_rows(connection, "history", [(*old, seq, ended_as) for old, ended_as in change.ended])
        connection.exec_driver_sql(_DELETE_FLOW, [(account, old[AT_US], old[ID]) for old, _ in change.ended])
    insert_rows(connection, "flows", change.added, change.used)
    write_settled(connection, account, change.settled, seq)
    insert_rows(connection, "quarantine", change.quarantined)
    insert_rows(connection, "page_edges", change.edges)

    if proofs.PROOFS.totals_in_the_same_commit:
        store(connection, account, change.totals(days))
    store_findings(connection, account, change.findings(days))

    if found is not None:
        if known:
            connection.exec_driver_sql(_DELETE_COVERAGE, [(account, part.since_us) for part in known])
        insert_rows(connection, "coverage", [(account, *part) for part in fold(known, found)])

    committed = change.counted(seq)
    recorded_at_us = to_us(ledger.clock())
    batch: Row = (
        account,
        seq,
        found.state.value if found else state,
        found.reason if found else "",
        *((found.since_us, found.until_us) if found else _reach(change)),
        found.checked_at_us if found else recorded_at_us,
        recorded_at_us,
        change.rows_in,
        *committed[1:],
        facts_digest(change.facts()),
    )
    sealed = link(head.link, batch)
    insert_rows(connection, "batches", [(*batch, sealed)])
    connection.exec_driver_sql(_ADVANCE, (seq, sealed, account))
    connection.info[_SEALED] = account, seq, sealed
    return committed


def _reach(change: Change) -> tuple[int | None, int | None]:
    """The range that the versions of a batch stand in which read none: where the feed finds them."""
    times = [int(str(row[AT_US])) for row in change.added] + [int(str(old[AT_US])) for old, _ in change.ended]
    return (min(times), max(times) + 1) if times else (None, None)


_MAKE_ACCOUNT = """
INSERT INTO accounts (account, provider, zone, created_at_us, head, link) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (account) DO NOTHING
"""
_SELECT_ACCOUNT = f"SELECT account, provider, zone, head, link FROM accounts WHERE account = ? {FOR_UPDATE}"
_SELECT_LINK = "SELECT link FROM batches WHERE account = ? AND seq = ?"
_SELECT_SLICE = f"SELECT {', '.join(COLUMNS)} FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?"
_DELETE_FLOW = "DELETE FROM flows WHERE account = ? AND at_us = ? AND id = ?"
_SELECT_COVERAGE = """
SELECT since_us, until_us, state, reason, checked_at_us, batch FROM coverage
WHERE account = ? AND since_us < ? AND until_us > ? ORDER BY since_us
"""
_DELETE_COVERAGE = "DELETE FROM coverage WHERE account = ? AND since_us = ?"
_ADVANCE = "UPDATE accounts SET head = ?, link = ? WHERE account = ?"
