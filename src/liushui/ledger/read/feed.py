"""The feed: the changes of each commit (added, changed, withdrawn), in the order of commits, after any commit.

A page has only whole commits, in order, all read from one state of the ledger. A reader that applies them has the
account's flows as they were after the last of these commits.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError
from liushui.instant import from_us
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import queries_of
from liushui.ledger.flow_row import COLUMNS, to_flow
from liushui.ledger.names import current_names
from liushui.ledger.read.flows import LedgerFlow
from liushui.ledger.schema import accounts, batches, flows, history
from liushui.ledger.tombstones import erased_until

Positions = Mapping[str, int]
"""The newest commit of each account that the feed's reader has seen. 0 or missing: none yet."""

BATCHES_MAX: Final = 500
"""The most commits in one page."""


class How(StrEnum):
    """The kind of change of a flow."""

    ADDED = "added"
    CHANGED = "changed"
    WITHDRAWN = "withdrawn"


class Step(NamedTuple):
    """The effect of one commit on the flow with one key: account, instant and id.

    `found` is the flow after the commit or, if it was withdrawn, before the commit. `ended_as` says why a version
    ended. A flow whose time was restated is withdrawn under the old key and added under the new one.
    """

    how: How
    found: LedgerFlow
    batch: int
    recorded_at: datetime
    ended_as: str | None


class FeedPage(NamedTuple):
    """Steps, and the positions after them. `more`: further steps already exist."""

    steps: list[Step]
    positions: dict[str, int]
    more: bool


class Commit(NamedTuple):
    """A commit that changed flows: its number, time and counts."""

    account: str
    seq: int
    recorded_at: datetime
    added: int
    restated: int
    withdrawn: int


class _Batch(NamedTuple):
    commit: Commit
    since_us: int | None
    until_us: int | None


def feed_page(ledger: Ledger, names: Sequence[str], seen: Positions, *, limit: int) -> FeedPage:
    """Return the steps of these accounts after the positions `seen`, account by account, in whole commits.

    A page ends after the commit that brings it to `limit` steps. Raises ConfigError if `seen` is ahead of the ledger,
    because it belongs to another ledger, or to this one before it was restored from a backup.
    """
    positions = dict(seen)
    steps: list[Step] = []
    with ledger.reading() as connection:
        _check_not_renamed(connection, names, seen)
        for account, head in _heads(connection, names).items():
            if seen.get(account, 0) > head:
                raise ConfigError("cursor: expected one of this ledger as it is now: read the feed from its beginning")
            if 0 < seen.get(account, 0) < erased_until(connection, account):
                raise ConfigError(
                    f"cursor: account {account} was removed, and begun again: read the feed from its beginning"
                )
            for batch in _batches(connection, account, positions.get(account, 0)):
                if len(steps) >= limit:
                    return FeedPage(steps, positions, more=True)
                steps += _steps(connection, batch)
                positions[account] = batch.commit.seq
            positions[account] = max(positions.get(account, 0), _last(connection, account, positions, head))
            if positions[account] < head:
                return FeedPage(steps, positions, more=True)
    return FeedPage(steps, positions, more=False)


def _check_not_renamed(connection: Connection, names: Sequence[str], seen: Positions) -> None:
    """Raises ConfigError for positions from before a rename: their reader has the flows under the earlier name."""
    renamed = current_names(queries_of(connection)) if seen.keys() - set(names) else {}
    for name in sorted(seen.keys() & renamed.keys()):
        if renamed[name] in names:
            raise ConfigError(
                f"cursor: account {name} was renamed to {renamed[name]}: read the feed from its beginning, and drop "
                f"what you have of {name}"
            )


def positions_after_renames(ledger: Ledger, names: Sequence[str], seen: Positions) -> dict[str, int]:
    """Return the positions with the current names of accounts. A batch keeps its number under every name."""
    if not seen.keys() - set(names):
        return dict(seen)
    with ledger.querying() as queries:
        renamed = current_names(queries)
    positions: dict[str, int] = {}
    for name, batch in seen.items():
        current = renamed.get(name, name)
        positions[current] = max(batch, positions.get(current, 0))
    return positions


