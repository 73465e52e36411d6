"""Writing many rows at once, the fastest way each engine has."""

from collections.abc import Sequence
from functools import cache

from sqlalchemy.engine import Connection

from liushui.ledger.rows import Row
from liushui.ledger.schema import metadata


def insert_rows(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    """Insert rows whose values stand in the order of the table's columns.

    Columns that no row has a value for are left out of the statement: a provider fills about half of a flow's, and
    each one that is bound costs as much as its share of the insert.
    """
    if not rows:
        return
    values = list(zip(*rows, strict=True))
    empty = [None] * len(rows)
    used = [place for place, column in enumerate(values) if column[0] is not None or list(column) != empty]
    if len(used) < len(values):
        rows = list(zip(*(values[place] for place in used), strict=True))
    connection.exec_driver_sql(_insert(table, tuple(used)), list(rows))


@cache
def _insert(table: str, used: tuple[int, ...]) -> str:
    columns = metadata.tables[table].columns.keys()
    names = [columns[place] for place in used]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
