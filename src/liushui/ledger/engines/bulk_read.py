"""Reads the rows of many small queries, or of one large query, in each engine's fastest way."""

from collections.abc import Generator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.ledger.engines.sql_dialects import POSTGRESQL, dialect_of
from liushui.ledger.engines.sqlite import sqlite_connection


def read_rows(connection: Connection, statement: str, parameters: Sequence[object]) -> Sequence[Sequence[Any]]:
    """All rows of a statement with `?` as placeholders.

    SQLite's rows come directly from its driver, because SQLAlchemy takes a tenth of a millisecond to wrap a result.
    """
    if dialect_of(connection) is POSTGRESQL:
        return connection.exec_driver_sql(statement, tuple(parameters)).all()
    return sqlite_connection(connection).execute(statement, parameters).fetchall()


def stream_chunks(
    connection: Connection, query: sa.Select[Any], size: int
) -> Generator[Sequence[Sequence[Any]], None, None]:
    """The rows of a query, streamed in chunks.

    SQLite's rows come directly from its driver: SQLAlchemy takes as long to wrap them as it takes to read them. No
    column may need a conversion of SQLAlchemy's.
    """
    if dialect_of(connection) is POSTGRESQL:
        with connection.execute(query, execution_options={"stream_results": True, "max_row_buffer": size}) as found:
            yield from found.partitions(size)
        return
    with connection.execute(query) as found:  # not as a stream: SQLAlchemy would already take the first row
        cursor: Any = found.cursor
        while chunk := cursor.fetchmany(size):
            yield chunk
