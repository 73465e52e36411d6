"""The accounts of a ledger: their names, and a snapshot of what is known of each as of one state. Reads only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import AccountNotFound
from liushui.instant import from_us, load_zone
from liushui.ledger.coverage import Range, State, merge_adjacent
from liushui.ledger.day_totals import Sums, load_sums
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.source_state import SourceState, read_states
from liushui.ledger.schema import accounts, coverage, day_totals, findings, flows, progress, quarantine, runs, sources
from liushui.ledger.write.quarantine import from_columns

REFUSED = "credentials"
"""The status of a sync whose credentials the provider refused."""

_NO_STATE: Final = SourceState()

ANY_TIME_US = 2**62
"""A rejected row of an import may be of any time from the negative of this on."""


class AccountName(NamedTuple):
    """An account, its provider and the IANA zone of its days."""

    account: str
    provider: str
    zone: str

    @property
    def tz(self) -> ZoneInfo:
        """The zone of the account's days."""
        return load_zone(self.zone)


def find_accounts(connection: Connection, names: Sequence[str] = ()) -> list[AccountName]:
    """The accounts of those names, by name; all of them where none is named. Raises AccountNotFound."""
    query = sa.select(accounts.c.account, accounts.c.provider, accounts.c.zone).order_by(accounts.c.account)
    found = [AccountName(*row) for row in connection.execute(query)]
    if not names:
        return found
    known = [account.account for account in found]
    for name in names:
        if name not in known:
            raise AccountNotFound(name, known)
    return [account for account in found if account.account in names]


def read_heads(ledger: Ledger, names: Sequence[str] | None = None) -> dict[str, int]:
    """The newest batch of each account, by name. No fact of an account changes without a new batch."""
    query = sa.select(accounts.c.account, accounts.c.head).order_by(accounts.c.account)
    if names is not None:
        query = query.where(accounts.c.account.in_(names))
    with ledger.reading() as connection:
        return {row.account: row.head for row in connection.execute(query)}


class Head(NamedTuple):
    """The newest batch of an account, and its link. Batch 0: there is none yet, and the link is of the beginning."""

    account: str
    batch: int
    link: str


def list_heads(connection: Connection, names: Sequence[str] | None = None) -> list[Head]:
    """Where the chains of those accounts end, by name; of all accounts where `names` is None."""
    query = sa.select(accounts.c.account, accounts.c.head, accounts.c.link).order_by(accounts.c.account)
    if names is not None:
        query = query.where(accounts.c.account.in_(names))
    return [Head(*row) for row in connection.execute(query)]


class LastRun(NamedTuple):
    """How an account's latest sync went. `ended_at` None: it still runs, or was killed. `error` empty: it succeeded.

    `is_refused`: the provider refused the credentials.
    """

    started_at: datetime
    ended_at: datetime | None
    error: str
    is_refused: bool


class RejectedRows(NamedTuple):
    """Rows that could not be read, and the ranges [since, until), in microseconds, that they may belong to."""

    pieces: tuple[tuple[int, int], ...]
    rows: int


class CommittedState(NamedTuple):
    """The part of a snapshot that only a batch of the account can change."""

    ranges: tuple[Range, ...]
    rejected: tuple[RejectedRows, ...]
    findings: dict[str, int]
    sums: Sums
    first_flow_us: int | None
    last_flow_us: int | None
    last_day: str | None


class AccountSnapshot(NamedTuple):
    """What is known of an account. `since` None: it has no source, so nothing says which flows there should be."""

    account: str
    provider: str
    zone: str
    head: int
    since: datetime | None
    run: LastRun | None
    ranges: tuple[Range, ...]
    """Coverage, neighbours of one state and reason as one, oldest first."""
    rejected: tuple[RejectedRows, ...]
    findings: dict[str, int]
    """Flows to review, by finding."""
    sums: Sums
    first_flow_us: int | None
    last_flow_us: int | None
    last_day: str | None
    """The newest day that has a flow, in the account's zone."""
    service: SourceState = _NO_STATE
    """What syncs have left: a wait, the provider's clock, doubted reads. Empty unless runs were asked for."""

    @property
    def rejected_rows(self) -> int:
        """How many rows could not be read."""
        return sum(entry.rows for entry in self.rejected)

    @property
    def flows(self) -> int:
        """How many flows there are."""
        return sum(total.flows for total in self.sums.values())


@dataclass
class SnapshotCache:
    """Committed states by account and newest batch: read again only when the account has had a batch since."""

    states: dict[str, tuple[int, CommittedState]] = field(default_factory=dict)

    def load(self, connection: Connection, account: str, head: int) -> CommittedState:
        """The committed state of an account whose newest batch is `head`."""
        cached = self.states.get(account)
        if cached is not None and cached[0] == head:
            return cached[1]
        state = read_committed(connection, account)
        self.states[account] = head, state
        return state


