"""Inserts many rows at once, in each engine's fastest way: one statement for a hundred rows, or COPY.

Rows have a value for each column of their table, in its order, amounts as text. Most columns of most rows are empty: a
provider fills about half of a flow's columns, and the time of an INSERT grows with the number of its columns. So
columns that are empty in all rows are left out of the statement. `filled` has the indexes of the other columns, if the
caller knows them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

from liushui.errors import LedgerError, short_repr
from liushui.ledger.engines.sql_dialects import POSTGRESQL, dialect_of
from liushui.ledger.flow_row import Row
from liushui.ledger.schema import BigInt, Bytes, Flag, Money, Text, metadata

if TYPE_CHECKING:  # psycopg is imported once a connection exists, and never if ledgers are files
    import psycopg

STATEMENT_ROWS: Final = 25
"""The rows of one INSERT into SQLite. One statement is cheaper than one for each row, and lets other threads run. In
measurements, more rows are not faster."""

COPY_ROWS_MIN: Final = 4
"""The number of rows from which on COPY is used. In measurements it was as fast as an INSERT for one row, and faster
for more."""

CONCURRENT_ROWS_MIN: Final = 500
"""The number of rows from which a separate COPY, parallel to other work, is faster than one COPY for several
batches."""

PIECE_ROWS: Final = 250
"""The rows that are sent at a time: preparing them takes less time than the server needs for the previous ones."""

AMOUNT_CHARS_MAX: Final = 16_000
"""The most characters of an amount. NUMERIC has 131,072 digits before the point and 16,383 after it, so these always
fit."""


def insert_rows(connection: Connection, table: str, rows: Sequence[Row], filled: tuple[int, ...] = ()) -> None:
    """Insert rows. On PostgreSQL, raises LedgerError naming the column of an amount that is too long for NUMERIC.

    If SQLite refuses a row, the rows before it stay until the transaction is rolled back.
    """
    if not rows:
        return
    on_server = dialect_of(connection) is POSTGRESQL
    if on_server and len(rows) >= COPY_ROWS_MIN:
        with _copying(connection, table, rows, filled):
            return  # leaving the block sends the rows
    filled = filled or _filled_columns(rows)
    if on_server:
        _check_amounts(table, rows, filled)
    values = itemgetter(*filled)
    rest = len(rows) % STATEMENT_ROWS
    for begin in range(0, len(rows) - rest, STATEMENT_ROWS):
        chunk = map(values, rows[begin : begin + STATEMENT_ROWS])
        statement = _insert(table, filled, STATEMENT_ROWS, on_server=on_server)
        connection.exec_driver_sql(statement, tuple(chain.from_iterable(chunk)))
    if rest:
        statement = _insert(table, filled, 1, on_server=on_server)
        connection.exec_driver_sql(statement, list(map(values, rows[-rest:])))


@contextmanager
def inserting_concurrently(
    connection: Connection, table: str, rows: Sequence[Row], filled: tuple[int, ...] = ()
) -> Iterator[Iterator[Sequence[Row]] | None]:
    """Insert rows while the block works on them: the block gets the rows in pieces, each after it was sent to the
    server.

    The block must not use the connection. Pieces that it does not take are sent afterwards. If parallel work has no
    advantage, the block gets None and nothing is inserted: in SQLite, which has no other process, and for few rows.
    """
    if len(rows) < CONCURRENT_ROWS_MIN or dialect_of(connection) is not POSTGRESQL:
        yield None
        return
    with _copying(connection, table, rows, filled) as pieces:
        yield pieces


@contextmanager
def _copying(
    connection: Connection, table: str, rows: Sequence[Row], filled: tuple[int, ...]
) -> Iterator[Iterator[Sequence[Row]]]:
    """COPY rows directly into their table: a commit knows that they are new.

    In measurements, the text format cost the client less than the binary one, and the server the same. Two threads are
    not faster than one: the sending thread would wait for the interpreter whenever the server is ready.
    """
    columns = metadata.tables[table].columns.values()
    filled = filled or _filled_columns(rows)
    names = ", ".join(columns[index].name for index in filled)
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy:
        # otherwise each value is inspected
        copy.set_types([_POSTGRESQL_TYPES[columns[index].type] for index in filled])

        def send() -> Iterator[Sequence[Row]]:
            values, write_row = itemgetter(*filled), copy.write_row
            for begin in range(0, len(rows), PIECE_ROWS):
                piece = rows[begin : begin + PIECE_ROWS]
                _check_amounts(table, piece, filled)
                for row in map(values, piece):
                    write_row(row)
                yield piece

        pieces = send()
        yield pieces
        for _ in pieces:
            pass


_POSTGRESQL_TYPES: Final[dict[TypeEngine[Any], str]] = {
    Text: "text",
    Money: "text",
    BigInt: "int8",
    Flag: "bool",
    Bytes: "bytea",
}


def _filled_columns(rows: Sequence[Row]) -> tuple[int, ...]:
    """The indexes of the columns in which some row has a value."""
    first = rows[0]
    empty = [index for index, value in enumerate(first) if value is None]
    # Usually all rows lack the same columns, which is fast to check. At least two columns, so that itemgetter returns
    # tuples.
    if len(empty) > 1 and list(map(nothing := itemgetter(*empty), rows)).count(nothing(first)) == len(rows):
        return tuple(index for index, value in enumerate(first) if value is not None)
    return tuple(index for index, column in enumerate(zip(*rows, strict=True)) if column.count(None) < len(rows))


@cache
def _insert(table: str, filled: tuple[int, ...], rows: int, *, on_server: bool) -> str:
    # To undo a statement of several rows that fails, SQLite copies each page that it changes to a statement journal
    # first. With an index of random keys, that is almost a page of 16 KiB for each row. OR FAIL does without: a failed
    # insert ends the transaction anyway.
    insert = "INSERT" if on_server else "INSERT OR FAIL"
    columns = metadata.tables[table].columns.keys()
    names = ", ".join(columns[index] for index in filled)
    placeholders = f"({', '.join('?' * len(filled))})"
    return f"{insert} INTO {table} ({names}) VALUES {', '.join([placeholders] * rows)}"


@cache
def _amounts(table: str) -> dict[int, str]:
    """The names of a table's columns of amounts, by index."""
    columns = metadata.tables[table].columns
    return {index: column.name for index, column in enumerate(columns) if column.type is Money}


def _check_amounts(table: str, rows: Sequence[Row], filled: tuple[int, ...]) -> None:
    for index, name in _amounts(table).items():
        if index in filled:
            longest = max(filter(None, map(itemgetter(index), rows)), key=len, default="")
            if len(longest) > AMOUNT_CHARS_MAX:
                raise LedgerError(
                    f"{name}: expected at most {AMOUNT_CHARS_MAX} characters, got {len(longest)}: {short_repr(longest)}"
                )
