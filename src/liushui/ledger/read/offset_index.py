"""Finds the page at a large offset from day totals and cached row counts, without reading all rows before it.

A query with a large offset becomes a query with a shorter range and an offset of at most STRIDE, which the database
skips. An index entry never lies between rows of one microsecond: if more than STRIDE rows have the same time, the
offset stays larger.
"""

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from liushui.conditions import Where
from liushui.instant import BusinessDays, from_us, load_zone, to_us
from liushui.ledger.engines.base import Cursor
from liushui.ledger.engines.condition_sql import condition, is_totalled
from liushui.ledger.engines.sql_dialects import SQLDialect
from liushui.provider import FlowQuery

STRIDE: Final = 1_000
"""Rows that the database skips by OFFSET. Skipping this number costs about as much as reading a page of 50 rows."""

MARKS_MAX: Final = 200_000
"""The most marks of one account and condition. Beyond that, all but those at the ends of days are dropped."""

KEPT_MAX: Final = 200
"""The most account-condition pairs, and the most queries, whose counts a connection caches."""


Execute = Callable[[str, Sequence[object]], Cursor]
"""A function that runs a statement with `?` as placeholders."""


class Account(NamedTuple):
    """An account of a query and its newest batch, `head`. Its flows do not change while `head` stays the same."""

    name: str
    zone: str
    head: int


class Offsets:
    """The offset indexes of one connection. Not thread-safe."""

    def __init__(self, execute: Execute, sql: SQLDialect) -> None:
        self._execute = execute
        self._sql = sql
        self._marks: dict[tuple[str, Where], Marks] = {}
        self._trails: dict[tuple[object, ...], Trail] = {}

    def accounts(self, query: FlowQuery) -> list[Account]:
        """The query's accounts in their current state."""
        places = ", ".join("?" * len(query.accounts))
        found = self._execute(f"{_SELECT_ACCOUNTS} ({places}) ORDER BY account", query.accounts)
        return [Account(*row) for row in found.fetchall()]

    def near(self, query: FlowQuery, accounts: Sequence[Account]) -> FlowQuery:
        """Return a query with a small offset that gives the same page, as long as no account has a batch after its
        `head`."""
        since_us, until_us = to_us(query.since), to_us(query.until)
        if since_us >= until_us:
            return query
        if is_totalled(query.where):
            marks = [self._marks_of(account, query.where) for account in accounts if account.name in query.accounts]
            return _narrowed(query, marks, since_us, until_us)
        return self._trail_of(query, accounts).narrowed(query)

    def _marks_of(self, account: Account, where: Where) -> "Marks":
        marks = self._marks.get((account.name, where))
        if marks is None:
            if len(self._marks) >= KEPT_MAX:
                self._marks.clear()
            marks = Marks(self._execute, account.name, account.zone, condition(where, self._sql))
            self._marks[account.name, where] = marks
        marks.follow(account.head)
        return marks

    def _trail_of(self, query: FlowQuery, accounts: Sequence[Account]) -> "Trail":
        key = (tuple(accounts), query.since, query.until, query.where, query.newest)
        trail = self._trails.get(key)
        if trail is None:
            if len(self._trails) >= KEPT_MAX:
                self._trails.clear()
            trail = self._trails[key] = Trail(self._execute, self._sql, query, [account.name for account in accounts])
        return trail


class Marks:
    """Counts of an account's flows before certain instants (the marks), under a condition that day totals can answer.

    There is a mark at both ends of every day with flows, and at every instant that was counted once.
    """

    def __init__(self, execute: Execute, account: str, zone: str, where: tuple[str, list[object]]) -> None:
        self._execute = execute
        self._account = account
        self._zone = load_zone(zone)
        self._where = where
        self._head: int | None = None
        self.at_us: list[int] = []
        self._before: list[int] = []

    def follow(self, head: int) -> None:
        """Update the marks to the account's newest batch. Marks before the first changed flow stay valid."""
        if head == self._head and len(self.at_us) <= MARKS_MAX:
            return
        changed_us = None if self._head is None or len(self.at_us) > MARKS_MAX else self._changed_us(self._head)
        if changed_us is None:
            self.at_us, self._before = [], []
            self._add_days("")
        else:
            self._begin_anew(changed_us)
        self._head = head

    def before(self, at_us: int) -> int:
        """Return the number of flows before an instant. If it has no mark yet, the flows are counted and a mark is
        stored."""
        place = bisect_left(self.at_us, at_us)
        if place == 0:
            return 0
        if place == len(self.at_us):
            return self._before[-1]
        least, most = self._before[place - 1 : place + 1]
        if least == most or self.at_us[place] == at_us:
            return most
        begin_us, end_us = self.at_us[place - 1 : place + 1]
        if at_us - begin_us <= end_us - at_us:
            rows = least + self._count(begin_us, at_us)
        else:
            rows = most - self._count(at_us, end_us)
        self.at_us.insert(place, at_us)
        self._before.insert(place, rows)
        return rows

    def _count(self, since_us: int, until_us: int) -> int:
        return count_rows(self._execute, self._account, since_us, until_us, self._where)

    def _changed_us(self, head: int) -> int | None:
        """Return the earliest time that batches after `head` may have changed. None: at least one batch has no
        range."""
        batches, ranges, since_us = self._execute(_SELECT_CHANGED, (self._account, head)).fetchone()
        return None if batches != ranges or since_us is None else int(since_us)

    def _begin_anew(self, changed_us: int) -> None:
        """Keep the marks before an instant, and read the totals of its day and of all later days again."""
        days = BusinessDays(self._zone)
        day = days.day_of(changed_us)
        begin_us, _ = days.range_us(day)
        whole, known = bisect_right(self.at_us, begin_us), bisect_right(self.at_us, changed_us)
        within = list(zip(self.at_us[whole:known], self._before[whole:known], strict=True))
        del self.at_us[whole:], self._before[whole:]
        self._add_days(day)
        if len(self.at_us) > whole:
            ends = bisect_right(self.at_us, begin_us)
            self.at_us[ends:ends] = [at_us for at_us, _ in within]
            self._before[ends:ends] = [rows for _, rows in within]

    def _add_days(self, first_day: str) -> None:
        """Add marks at the ends of the days from `first_day` on, after the existing marks."""
        sql, values = self._where
        rows = self._before[-1] if self._before else 0
        days = BusinessDays(self._zone)
        found = self._execute(_SUM_DAYS.format(condition=sql), [self._account, first_day, *values]).fetchall()
        for day, more in found:
            begin_us, end_us = days.range_us(day)
            if not self.at_us or self.at_us[-1] < begin_us:
                self.at_us.append(begin_us)
                self._before.append(rows)
            rows += int(more)
            self.at_us.append(end_us)
            self._before.append(rows)


