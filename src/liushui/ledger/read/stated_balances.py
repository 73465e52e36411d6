"""Stated balances: the balances that people and providers state, and the opening balance that follows from them.

A stated balance is compared with the flows at its moment. Every balance in this module is the balance before the flows
of a moment, as with `balances --at`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from liushui.instant import BusinessDays, from_us
from liushui.ledger.day_totals import Totals, parse_sum, sums_of
from liushui.ledger.engines.base import Queries, queries_of
from liushui.ledger.read.accounts import AccountName, find_accounts
from liushui.ledger.read.filters import AFTER_ALL_US, Bound, begin_us, end_us
from liushui.money import EXACT
from liushui.reconcile.balance_order import edge_of, find_trail, free_start

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

DAYS_MAX: Final = 10
"""The number of days with flows, at each end of an account's history, that are searched for a stated balance."""
ROWS_MAX: Final = 2_000
"""The number of rows of one day that are read, from the nearer end."""

LOOK_AHEAD: Final = 5
"""The number of instants after the first one that are read to find the balance at the beginning of the first one."""

Key = tuple[str, str]
"""A subaccount and a currency: each pair has a running balance of its own."""


def statement_id(account: str, batch: int) -> str:
    """The id of a stated balance: its account and the number of its batch. An account's name never contains a colon."""
    return f"{account}:{batch}"


class Origin(StrEnum):
    """Who stated a balance."""

    ROW = "row"
    """The provider, on a row."""
    PERSON = "person"
    """A person, with `liushui balance state`."""


class StatedBalance(NamedTuple):
    """A balance that a person stated. `withdrawn_at` None: it is in force."""

    account: str
    batch: int
    at: datetime
    subaccount: str
    currency: str
    amount: Decimal
    note: str
    stated_at: datetime
    withdrawn_at: datetime | None
    reason: str | None

    @property
    def id(self) -> str:
        """The id of the statement."""
        return statement_id(self.account, self.batch)


class StatedPoint(NamedTuple):
    """A stated balance before the flows of `at_us`, and the sum of the flows before. `id`: the row or statement that
    states it."""

    at_us: int
    amount: Decimal
    flows_before: Decimal
    origin: Origin
    id: str

    @property
    def opening(self) -> Decimal:
        """The opening balance that follows from this point."""
        return EXACT.subtract(self.amount, self.flows_before)


@dataclass
class StatedPoints:
    """The stated balances of one subaccount and currency: on its first and newest rows, and by people, oldest first."""

    first_row: StatedPoint | None = None
    newest_row: StatedPoint | None = None
    by_people: list[StatedPoint] = field(default_factory=list)

    def anchor(self, *, by_rows: bool, begin_us: int = 0) -> StatedPoint | None:
        """The point from which the opening balance is computed: the first row, else the earliest statement of a person.

        `by_rows`: whether balances on rows can be trusted. `begin_us`: the beginning of the account's source. A
        person's statement before `begin_us` counts only if it is the last of them and no later statement exists,
        because the ledger lacks the flows in between.
        """
        first = self.first_row if by_rows else None
        if first is not None or not self.by_people:
            return first
        return next((point for point in self.by_people if point.at_us >= begin_us), self.by_people[-1])

    def is_anchor(self, point: StatedPoint, *, by_rows: bool, begin_us: int = 0) -> bool:
        """Whether the opening balance is computed from this point, so that the two cannot disagree.

        This includes the point after the first row's instant: it follows from the point before that instant.
        """
        if point.origin is Origin.ROW and self.first_row is not None:
            return point.at_us - 1 == self.first_row.at_us
        return point is self.anchor(by_rows=by_rows, begin_us=begin_us)


def list_stated_balances(
    queries: Queries, names: Sequence[str] = (), *, withdrawn: bool = False
) -> list[StatedBalance]:
    """Return the balances that people stated, by account and time; with `withdrawn` also the withdrawn ones."""
    chosen = {account.account for account in find_accounts(queries, names)}
    every = (_stated(row) for row in queries.rows(_SELECT_STATED) if row[0] in chosen)
    return [one for one in every if withdrawn or one.withdrawn_at is None]


def _stated(row: tuple[Any, ...]) -> StatedBalance:
    account, batch, at_us, subaccount, currency, amount, note, stated_at_us, withdrawn_at_us, reason = row
    return StatedBalance(
        account,
        batch,
        from_us(at_us),
        subaccount,
        currency,
        Decimal(amount),
        note,
        from_us(stated_at_us),
        None if withdrawn_at_us is None else from_us(withdrawn_at_us),
        reason,
    )


