"""Reads many rows at once, in each engine's fastest way."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy.engine import Connection

from liushui.ledger.engines.base import STREAMED
from liushui.ledger.engines.sql_dialects import POSTGRESQL, dialect_of
from liushui.ledger.engines.sqlite import sqlite_connection

CHUNK_ROWS: Final = 2_000


def read_chunks(connection: Connection, statement: str, parameters: Sequence[object]) -> Iterator[list[Any]]:
    """The rows of a statement with `?` as placeholders, as tuples, CHUNK_ROWS of them in memory at a time.

    SQLite's rows come directly from its driver, because wrapping them in SQLAlchemy takes half as long again.
    """
    if dialect_of(connection) is POSTGRESQL:
        result = connection.exec_driver_sql(statement, tuple(parameters), execution_options=STREAMED)
        while rows := result.fetchmany(CHUNK_ROWS):
            yield list(map(tuple, rows))
        return
    cursor = sqlite_connection(connection).execute(statement, parameters)
    try:
        while chunk := cursor.fetchmany(CHUNK_ROWS):
            yield chunk
    finally:
        cursor.close()