class Trail:
    """Marks every STRIDE rows for a query that day totals cannot answer. They are found by reading the rows once."""

    def __init__(self, execute: Execute, sql: SQLDialect, query: FlowQuery, accounts: Sequence[str]) -> None:
        self._execute = execute
        self._accounts = accounts
        self._sql = sql
        self._where = condition(query.where, sql)
        self._newest = query.newest
        self._far_us = to_us(query.since if query.newest else query.until)
        self._passed = [0]
        self._at_us = [to_us(query.until if query.newest else query.since)]
        self._ended = not accounts

    def narrowed(self, query: FlowQuery) -> FlowQuery:
        """Return the query that starts at the last mark before its offset."""
        while not self._ended and self._passed[-1] + STRIDE < query.offset:
            self._go_on()
        place = bisect_right(self._passed, query.offset) - 1
        return from_place(query, self._at_us[place], query.offset - self._passed[place])

    def _go_on(self) -> None:
        """Add a mark about STRIDE rows further, but never between rows of one instant."""
        here_us = self._at_us[-1]
        sql, values = self._where
        since_us, until_us = (self._far_us, here_us) if self._newest else (here_us, self._far_us)
        one = f"SELECT at_us FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?{sql}"
        if len(self._accounts) > 1:
            one = self._sql.first_rows(one, STRIDE + 1, newest_first=self._newest, by=("at_us",))
        page = " UNION ALL ".join([one] * len(self._accounts))
        every = [value for name in self._accounts for value in (name, since_us, until_us, *values)]
        down = " DESC" if self._newest else ""
        found = self._execute(f"{page} ORDER BY at_us{down} LIMIT 1 OFFSET ?", [*every, STRIDE]).fetchone()
        if found is None:
            self._ended = True
            return
        if self._newest:
            there_us = min(int(found[0]) + 1, here_us - 1)
            rows = self._count(there_us, here_us)
        else:
            there_us = max(int(found[0]), here_us + 1)
            rows = self._count(here_us, there_us)
        self._passed.append(self._passed[-1] + rows)
        self._at_us.append(there_us)

    def _count(self, since_us: int, until_us: int) -> int:
        counted = (count_rows(self._execute, name, since_us, until_us, self._where) for name in self._accounts)
        return sum(counted)


def count_rows(
    execute: Execute, account: str, since_us: int, until_us: int, where: tuple[str, Sequence[object]]
) -> int:
    """Count the flows of an account in [since, until) that meet a condition."""
    sql, values = where
    (rows,) = execute(_COUNT_ROWS + sql, [account, since_us, until_us, *values]).fetchone()
    return int(rows)


def _narrowed(query: FlowQuery, marks: Sequence[Marks], since_us: int, until_us: int) -> FlowQuery:
    """Return the query with a shorter range, so that its offset is at most STRIDE unless an instant has more rows.

    Binary search: the page begins between `low` and `high`. Each step takes a mark between them or, if there is none,
    the middle of the time, which then becomes a mark.
    """
    low_us, high_us = since_us, until_us
    low, high = _before(marks, low_us), _before(marks, high_us)
    edge = high - query.offset if query.newest else low + query.offset
    if not low <= edge <= high:
        return query._replace(until=query.since, offset=0)
    while high - low > STRIDE and high_us - low_us > 1:
        at_us = _between(marks, low_us, high_us)
        rows = _before(marks, at_us)
        if rows < edge or (rows == edge and not query.newest):
            low_us, low = at_us, rows
        else:
            high_us, high = at_us, rows
    return from_place(query, high_us, high - edge) if query.newest else from_place(query, low_us, edge - low)


