"""Writes batches: their facts, and the links of the account's chain. `commit` decides on the content of a batch.

The additions of several batches are written together at the end of the transaction, because a statement costs the same
for one row and for fifty. Versions that a batch ends are written at once. All waiting rows are written before a later
batch reads their range.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from liushui.errors import AccountNotFound, CommitOutcomeUnknown, ConnectionLost, LedgerBusy
from liushui.instant import BusinessDays, load_zone, to_us
from liushui.ledger.chain import facts_digest, link
from liushui.ledger.coverage import Range, State, apply_change
from liushui.ledger.day_totals import Totals, merge
from liushui.ledger.day_totals import store as store_totals
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.bulk_insert import insert_rows, inserting_concurrently
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.findings import Counts
from liushui.ledger.findings import store as store_findings
from liushui.ledger.flow_row import AT_US, ID, Row
from liushui.ledger.names import no_account
from liushui.ledger.write.change import Change, Committed, DerivedChange
from liushui.ledger.write.quarantine import end_versions, has_open_entries
from liushui.provider import Slice


class LockedAccount(NamedTuple):
    """An account and the last batch of its chain, both locked until the transaction ends."""

    name: str
    provider: str
    zone: str
    head: int
    link: str


class BatchWriter:
    """Adds batches to the chain of one account, inside one transaction."""

    def __init__(self, connection: Connection, ledger: Ledger, account: LockedAccount) -> None:
        self.connection = connection
        self.account = account.name
        self.locked_name = account.name
        """The name under which the account was locked. It differs from `account` if the transaction renames it."""
        self.now = ledger.clock
        self._head, self._link = account.head, account.link
        self._days = BusinessDays(load_zone(account.zone))
        self.last_batch: tuple[int, str] | None = None
        """The number and link of the last batch that was added."""
        self._has_quarantined: bool | None = None
        """None: not looked up yet."""

        # Rows that wait to be written.
        self._flows: list[Row] = []
        self._filled: set[int] | None = set()
        """The indexes of the columns that these flows fill. None: found by looking at each row."""
        self._totals: Totals = {}
        self._findings: Counts = Counter()
        self._coverage: list[Row] = []
        self._batches: list[Row] = []
        self._waiting_until_us: int | None = None
        """The end of the waiting ranges. They are written before an earlier range is read."""

    @property
    def next_seq(self) -> int:
        """The number of the next batch."""
        return self._head + 1

    def coverage(self, slice_: Slice) -> list[Range]:
        """Return the coverage of the ranges that overlap a slice. Afterwards all its facts can be read from the
        tables."""
        since_us, until_us = to_us(slice_.since), to_us(slice_.until)
        if self._waiting_until_us is not None and since_us < self._waiting_until_us:
            self.flush()
        rows = self.connection.exec_driver_sql(_SELECT_COVERAGE, (self.account, until_us, since_us))
        return [Range(row[0], row[1], State(row[2]), *row[3:]) for row in rows]

    def has_quarantined(self) -> bool:
        """Whether the quarantine has an open entry."""
        if self._has_quarantined is None:
            self._has_quarantined = has_open_entries(self.connection, self.account)
        return self._has_quarantined

    def write(
        self, change: Change, known: list[Range], checked: Range | None, state: str = "", reason: str = ""
    ) -> Committed:
        """Add a batch that makes a change.

        `checked` is the range that the batch proves or opens, and `known` the current coverage that overlaps it. A
        batch without a range states its purpose in `state`, and its reason in `reason`.
        """
        account, seq = self.account, self.next_seq
        if change.ended:
            self.flush()
            self.insert_history(change.ended, seq)
            keys = [(account, old[AT_US], old[ID]) for old, _ in change.ended]
            self.connection.exec_driver_sql(_DELETE_FLOW, keys)
        if change.settled or change.quarantined:
            self._has_quarantined = None  # looked up again for the next batch
        end_versions(self.connection, account, change.settled, seq)
        insert_rows(self.connection, "quarantine", change.quarantined)
        insert_rows(self.connection, "page_edges", change.edges)
        insert_rows(self.connection, "link_decisions", change.decided)
        insert_rows(self.connection, "period_decisions", change.periods)
        insert_rows(self.connection, "finding_decisions", change.findings)
        if change.ended_edges:
            self.connection.exec_driver_sql(_END_EDGE, [(seq, account, *edge) for edge in change.ended_edges])
        insert_rows(self.connection, "reseals", change.reseals)
        insert_rows(self.connection, "stated_balances", change.stated)
        if change.unstated:
            withdrawn = [(seq, reason, account, stated_batch) for stated_batch, reason in change.unstated]
            self.connection.exec_driver_sql(_WITHDRAW_BALANCE, withdrawn)
        if checked is not None and known:
            self.connection.exec_driver_sql(_DELETE_COVERAGE, [(account, part.since_us) for part in known])
        with inserting_concurrently(self.connection, "flows", change.added, change.filled) as pieces:
            facts = self._derive(change, pieces)
            return self._seal(change, known, checked, (state, reason), facts)

    def insert_history(self, ended: Sequence[tuple[Row, str]], seq: int) -> None:
        """Store the versions that end, each with the way in which it ended."""
        insert_rows(self.connection, "history", [(*old, seq, how) for old, how in ended])

    def flush(self) -> None:
        """Write all waiting rows."""
        if not self._batches:
            return
        filled = tuple(sorted(self._filled)) if self._filled else ()
        insert_rows(self.connection, "flows", self._flows, filled)
        store_totals(self.connection, self.account, self._totals)
        store_findings(self.connection, self.account, self._findings)
        insert_rows(self.connection, "coverage", self._coverage)
        insert_rows(self.connection, "batches", self._batches)
        self.connection.exec_driver_sql(_ADVANCE, (self._head, self._link, self.account))
        self._flows, self._filled, self._totals, self._findings = [], set(), {}, Counter()
        self._coverage, self._batches, self._waiting_until_us = [], [], None

    def _derive(self, change: Change, pieces: Iterator[Sequence[Row]] | None) -> str:
        """Queue totals and findings, and also flows unless they are inserted in `pieces`. Returns the facts' digest."""
        if change.added and pieces is None:
            # A new list, because the change keeps its own, and `+=` would add the next batch to that one.
            self._flows = self._flows + change.added if self._flows else change.added
            if change.filled and self._filled is not None:
                self._filled.update(change.filled)
            else:
                self._filled = None
        derived = DerivedChange(change, self._days)
        added = derived.watch([change.added] if pieces is None else pieces)
        digest = facts_digest(change.facts()._replace(added=added))
        totals = derived.totals()
        self._totals = merge(self._totals, totals) if self._totals else totals
        self._findings.update(derived.findings())
        return digest

    def _seal(
        self, change: Change, known: list[Range], checked: Range | None, purpose: tuple[str, str], facts: str
    ) -> Committed:
        """Link a batch to the chain, and queue it with its coverage. `facts` is the digest of its facts.

        `purpose` is the state and the reason of a batch without a range.
        """
        account, seq = self.account, self.next_seq
        if checked is not None:
            parts = apply_change(known, checked)
            self._coverage += [(account, *part) for part in parts]
            self._waiting_until_us = max(self._waiting_until_us or 0, *(part.until_us for part in parts))
        committed = change.count(seq)
        recorded_at_us = to_us(self.now())
        batch: Row = (
            account,
            seq,
            *((checked.state.value, checked.reason) if checked else purpose),
            *((checked.since_us, checked.until_us) if checked else _range_of(change)),
            checked.checked_at_us if checked else recorded_at_us,
            recorded_at_us,
            change.rows_in,
            *committed[1:],
            facts,
        )
        self._link = link(self._link, batch)
        self._head = seq
        self.last_batch = seq, self._link
        self._batches.append((*batch, self._link))
        return committed