def read_snapshots(
    connection: Connection,
    cache: SnapshotCache,
    names: Sequence[str] = (),
    *,
    with_runs_at: datetime | None = None,
) -> list[AccountSnapshot]:
    """Snapshots of those accounts, by name; of all where none is named. Raises AccountNotFound.

    `with_runs_at`: now, where the last runs and the state of the sources are wanted too.
    """
    if names:
        find_accounts(connection, names)
    last_runs = {} if with_runs_at is None else _last_runs(connection)
    services = {} if with_runs_at is None else read_states(connection, with_runs_at)
    query = sa.select(accounts.c.account, accounts.c.provider, accounts.c.zone, accounts.c.head, sources.c.since_us)
    query = query.outerjoin(sources, sources.c.account == accounts.c.account).order_by(accounts.c.account)
    if names:
        query = query.where(accounts.c.account.in_(names))
    return [
        AccountSnapshot(
            account,
            provider,
            zone,
            head,
            None if since_us is None else from_us(since_us),
            last_runs.get(account),
            *cache.load(connection, account, head),
            services.get(account, _NO_STATE),
        )
        for account, provider, zone, head, since_us in connection.execute(query).all()
    ]


def currencies_of(snapshots: Sequence[AccountSnapshot]) -> list[str]:
    """The currencies of accounts, those with the most flows first."""
    counts: Counter[str] = Counter()
    for snapshot in snapshots:
        for (_, currency), total in snapshot.sums.items():
            counts[currency] += total.flows
    return sorted(counts, key=lambda currency: (-counts[currency], currency))


def read_committed(connection: Connection, account: str) -> CommittedState:
    """What batches of an account have come to."""
    first_us, last_us = (_edge_us(connection, account, newest=newest) for newest in (False, True))
    return CommittedState(
        tuple(merge_adjacent(read_ranges(connection, account))),
        _rejected(connection, account),
        _findings(connection, account),
        load_sums(connection, account),
        first_us,
        last_us,
        connection.scalar(sa.select(sa.func.max(day_totals.c.day)).where(day_totals.c.account == account)),
    )


def read_ranges(connection: Connection, account: str) -> list[Range]:
    """An account's coverage as it was committed, oldest first."""
    c = coverage.c
    query = sa.select(c.since_us, c.until_us, c.state, c.reason, c.checked_at_us, c.batch)
    found = connection.execute(query.where(c.account == account).order_by(c.since_us))
    return [Range(since_us, until_us, State(state), *rest) for since_us, until_us, state, *rest in found]


def ranges_of(ledger: Ledger, account: str) -> list[Range]:
    """An account's coverage as it was committed, oldest first."""
    with ledger.reading() as connection:
        return read_ranges(connection, account)


def rejected_as_of(connection: Connection, account: str, seq: int) -> tuple[RejectedRows, ...]:
    """The rows that could not be read after a batch."""
    q = quarantine.c
    return _rejected(connection, account, sa.and_(q.batch <= seq, sa.or_(q.ended_batch.is_(None), q.ended_batch > seq)))


def _rejected(
    connection: Connection, account: str, only: sa.ColumnElement[bool] | None = None
) -> tuple[RejectedRows, ...]:
    """Rejected rows by the ranges they may belong to. A row of unknown time may belong to any range."""
    q = quarantine.c
    query = sa.select(q.since_us, q.until_us, q.holes, sa.func.count()).where(q.account == account)
    query = query.where(q.ended_batch.is_(None) if only is None else only)
    entries = []
    for since_us, until_us, holes, rows in connection.execute(query.group_by(q.since_us, q.until_us, q.holes)):
        span = from_columns(since_us, until_us, holes)
        pieces = ((-ANY_TIME_US, ANY_TIME_US),) if span is None else tuple((one[0], one[1]) for one in span)
        entries.append(RejectedRows(pieces, rows))
    return tuple(sorted(entries))


def _edge_us(connection: Connection, account: str, *, newest: bool) -> int | None:
    """The time of the oldest or newest flow. ORDER BY and LIMIT read one end of the primary key on every engine."""
    order = flows.c.at_us.desc() if newest else flows.c.at_us
    return connection.scalar(sa.select(flows.c.at_us).where(flows.c.account == account).order_by(order).limit(1))


def _last_runs(connection: Connection) -> dict[str, LastRun]:
    latest = sa.select(runs.c.account, sa.func.max(runs.c.started_at_us).label("started_at_us"))
    last = latest.group_by(runs.c.account).subquery()
    same = sa.and_(runs.c.account == last.c.account, runs.c.started_at_us == last.c.started_at_us)
    query = sa.select(runs.c.account, runs.c.started_at_us, runs.c.ended_at_us, runs.c.error, progress.c.status)
    query = query.join(last, same).outerjoin(progress, progress.c.account == runs.c.account)
    return {
        account: LastRun(
            from_us(started_at_us),
            None if ended_at_us is None else from_us(ended_at_us),
            error,
            is_refused=bool(error) and status == REFUSED,
        )
        for account, started_at_us, ended_at_us, error, status in connection.execute(query)
    }


def _findings(connection: Connection, account: str) -> dict[str, int]:
    f = findings.c
    query = sa.select(f.finding, sa.func.sum(f.flows)).where(f.account == account).group_by(f.finding)
    return {finding: int(count) for finding, count in connection.execute(query)}
