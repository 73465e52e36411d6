"""Rows that may be there already: inserted where they are not, or put in their place. One statement on each engine."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


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


def _insert(connection: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
