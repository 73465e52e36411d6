"""Records: NamedTuples whose fields are the columns of a small table.

A field with an instant, such as `ended_at`, has a column in microseconds, `ended_at_us`. Where other names differ, the
callers give the column of a field as a keyword.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from liushui.instant import from_us, to_us
from liushui.ledger.engines.sql_dialects import SQLITE, dialect_of

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

R = TypeVar("R")


def from_row(record: type[R], row: sa.Row[Any] | Mapping[Any, Any], **renamed: str) -> R:
    """A record of that type from a row, which may have further columns."""
    columns: Mapping[Any, Any] = row._mapping if isinstance(row, sa.Row) else row
    values: list[object] = []
    for field, field_type in record.__annotations__.items():
        column = renamed.get(field, field)
        if f"{column}_us" in columns:
            at_us = columns[f"{column}_us"]
            values.append(None if at_us is None else from_us(at_us))
        else:
            value = columns[column]
            values.append(bool(value) if field_type is bool else value)  # SQLite gives numbers for flags
    return record(*values)


def to_columns(table: sa.Table, record: Any, **renamed: str) -> dict[str, Any]:  # noqa: ANN401 - any NamedTuple
    """The columns of a table for a record."""
    columns = {}
    for field, value in record._asdict().items():
        column = renamed.get(field, field)
        if f"{column}_us" in table.c:
            columns[f"{column}_us"] = None if value is None else to_us(value)
        else:
            columns[column] = value
    return columns


def insert_new(connection: Connection, table: sa.Table, values: Mapping[str, object]) -> bool:
    """Insert a row unless there is one with its key. Whether it was inserted."""
    key = table.primary_key.columns
    insert = _insert(connection, table).values(values).on_conflict_do_nothing(index_elements=key)
    return connection.execute(insert.returning(*key)).first() is not None


def upsert(connection: Connection, table: sa.Table, values: Mapping[str, object]) -> None:
    """Insert a row, or give these values to the one with its key."""
    key = table.primary_key.columns
    rest = {name: value for name, value in values.items() if name not in key}
    insert = _insert(connection, table).values(values).on_conflict_do_update(index_elements=key, set_=rest)
    connection.execute(insert)


def _insert(connection: Connection, table: sa.Table) -> "postgresql.Insert | sqlite.Insert":
    if dialect_of(connection) is SQLITE:
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # only here: SQLite users need not import PostgreSQL's dialect

    return postgresql.insert(table)
