"""Stated balances: what people and providers say that an account holds, and the opening balance that follows.

A stated balance is compared with the flows at its own moment. Every balance here is one before the flows of a moment,
as with `balances --at`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.instant import BusinessDays, from_us
from liushui.ledger.day_totals import Totals, sums_of
from liushui.ledger.read import history
from liushui.ledger.read.accounts import AccountName, find_accounts
from liushui.ledger.read.filters import AFTER_ALL_US, Bound, FlowFilter
from liushui.ledger.read.flows import begin_us, end_us
from liushui.ledger.read.sums import sum_flows
from liushui.ledger.schema import batches, day_totals, flows, stated_balances
from liushui.ledger.schema import history as versions
from liushui.ledger.write.stated_balances import statement_id
from liushui.money import EXACT, ZERO
from liushui.reconcile.trail import edge_of, find_trail, free_start

DAYS_MAX: Final = 10
"""Days with flows at either end of an account's history in which a stated balance is looked for."""
ROWS_MAX: Final = 2_000
"""Rows of one day that are looked at from the end that is nearer."""

LOOK_AHEAD: Final = 5
"""Instants after the first one that are read to learn at which balance it began."""

Key = tuple[str, str]
"""A subaccount and a currency: each pair has a running balance of its own."""


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
        """Its id."""
        return statement_id(self.account, self.batch)


class StatedPoint(NamedTuple):
    """A stated balance before the flows of `at_us`, and the sum of the flows before. `id`: its row or statement."""

    at_us: int
    amount: Decimal
    flows_before: Decimal
    origin: Origin
    id: str

    @property
    def opening(self) -> Decimal:
        """The opening balance that follows from it."""
        return EXACT.subtract(self.amount, self.flows_before)


@dataclass
class StatedPoints:
    """What is stated of one subaccount and currency: by its first and its newest rows, and by people, oldest first."""

    first_row: StatedPoint | None = None
    newest_row: StatedPoint | None = None
    by_people: list[StatedPoint] = field(default_factory=list)

    def anchor(self, *, by_rows: bool) -> StatedPoint | None:
        """What the opening balance is computed from: the first row, else the earliest that a person stated.

        `by_rows`: whether balances on rows can be relied on.
        """
        first = self.first_row if by_rows else None
        return first or (self.by_people[0] if self.by_people else None)

    def is_anchor(self, point: StatedPoint, *, by_rows: bool) -> bool:
        """Whether the opening balance is computed from a point, so that the two cannot disagree.

        That holds for the first row's own instant, too: its point after the rows follows from the one before them.
        """
        if point.origin is Origin.ROW and self.first_row is not None:
            return point.at_us - 1 == self.first_row.at_us
        return point is self.anchor(by_rows=by_rows)


def list_stated_balances(
    connection: Connection, names: Sequence[str] = (), *, withdrawn: bool = False
) -> list[StatedBalance]:
    """The balances that people stated, by account and time; with `withdrawn` also those that are no longer in force."""
    chosen = [account.account for account in find_accounts(connection, names)]
    return [one for one in _stated(connection, chosen) if withdrawn or one.withdrawn_at is None]


def _stated(connection: Connection, names: Sequence[str]) -> Iterator[StatedBalance]:
    s, begun, over = stated_balances.c, batches.alias("begun"), batches.alias("over")
    query = sa.select(*stated_balances.columns, begun.c.recorded_at_us, over.c.recorded_at_us.label("over_at_us"))
    query = query.join_from(
        stated_balances, begun, sa.and_(begun.c.account == s.account, begun.c.seq == s.batch)
    ).outerjoin(over, sa.and_(over.c.account == s.account, over.c.seq == s.ended_batch))
    query = query.where(s.account.in_(names)).order_by(s.account, s.at_us, s.batch)
    for row in connection.execute(query):
        yield StatedBalance(
            row.account,
            row.batch,
            from_us(row.at_us),
            row.subaccount,
            row.currency,
            Decimal(row.amount),
            row.note,
            from_us(row.recorded_at_us),
            None if row.over_at_us is None else from_us(row.over_at_us),
            row.ended_as,
        )


# ---------------------------------------------------------------- points