def commits_after(ledger: Ledger, names: Sequence[str], seen: Positions, *, limit: int) -> list[Commit]:
    """Return the commits that changed flows, starting after the seen commits, at most `limit` of each account."""
    found: list[Commit] = []
    with ledger.reading() as connection:
        for account, head in _heads(connection, names).items():
            if seen.get(account, 0) < head:
                every = _batches(connection, account, seen.get(account, 0), limit)
                found += [batch.commit for batch in every]
    return found


def _last(connection: Connection, account: str, positions: Positions, head: int) -> int:
    """Return an account's last position: its head, or the commit before the first unseen commit that changed flows."""
    after = next(_batches(connection, account, positions.get(account, 0), 1), None)
    return head if after is None else after.commit.seq - 1


def _heads(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    query = sa.select(accounts.c.account, accounts.c.head).where(accounts.c.account.in_(names))
    return {row.account: row.head for row in connection.execute(query.order_by(accounts.c.account))}


def _batches(connection: Connection, account: str, after: int, limit: int = BATCHES_MAX) -> Iterator[_Batch]:
    """The commits of an account that changed flows, in their order."""
    b = batches.c
    after = max(after, erased_until(connection, account))
    query = (
        sa.select(b.account, b.seq, b.recorded_at_us, b.added, b.restated, b.withdrawn, b.since_us, b.until_us)
        .where(b.account == account, b.seq > after, sa.or_(b.added > 0, b.restated > 0, b.withdrawn > 0))
        .order_by(b.seq)
        .limit(limit)
    )
    for row in connection.execute(query).all():
        commit = Commit(row.account, row.seq, from_us(row.recorded_at_us), row.added, row.restated, row.withdrawn)
        yield _Batch(commit, row.since_us, row.until_us)


def _steps(connection: Connection, batch: _Batch) -> list[Step]:
    """Return the changes of a commit, sorted by key."""
    expected = batch.commit.added + batch.commit.restated, batch.commit.withdrawn + batch.commit.restated
    begun, ended = _versions(connection, batch, ranged=True)
    if (len(begun), len(ended)) != expected:  # some are outside the range that was read, or the range is not known
        begun, ended = _versions(connection, batch, ranged=False)
    steps = []
    for key in sorted(begun.keys() | ended.keys()):
        row, old = begun.get(key), ended.get(key)
        how = How.WITHDRAWN if row is None else How.ADDED if old is None else How.CHANGED
        said = old if row is None else row
        if said is None:
            raise AssertionError("a step is of a version that begins or ends")
        found = LedgerFlow(said.account, said.id, to_flow(said), said.batch)
        ended_as = None if old is None else str(old.ended_as)
        steps.append(Step(how, found, batch.commit.seq, batch.commit.recorded_at, ended_as))
    return steps


_Rows = dict[tuple[int, str], sa.Row[Any]]


def _versions(connection: Connection, batch: _Batch, *, ranged: bool) -> tuple[_Rows, _Rows]:
    """Return the versions that a commit entered, and those that it ended. `ranged`: only those in its range."""
    if ranged and batch.since_us is None:
        return {}, {}
    account, seq = batch.commit.account, batch.commit.seq
    columns = [history.c[name] for name in COLUMNS]
    current = sa.select(*flows.columns).where(flows.c.account == account, flows.c.batch == seq)
    gone = sa.select(*columns).where(history.c.account == account, history.c.batch == seq)
    ended = sa.select(*columns, history.c.ended_as).where(history.c.account == account, history.c.ended_batch == seq)
    if ranged:
        current = current.where(flows.c.at_us >= batch.since_us, flows.c.at_us < batch.until_us)
        gone = gone.where(history.c.at_us >= batch.since_us, history.c.at_us < batch.until_us)
        ended = ended.where(history.c.at_us >= batch.since_us, history.c.at_us < batch.until_us)
    entered = [*connection.execute(current), *connection.execute(gone)]
    return _by_key(entered), _by_key(connection.execute(ended))


def _by_key(rows: Iterable[sa.Row[Any]]) -> _Rows:
    return {(row.at_us, row.id): row for row in rows}
