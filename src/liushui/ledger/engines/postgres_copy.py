"""Writing many rows into PostgreSQL: COPY, straight into the table, for a commit knows that its rows are not there."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from operator import itemgetter
from typing import Any, Final

import psycopg
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

from liushui.errors import LedgerError, short_repr
from liushui.ledger.column_types import Big, Bytes, Flag, Money, Words
from liushui.ledger.schema import metadata

COPIED_MIN: Final = 4
"""Rows from which COPY is worth its round trips. Measured, it is as fast as a statement for one, faster for more."""

DIGITS_MAX: Final = 16_000
"""Characters of an amount. NUMERIC has 131,072 digits before the point and 16,383 behind it: these fit anywhere."""


PIECE_ROWS: Final = 250
"""Rows that are sent at once: what is done between two of these takes less time than the server has for one."""


def copy_rows(
    connection: Connection, table: str, rows: Sequence[tuple[object, ...]], used: tuple[int, ...] = ()
) -> None:
    """Insert rows whose values stand in the order of the table's columns, amounts as text. `used`: places of all
    columns that a row has a value for, where the caller knows them. Raises LedgerError naming the column of an amount
    that NUMERIC has no room for.
    """
    if len(rows) >= COPIED_MIN:
        with copying(connection, table, rows, used):
            return
    names, amounts = _columns(table)
    used = used or _used(rows)
    for place in amounts.intersection(used):
        _check_range(names[place], map(itemgetter(place), rows))
    written, marks = ", ".join(names[place] for place in used), ", ".join("?" * len(used))
    values = list(map(itemgetter(*used), rows))
    connection.exec_driver_sql(f"INSERT INTO {table} ({written}) VALUES ({marks})", values)


@contextmanager
def copying(
    connection: Connection, table: str, rows: Sequence[tuple[object, ...]], used: tuple[int, ...] = ()
) -> Iterator[Iterator[Sequence[tuple[object, ...]]]]:
    """As `copy_rows`, piece by piece: the block is given each when the server has begun to take it in. What the block
    does with it needs no connection, and costs no time while the server is at work. Pieces that the block does not
    take are sent after it.

    Measured, the format as text costs the client less than binary, and the server as much. So does one thread less
    than two: the one that sends would wait for the interpreter each time that the server has taken what was sent.
    """
    names, amounts = _columns(table)
    columns = metadata.tables[table].columns.values()
    used = used or _used(rows)
    written = ", ".join(names[place] for place in used)
    with _driver(connection).cursor() as cursor, cursor.copy(f"COPY {table} ({written}) FROM STDIN".encode()) as copy:
        copy.set_types([_TYPES[columns[place].type] for place in used])  # else it looks at each value what it is

        def sent() -> Iterator[Sequence[tuple[object, ...]]]:
            chosen, write_row = itemgetter(*used), copy.write_row
            for begin in range(0, len(rows), PIECE_ROWS):
                piece = rows[begin : begin + PIECE_ROWS]
                for place in amounts.intersection(used):
                    _check_range(names[place], map(itemgetter(place), piece))
                for row in map(chosen, piece):
                    write_row(row)
                yield piece

        pieces = sent()
        yield pieces
        for _ in pieces:
            pass


def _used(rows: Sequence[tuple[object, ...]]) -> tuple[int, ...]:
    """The places of the columns that some row has a value for."""
    return tuple(place for place, column in enumerate(zip(*rows, strict=True)) if column.count(None) < len(rows))


_TYPES: Final[dict[TypeEngine[Any], str]] = {
    Words: "text",
    Money: "text",
    Big: "int8",
    Flag: "bool",
    Bytes: "bytea",
}
"""The server's names of columns' types."""


@cache
def _columns(table: str) -> tuple[list[str], frozenset[int]]:
    """The names of a table's columns, and the places of those that hold amounts."""
    columns = list(metadata.tables[table].columns)
    amounts = frozenset(place for place, column in enumerate(columns) if column.type is Money)
    return [column.name for column in columns], amounts


def _check_range(name: str, values: Iterable[Any]) -> None:
    longest = max((value for value in values if value is not None), key=len, default="")
    if len(longest) > DIGITS_MAX:
        raise LedgerError(
            f"{name}: expected at most {DIGITS_MAX} characters, got {len(longest)}: {short_repr(longest)}"
        )


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("expected a connection of psycopg's")
    return driver
