"""Writing the batches of one transaction: their facts, and the chain. `commit` says what they change.

What several batches add is written together at the end of the transaction: a statement costs as much for one row as for
fifty. What they end is written at once, and so is everything before, where a later batch looks at the same range.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy.engine import Connection

from liushui.errors import CommitOutcomeUnknown, ConfigError, ConnectionLost, LedgerBusy, short_repr
from liushui.instant import BusinessDays, load_zone, to_us
from liushui.ledger.chain import facts_digest, link
from liushui.ledger.coverage import Range, State, fold
from liushui.ledger.day_totals import Totals, merge
from liushui.ledger.day_totals import store as store_totals
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.bulk_insert import insert_rows, inserting_concurrently
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.findings import Counts
from liushui.ledger.findings import store as store_findings
from liushui.ledger.flow_row import AT_US, ID, Row
from liushui.ledger.write.change import Change, Committed, Moved
from liushui.ledger.write.quarantine import any_open
from liushui.ledger.write.quarantine import write as write_settled
from liushui.provider import Slice


class Account(NamedTuple):
    """An account, and the batch its chain has come to."""

    name: str
    provider: str
    zone: str
    head: int
    link: str


class Batches:
    """The batches that a transaction adds to an account's chain."""

    def __init__(self, connection: Connection, ledger: Ledger, account: Account) -> None:
        self.connection = connection
        self.account = account.name
        self._clock = ledger.clock
        self._head, self._link = account.head, account.link
        self._days = BusinessDays(load_zone(account.zone))
        self.sealed: tuple[int, str] | None = None
        """The last batch that was added, and its link."""
        self._quarantined: bool | None = None
        self._flows: list[Row] = []
        self._used: set[int] | None = set()
        """The places of all columns that these flows have a value for. None: nobody knows them."""
        self._totals: Totals = {}
        self._findings: Counts = Counter()
        self._coverage: list[Row] = []
        self._batches: list[Row] = []
        self._reached_us: int | None = None
        """The end of what waits to be written: whoever looks at a range after it sees all there is."""

    @property
    def next(self) -> int:
        """The number of the next batch."""
        return self._head + 1

    def coverage(self, asked: Slice) -> list[Range]:
        """What is known of the ranges that a slice meets. Afterwards the whole slice may be looked at."""
        since_us, until_us = to_us(asked.since), to_us(asked.until)
        if self._reached_us is not None and since_us < self._reached_us:
            self.finish()
        found = self.connection.exec_driver_sql(_SELECT_COVERAGE, (self.account, until_us, since_us))
        return [Range(row[0], row[1], State(row[2]), *row[3:]) for row in found]

    def has_quarantined(self) -> bool:
        """Whether an entry of the quarantine is open."""
        if self._quarantined is None:
            self._quarantined = any_open(self.connection, self.account)
        return self._quarantined

    def write(self, change: Change, known: list[Range], found: Range | None, state: str = "") -> Committed:
        """Add a batch that makes a change and, where it proves or opens a range, what is known of that: `known` before,
        and what was `found`. Without one its `state` says what it was for."""
        account, seq = self.account, self.next
        if change.ended:
            self.finish()
            self.insert_history(change.ended, seq)
            gone = [(account, old[AT_US], old[ID]) for old, _ in change.ended]
            self.connection.exec_driver_sql(_DELETE_FLOW, gone)
        if change.settled or change.quarantined:
            self._quarantined = None
        write_settled(self.connection, account, change.settled, seq)
        insert_rows(self.connection, "quarantine", change.quarantined)
        insert_rows(self.connection, "page_edges", change.edges)
        if found is not None and known:
            self.connection.exec_driver_sql(_DELETE_COVERAGE, [(account, part.since_us) for part in known])
        with inserting_concurrently(self.connection, "flows", change.added, change.used) as pieces:
            facts = self._take(change, pieces)
            return self._seal(change, known, found, state, facts)

    def insert_history(self, ended: Sequence[tuple[Row, str]], seq: int) -> None:
        """Keep versions that end, each with how it ended."""
        insert_rows(self.connection, "history", [(*old, seq, ended_as) for old, ended_as in ended])

    def _seal(self, change: Change, known: list[Range], found: Range | None, state: str, facts: str) -> Committed:
        """Have a batch wait that says what changed, and what was found. `facts`: the digest of what changed."""
        account, seq = self.account, self.next
        if found is not None:
            parts = fold(known, found)
            self._coverage += [(account, *part) for part in parts]
            self._reached_us = max(self._reached_us or 0, *(part.until_us for part in parts))
        committed = change.counted(seq)
        recorded_at_us = to_us(self._clock())
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
            facts,
        )
        self._link = link(self._link, batch)
        self._head = seq
        self.sealed = seq, self._link
        self._batches.append((*batch, self._link))
        return committed

    def finish(self) -> None:
        """Write what waits."""
        if not self._batches:
            return
        used = tuple(sorted(self._used)) if self._used else ()
        insert_rows(self.connection, "flows", self._flows, used)
        store_totals(self.connection, self.account, self._totals)
        store_findings(self.connection, self.account, self._findings)
        insert_rows(self.connection, "coverage", self._coverage)
        insert_rows(self.connection, "batches", self._batches)
        self.connection.exec_driver_sql(_ADVANCE, (self._head, self._link, self.account))
        self._flows, self._used, self._totals, self._findings = [], set(), {}, Counter()
        self._coverage, self._batches, self._reached_us = [], [], None

    def _take(self, change: Change, pieces: Iterator[Sequence[Row]] | None) -> str:
        """Have totals and findings wait, and flows unless they are inserted in `pieces`. The digest of the facts."""
        if change.added and pieces is None:
            self._flows = self._flows + change.added if self._flows else change.added
            self._used = self._used | set(change.used) if change.used and self._used is not None else None
        moved = Moved(change, self._days)
        digest = facts_digest(
            change.facts()._replace(added=moved.passing([change.added] if pieces is None else pieces))
        )
        totals = moved.totals()
        self._totals = merge(self._totals, totals) if self._totals else totals
        self._findings.update(moved.findings())
        return digest


