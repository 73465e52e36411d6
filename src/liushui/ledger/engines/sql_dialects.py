"""The SQL that differs between SQLite and PostgreSQL, side by side. All other SQL of the ledger is the same on both.

A statement that needs one of these pieces is a function of a `SQLDialect`. So a misspelled piece is a type error and an
AttributeError, and never a statement that silently lacks it. Placeholders are `?` in every statement.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # a command that only reads does not need SQLAlchemy, whose import takes longer than its queries
    from sqlalchemy.engine import Connection


@dataclass(frozen=True, eq=False)  # compared by identity, because a dialect is part of cache keys
class SQLDialect:
    """The SQL in which the engines differ, for one engine."""

    name: str
    """SQLAlchemy's name for the engine."""
    for_update: str
    """Suffix of a SELECT in a write transaction: no other transaction changes its rows before this one ends."""
    integers_in_json: str
    """A query of one column, `wanted`: the numbers in a JSON array, which is its one parameter."""
    texts_in_json: str
    """A query of one column, `wanted`: the strings in a JSON array, which is its one parameter."""
    position: str
    """The function that returns the position of its second argument in the first, from 1; 0 if it is not there."""
    is_distinct_from: str
    """Like `<>`, but two NULLs are equal; also for row values."""
    text_in_detail: str
    """The string at a JSON path of `detail`, else NULL. The path is a parameter, twice."""
    number_in_detail: str
    """The number at a JSON path of `detail`, else NULL. The path is a parameter, twice."""
    missing_in_detail: str
    """Whether `detail` has no value at a JSON path, which is a parameter."""

    def using(self, index: str) -> str:
        """Suffix of a table name in FROM: its rows are found by that index."""
        # SQLite has no statistics here and would use the primary key. PostgreSQL knows how few rows a partial index
        # has.
        return f"INDEXED BY {index}" if self is SQLITE else ""

    def exact_sum(self, column: str) -> str:
        """An aggregate that sums a column of amounts exactly. Its value is to be read with `day_totals.parse_sum`.

        SQLite has no exact numbers. It returns a group's amounts as one text, which takes a fifth of the time of
        fetching each of them.
        """
        if self is SQLITE:
            return f"group_concat(nullif({column}, '0'), ' ')"
        return f"sum(CAST({column} AS NUMERIC))"

    def join_lines(self, *, newest_first: bool | None, only_shown: bool) -> str:
        """An aggregate: the values of `line`, joined by commas, as UTF-8 bytes; optionally only for `shown` rows.

        `newest_first` None joins the rows in the query's order, which suffices for rows of one account. Rows of several
        accounts are joined by time, account and id.
        """
        shown = " FILTER (WHERE shown)" if only_shown else ""
        if self is SQLITE:
            return f"CAST(group_concat(line, ','){shown} AS BLOB)"
        # A server may read accounts in parallel, so the order of a subquery does not determine the order of the
        # aggregate.
        order = "" if newest_first is None else f" ORDER BY {_ordered(('at_us', 'account', 'id'), newest_first)}"
        return f"convert_to(string_agg(line, ','{order}){shown}, 'UTF8')"

    def json_array(self, column: str) -> str:
        """A column of a group of flows as the text of a JSON array. SQLite promises no order of its elements; on
        PostgreSQL they are by time and id."""
        return f"json_group_array({column})" if self is SQLITE else f"json_agg({column} ORDER BY at_us, id)::text"

    def first_rows(self, select: str, rows: int, *, newest_first: bool, by: tuple[str, ...] = ("at_us", "id")) -> str:
        """Return one account's SELECT in a UNION ALL of several accounts, of which at most the first `rows` are needed.

        The result may have more rows than that.
        """
        if self is SQLITE:
            # SQLite merges the parts in the order of their keys, and stops at the limit of the whole query
            return select
        # PostgreSQL would read each part to its end. The limits are powers of two, so that few different statements are
        # prepared.
        limit = 1 << max(0, rows - 1).bit_length()
        return f"({select} ORDER BY {_ordered(by, newest_first)} LIMIT {limit})"


def _ordered(columns: tuple[str, ...], newest_first: bool) -> str:
    return ", ".join(f"{column} DESC" if newest_first else column for column in columns)


SQLITE: Final = SQLDialect(
    name="sqlite",
    for_update="",  # a write transaction begins IMMEDIATE, so no other one writes until it ends
    integers_in_json="SELECT value AS wanted FROM json_each(?)",
    texts_in_json="SELECT value AS wanted FROM json_each(?) WHERE type = 'text'",
    position="instr",
    is_distinct_from="IS NOT",
    text_in_detail="CASE WHEN json_type(detail, ?) = 'text' THEN json_extract(detail, ?) END",
    number_in_detail="CASE WHEN json_type(detail, ?) IN ('integer', 'real') THEN json_extract(detail, ?) END",
    missing_in_detail="json_extract(detail, ?) IS NULL",
)

POSTGRESQL: Final = SQLDialect(
    name="postgresql",
    for_update="FOR UPDATE",
    integers_in_json="SELECT wanted::bigint AS wanted FROM json_array_elements_text(?::json) AS wanted",
    texts_in_json="SELECT wanted FROM json_array_elements_text(?::json) AS wanted",
    position="strpos",
    is_distinct_from="IS DISTINCT FROM",
    text_in_detail="CASE WHEN jsonb_typeof(jsonb_path_query_first(detail::jsonb, ?::jsonpath)) = 'string' "
    "THEN jsonb_path_query_first(detail::jsonb, ?::jsonpath) #>> '{}' END",
    number_in_detail="CASE WHEN jsonb_typeof(jsonb_path_query_first(detail::jsonb, ?::jsonpath)) = 'number' "
    "THEN (jsonb_path_query_first(detail::jsonb, ?::jsonpath) #>> '{}')::numeric END",
    missing_in_detail="jsonb_path_query_first(detail::jsonb, ?::jsonpath) #>> '{}' IS NULL",
)


def dialect_of(connection: "Connection") -> SQLDialect:
    """Return the dialect of a connection."""
    return SQLITE if connection.dialect.name == SQLITE.name else POSTGRESQL


FOLD_FUNCTION: Final = "liushui_fold"
"""The SQL function that SQLite's connections have: it is `fold`."""


def fold(text: str | None) -> str | None:
    """Return a text in the form in which it is compared."""
    return None if text is None else text.upper()


class Statement:
    """A statement with a text for each engine. Both texts are built at import, so that a mistake shows at once."""

    def __init__(self, text: Callable[[SQLDialect], str]) -> None:
        self._texts = {dialect.name: text(dialect) for dialect in (SQLITE, POSTGRESQL)}

    def on(self, connection: "Connection") -> str:
        """The text for a connection's engine."""
        return self._texts[connection.dialect.name]


@lru_cache(maxsize=2_000)
def to_psycopg(statement: str) -> str:
    """A statement whose placeholders are psycopg's `%s`. No statement has a `?` that is not a placeholder."""
    return statement.replace("%", "%%").replace("?", "%s")
