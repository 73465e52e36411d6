"""Writing many rows at once, the fastest way each engine has."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Final

from sqlalchemy.engine import Connection

from liushui.ledger.flow_row import Row
from liushui.ledger.schema import metadata

ROWS_AT_ONCE: Final = 100
"""Rows of one statement. While a statement runs others may use the interpreter, and it is cheaper than so many runs of
a statement of one row; a hundred rows of a flow's columns are well below the number of parameters SQLite takes."""


BESIDE_MIN: Final = 500
"""Rows from which it is worth a round trip to have them inserted beside other work, and not with those of others."""


def insert_rows(connection: Connection, table: str, rows: Sequence[Row], used: tuple[int, ...] = ()) -> None:
    """Insert rows whose values stand in the order of the table's columns. `used`: places of all columns that a row has
    a value for, where the caller knows them.

    Columns that no row has a value for are left out of the statement: a provider fills about half of a flow's, and
    each one that is bound costs as much as its share of the insert.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        from liushui.ledger.engines.postgres_copy import copy_rows  # inside: who has a file does not wait for it

        copy_rows(connection, table, rows, used)
        return
    used = used or _used(rows)
    values = itemgetter(*used)
    left = len(rows) % ROWS_AT_ONCE
    for begin in range(0, len(rows) - left, ROWS_AT_ONCE):
        some = map(values, rows[begin : begin + ROWS_AT_ONCE])
        connection.exec_driver_sql(_insert(table, used, ROWS_AT_ONCE), tuple(chain.from_iterable(some)))
    if left:
        connection.exec_driver_sql(_insert(table, used, 1), list(map(values, rows[-left:])))


@contextmanager
def inserting_beside(
    connection: Connection, table: str, rows: Sequence[Row], used: tuple[int, ...] = ()
) -> Iterator[Iterator[Sequence[Row]] | None]:
    """Insert many rows while the block goes through them, piece by piece, and does what needs no connection. None: they
    are not inserted. A server takes them in beside us; a file does not, and few rows are not worth it."""
    if len(rows) < BESIDE_MIN or connection.dialect.name != "postgresql":
        yield None
        return
    from liushui.ledger.engines.postgres_copy import copying  # inside: who has a file does not wait for it

    with copying(connection, table, rows, used) as pieces:
        yield pieces


def _used(rows: Sequence[Row]) -> tuple[int, ...]:
    """The places of the columns that some row has a value for, at least two: the key's."""
    first = rows[0]
    unset = [place for place, value in enumerate(first) if value is None]
    if len(unset) > 1 and list(map(nothing := itemgetter(*unset), rows)).count(nothing(first)) == len(rows):
        return tuple(place for place, value in enumerate(first) if value is not None)
    return tuple(place for place, column in enumerate(zip(*rows, strict=True)) if column.count(None) < len(rows))


@cache
def _insert(table: str, used: tuple[int, ...], rows: int) -> str:
    columns = metadata.tables[table].columns.keys()
    names = [columns[place] for place in used]
    values = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([values] * rows)}"