@contextmanager
def writing_batches(ledger: Ledger, *accounts: str) -> Iterator[list[Batches]]:
    """A transaction that adds batches to the chains of accounts, each in its own place of the list. It ends well where
    they are kept, and else they are not.

    Where the connection was lost while they were being committed the chains themselves say which it was. Raises
    ConfigError where an account is not there, and CommitOutcomeUnknown where its chain cannot be asked.
    """
    every: dict[str, Batches] = {}
    try:
        with ledger.writing() as connection:
            for account in sorted(set(accounts)):  # in one order: who writes to several waits for nobody who waits
                every[account] = Batches(connection, ledger, load_account(connection, account))
            yield [every[account] for account in accounts]
            for batches in every.values():
                batches.finish()
    except CommitOutcomeUnknown as uncertain:
        sealed = next(((one.account, *one.sealed) for one in every.values() if one.sealed is not None), None)
        try:
            kept = sealed is None or _is_kept(ledger, *sealed)
        except LedgerBusy as error:
            raise uncertain from error
        if not kept:
            raise ConnectionLost(
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
    found = connection.exec_driver_sql(_SELECT_ACCOUNT.on(connection), (name,)).first()
    if found is None:
        raise ConfigError(f"account: there is none named {short_repr(name)}")
    return Account(*found)


def _reach(change: Change) -> tuple[int | None, int | None]:
    """The range that the versions of a batch stand in which read none: where the feed finds them."""
    times = [int(str(row[AT_US])) for row in change.added] + [int(str(old[AT_US])) for old, _ in change.ended]
    return (min(times), max(times) + 1) if times else (None, None)


_SELECT_LINK = "SELECT link FROM batches WHERE account = ? AND seq = ?"
_SELECT_ACCOUNT = Statement(
    lambda sql: f"SELECT account, provider, zone, head, link FROM accounts WHERE account = ? {sql.for_update}"
)
_DELETE_FLOW = "DELETE FROM flows WHERE account = ? AND at_us = ? AND id = ?"
_SELECT_COVERAGE = """
SELECT since_us, until_us, state, reason, checked_at_us, batch FROM coverage
WHERE account = ? AND since_us < ? AND until_us > ? ORDER BY since_us
"""
_DELETE_COVERAGE = "DELETE FROM coverage WHERE account = ? AND since_us = ?"
_ADVANCE = "UPDATE accounts SET head = ?, link = ? WHERE account = ?"
