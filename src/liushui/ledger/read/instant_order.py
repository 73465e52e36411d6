"""The order of flows of one instant, in every list, page and export: the order of their balance chains.

Providers state no order within an instant, but balances imply one: each has to follow from the one before. It is
computed when it is read, from the flows of the instant, and from the flows around it if those do not decide. Flows of
several chains come chain by chain, the one with the smallest id first. Without balances, flows are sorted by id.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.ledger.flow_row import AT_US, COLUMNS, ID
from liushui.ledger.read.accounts import AccountName
from liushui.ledger.read.filters import AccountFilter
from liushui.ledger.schema import batches, flows, history
from liushui.reconcile.balance_order import edge_of, find_trail, free_start, is_ambiguous
from liushui.reconcile.chain import ChainRow, order_rows
from liushui.rules import BALANCE_RULES, BalanceRules, Paging, Rules

AROUND: Final = 50
"""The number of flows of a chain before and after an instant that are read if the instant alone does not decide its
order."""
AROUND_OF_ALL: Final = 2_000
"""The number of flows of all chains among which those flows are searched."""
AT_ONCE: Final = 400
"""The number of instants or ids in one statement."""

RowT = TypeVar("RowT", bound=Sequence[Any])
"""A row with the columns of schema.flows, of SQLAlchemy or of the driver."""

Chain = tuple[str, str]
"""A subaccount and a currency: each pair has a balance chain of its own."""


class _Facts(NamedTuple):
    """The facts on which the order of a flow depends."""

    at_us: int
    id: str
    subaccount: str
    currency: str
    amount: str
    balance_after: str | None

    @property
    def chain_row(self) -> ChainRow:
        balance = None if self.balance_after is None else Decimal(self.balance_after)
        return ChainRow(self.at_us, self.id, Decimal(self.amount), balance)


class Rest(NamedTuple):
    """The rest of an instant after one of its flows: the ids in order, and the ids that arrived after the order was
    first read."""

    ids: list[str]
    newcomers: frozenset[str] = frozenset()


def balance_rules_of(account: AccountName, rules: Mapping[str, Rules[Paging]]) -> BalanceRules | None:
    """Return how far the balances on an account's rows can be trusted. None: its provider states none."""
    known = rules.get(account.provider)
    return BALANCE_RULES if known is None else known.balances


