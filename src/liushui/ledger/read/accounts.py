"""The accounts of a ledger: their names, and a snapshot of what is known of each as of one state. Reads only."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from liushui.errors import AccountNotFound
from liushui.instant import from_us, load_zone
from liushui.ledger.coverage import Range, State, merge_adjacent
from liushui.ledger.day_totals import Sums, load_sums
from liushui.ledger.engines.base import Ledger, Queries
from liushui.ledger.jobs.source_state import SourceState, read_states

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


def find_accounts(queries: Queries, names: Sequence[str] = ()) -> list[AccountName]:
    """The accounts of those names, by name; all of them where none is named. Raises AccountNotFound."""
    found = [AccountName(*row) for row in queries.rows("SELECT account, provider, zone FROM accounts ORDER BY account")]
    if not names:
        return found
    known = [account.account for account in found]
    for name in names:
        if name not in known:
            raise AccountNotFound(name, known)
    return [account for account in found if account.account in names]


def read_heads(ledger: Ledger, names: Sequence[str] | None = None) -> dict[str, int]:
    """The newest batch of each account, by name. No fact of an account changes without a new batch."""
    with ledger.querying() as queries:
        return {head.account: head.batch for head in list_heads(queries, names)}


class Head(NamedTuple):
    """The newest batch of an account, and its link. Batch 0: no batch yet; the link is the one at the beginning."""

    account: str
    batch: int
    link: str


def list_heads(queries: Queries, names: Sequence[str] | None = None) -> list[Head]:
    """Where the chains of those accounts end, by name; of all accounts where `names` is None."""
    only = "" if names is None else f"WHERE account IN ({_placeholders(names)})"
    return [
        Head(*row)
        for row in queries.rows(f"SELECT account, head, link FROM accounts {only} ORDER BY account", *names or ())
    ]


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
    stated: tuple[Range, ...] = ()
    """Ranges that statement files prove, oldest first: see `statement_ranges`. Of an account without a source."""
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
    """Snapshots of those accounts, by name; of all where none is named. Raises AccountNotFound.

    `with_runs_at`: now, where the last runs and the state of the sources are wanted too.
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
    """The currencies of accounts, those with the most flows first."""
    counts: Counter[str] = Counter()
    for snapshot in snapshots:
        for (_, currency), total in snapshot.sums.items():
            counts[currency] += total.flows
    return sorted(counts, key=lambda currency: (-counts[currency], currency))


def read_committed(queries: Queries, account: str) -> CommittedState:
    """What batches of an account have come to."""
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
    """The rows that could not be read after a batch."""
    return _rejected(queries, account, "batch <= ? AND (ended_batch IS NULL OR ended_batch > ?)", seq, seq)


def _rejected(queries: Queries, account: str, condition: str, *parameters: object) -> tuple[RejectedRows, ...]:
    """Rejected rows by the ranges they may belong to. A row of unknown time may belong to any range."""
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
