"""The types of the ledger's columns on each engine, for the schema and for migrations."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

Words: Final[TypeEngine[str]] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text that every engine sorts by its bytes, so that keys, pages and chains have one order."""

Big: Final[TypeEngine[int]] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""An integer of 64 bits."""

Money: Final[TypeEngine[str]] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""An exact amount as plain decimal text, every digit and sign as it came. NUMERIC would turn "-0.00" into "0.00", so
PostgreSQL has it only in a second column, for people who sum in SQL: see `add_numbers`."""

Flag: Final[TypeEngine[bool]] = sa.Boolean(create_constraint=False).with_variant(sa.Integer(), "sqlite")
"""A boolean."""

Bytes: Final[TypeEngine[bytes]] = sa.LargeBinary()
"""Arbitrary bytes."""


def add_numbers(connection: Connection, table: str, *amounts: str) -> None:
    """On PostgreSQL, add a generated NUMERIC column beside each of a table's amounts.

    The server refuses an amount that is not a number, or too long for NUMERIC. It never rounds one.
    """
    if connection.dialect.name == "postgresql":
        for name in amounts:
            number = f"{name}{NUMBER} NUMERIC GENERATED ALWAYS AS ({name}::NUMERIC) STORED"
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {number}")


NUMBER: Final = "_number"
"""The suffix of the generated column's name."""