class InstantOrder:
    """The order of one account's flows within each instant, as they are now or, with `seq`, after that batch."""

    def __init__(
        self, connection: Connection, account: str, rules: BalanceRules | None, *, seq: int | None = None
    ) -> None:
        """`rules` None: the account's rows state no balances."""
        self._connection, self._account, self._rules, self._seq = connection, account, rules, seq

    @property
    def is_by_id(self) -> bool:
        """Whether flows of one instant are sorted by id, because no stated balance determines their order."""
        return self._rules is None or self._rules.advisory

    # ------------------------------------------------------------ whole instants

    def sort(self, rows: Sequence[RowT], *, newest_first: bool, are_all: bool) -> list[RowT]:
        """Put rows with the columns of schema.flows in order that are sorted by time and id, ascending or descending.

        The rows may be only some flows of each instant; `are_all`: they are all of them.
        """
        if self.is_by_id:
            return list(rows)
        instants = [row[AT_US] for row in rows]
        if len(set(instants)) == len(rows):
            return list(rows)
        # only the instants of several rows are taken out and put back: most instants have one row
        tied: list[tuple[int, list[RowT]]] = []
        end = 0
        for index in range(1, len(rows)):
            if instants[index] == instants[index - 1] and index >= end:
                end = index + 1
                while end < len(rows) and instants[end] == instants[index]:
                    end += 1
                tied.append((index - 1, list(rows[index - 1 : end])))
        if are_all:
            orders = {group[0][AT_US]: self._order([_facts(row) for row in group]) for _, group in tied}
        else:
            orders = self.list_ids([group[0][AT_US] for _, group in tied])
        found = list(rows)
        for begin, group in tied:
            ranks = {id_: rank for rank, id_ in enumerate(orders[group[0][AT_US]])}
            group.sort(key=lambda row: ranks[row[ID]], reverse=newest_first)
            found[begin : begin + len(group)] = group
        return found

    def list_ids(self, instants: Sequence[int]) -> dict[int, list[str]]:
        """Return the ids of all flows of these instants, in order."""
        found: dict[int, list[str]] = {}
        for begin in range(0, len(instants), AT_ONCE):
            part = instants[begin : begin + AT_ONCE]
            rows = sorted(self._select(lambda table: [table.c.at_us.in_(part)]))  # noqa: B023 - called at once
            found |= {at_us: self._order(list(group)) for at_us, group in groupby(rows, key=lambda row: row.at_us)}
        return found

    @cached_property
    def head(self) -> int:
        """The newest batch of the account."""
        b = batches.c
        return self._connection.scalar(sa.select(sa.func.max(b.seq)).where(b.account == self._account)) or 0

    def has_balances(self, at_us: int) -> bool:
        """Whether a flow of an instant states a balance that implies an order."""
        if self.is_by_id:
            return False
        f = flows.c
        one = sa.select(sa.literal(1)).where(f.account == self._account, f.at_us == at_us, f.balance_after.is_not(None))
        return self._connection.scalar(one.limit(1)) is not None

    def rest(self, at_us: int, id_: str, batch: int, newer: int, *, newest_first: bool) -> Rest:
        """Return the flows after a flow of an instant, for a page that continues there.

        `batch` is the newest batch when the instant was first read. The order from that time is kept, without flows
        that no longer exist. Flows that arrived later follow, sorted by batch and id. Each flow that exists throughout
        is therefore on exactly one page, whatever commits come between two pages. `newer`: the batch of the flow
        itself, if it arrived after `batch`; else 0. `batch` 0: the current order.
        """
        direction = -1 if newest_first else 1
        now = self.list_ids([at_us]).get(at_us, [])[::direction]
        if batch in (0, self.head):
            return Rest(now[now.index(id_) + 1 :] if id_ in now else now)
        before = InstantOrder(self._connection, self._account, self._rules, seq=batch)
        then = before.list_ids([at_us]).get(at_us, [])[::direction]
        known = set(then)
        f = flows.c
        query = sa.select(f.batch, f.id).where(f.account == self._account, f.at_us == at_us)
        came = [(one.batch, one.id) for one in self._connection.execute(query) if one.id not in known]
        current = set(now)
        if newer:
            known_rest = []
            came = [one for one in came if one > (newer, id_)]
        else:
            known_rest = then[then.index(id_) + 1 :] if id_ in known else then
        newcomers = [other for _, other in sorted(came)]
        return Rest([other for other in known_rest if other in current] + newcomers, frozenset(newcomers))

    # ------------------------------------------------------------ one instant

    def _order(self, rows: list[_Facts]) -> list[str]:
        """Return the ids of all flows of one instant, in order."""
        rows.sort()
        chains: dict[Chain, list[_Facts]] = {}
        for row in rows:
            chains.setdefault((row.subaccount, row.currency), []).append(row)
        return [id_ for chain, group in chains.items() for id_ in self._order_chain(chain, group)]

    def _order_chain(self, chain: Chain, rows: Sequence[_Facts]) -> list[str]:
        ids = [row.id for row in rows]
        if len(rows) < 2 or self.is_by_id or all(row.balance_after is None for row in rows):
            return ids
        trail = self._trail(rows)
        if trail is not None:
            return [ids[index] for index in trail]
        at_us = rows[0].at_us
        return [row.id for row in self.around(at_us, chain) if row.at_us == at_us]

    def _trail(self, rows: Sequence[_Facts]) -> list[int] | None:
        """Return the order that the instant's rows alone determine. None: the rows do not determine an order."""
        if self._rules is None or self._rules.tolerance or any(row.balance_after is None for row in rows):
            return None
        edges = [edge_of(Decimal(row.amount), Decimal(str(row.balance_after))) for row in rows]
        start = free_start(edges)
        return None if start is None else find_trail(edges, start)

    def around(self, at_us: int, chain: Chain) -> list[ChainRow]:
        """Return the rows of a chain around an instant, in the order of their balances. Nearly all of them are at other
        instants."""
        before, after = self._near(at_us, chain, newer=False), self._near(at_us, chain, newer=True)
        here = self._select(
            lambda table: [
                table.c.at_us == at_us,
                table.c.subaccount == chain[0],
                table.c.currency == chain[1],
            ]
        )
        rows = [row.chain_row for row in sorted([*before, *here, *after])]
        return rows if self._rules is None or self._rules.advisory else order_rows(rows, self._rules)

    def _near(self, at_us: int, chain: Chain, *, newer: bool) -> list[_Facts]:
        """Return the nearest rows of a chain before or after an instant, as whole instants."""
        rows = self._select(
            lambda table: [table.c.at_us > at_us if newer else table.c.at_us < at_us], newer=newer, limit=AROUND_OF_ALL
        )
        if len(rows) == AROUND_OF_ALL:  # the last instant may have more
            last_us = rows[-1].at_us
            whole = [row for row in rows if row.at_us != last_us]
            rows = whole or self._select(lambda table: [table.c.at_us == last_us])
        mine = [row for row in rows if (row.subaccount, row.currency) == chain]
        if len(mine) <= AROUND:
            return mine
        end_us = mine[AROUND - 1].at_us
        return [row for row in mine if (row.at_us <= end_us if newer else row.at_us >= end_us)]

    def is_ambiguous(self, rows: Sequence[ChainRow]) -> bool:
        """Whether the balances of one chain's rows within an instant, which are in order, allow another order too."""
        if self.is_by_id or len(rows) < 2:
            return False
        stated = [row for row in rows if row.balance_after is not None]
        if len(stated) < len(rows):
            return True
        edges = [edge_of(row.amount, row.balance_after or Decimal(0)) for row in stated]
        return is_ambiguous(edges, range(len(edges)))

    def _select(
        self,
        conditions: "Callable[[sa.Table], list[sa.ColumnElement[bool]]]",
        *,
        newer: bool = True,
        limit: int | None = None,
    ) -> list[_Facts]:
        """Return rows of the account; with a limit, the first or last ones by time and id."""
        parts = []
        for table in (flows,) if self._seq is None else (flows, history):
            c = table.c
            query = sa.select(*(c[name] for name in _Facts._fields)).where(c.account == self._account)
            if self._seq is not None:
                query = query.where(c.batch <= self._seq)
                if table is history:
                    query = query.where(c.ended_batch > self._seq)
            parts.append(query.where(*conditions(table)))
        every: Any = parts[0] if len(parts) == 1 else sa.union_all(*parts)
        if limit is not None:
            columns = every.selected_columns
            keys = columns.at_us, columns.id
            every = every.order_by(*(keys if newer else (key.desc() for key in keys))).limit(limit)
        return [_Facts(*row) for row in self._connection.execute(every)]


