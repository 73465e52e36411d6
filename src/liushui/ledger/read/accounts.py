"""The accounts of a ledger: their names, and a snapshot of each account in one state of the ledger. Reads only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from liushui.errors import AccountNotFound, AccountRenamed
from liushui.instant import from_us, load_zone
from liushui.ledger.coverage import Range, State, merge_adjacent
from liushui.ledger.day_totals import Sums, load_sums
from liushui.ledger.engines.base import Ledger, Queries
from liushui.ledger.jobs.source_state import SourceState, read_states
from liushui.ledger.names import current_names

REFUSED = "credentials"
"""The status of a sync whose credentials the provider refused."""

_NO_STATE: Final = SourceState()

ANY_TIME_US = 2**62
"""A rejected row of an import may have any time. Its range begins at minus this and ends at this."""


class AccountName(NamedTuple):
    """An account, its provider and the IANA zone of its days."""

    account: str
    provider: str
    zone: str

    @property
    def tz(self) -> ZoneInfo:
        """The zone of the account's days."""
        return load_zone(self.zone)


def find_accounts(queries: Queries, names: Sequence[str] = ()) -> list[AccountName]:
    """Return the accounts with these names, sorted by name; all accounts if no name is given. Raises
    AccountNotFound."""
    found = [AccountName(*row) for row in queries.rows("SELECT account, provider, zone FROM accounts ORDER BY account")]
    if not names:
        return found
    known = [account.account for account in found]
    for name in names:
        if name not in known:
            current = current_names(queries).get(name)
            raise AccountNotFound(name, known) if current is None else AccountRenamed(name, current)
    return [account for account in found if account.account in names]


def read_heads(ledger: Ledger, names: Sequence[str] | None = None) -> dict[str, int]:
    """The newest batch of each account, by name. No fact of an account changes without a new batch."""
    with ledger.querying() as queries:
        return {head.account: head.batch for head in list_heads(queries, names)}


class Head(NamedTuple):
    """The newest batch of an account, and its link. Before the first batch, `batch` is 0 and the link is the initial
    one."""

    account: str
    batch: int
    link: str


def list_heads(queries: Queries, names: Sequence[str] | None = None) -> list[Head]:
    """Return the newest link of each of these accounts, by name; of all accounts if `names` is None."""
    only = "" if names is None else f"WHERE account IN ({_placeholders(names)})"
    return [
        Head(*row)
        for row in queries.rows(f"SELECT account, head, link FROM accounts {only} ORDER BY account", *names or ())
    ]


class LastRun(NamedTuple):
    """The outcome of an account's latest sync. `ended_at` None: the sync is running, or was killed. `error` empty: it
    succeeded.

    `is_refused`: the provider refused the credentials.
    """

    started_at: datetime
    ended_at: datetime | None
    error: str
    is_refused: bool


class RejectedRows(NamedTuple):
    """The number of unreadable rows, and the ranges [since, until), in microseconds, that they may belong to."""

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
    """The known facts about an account in one state of the ledger. `since` None: it has no source, so no list of its
    flows exists."""

    account: str
    provider: str
    zone: str
    head: int
    since: datetime | None
    run: LastRun | None
    ranges: tuple[Range, ...]
    """Coverage, oldest first. Adjacent ranges with the same state and reason are merged."""
    rejected: tuple[RejectedRows, ...]
    findings: dict[str, int]
    """Flows to review, by finding."""
    sums: Sums
    first_flow_us: int | None
    last_flow_us: int | None
    last_day: str | None
    """The newest day that has a flow, in the account's zone."""
    stated: tuple[Range, ...] = ()
    """Ranges that statement files prove, oldest first: see `statement_ranges`. Only for an account without a source."""
    service: SourceState = _NO_STATE
    """What syncs have recorded about the service: a wait, the provider's clock, doubted reads. Empty unless
    `with_runs_at` was given."""

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
    """Caches committed states by account and newest batch. A state is read again only after another batch."""

    states: dict[str, tuple[int, CommittedState]] = field(default_factory=dict)

    def load(self, queries: Queries, account: str, head: int) -> CommittedState:
        """The committed state of an account whose newest batch is `head`."""
        cached = self.states.get(account)
        if cached is not None and cached[0] == head:
            return cached[1]
        state = read_committed(queries, account)
        self.states[account] = head, state
        return state