_SELECT_STATED: Final = """
SELECT s.account, s.batch, s.at_us, s.subaccount, s.currency, s.amount, s.note, begun.recorded_at_us,
  ended.recorded_at_us, s.ended_as
FROM stated_balances AS s
JOIN batches AS begun ON begun.account = s.account AND begun.seq = s.batch
LEFT JOIN batches AS ended ON ended.account = s.account AND ended.seq = s.ended_batch
ORDER BY s.account, s.at_us, s.batch
"""


# ---------------------------------------------------------------- points


def read_points(queries: Queries, account: AccountName, *, until_us: int = AFTER_ALL_US) -> dict[Key, StatedPoints]:
    """Return the stated balances of an account, by subaccount and currency. The newest row is the newest one before
    `until_us`."""
    return _points(CurrentRows(queries, account), until_us)


def read_points_as_of(
    connection: "Connection", account: AccountName, as_of: Bound, *, until_us: int = AFTER_ALL_US
) -> dict[Key, StatedPoints]:
    """Return `read_points` as recorded until an instant, in time that grows with the number of versions."""
    return _points(RowsAsOf(connection, account, as_of), until_us)


def sum_before(queries: Queries, account: AccountName, key: Key, at_us: int) -> Decimal:
    """Return the sum of the flows of a subaccount and currency before an instant, from day totals and the flows of its
    day."""
    return CurrentRows(queries, account).sum_before(key, at_us)


def _points(source: "BalanceRows", until_us: int) -> dict[Key, StatedPoints]:
    found: dict[Key, StatedPoints] = {}
    for key in source.list_keys():
        first = source.first_point(key)
        if first is not None:
            newest = source.newest_point(key, until_us)
            found[key] = StatedPoints(first, newest)
    for at_us, subaccount, currency, amount, batch in source.statements():
        key = subaccount, currency
        points = found.setdefault(key, StatedPoints())
        id_ = statement_id(source.account.account, batch)
        point = StatedPoint(at_us, Decimal(amount), source.sum_before(key, at_us), Origin.PERSON, id_)
        points.by_people.append(point)
    return found


@dataclass
class PointsCache:
    """Caches stated points by account and newest batch. They are read again only after another batch of the account."""

    points: dict[str, tuple[int, dict[Key, StatedPoints]]] = field(default_factory=dict)

    def load(self, queries: Queries, account: AccountName, head: int) -> dict[Key, StatedPoints]:
        """Return the points of an account whose newest batch is `head`."""
        cached = self.points.get(account.account)
        if cached is not None and cached[0] == head:
            return cached[1]
        points = read_points(queries, account)
        self.points[account.account] = head, points
        return points


