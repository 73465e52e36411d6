"""Writing many rows into PostgreSQL: COPY, straight into the table, for a commit knows that its rows are not there."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import psycopg
from sqlalchemy.engine import Connection

from liushui.errors import LedgerError
from liushui.ledger.columns import Money
from liushui.ledger.schema import metadata
from liushui.money import shown

COPIED_MIN: Final = 4
"""Rows from which COPY is worth its round trips. Measured, it is as fast as a statement for one, faster for more."""

DIGITS_MAX: Final = 16_000
"""Characters of an amount. NUMERIC has 131,072 digits before the point and 16,383 behind it: these fit anywhere."""


def copy_rows(connection: Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows whose values stand in the order of the table's columns, amounts as text.

    Measured, the format as text costs the client less than binary, and the server as much. Raises LedgerError naming
    the column of an amount that NUMERIC has no room for.
    """
    names, amounts = _columns(table)
    values = list(zip(*rows, strict=True))
    for place in amounts:
        _check_range(names[place], values[place])
    used = [place for place, column in enumerate(values) if column.count(None) < len(rows)]
    chosen = list(zip(*(values[place] for place in used), strict=True))
    written = ", ".join(names[place] for place in used)
    if len(rows) < COPIED_MIN:
        marks = ", ".join("?" * len(used))
        connection.exec_driver_sql(f"INSERT INTO {table} ({written}) VALUES ({marks})", chosen)
        return
    with _driver(connection).cursor() as cursor, cursor.copy(f"COPY {table} ({written}) FROM STDIN".encode()) as copy:
        write_row = copy.write_row
        for row in chosen:
            write_row(row)


@cache
def _columns(table: str) -> tuple[list[str], list[int]]:
    """The names of a table's columns, and the places of those that hold amounts."""
    columns = list(metadata.tables[table].columns)
    return [column.name for column in columns], [place for place, column in enumerate(columns) if column.type is Money]


def _check_range(name: str, values: Sequence[object]) -> None:
    for value in values:
        if value is not None and len(str(value)) > DIGITS_MAX:
            raise LedgerError(
                f"{name}: expected at most {DIGITS_MAX} characters, got {len(str(value))}: {shown(value)}"
            )


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("expected a connection of psycopg's")
    return driver