def read_snapshots(
    queries: Queries,
    cache: SnapshotCache,
    names: Sequence[str] = (),
    *,
    with_runs_at: datetime | None = None,
) -> list[AccountSnapshot]:
    """Return snapshots of these accounts, by name; of all accounts if no name is given. Raises AccountNotFound.

    `with_runs_at`: the current time; it also loads the last runs and the state of the sources.
    """
    if names:
        find_accounts(queries, names)
    last_runs = {} if with_runs_at is None else _last_runs(queries)
    services = {} if with_runs_at is None else read_states(queries, with_runs_at)
    only = f"WHERE accounts.account IN ({_placeholders(names)})" if names else ""
    return [
        AccountSnapshot(
            account,
            provider,
            zone,
            head,
            None if since_us is None else from_us(since_us),
            last_runs.get(account),
            *cache.load(queries, account, head),
            service=services.get(account, _NO_STATE),
        )
        for account, provider, zone, head, since_us in queries.rows(
            "SELECT accounts.account, accounts.provider, accounts.zone, accounts.head, sources.since_us "
            f"FROM accounts LEFT JOIN sources ON sources.account = accounts.account {only} ORDER BY accounts.account",
            *names,
        )
    ]


def _placeholders(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def currencies_of(snapshots: Sequence[AccountSnapshot]) -> list[str]:
    """Return the currencies of accounts, the one with the most flows first."""
    counts: Counter[str] = Counter()
    for snapshot in snapshots:
        for (_, currency), total in snapshot.sums.items():
            counts[currency] += total.flows
    return sorted(counts, key=lambda currency: (-counts[currency], currency))


def read_committed(queries: Queries, account: str) -> CommittedState:
    """Read the part of a snapshot that only the account's batches can change."""
    # ORDER BY and LIMIT read one end of the primary key on every engine; min() and max() do not.
    edges = [f"SELECT at_us FROM flows WHERE account = ? ORDER BY at_us {order} LIMIT 1" for order in ("ASC", "DESC")]
    findings = queries.rows("SELECT finding, sum(flows) FROM findings WHERE account = ? GROUP BY finding", account)
    return CommittedState(
        tuple(merge_adjacent(read_ranges(queries, account))),
        _rejected(queries, account, "ended_batch IS NULL"),
        {finding: int(count) for finding, count in findings},
        load_sums(queries, account),
        queries.value(edges[0], account),
        queries.value(edges[1], account),
        queries.value("SELECT max(day) FROM day_totals WHERE account = ?", account),
    )


def read_ranges(queries: Queries, account: str) -> list[Range]:
    """An account's coverage as it was committed, oldest first."""
    found = queries.rows(
        "SELECT since_us, until_us, state, reason, checked_at_us, batch FROM coverage WHERE account = ? "
        "ORDER BY since_us",
        account,
    )
    return [Range(since_us, until_us, State(state), *rest) for since_us, until_us, state, *rest in found]


def ranges_of(ledger: Ledger, account: str) -> list[Range]:
    """An account's coverage as it was committed, oldest first."""
    with ledger.querying() as queries:
        return read_ranges(queries, account)


def rejected_as_of(queries: Queries, account: str, seq: int) -> tuple[RejectedRows, ...]:
    """Return the rejected rows of the state after a batch."""
    return _rejected(queries, account, "batch <= ? AND (ended_batch IS NULL OR ended_batch > ?)", seq, seq)


def _rejected(queries: Queries, account: str, condition: str, *parameters: object) -> tuple[RejectedRows, ...]:
    """Group rejected rows by the ranges that they may belong to. A row without a readable time may belong to any
    range."""
    found = queries.rows(
        f"SELECT since_us, until_us, holes, count(*) FROM quarantine WHERE account = ? AND {condition} "
        "GROUP BY since_us, until_us, holes",
        account,
        *parameters,
    )
    if not found:
        return ()
    # Imported here: only an account with rejected rows needs it, and it imports SQLAlchemy.
    from liushui.ledger.write.quarantine import from_columns

    entries = []
    for since_us, until_us, holes, rows in found:
        span = from_columns(since_us, until_us, holes)
        pieces = ((-ANY_TIME_US, ANY_TIME_US),) if span is None else tuple((one[0], one[1]) for one in span)
        entries.append(RejectedRows(pieces, rows))
    return tuple(sorted(entries))


def _last_runs(queries: Queries) -> dict[str, LastRun]:
    return {
        account: LastRun(
            from_us(started_at_us),
            None if ended_at_us is None else from_us(ended_at_us),
            error,
            is_refused=bool(error) and status == REFUSED,
        )
        for account, started_at_us, ended_at_us, error, status in queries.rows(_SELECT_LAST_RUNS)
    }


_SELECT_LAST_RUNS: Final = """
SELECT runs.account, runs.started_at_us, runs.ended_at_us, runs.error, progress.status FROM runs
JOIN (SELECT account, max(started_at_us) AS started_at_us FROM runs GROUP BY account) AS latest
  ON runs.account = latest.account AND runs.started_at_us = latest.started_at_us
LEFT JOIN progress ON progress.account = runs.account
"""
