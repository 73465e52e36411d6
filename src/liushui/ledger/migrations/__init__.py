"""Alembic's environment and the migrations of the schema. What they do to tables is the same on every engine."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from liushui.ledger.schema import TABLE_OPTIONS


def create_table(name: str, key: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    """Create a table with a primary key."""
    op.create_table(name, *columns, sa.PrimaryKeyConstraint(*key), **TABLE_OPTIONS)


def create_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    """Create an index of the rows for which a condition holds."""
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)
