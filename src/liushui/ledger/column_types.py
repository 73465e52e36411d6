"""The columns of the ledger on each engine, for the schema and its migrations alike."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

Words: Final[TypeEngine[str]] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text, sorted by its bytes on every engine: keys, pages and chains have one order."""

Big: Final[TypeEngine[int]] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A number of 64 bits."""

Money: Final[TypeEngine[str]] = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""An exact amount as plain decimal text, each digit and sign as it came: NUMERIC keeps trailing zeros, but makes of
"-0.00" "0.00". PostgreSQL has it as NUMERIC too, in a column beside it, for who sums in SQL: `add_numbers`."""

Flag: Final[TypeEngine[bool]] = sa.Boolean(create_constraint=False).with_variant(sa.Integer(), "sqlite")
"""Yes or no."""

Bytes: Final[TypeEngine[bytes]] = sa.LargeBinary()
"""Bytes as they came."""


def add_numbers(connection: Connection, table: str, *amounts: str) -> None:
    """On PostgreSQL, have each of a table's amounts as NUMERIC beside it, in a column that the server fills.

    An amount that is no number, or one that NUMERIC has no room for, is refused by the server, never rounded.
    """
    if connection.dialect.name == "postgresql":
        for name in amounts:
            number = f"{name}{NUMBER} NUMERIC GENERATED ALWAYS AS ({name}::NUMERIC) STORED"
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {number}")


NUMBER: Final = "_number"
"""Behind the name of an amount: that of its number."""