@contextmanager
def batch_writers(ledger: Ledger, *accounts: str) -> Iterator[list[BatchWriter]]:
    """Open a transaction that adds batches to the chains of accounts: one writer for each account, in the same order.

    If the connection is lost during the commit, the chain shows whether the commit happened: if so, the block ends
    normally, else ConnectionLost is raised. Raises AccountNotFound, and CommitOutcomeUnknown if the chain cannot be
    read.
    """
    writers: dict[str, BatchWriter] = {}
    try:
        with ledger.writing() as connection:
            # Accounts are locked in one order, so that two transactions cannot wait for each other.
            for account in sorted(set(accounts)):
                writers[account] = BatchWriter(connection, ledger, lock_account(connection, account))
            yield [writers[account] for account in accounts]
            for writer in writers.values():
                writer.flush()
    except CommitOutcomeUnknown as unknown:
        # All batches were in one transaction, so any one of them shows the outcome of all.
        written = next(
            (
                (dict.fromkeys((w.locked_name, w.account)), *w.last_batch)
                for w in writers.values()
                if w.last_batch is not None
            ),
            None,
        )
        try:
            is_committed = written is None or _is_committed(ledger, *written)
        except LedgerBusy as error:
            raise unknown from error
        if not is_committed:
            raise ConnectionLost(
                f"the connection to {ledger.name} was lost in a commit, and nothing was written"
            ) from unknown
    if any(writer.last_batch is not None for writer in writers.values()):
        ledger.has_appended = True