def _before(marks: Sequence[Marks], at_us: int) -> int:
    return sum(one.before(at_us) for one in marks)


def _between(marks: Sequence[Marks], low_us: int, high_us: int) -> int:
    """Return an instant between two others: the middle mark of the account with the most marks there, else the middle
    of the time."""
    between = [(one, bisect_right(one.at_us, low_us), bisect_left(one.at_us, high_us)) for one in marks]
    most, begin, end = max(between, key=lambda found: found[2] - found[1])
    return most.at_us[(begin + end) // 2] if begin < end else (low_us + high_us) // 2


def from_place(query: FlowQuery, at_us: int, offset: int) -> FlowQuery:
    """Return the query with its range cut at an instant, and the offset that is left."""
    if query.newest:
        return query._replace(until=from_us(at_us), offset=offset)
    return query._replace(since=from_us(at_us), offset=offset)


_SELECT_ACCOUNTS = "SELECT account, zone, head FROM accounts WHERE account IN"
_SELECT_CHANGED = "SELECT count(*), count(since_us), min(since_us) FROM batches WHERE account = ? AND seq > ?"
_SUM_DAYS = """
SELECT day, sum(flows) FROM day_totals WHERE account = ? AND day >= ?{condition} GROUP BY day ORDER BY day
"""
_COUNT_ROWS = "SELECT count(*) FROM flows WHERE account = ? AND at_us >= ? AND at_us < ?"


# ---------------------------------------------------------------- page starts

# The starts of pages are cached, so that a deeper page of the same query continues from there instead of from row 0. A
# cached start is valid as long as none of the query's accounts has a new batch.


NEAR: Final = 100
"""Offsets below this are not cached: skipping so few rows costs no more than caching."""

QUERIES_MAX: Final = 1_000
"""The most queries whose page starts a connection caches."""

PLACES_MAX: Final = 1_000
"""The most cached starts of one query. Beyond that all of them are dropped."""


class Start(NamedTuple):
    """A query that gives the page with a small offset. `passed`: rows of the original query before its range."""

    query: FlowQuery
    passed: int = 0
    committed: int | None = None
    """The sum of the accounts' batch numbers for which this is valid. None: always valid."""


class _Known(NamedTuple):
    committed: int
    places: list[tuple[int, int]]
    """Pairs (rows, instant): this number of rows of the query is before the instant or, newest first, at or after
    it."""


class PageStarts:
    """The cached page starts of one connection. Not thread-safe."""

    def __init__(self, execute: Execute, sql: SQLDialect) -> None:
        self._execute = execute
        self._sql = sql
        self._offsets = Offsets(execute, sql)
        self._known: OrderedDict[tuple[object, ...], _Known] = OrderedDict()

    def start(self, query: FlowQuery) -> Start:
        """Return the nearest known start before the page. Then at most STRIDE rows, or the rows of one instant, are
        left to skip."""
        key = _key(query)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            place = bisect_left(known.places, (query.offset + 1,)) - 1
            if place >= 0:
                passed, edge_us = known.places[place]
                if query.offset - passed <= STRIDE:
                    return Start(from_place(query, edge_us, query.offset - passed), passed, known.committed)
        if query.offset <= STRIDE:
            return Start(query)
        accounts = self._offsets.accounts(query)
        near = self._offsets.near(query, accounts)
        return Start(near, query.offset - near.offset, sum(account.head for account in accounts))

    def committed(self, query: FlowQuery) -> int:
        """Return the sum of the newest batch numbers of the query's accounts."""
        return sum(account.head for account in self._offsets.accounts(query))

    def remember(self, query: FlowQuery, start: Start, first_us: int, committed: int) -> None:
        """Cache that a page begins at `first_us`, valid for `committed`, unless its offset is below NEAR."""
        if start.query.offset < NEAR:
            return
        since_us, until_us = to_us(start.query.since), to_us(start.query.until)
        since_us, until_us = (first_us + 1, until_us) if query.newest else (since_us, first_us)
        if since_us >= until_us:
            return
        where = condition(query.where, self._sql)
        rows = sum(count_rows(self._execute, name, since_us, until_us, where) for name in query.accounts)
        key = _key(query)
        known = self._known.get(key)
        if known is None or known.committed != committed or len(known.places) >= PLACES_MAX:
            known = self._known[key] = _Known(committed, [])
            if len(self._known) > QUERIES_MAX:
                self._known.popitem(last=False)
        insort(known.places, (start.passed + rows, since_us if query.newest else until_us))

    def forget(self, query: FlowQuery) -> None:
        """Drop the starts of a query, because a commit has changed its accounts."""
        self._known.pop(_key(query), None)


def _key(query: FlowQuery) -> tuple[object, ...]:
    return query.accounts, query.since, query.until, query.where, query.newest