class BalanceRows(ABC):
    """The flows of an account in one state of the ledger. The subclasses differ for the current state and for a
    recorded time."""

    def __init__(self, queries: Queries, account: AccountName) -> None:
        self.queries, self.account = queries, account
        self.days = BusinessDays(account.tz)

    @abstractmethod
    def list_keys(self) -> list[Key]:
        """Return the subaccounts and currencies that have flows."""

    @abstractmethod
    def days_of(self, key: Key, *, newest: bool, until_us: int) -> list[str]:
        """Return the first or the newest days with flows before an instant."""

    @abstractmethod
    def table(self) -> tuple[str, tuple[object, ...]]:
        """The table expression with the account's rows (with the columns of flows), and its parameters."""

    @abstractmethod
    def sum_before(self, key: Key, at_us: int) -> Decimal:
        """Return the sum of the flows before an instant."""

    @abstractmethod
    def statements(self) -> Sequence[tuple[Any, ...]]:
        """Return the balances that people stated, without withdrawn ones, oldest first."""

    @abstractmethod
    def periods(self) -> Sequence[tuple[Any, ...]]:
        """Return the periods that statement files state, with the balances at both ends, by batch."""

    def amounts_of_day(self, key: Key, at_us: int) -> Decimal:
        """Return the sum of the flows of an instant's day before that instant."""
        table, values = self.table()
        amount = self.queries.sql.exact_sum("amount")
        begin = begin_us(self.days, self.days.day_of(at_us))
        return parse_sum(
            self.queries.value(
                f"SELECT {amount} FROM {table} WHERE account = ? AND at_us >= ? AND at_us < ? "
                "AND subaccount = ? AND currency = ?",
                *(*values, self.account.account, begin, at_us, *key),
            )
        )

    def rows(self, key: Key, day: str, *, newest: bool, until_us: int) -> list[tuple[int, str, Decimal, str | None]]:
        """Return the rows of a day before an instant, from the day's beginning or from its end."""
        table, values = self.table()
        order = "DESC" if newest else "ASC"

        def select(since_us: int, before_us: int, limit: int | None) -> list[tuple[int, str, Decimal, str | None]]:
            found = self.queries.rows(
                f"SELECT at_us, id, amount, balance_after FROM {table} WHERE account = ? AND at_us >= ? AND at_us < ? "
                f"AND subaccount = ? AND currency = ? ORDER BY at_us {order}, id {order}"
                + ("" if limit is None else f" LIMIT {limit}"),
                *(*values, self.account.account, since_us, before_us, *key),
            )
            return [(at_us, id_, Decimal(amount), balance) for at_us, id_, amount, balance in found]

        rows = select(begin_us(self.days, day), min(end_us(self.days, day), until_us), ROWS_MAX + 1)
        if len(rows) <= ROWS_MAX:
            return rows
        # The last instant may have more rows than were read.
        whole = [row for row in rows if row[0] != rows[-1][0]]
        return whole or select(rows[0][0], rows[0][0] + 1, None)

    def first_point(self, key: Key) -> StatedPoint | None:
        """Return the balance before the first rows that state a balance."""
        for day in self.days_of(key, newest=False, until_us=AFTER_ALL_US):
            point = _first_point(_instants(self.rows(key, day, newest=False, until_us=AFTER_ALL_US)))
            if point is not None:
                at_us, amount, id_ = point
                return StatedPoint(at_us, amount, self.sum_before(key, at_us), Origin.ROW, id_)
        return None

    def newest_point(self, key: Key, until_us: int) -> StatedPoint | None:
        """Return the last stated balance before an instant: the one on the newest rows that state a balance."""
        for day in self.days_of(key, newest=True, until_us=until_us):
            point = _newest_point(_instants(self.rows(key, day, newest=True, until_us=until_us)))
            if point is not None:
                at_us, amount, id_ = point
                return StatedPoint(at_us, amount, self.sum_before(key, at_us), Origin.ROW, id_)
        return None


_Instant = list[tuple[int, str, Decimal, str | None]]


def _instants(rows: Sequence[tuple[int, str, Decimal, str | None]]) -> list[_Instant]:
    groups: list[_Instant] = []
    for row in rows:
        if groups and groups[-1][0][0] == row[0]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [sorted(group, key=lambda row: row[1]) for group in groups]


def _first_point(instants: Sequence[_Instant]) -> tuple[int, Decimal, str] | None:
    """Return the time of the first instant whose rows all state a balance, the balance before it, and its first row."""
    for number, rows in enumerate(instants):
        if any(row[3] is None for row in rows):
            continue
        edges = [edge_of(row[2], Decimal(str(row[3]))) for row in rows]
        start = free_start(edges)
        if start is None and len({edge.before for edge in edges}) == 1:
            start = edges[0].before  # rows with a sum of zero all state one balance
        # Rows with a sum of zero may begin at several balances. The following rows decide.
        for later in instants[number + 1 : number + 1 + LOOK_AHEAD]:
            if start is not None or any(row[3] is None for row in later):
                break
            edges += [edge_of(row[2], Decimal(str(row[3]))) for row in later]
            start = free_start(edges)
        order = find_trail(edges[: len(rows)], start)
        first = order[0] if order else 0
        return rows[0][0], edges[first].before if start is None else start, rows[first][1]
    return None


def _newest_point(instants: Sequence[_Instant]) -> tuple[int, Decimal, str] | None:
    """Return the time just after the newest instant whose rows all state a balance, the balance at that time, and its
    last row."""
    for number, rows in enumerate(instants):
        if any(row[3] is None for row in rows):
            continue
        edges = [edge_of(row[2], Decimal(str(row[3]))) for row in rows]
        start = free_start(edges)
        if start is None:  # the rows before decide at which balance these begin
            before = [row for row in instants[number + 1] if row[3] is not None] if number + 1 < len(instants) else []
            earlier = [edge_of(row[2], Decimal(str(row[3]))) for row in before]
            order_before = find_trail(earlier) if earlier else None
            start = earlier[order_before[-1]].after if order_before else None
        order = find_trail(edges, start) or find_trail(edges)
        last = order[-1] if order else len(rows) - 1
        return rows[0][0] + 1, edges[last].after, rows[last][1]
    return None