def read_points(
    connection: Connection, account: AccountName, *, until_us: int = AFTER_ALL_US, as_of: Bound | None = None
) -> dict[Key, StatedPoints]:
    """What is stated of an account, by subaccount and currency: the newest row is the newest before `until_us`.

    `as_of`: as recorded until then, in time that grows with the number of versions.
    """
    source = _Current(connection, account) if as_of is None else _AsOf(connection, account, as_of)
    found: dict[Key, StatedPoints] = {}
    for key in source.list_keys():
        first = source.first_point(key)
        if first is not None:
            newest = source.newest_point(key, until_us)
            found[key] = StatedPoints(first, newest)
    for row in source.statements():
        key = row.subaccount, row.currency
        points = found.setdefault(key, StatedPoints())
        before = source.sum_before(key, row.at_us)
        id_ = statement_id(account.account, row.batch)
        points.by_people.append(StatedPoint(row.at_us, Decimal(row.amount), before, Origin.PERSON, id_))
    return found


@dataclass
class PointsCache:
    """Stated points by account and newest batch: read again only when the account has had a batch since."""

    points: dict[str, tuple[int, dict[Key, StatedPoints]]] = field(default_factory=dict)

    def load(self, connection: Connection, account: AccountName, head: int) -> dict[Key, StatedPoints]:
        """The points of an account whose newest batch is `head`."""
        cached = self.points.get(account.account)
        if cached is not None and cached[0] == head:
            return cached[1]
        points = read_points(connection, account)
        self.points[account.account] = head, points
        return points


class _Rows:
    """The flows of an account as of one state. What differs between now and a recorded time is in its subclasses."""

    def __init__(self, connection: Connection, account: AccountName) -> None:
        self.connection, self.account = connection, account
        self.days = BusinessDays(account.tz)

    def list_keys(self) -> list[Key]:
        """The subaccounts and currencies that have flows."""
        raise NotImplementedError

    def days_of(self, key: Key, *, newest: bool, until_us: int) -> list[str]:
        """The first or the newest days that have flows before an instant."""
        raise NotImplementedError

    def table(self) -> sa.FromClause:
        """What has the columns of flows."""
        raise NotImplementedError

    def sum_before(self, key: Key, at_us: int) -> Decimal:
        """The sum of the flows before an instant."""
        raise NotImplementedError

    def seq(self) -> int | None:
        """The batch as of which statements count. None: the newest."""
        return None

    def statements(self) -> Sequence[sa.Row[Any]]:
        """The balances that people stated and that are in force, oldest first."""
        s, seq = stated_balances.c, self.seq()
        query = sa.select(*stated_balances.columns).where(s.account == self.account.account)
        if seq is None:
            query = query.where(s.ended_batch.is_(None))
        else:
            query = query.where(s.batch <= seq, sa.or_(s.ended_batch.is_(None), s.ended_batch > seq))
        return self.connection.execute(query.order_by(s.at_us, s.batch)).all()

    def rows(self, key: Key, day: str, *, newest: bool, until_us: int) -> list[tuple[int, str, Decimal, str | None]]:
        """The rows of a day before an instant, from its begin or from its end."""
        c = self.table().c
        query = sa.select(c.at_us, c.id, c.amount, c.balance_after).where(
            c.account == self.account.account,
            c.at_us >= begin_us(self.days, day),
            c.at_us < min(end_us(self.days, day), until_us),
            c.subaccount == key[0],
            c.currency == key[1],
        )
        order = (c.at_us.desc(), c.id.desc()) if newest else (c.at_us, c.id)
        found = self.connection.execute(query.order_by(*order).limit(ROWS_MAX + 1)).all()
        rows = [(row.at_us, row.id, Decimal(row.amount), row.balance_after) for row in found]
        if len(rows) <= ROWS_MAX:
            return rows
        # The last instant may have more rows than were read.
        whole = [row for row in rows if row[0] != rows[-1][0]]
        if whole:
            return whole
        found = self.connection.execute(query.where(c.at_us == rows[0][0]).order_by(*order)).all()
        return [(row.at_us, row.id, Decimal(row.amount), row.balance_after) for row in found]

    def first_point(self, key: Key) -> StatedPoint | None:
        """The balance before the first rows that state one."""
        for day in self.days_of(key, newest=False, until_us=AFTER_ALL_US):
            point = _first_point(_instants(self.rows(key, day, newest=False, until_us=AFTER_ALL_US)))
            if point is not None:
                at_us, amount, id_ = point
                return StatedPoint(at_us, amount, self.sum_before(key, at_us), Origin.ROW, id_)
        return None

    def newest_point(self, key: Key, until_us: int) -> StatedPoint | None:
        """The balance after the newest rows before an instant that state one."""
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
    """The time of the first instant whose rows all state a balance, the balance before it, and its first row."""
    for number, rows in enumerate(instants):
        if any(row[3] is None for row in rows):
            continue
        edges = [edge_of(row[2], Decimal(str(row[3]))) for row in rows]
        start = free_start(edges)
        if start is None and len({edge.before for edge in edges}) == 1:
            start = edges[0].before  # rows of nothing all state one balance
        # Rows that come to nothing together may begin at several balances: those that follow tell.
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
    """The time just after the newest instant whose rows all state a balance, the balance then, and its last row."""
    for number, rows in enumerate(instants):
        if any(row[3] is None for row in rows):
            continue
        edges = [edge_of(row[2], Decimal(str(row[3]))) for row in rows]
        start = free_start(edges)
        if start is None:  # the rows before tell at which balance these begin
            before = [row for row in instants[number + 1] if row[3] is not None] if number + 1 < len(instants) else []
            earlier = [edge_of(row[2], Decimal(str(row[3]))) for row in before]
            order_before = find_trail(earlier) if earlier else None
            start = earlier[order_before[-1]].after if order_before else None
        order = find_trail(edges, start) or find_trail(edges)
        last = order[-1] if order else len(rows) - 1
        return rows[0][0] + 1, edges[last].after, rows[last][1]
    return None


