"""One text of SQL for every engine: statements are written as SQLite reads them, and translated for PostgreSQL once.

Placeholders are `?`. What the engines say in different words stands here, under the name that statements use; every
other word of a statement means the same on both.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

FOR_UPDATE: Final = "/* for update */"
"""After a SELECT inside a writing transaction: nobody else changes the row before its end. SQLite has one writer."""

INTEGERS: Final = "SELECT value AS wanted FROM json_each(?)"
"""The numbers of a JSON array, as rows of `wanted`."""

TEXTS: Final = "SELECT value AS wanted FROM json_each(?) WHERE type = 'text'"
"""The texts of a JSON array, as rows of `wanted`."""

POSITION: Final = "instr"
"""The place of a text in another one, from 1; 0: nowhere."""

DIFFERS: Final = "IS NOT"
"""Between two rows of values: they are not the same. Two that are missing are."""

TEXT_IN_DETAIL: Final = "CASE WHEN json_type(detail, ?) = 'text' THEN json_extract(detail, ?) END"
"""The text at a path of `detail`, which stands in both places; NULL where there is none."""

NUMBER_IN_DETAIL: Final = "CASE WHEN json_type(detail, ?) IN ('integer', 'real') THEN json_extract(detail, ?) END"
"""The number at a path of `detail`, which stands in both places; NULL where there is none."""

MISSING_IN_DETAIL: Final = "json_extract(detail, ?) IS NULL"
"""Whether nothing stands at a path of `detail`."""


class Order(StrEnum):
    """What a server is told of the order of rows that are joined."""

    AS_THEY_COME = ""
    UP = " /* up */"
    DOWN = " /* down */"


def joined(order: Order, *, shown: bool) -> str:
    """The texts of `line` with commas between them, as the bytes of their UTF-8; of those alone that are `shown`.

    Rows of one account are joined as they come. Those of several come by time, account and id, up or down: a server may
    read accounts side by side, and has to be told.
    """
    return f"CAST(group_concat(line, ','{order.value}){_SHOWN if shown else ''} AS BLOB)"


def first_of(select: str, rows: int, order: Order, *, by: str = "at_us, id") -> str:
    """One account's part of a query whose parts are put together in order: no more than its first rows are wanted.

    SQLite merges the parts as they stand in their keys. PostgreSQL would read each of them to its end, and is told; the
    number is rounded up, so that there are few such statements.
    """
    most = 1 << max(0, rows - 1).bit_length()
    return f"/* of one account */{select}/* in order {by}, at most {most}, {order.name} */"


_PART_BEGINS: Final = "/* of one account */"
_PART_ENDS: Final = re.compile(r"/\* in order ([a-z_, ]+), at most (\d+), (UP|DOWN) \*/")


_SHOWN: Final = " FILTER (WHERE shown)"
_ORDERS: Final = {
    Order.AS_THEY_COME: "",
    Order.UP: " ORDER BY at_us, account, id",
    Order.DOWN: " ORDER BY at_us DESC, account DESC, id DESC",
}
_JOINED: Final = {
    joined(order, shown=bool(shown)): f"convert_to(string_agg(line, ','{by}){shown}, 'UTF8')"
    for order, by in _ORDERS.items()
    for shown in ("", _SHOWN)
}
_POSTGRESQL: Final = {
    FOR_UPDATE: "FOR UPDATE",
    TEXTS: "SELECT wanted FROM json_array_elements_text(?::json) AS wanted",
    INTEGERS: "SELECT wanted::bigint AS wanted FROM json_array_elements_text(?::json) AS wanted",
    f"{POSITION}(": "strpos(",
    f"{DIFFERS} (": "IS DISTINCT FROM (",
    TEXT_IN_DETAIL: "CASE WHEN jsonb_typeof(jsonb_path_query_first(detail::jsonb, ?::jsonpath)) = 'string' "
    "THEN jsonb_path_query_first(detail::jsonb, ?::jsonpath) #>> '{}' END",
    NUMBER_IN_DETAIL: "CASE WHEN jsonb_typeof(jsonb_path_query_first(detail::jsonb, ?::jsonpath)) = 'number' "
    "THEN (jsonb_path_query_first(detail::jsonb, ?::jsonpath) #>> '{}')::numeric END",
    MISSING_IN_DETAIL: "jsonb_path_query_first(detail::jsonb, ?::jsonpath) #>> '{}' IS NULL",
    **_JOINED,
}
"""What PostgreSQL says in the place of each. One that another begins with stands after that."""


@lru_cache(maxsize=2_000)
def for_postgresql(statement: str) -> str:
    """A statement as psycopg takes it."""
    for ours, theirs in _POSTGRESQL.items():
        statement = statement.replace(ours, theirs)
    statement = _PART_ENDS.sub(_in_order, statement.replace(_PART_BEGINS, "("))
    return statement.replace("%", "%%").replace("?", "%s")


def _in_order(found: re.Match[str]) -> str:
    by, most, order = found.groups()
    down = " DESC" if order == Order.DOWN.name else ""
    return f" ORDER BY {', '.join(name + down for name in by.split(', '))} LIMIT {most})"


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
