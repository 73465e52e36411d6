"""An account as it was at one of its batches, read in parts, a chunk at a time. Reads only.

Facts are never deleted. Each fact says which batch entered it and which batch ended it. So the state at a batch can be
read later, while commits continue, by several transactions that see different states; the result is always the same.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.ledger.flow_row import COLUMNS, Row
from liushui.ledger.schema import (
    Flag,
    account_names,
    accounts,
    batches,
    coverage,
    day_totals,
    finding_decisions,
    findings,
    flows,
    history,
    import_sightings,
    imports,
    link_decisions,
    page_edges,
    period_decisions,
    quarantine,
    recordings,
    reseals,
    stated_balances,
)

CHUNK: Final = 2_000
"""Rows in memory at once."""

Key = tuple[int | str, ...]
"""The key of a row without its account: reading continues after it."""


class Part(NamedTuple):
    """The rows that an account had in one table at a batch, or some of them."""

    name: str
    table: sa.Table
    """The table in which they are now; its key gives their order."""
    into: sa.Table
    """The table in which they were then; they have its columns."""
    columns: Callable[[int], Sequence[sa.ColumnElement[Any]]]
    """Their values at that time, given the batch number."""
    condition: Callable[[int], sa.ColumnElement[bool]]
    """The condition that selects them, given the batch number."""
    may_repeat: bool = False
    """Whether some rows may have been read before as part of another table, because a commit moved them here."""

    def key(self) -> list[sa.Column[Any]]:
        """The columns that order the rows within the account."""
        return [column for column in self.table.primary_key.columns if column.name != "account"]

    def select(self, account: str, head: int) -> sa.Select[Any]:
        """The query for them at batch `head`, in no order."""
        return sa.select(*self.columns(head)).where(self.table.c.account == account, self.condition(head))


def _all_columns(table: sa.Table) -> Callable[[int], Sequence[sa.ColumnElement[Any]]]:
    return lambda _head: list(table.columns)


def _columns_before_ending(table: sa.Table) -> Callable[[int], Sequence[sa.ColumnElement[Any]]]:
    """Rows that ended after the batch were open then."""

    def columns(head: int) -> Sequence[sa.ColumnElement[Any]]:
        had_ended = table.c.ended_batch <= head
        return [
            sa.case((had_ended, column), else_=None).label(column.name) if column.name.startswith("ended_") else column
            for column in table.columns
        ]

    return columns


PARTS: Final = (
    Part("batches", batches, batches, _all_columns(batches), lambda head: batches.c.seq <= head),
    Part(
        "page edges",
        page_edges,
        page_edges,
        _columns_before_ending(page_edges),
        lambda head: page_edges.c.batch <= head,
    ),
    Part("flows", flows, flows, _all_columns(flows), lambda head: flows.c.batch <= head),
    Part(
        "flows that ended since",
        history,
        flows,
        lambda _head: [history.c[name] for name in COLUMNS],
        lambda head: sa.and_(history.c.batch <= head, history.c.ended_batch > head),
        may_repeat=True,
    ),
    Part("versions", history, history, _all_columns(history), lambda head: history.c.ended_batch <= head),
    Part(
        "quarantine",
        quarantine,
        quarantine,
        _columns_before_ending(quarantine),
        lambda head: quarantine.c.batch <= head,
    ),
    Part("reseals", reseals, reseals, _all_columns(reseals), lambda head: reseals.c.resealed_in <= head),
    Part(
        "stated balances",
        stated_balances,
        stated_balances,
        _columns_before_ending(stated_balances),
        lambda head: stated_balances.c.batch <= head,
    ),
    Part(
        "link decisions",
        link_decisions,
        link_decisions,
        _all_columns(link_decisions),
        lambda head: link_decisions.c.batch <= head,
    ),
    Part(
        "period decisions",
        period_decisions,
        period_decisions,
        _all_columns(period_decisions),
        lambda head: period_decisions.c.batch <= head,
    ),
    Part(
        "finding decisions",
        finding_decisions,
        finding_decisions,
        _all_columns(finding_decisions),
        lambda head: finding_decisions.c.batch <= head,
    ),
    Part(
        "earlier names",
        account_names,
        account_names,
        _all_columns(account_names),
        lambda head: account_names.c.until_batch < head,
    ),
)
"""The parts that can be read as of a batch. The order matters: if a flow ends while `flows` is read, the next part
finds it, so none is missed."""

UNVERSIONED_TABLES: Final = (accounts, coverage, day_totals, findings, recordings, imports, import_sightings)
"""Tables whose rows do not record the batches in which they existed. They are read in one transaction with the number
of the batch."""


def rows_after(connection: Connection, part: Part, account: str, head: int, after: Key | None) -> list[Row]:
    """The rows of a part after a key, or its first ones: at most CHUNK."""
    key = part.key()
    query = part.select(account, head).order_by(*key).limit(CHUNK)
    if after is not None:
        query = query.where(sa.tuple_(*key) > sa.tuple_(*after, types=[column.type for column in key]))
    return [tuple(row) for row in connection.execute(query)]


def key_of(part: Part, row: Row) -> Key:
    """The key of a row of a part."""
    names = list(part.into.columns.keys())
    return tuple(row[names.index(column.name)] for column in part.key())  # type: ignore[misc] # the columns' own types


def count_rows(connection: Connection, part: Part, account: str, head: int) -> int:
    """The number of rows in a part."""
    query = sa.select(sa.func.count()).select_from(part.select(account, head).subquery())
    return connection.execute(query).scalar_one()


def table_chunks(connection: Connection, table: sa.Table, account: str | None = None) -> Iterator[list[Row]]:
    """Yield the current rows of a table, by key and in chunks, of one account or of all."""
    query = sa.select(*table.columns).order_by(*table.primary_key.columns)
    if account is not None:
        query = query.where(table.c.account == account)
    flags = [index for index, column in enumerate(table.columns) if column.type is Flag]
    result = connection.execution_options(stream_results=True, max_row_buffer=CHUNK).execute(query)
    for chunk in result.partitions(CHUNK):
        yield [_with_bools(tuple(row), flags) for row in chunk]


def _with_bools(row: Row, flags: Sequence[int]) -> Row:
    """SQLite returns numbers for booleans, which PostgreSQL refuses."""
    if not flags:
        return row
    return tuple(bool(value) if index in flags and value is not None else value for index, value in enumerate(row))