class _Current(_Rows):
    """The flows as they are now."""

    def list_keys(self) -> list[Key]:
        t = day_totals.c
        query = sa.select(t.subaccount, t.currency).distinct().where(t.account == self.account.account)
        return sorted((row.subaccount, row.currency) for row in self.connection.execute(query))

    def days_of(self, key: Key, *, newest: bool, until_us: int) -> list[str]:
        t = day_totals.c
        query = sa.select(t.day).distinct()
        query = query.where(t.account == self.account.account, t.subaccount == key[0], t.currency == key[1])
        if until_us < AFTER_ALL_US:
            query = query.where(t.day <= self.days.day_of(until_us - 1))
        return list(self.connection.scalars(query.order_by(t.day.desc() if newest else t.day).limit(DAYS_MAX)))

    def table(self) -> sa.FromClause:
        return flows

    def sum_before(self, key: Key, at_us: int) -> Decimal:
        wanted = FlowFilter(until=from_us(at_us), subaccount=key[0], currency=key[1]).of(self.account)
        sums = sum_flows(self.connection, wanted)
        return sums[key].net if key in sums else ZERO


class _AsOf(_Rows):
    """The flows as of a recorded time."""

    def __init__(self, connection: Connection, account: AccountName, as_of: Bound) -> None:
        super().__init__(connection, account)
        self._seq = history.batch_as_of(connection, account, as_of)
        self._totals: Totals = history.totals_at(connection, account, self._seq)

    def seq(self) -> int | None:
        return self._seq

    def list_keys(self) -> list[Key]:
        return sorted(sums_of(self._totals))

    def days_of(self, key: Key, *, newest: bool, until_us: int) -> list[str]:
        last = None if until_us >= AFTER_ALL_US else self.days.day_of(until_us - 1)
        days = {one.day for one in self._totals if (one.subaccount, one.currency) == key}
        return sorted((day for day in days if last is None or day <= last), reverse=newest)[:DAYS_MAX]

    def table(self) -> sa.FromClause:
        names = ("account", "at_us", "id", "subaccount", "amount", "currency", "balance_after")
        current = sa.select(*(flows.c[name] for name in names)).where(flows.c.batch <= self._seq)
        v = versions.c
        ended = sa.select(*(v[name] for name in names)).where(v.batch <= self._seq, v.ended_batch > self._seq)
        return sa.union_all(
            current.where(flows.c.account == self.account.account), ended.where(v.account == self.account.account)
        ).subquery("as_of")

    def sum_before(self, key: Key, at_us: int) -> Decimal:
        day = self.days.day_of(at_us)
        total = ZERO
        for one, sums in self._totals.items():
            if (one.subaccount, one.currency) == key and one.day < day:
                total = EXACT.add(total, sums.net)
        c = self.table().c
        query = sa.select(c.amount).where(c.at_us >= begin_us(self.days, day), c.at_us < at_us)
        for amount in self.connection.scalars(query.where(c.subaccount == key[0], c.currency == key[1])):
            total = EXACT.add(total, Decimal(amount))
        return total
