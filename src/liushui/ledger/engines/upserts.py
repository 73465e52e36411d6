"""Rows that may be there already: inserted where they are not, or put in their place. One statement on each engine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def insert_new(connection: Connection, table: sa.Table, values: Mapping[str, object]) -> bool:
    """Insert a row unless one of its key is there. Whether it did."""
    key = table.primary_key.columns
    insert = _insert(connection, table).values(values).on_conflict_do_nothing(index_elements=key)
    return connection.execute(insert.returning(*key)).first() is not None


def upsert(connection: Connection, table: sa.Table, values: Mapping[str, object]) -> None:
    """Insert a row, or give the one of its key these values."""
    key = table.primary_key.columns
    rest = {name: value for name, value in values.items() if name not in key}
    insert = _insert(connection, table).values(values).on_conflict_do_update(index_elements=key, set_=rest)
    connection.execute(insert)


def _insert(connection: Connection, table: sa.Table) -> "postgresql.Insert | sqlite.Insert":
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # inside: who has a file does not wait for it

    return postgresql.insert(table)
