"""An account as it stood at one of its batches, read in parts, a piece at a time. Reads only.

No fact is deleted, and each says which batch entered it and which one ended it. So what stood at a batch can be read
at any time later, while commits go on, by readers that each see another state: what is read of it is always the same.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.ledger.column_types import Flag
from liushui.ledger.flow_row import COLUMNS, Row
from liushui.ledger.schema import (
    accounts,
    batches,
    coverage,
    day_totals,
    findings,
    flows,
    history,
    page_edges,
    quarantine,
    recordings,
)

CHUNK: Final = 2_000
"""Rows that are in memory at once."""

Key = tuple[int | str, ...]
"""The key of a row without its account: where reading goes on."""


class Part(NamedTuple):
    """Rows that an account had in one table."""

    name: str
    table: sa.Table
    """Where they are found now, and by whose key they are ordered."""
    into: sa.Table
    """Where they stood then, and whose columns they have."""
    columns: Callable[[int], Sequence[sa.ColumnElement[Any]]]
    """What they were then, of the number of the batch."""
    stood: Callable[[int], sa.ColumnElement[bool]]
    """Which they are, of the number of the batch."""
    moves: bool = False
    """Whether some of them may have been read from another part already: they moved here in between."""

    def key(self) -> list[sa.Column[Any]]:
        """What they are ordered by, within the account."""
        return [column for column in self.table.primary_key.columns if column.name != "account"]


def _as_is(table: sa.Table) -> Callable[[int], Sequence[sa.ColumnElement[Any]]]:
    return lambda _head: list(table.columns)


def _quarantined(head: int) -> Sequence[sa.ColumnElement[Any]]:
    then = quarantine.c.ended_batch <= head
    return [
        sa.case((then, column), else_=None).label(column.name) if column.name.startswith("ended_") else column
        for column in quarantine.columns
    ]


PARTS: Final = (
    Part("batches", batches, batches, _as_is(batches), lambda head: batches.c.seq <= head),
    Part("page edges", page_edges, page_edges, _as_is(page_edges), lambda head: page_edges.c.batch <= head),
    Part("flows", flows, flows, _as_is(flows), lambda head: flows.c.batch <= head),
    Part(
        "flows that ended since",
        history,
        flows,
        lambda _head: [history.c[name] for name in COLUMNS],
        lambda head: sa.and_(history.c.batch <= head, history.c.ended_batch > head),
        moves=True,
    ),
    Part("versions", history, history, _as_is(history), lambda head: history.c.ended_batch <= head),
    Part("quarantine", quarantine, quarantine, _quarantined, lambda head: quarantine.c.batch <= head),
)
"""What can be read as it stood, in the order that it is read in: a flow that ends meanwhile is met afterwards."""

AT_ONCE: Final = (accounts, coverage, day_totals, findings, recordings)
"""What does not say at which batches it stood: it is read with the number of the batch, in one state."""


def rows_after(connection: Connection, part: Part, account: str, head: int, after: Key | None) -> list[Row]:
    """The next rows of a part behind a key (None: the first ones), at most CHUNK of them."""
    key = part.key()
    query = _of(part, account, head).order_by(*key).limit(CHUNK)
    if after is not None:
        query = query.where(sa.tuple_(*key) > sa.tuple_(*after, types=[column.type for column in key]))
    return [tuple(row) for row in connection.execute(query)]


def key_of(part: Part, row: Row) -> Key:
    """The key of a row that was read from a part."""
    names = list(part.into.columns.keys())
    return tuple(row[names.index(column.name)] for column in part.key())  # type: ignore[misc] # the columns' own types


def count(connection: Connection, part: Part, account: str, head: int) -> int:
    """How many rows a part has."""
    return connection.execute(sa.select(sa.func.count()).select_from(_of(part, account, head).subquery())).scalar_one()


def whole(connection: Connection, table: sa.Table, account: str | None = None) -> Iterator[list[Row]]:
    """A table as it stands, of one account or all of it, in pieces and by its key."""
    query = sa.select(*table.columns).order_by(*table.primary_key.columns)
    if account is not None:
        query = query.where(table.c.account == account)
    flags = [place for place, column in enumerate(table.columns) if column.type is Flag]
    found = connection.execution_options(stream_results=True, max_row_buffer=CHUNK).execute(query)
    for chunk in found.partitions(CHUNK):
        yield [_with_flags(tuple(row), flags) for row in chunk]


def _with_flags(row: Row, flags: Sequence[int]) -> Row:
    """A row whose yes and no are Python's, not the numbers that one engine has for them and another refuses."""
    if not flags:
        return row
    return tuple(bool(value) if place in flags and value is not None else value for place, value in enumerate(row))


def _of(part: Part, account: str, head: int) -> sa.Select[Any]:
    return sa.select(*part.columns(head)).where(part.table.c.account == account, part.stood(head))