def _is_committed(ledger: Ledger, names: Iterable[str], seq: int, expected_link: str) -> bool:
    """Whether a batch is in the chain of the account with one of these names. The lock waits for a server process that
    may still be committing it."""
    with ledger.writing() as connection:
        links = []
        for name in names:
            with suppress(AccountNotFound):  # the commit renames or removes the account
                lock_account(connection, name)
            links.append(connection.exec_driver_sql(_SELECT_LINK, (name, seq)).scalar())
    return expected_link in links


def lock_account(connection: Connection, name: str) -> LockedAccount:
    """Return the account with this name, locked until the transaction ends, so that nobody else commits to it. Raises
    AccountNotFound.

    The lock keeps a chain linear: the head that is read here is still the head when the batch is written.
    """
    row = connection.exec_driver_sql(_SELECT_ACCOUNT.on(connection), (name,)).first()
    if row is None:
        raise no_account(connection, name)
    return LockedAccount(*row)


def _range_of(change: Change) -> tuple[int | None, int | None]:
    """Return the time range of the versions in a batch that proves no range. The feed finds them by it."""
    times = [int(str(row[AT_US])) for row in change.added] + [int(str(old[AT_US])) for old, _ in change.ended]
    return (min(times), max(times) + 1) if times else (None, None)


_SELECT_LINK: Final = "SELECT link FROM batches WHERE account = ? AND seq = ?"
_SELECT_ACCOUNT: Final = Statement(
    lambda sql: f"SELECT account, provider, zone, head, link FROM accounts WHERE account = ? {sql.for_update}"
)
_END_EDGE: Final = """
UPDATE page_edges SET ended_batch = ? WHERE account = ? AND identity = ? AND side = ? AND copies = ? AND batch = ?
"""
_WITHDRAW_BALANCE: Final = """
UPDATE stated_balances SET ended_batch = ?, ended_as = ? WHERE account = ? AND batch = ? AND ended_batch IS NULL
"""
_DELETE_FLOW: Final = "DELETE FROM flows WHERE account = ? AND at_us = ? AND id = ?"
_SELECT_COVERAGE: Final = """
SELECT since_us, until_us, state, reason, checked_at_us, batch FROM coverage
WHERE account = ? AND since_us < ? AND until_us > ? ORDER BY since_us
"""
_DELETE_COVERAGE: Final = "DELETE FROM coverage WHERE account = ? AND since_us = ?"
_ADVANCE: Final = "UPDATE accounts SET head = ?, link = ? WHERE account = ?"
