"""The types of the ledger's columns on each engine, for the schema and for migrations."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

Text: Final[TypeEngine[str]] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that every engine sorts by its bytes, so that keys, pages and chains have one order."""

BigInt: Final[TypeEngine[int]] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""An integer of 64 bits."""

Money: Final[TypeEngine[str]] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""An exact amount as plain decimal text, every digit and sign as it came. NUMERIC would turn "-0.00" into "0.00", so
PostgreSQL has it only in a second column, for people who sum in SQL: see `add_numbers`."""

Flag: Final[TypeEngine[bool]] = sa.Boolean(create_constraint=False).with_variant(sa.Integer(), "sqlite")
"""A boolean."""

Bytes: Final[TypeEngine[bytes]] = sa.LargeBinary()
"""Arbitrary bytes."""

TABLE_OPTIONS: Final[dict[str, Any]] = {"sqlite_strict": True, "sqlite_with_rowid": False}
"""Options of every table. SQLite then checks types, and keeps the rows in the order of their key."""

NUMBER_SUFFIX: Final = "_number"
"""The suffix of the name of a generated NUMERIC column."""


def required(column_type: TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    """Columns of one type that are never NULL."""
    return [sa.Column(name, column_type, nullable=False) for name in names]


def optional(column_type: TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    """Columns of one type that may be NULL."""
    return [sa.Column(name, column_type) for name in names]


def add_numbers(connection: Connection, table: str, *amounts: str) -> None:
    """On PostgreSQL, add a generated NUMERIC column beside each of a table's amounts.

    The server refuses an amount that is not a number, or too long for NUMERIC. It never rounds one.
    """
    if connection.dialect.name == "postgresql":
        for name in amounts:
            number = f"{name}{NUMBER_SUFFIX} NUMERIC GENERATED ALWAYS AS ({name}::NUMERIC) STORED"
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {number}")