class CurrentRows(BalanceRows):
    """The current flows."""

    def list_keys(self) -> list[Key]:
        select = "SELECT DISTINCT subaccount, currency FROM day_totals WHERE account = ?"
        return sorted(
            (subaccount, currency) for subaccount, currency in self.queries.rows(select, self.account.account)
        )

    def days_of(self, key: Key, *, newest: bool, until_us: int) -> list[str]:
        last = "9999-12-31" if until_us >= AFTER_ALL_US else self.days.day_of(until_us - 1)
        rows = self.queries.rows(
            "SELECT DISTINCT day FROM day_totals WHERE account = ? AND subaccount = ? AND currency = ? AND day <= ? "
            f"ORDER BY day {'DESC' if newest else 'ASC'} LIMIT {DAYS_MAX}",
            *(self.account.account, *key, last),
        )
        return [day for (day,) in rows]

    def table(self) -> tuple[str, tuple[object, ...]]:
        return "flows", ()

    def sum_before(self, key: Key, at_us: int) -> Decimal:
        sums = f"{self.queries.sql.exact_sum('money_in')}, {self.queries.sql.exact_sum('money_out')}"
        ((money_in, money_out),) = self.queries.rows(
            f"SELECT {sums} FROM day_totals WHERE account = ? AND subaccount = ? AND currency = ? AND day < ?",
            *(self.account.account, *key, self.days.day_of(at_us)),
        )
        return EXACT.add(EXACT.add(parse_sum(money_in), parse_sum(money_out)), self.amounts_of_day(key, at_us))

    def statements(self) -> Sequence[tuple[Any, ...]]:
        return self.queries.rows(_SELECT_STATEMENTS.format(when=_NOW), self.account.account)

    def periods(self) -> Sequence[tuple[Any, ...]]:
        return self.queries.rows(_SELECT_PERIODS.format(when=_NOW), self.account.account)


class RowsAsOf(BalanceRows):
    """The flows as of a recorded time."""

    def __init__(self, connection: "Connection", account: AccountName, as_of: Bound) -> None:
        from liushui.ledger.read import history

        super().__init__(queries_of(connection), account)
        self._seq = history.batch_as_of(connection, account, as_of)
        self._totals: Totals = history.totals_at(connection, account, self._seq)

    def list_keys(self) -> list[Key]:
        return sorted(sums_of(self._totals))

    def days_of(self, key: Key, *, newest: bool, until_us: int) -> list[str]:
        last = None if until_us >= AFTER_ALL_US else self.days.day_of(until_us - 1)
        days = {one.day for one in self._totals if (one.subaccount, one.currency) == key}
        return sorted((day for day in days if last is None or day <= last), reverse=newest)[:DAYS_MAX]

    def table(self) -> tuple[str, tuple[object, ...]]:
        account, seq = self.account.account, self._seq
        return _VERSIONS, (account, seq, account, seq, seq)

    def sum_before(self, key: Key, at_us: int) -> Decimal:
        day = self.days.day_of(at_us)
        total = self.amounts_of_day(key, at_us)
        for one, sums in self._totals.items():
            if (one.subaccount, one.currency) == key and one.day < day:
                total = EXACT.add(total, sums.net)
        return total

    def statements(self) -> Sequence[tuple[Any, ...]]:
        return self.queries.rows(_SELECT_STATEMENTS.format(when=_THEN), self.account.account, self._seq, self._seq)

    def periods(self) -> Sequence[tuple[Any, ...]]:
        return self.queries.rows(_SELECT_PERIODS.format(when=_THEN), self.account.account, self._seq, self._seq)


_NOW: Final = "s.ended_batch IS NULL"
_THEN: Final = "s.batch <= ? AND (s.ended_batch IS NULL OR s.ended_batch > ?)"
_SELECT_STATEMENTS: Final = """
SELECT s.at_us, s.subaccount, s.currency, s.amount, s.batch FROM stated_balances AS s
WHERE s.account = ? AND {when} ORDER BY s.at_us, s.batch
"""
_SELECT_PERIODS: Final = """
SELECT s.since_us, s.at_us, s.subaccount, s.currency, s.opening, s.amount, s.batch, begun.recorded_at_us
FROM stated_balances AS s JOIN batches AS begun ON begun.account = s.account AND begun.seq = s.batch
WHERE s.account = ? AND s.since_us IS NOT NULL AND {when} ORDER BY s.batch
"""
_COLUMNS: Final = "account, at_us, id, subaccount, amount, currency, balance_after"
_VERSIONS: Final = f"""
(SELECT {_COLUMNS} FROM flows WHERE account = ? AND batch <= ? UNION ALL
 SELECT {_COLUMNS} FROM history WHERE account = ? AND batch <= ? AND ended_batch > ?) AS as_of
"""
