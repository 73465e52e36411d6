"""Checks the balance chains of an account: all rows, or only the rows that have changed since the stored check.

Rows are checked in segments of about a day. The beginning and the result of a segment depend only on its rows, on the
balance before it, and on the rows that still wait for others at the end of a day.

So after a commit, the check starts at the segment with the first changed row. It stops when a segment begins at the
same row as a stored segment, with the balance with which the stored segment was checked. The result is the same as if
all rows had been checked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays
from liushui.ledger.engines.bulk_read import read_rows
from liushui.ledger.engines.sql_dialects import Statement
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.chain_segments import Key, Segment, StoredSegments
from liushui.ledger.read.filters import AFTER_ALL_US, BEFORE_ALL_US
from liushui.ledger.schema import batches, chain_heads
from liushui.money import EXACT, ZERO
from liushui.reconcile.chain import ChainChecker, RowColumns, RowKey
from liushui.rules import BalanceRules

METHOD: Final = 2
"""The version of the check. Increase it with every change of results: results of an earlier version are ignored."""

ROWS_MAX: Final = 20
"""The most rows that a stored break names."""
BREAKS_MAX: Final = 1_000
"""The most breaks of one segment that are stored. A chain with more breaks does not hold at all."""


class Checked(NamedTuple):
    """The result of a check after a batch. `fresh`: the segments that are not stored, by time. `outdated`: the ranges
    of the stored segments that `fresh` replaces. `basis`: the data on which the result depends, apart from the rows."""

    batch: int
    basis: str
    fresh: list[Segment]
    outdated: list[tuple[int, int]]


def basis_of(account: AccountName, rules: BalanceRules) -> str:
    """Return the data on which the result of a check depends, apart from the rows. If the basis changes, all rows have
    to be checked again."""
    window = f"{rules.window.total_seconds():f}s {rules.window_rows} rows"
    return f"method {METHOD}, window {window}, tolerance {rules.tolerance}, days of {account.zone}"


def check_changes(connection: Connection, account: AccountName, rules: BalanceRules, *, again: bool = False) -> Checked:
    """Check the rows of an account that have changed since the stored check, and the rows whose result depends on them.

    `again`: check all rows and ignore stored results.
    """
    name, basis = account.account, basis_of(account, rules)
    head = connection.scalar(sa.select(sa.func.max(batches.c.seq)).where(batches.c.account == name)) or 0
    h = chain_heads.c
    stored = connection.execute(sa.select(h.batch, h.basis).where(h.account == name)).first()
    if again or stored is None or stored.basis != basis or stored.batch > head:
        scan = _Scan(connection, account, rules, BEFORE_ALL_US, lambda _key: None)
        scan.read(AFTER_ALL_US)
        scan.finish()
        return Checked(head, basis, scan.segments, [(BEFORE_ALL_US, AFTER_ALL_US)])
    changed = changed_ranges(connection, name, stored.batch)
    return Checked(head, basis, *_Recheck(connection, account, rules).run(changed))


def changed_ranges(connection: Connection, account: str, batch: int) -> list[tuple[int, int]]:
    """Return the ranges of the flows that later batches have changed, merged, oldest first."""
    b = batches.c
    query = sa.select(b.since_us, b.until_us).where(b.account == account, b.seq > batch)
    query = query.where(sa.or_(b.added > 0, b.restated > 0, b.withdrawn > 0), b.since_us.is_not(None))
    merged: list[tuple[int, int]] = []
    for since_us, until_us in sorted((row[0], row[1]) for row in connection.execute(query)):
        if merged and since_us <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], until_us)
        else:
            merged.append((since_us, until_us))
    return merged


class _Recheck:
    """Checks the changed rows, from the oldest change to the newest."""

    def __init__(self, connection: Connection, account: AccountName, rules: BalanceRules) -> None:
        self._connection, self._account, self._rules = connection, account, rules
        self._stored = StoredSegments(connection, account.account)
        self._days = BusinessDays(account.tz)
        self._fresh: list[Segment] = []
        self._newest: dict[Key, Segment] = {}
        """The newest segment of each chain in `_fresh`."""
        self._outdated: list[tuple[int, int]] = []
        self._due: list[tuple[int, int]] = []
        """Heap of the segments that are left to check: the beginning of each, and the end of the changed range."""

    def run(self, changed: Sequence[tuple[int, int]]) -> tuple[list[Segment], list[tuple[int, int]]]:
        """Check everything that depends on the rows of these ranges. Returns the segments that are not stored, by time,
        and the ranges of the stored segments that they replace."""
        # A segment begins with its first row. A change of that row may also change the end of the segment before.
        self._due = [(self._begin_before(since_us), until_us) for since_us, until_us in changed]
        heapify(self._due)
        while self._due:
            self._check_range(*heappop(self._due))
        return self._fresh, self._outdated

    def _begin_before(self, at_us: int) -> int:
        begin_us = self._stored.begin_before(at_us)
        return BEFORE_ALL_US if begin_us is None else begin_us

    def _check_range(self, since_us: int, changed_until_us: int) -> None:
        """Check segments from this one on, until the result equals the stored segments again."""
        scan = _Scan(
            self._connection, self._account, self._rules, since_us, lambda key: self._balance_before(key, since_us)
        )
        while True:
            until_us = self._begin_after(changed_until_us)
            while self._due and self._due[0][0] < until_us:
                changed_until_us = max(changed_until_us, heappop(self._due)[1])
                until_us = self._begin_after(changed_until_us)
            scan.read(until_us)
            if until_us == AFTER_ALL_US or scan.is_settled:
                break
            changed_until_us = until_us + 1
        scan.finish()
        touched = self._stored.chains_in(since_us, until_us).union(segment.key for segment in scan.segments)
        self._fresh += scan.segments
        self._newest |= {segment.key: segment for segment in scan.segments}
        self._outdated.append((since_us, until_us))
        for key in touched:
            following = self._stored.after(key, until_us)
            if following is not None and following[1] != self._balance_before(key, until_us):
                heappush(self._due, (following[0], following[0] + 1))

    def _begin_after(self, changed_until_us: int) -> int:
        """Return the beginning of the first stored segments whose first day has no changed row. AFTER_ALL_US: no such
        segment."""
        begin_us = self._stored.begin_from(changed_until_us)
        if begin_us is not None and self._days.span_of(begin_us)[1] < changed_until_us:
            # A row was added or withdrawn before it on the same day. The next segment begins on a later day.
            begin_us = self._stored.begin_from(begin_us + 1)
        return AFTER_ALL_US if begin_us is None else begin_us

    def _balance_before(self, key: Key, at_us: int) -> Decimal | None:
        """Return the balance of a chain before the segment that begins at this instant. None: not known."""
        stored = self._stored.before(key, at_us)
        while stored is not None and (replaced := self._replaced(stored[0])) is not None:
            stored = self._stored.before(key, replaced)
        fresh = self._newest.get(key)
        if fresh is not None and (stored is None or fresh.since_us > stored[0]):
            return fresh.balance_after
        return None if stored is None else stored[1]

    def _replaced(self, begin_us: int) -> int | None:
        """Return the beginning of the checked range that has replaced the stored segments of an instant. None: they are
        not replaced."""
        ranges = (since_us for since_us, until_us in self._outdated if since_us <= begin_us < until_us)
        return next(ranges, None)


# ---------------------------------------------------------------- rows


class _Chain:
    """One chain of a segment that is being checked."""

    def __init__(self, rules: BalanceRules, known: Decimal | None, first: RowKey) -> None:
        self.known = known
        self.checker = ChainChecker(rules, known)
        self.first = first
        self.last = first
        self.unstated = ZERO

    def add(self, columns: RowColumns) -> None:
        self.last = columns.at_us[-1], columns.ids[-1]
        self.checker.add_columns(columns)
        if not self.checker.stated:
            self.unstated = reduce(EXACT.add, columns.amounts, self.unstated)

    def segment(self, key: Key, since_us: int, until_us: int) -> Segment:
        """The result of checking its rows."""
        checker = self.checker
        has_stated = checker.stated > 0
        opening, first, breaks = checker.opening, self.first, checker.breaks
        if breaks and breaks[0].before is None and self.known is not None:
            # It does not begin with the known balance: a break between two segments.
            opening, first, breaks = breaks[0].stated, breaks[0].after, breaks[1:]
        return Segment(
            *key,
            since_us,
            until_us,
            self.known,
            opening if has_stated else None,
            checker.balance if has_stated else None,
            ZERO if has_stated else self.unstated,
            checker.stated,
            checker.reordered,
            first,
            self.last if checker.last is None else checker.last.key,
            tuple(one._replace(rows=one.rows[:ROWS_MAX]) for one in breaks[:BREAKS_MAX]),
        )


class _Scan:
    """Checks the rows of an account, starting at the beginning of a segment.

    A segment ends with a day, or later if the order of the rows in its last window is not yet decided.
    """

    def __init__(
        self,
        connection: Connection,
        account: AccountName,
        rules: BalanceRules,
        since_us: int,
        balance_before: Callable[[Key], Decimal | None],
    ) -> None:
        """`balance_before`: the balance of a chain before `since_us`. None: not known."""
        self.segments: list[Segment] = []
        """The segments that have ended."""
        self._connection, self._account, self._rules = connection, account, rules
        self._begin_us = self._read_until_us = since_us
        self._balance_before = balance_before
        self._known: dict[Key, Decimal | None] = {}
        self._chains: dict[Key, _Chain] = {}

    @property
    def is_settled(self) -> bool:
        """Whether a segment may end after the rows so far."""
        return bool(self._chains) and not any(chain.checker.is_pending for chain in self._chains.values())

    def read(self, until_us: int) -> None:
        """Check all further rows before an instant. The instant is the beginning of a day, or a day's first row."""
        for day_us, rows_of in _days(self._connection, self._account, self._read_until_us, until_us):
            if self.is_settled:
                self._end(day_us)
            for key, columns in rows_of.items():
                chain = self._chains.get(key)
                if chain is None:
                    first = columns.at_us[0], columns.ids[0]
                    chain = self._chains[key] = _Chain(self._rules, self._known_before(key), first)
                chain.add(columns)
        self._read_until_us = until_us

    def finish(self) -> None:
        """End the last segment."""
        for chain in self._chains.values():
            chain.checker.finish()
        self._end(self._read_until_us)

    def _end(self, until_us: int) -> None:
        """End the segments of all chains."""
        for key, chain in sorted(self._chains.items()):
            segment = chain.segment(key, self._begin_us, until_us)
            self.segments.append(segment)
            self._known[key] = segment.balance_after
        self._chains, self._begin_us = {}, until_us

    def _known_before(self, key: Key) -> Decimal | None:
        if key not in self._known:
            self._known[key] = self._balance_before(key)
        return self._known[key]