_pick_facts: Final[Callable[[Sequence[Any]], tuple[Any, ...]]] = itemgetter(*map(COLUMNS.index, _Facts._fields))


def _facts(row: Sequence[Any]) -> _Facts:
    return _Facts(*_pick_facts(row))


# ---------------------------------------------------------------- streams


def chunks_in_order(
    chunks: Iterable[Sequence[RowT]], order: InstantOrder, wanted: AccountFilter
) -> Iterator[Sequence[RowT]]:
    """Yield chunks of rows, sorted by time and id, in their final order. Each chunk has whole instants."""
    if order.is_by_id:
        yield from chunks
        return
    newest, are_all = wanted.conditions.newest_first, not wanted.conditions.is_selective
    left: list[RowT] = []  # rows of the newest instant: the next chunk may have more of them
    for chunk in chunks:
        rows = [*left, *chunk]
        begin = len(rows) - 1
        while begin and rows[begin - 1][AT_US] == rows[begin][AT_US]:
            begin -= 1
        left = rows[begin:]
        if begin:
            yield order.sort(rows[:begin], newest_first=newest, are_all=are_all)
    if left:
        yield order.sort(left, newest_first=newest, are_all=are_all)


RowsOfInstant = Callable[[int, int], Sequence["sa.Row[Any]"]]
"""Function that reads the first rows of an instant in order, given the instant and the number."""


def in_order(
    rows: Iterable[sa.Row[Any]],
    order: InstantOrder,
    wanted: AccountFilter,
    *,
    chunk: int,
    cut: int | None,
    first_of: RowsOfInstant,
) -> Iterator[sa.Row[Any]]:
    """Yield rows, sorted by time and id, in their final order, in chunks of whole instants.

    `cut`: the number of rows at which reading stopped, so the last instant may have more. The row at that number only
    shows that there are more rows. It need not be the next row in order.
    """
    if order.is_by_id:
        yield from rows
        return
    newest, are_all = wanted.conditions.newest_first, not wanted.conditions.is_selective
    count = 0
    pending: list[sa.Row[Any]] = []
    for row in rows:
        count += 1
        if len(pending) >= chunk and row.at_us != pending[-1].at_us:
            yield from order.sort(pending, newest_first=newest, are_all=are_all)
            pending = []
        pending.append(row)
    if count == cut and pending:
        at_us = pending[-1].at_us
        last = [row for row in pending if row.at_us == at_us]
        yield from order.sort(pending[: -len(last)], newest_first=newest, are_all=are_all)
        yield from first_of(at_us, len(last)) if len(last) > 1 else last
        return
    yield from order.sort(pending, newest_first=newest, are_all=are_all)