def _days(
    connection: Connection, account: AccountName, since_us: int, until_us: int
) -> Iterator[tuple[int, Mapping[Key, RowColumns]]]:
    """Return the rows of each day with flows, by chain, and the time of the day's first row."""
    days, name = BusinessDays(account.tz), account.account
    statement = _ROWS.on(connection)
    begin_us, is_at_row = since_us, False
    while begin_us < until_us:
        if not is_at_row:
            ((first_us,),) = read_rows(connection, _FIRST, (name, begin_us, until_us))
            if first_us is None:
                return
            begin_us = first_us
        end_us = days.span_of(begin_us)[2] or AFTER_ALL_US
        groups = read_rows(connection, statement, (name, begin_us, min(end_us, until_us)))
        if groups:
            rows_of = {(subaccount, currency): decode_columns(*arrays) for subaccount, currency, *arrays in groups}
            yield min(columns.at_us[0] for columns in rows_of.values()), rows_of
        # Most days have rows, so the next day is read at once. Only after a day without rows, the next row is looked
        # up.
        begin_us, is_at_row = end_us, bool(groups)


def decode_columns(at_us: str, ids: str, amounts: str, balances: str) -> RowColumns:
    """The rows of one chain, by time and id, from a JSON array for each column."""
    columns = RowColumns(_decode_times(at_us), _decode_ids(ids), _decode_amounts(amounts), _decode_balances(balances))
    keys = list(zip(columns.at_us, columns.ids, strict=True))
    if keys == sorted(keys):
        return columns
    # SQLite promises no order within an array, though it keeps that of the table.
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return RowColumns(
        [columns.at_us[index] for index in order],
        [columns.ids[index] for index in order],
        [columns.amounts[index] for index in order],
        [columns.balances[index] for index in order],
    )


_decode_times = msgspec.json.Decoder(list[int]).decode
_decode_ids = msgspec.json.Decoder(list[str]).decode
_decode_amounts = msgspec.json.Decoder(list[Decimal]).decode
_decode_balances = msgspec.json.Decoder(list[Decimal | None]).decode

# One JSON array for each column of a chain's day takes half the time of a row for each flow.
_ROWS: Final = Statement(
    lambda sql: (
        f"SELECT subaccount, currency, {', '.join(map(sql.json_array, ('at_us', 'id', 'amount', 'balance_after')))} "
        "FROM flows WHERE account = ? AND at_us >= ? AND at_us < ? GROUP BY subaccount, currency"
    )
)
_FIRST: Final = "SELECT min(at_us) FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?"
