"""The schema: migrations create the tables of the program, an account is one shard, a page is a range of the key."""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from liushui.conditions import RECORD_ID, one_of
from liushui.flow import Category
from liushui.ledger import migrations
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.base import REVISION, Cursor
from liushui.ledger.engines.postgres import MARKER_TABLE
from liushui.ledger.flow_row import COLUMNS
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.ledger.schema import FACT_TABLES, NUMBER_SUFFIX, flows, metadata
from liushui.provider import FlowQuery
from liushui.testing.reader import MemoryLimits
from tests.engines import LedgerStore, unspread
from tests.ledger.ledgers import commit_read, hour, hours, make_row, new_ledger


def is_of_every_engine(_object: object, name: str | None, *_rest: object) -> bool:
    """Whether Alembic should compare a table or column: not the marker table, and not the generated numbers."""
    return name != MARKER_TABLE and not str(name).endswith(NUMBER_SUFFIX)


def test_migrations_create_the_schema(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        options = {"compare_type": True, "include_object": is_of_every_engine}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        found = sa.inspect(connection)
        for table in metadata.sorted_tables:
            columns = [one for one in found.get_columns(table.name) if not one["name"].endswith(NUMBER_SUFFIX)]
            assert [(one["name"], one["nullable"]) for one in columns] == [
                (column.name, column.nullable) for column in table.columns
            ]
            assert [one["type"].compile(connection.dialect) for one in columns] == [
                column.type.compile(connection.dialect) for column in table.columns
            ]
            assert found.get_pk_constraint(table.name)["constrained_columns"] == table.primary_key.columns.keys()


def test_every_table_is_strict_and_clustered_by_its_key(file_ledger: Ledger) -> None:
    ledger = file_ledger
    with ledger.reading() as connection:
        listed = {row.name: (row.strict, row.wr) for row in connection.exec_driver_sql("PRAGMA table_list")}
    assert {name: listed[name] for name in metadata.tables} == dict.fromkeys(metadata.tables, (1, 1))


def test_the_columns_that_are_spelled_out_are_those_of_flows() -> None:
    assert tuple(column.name for column in flows.columns) == COLUMNS


def test_the_revision_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(next(iter(migrations.__path__)))).get_heads() == [REVISION]


@pytest.mark.parametrize("table", FACT_TABLES, ids=lambda table: table.name)
def test_the_key_of_every_table_of_facts_begins_with_the_account(table: sa.Table) -> None:
    assert table.primary_key.columns.keys()[0] == "account"
    assert all(index.columns.keys()[0] == "account" for index in table.indexes)


@pytest.fixture(scope="module")
def dialect(module_store: LedgerStore) -> Iterator[sa.Dialect]:
    """SQLAlchemy's dialect for each engine."""
    ledger = new_ledger(module_store)
    yield ledger.engine.dialect
    ledger.close()


EXACT: Final = ("TEXT", 'TEXT COLLATE "C"', "INTEGER", "BIGINT", "BLOB", "BYTEA", "BOOLEAN")


@pytest.mark.parametrize("column", [column for table in metadata.sorted_tables for column in table.columns], ids=str)
def test_no_column_has_floats(column: sa.Column[object], dialect: sa.Dialect) -> None:
    assert column.type.compile(dialect) in EXACT


def test_a_table_refuses_values_of_other_types(file_ledger: Ledger) -> None:
    ledger = file_ledger
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    for column in flows.columns:
        wrong = "text" if column.type.compile(ledger.engine.dialect) == "INTEGER" else b"bytes"
        with ledger.engine.connect() as connection, pytest.raises(sa.exc.IntegrityError, match="cannot store"):
            connection.exec_driver_sql(f"UPDATE flows SET {column.name} = ?", (wrong,))


# ---------------------------------------------------------------- a page is a range of the key


class Watched:
    """A raw connection that collects the query plan of each statement."""

    def __init__(self, ledger: Ledger) -> None:
        self._connection = ledger.raw_connection()
        self._explain = "EXPLAIN QUERY PLAN" if ledger.engine.dialect.name == "sqlite" else "EXPLAIN (COSTS FALSE)"
        if ledger.engine.dialect.name != "sqlite":  # of so few rows it would read all
            self._connection.execute("BEGIN")  # what holds in a transaction holds on every node
            self._connection.execute("SET LOCAL enable_seqscan = off")
            self._connection.execute("SET LOCAL enable_bitmapscan = off")
        self.steps: list[str] = []

    def execute(self, statement: str, values: Sequence[object] = (), /) -> Cursor:
        if "flows" in statement:
            plan = self._connection.execute(f"{self._explain} {statement}", values).fetchall()
            self.steps += [str(row[-1]) for row in plan]
        return self._connection.execute(statement, values)

    def close(self) -> None:
        self._connection.close()


SORTED: Final = re.compile(r"Sort\n(?:\s+(?:Sort|Presorted) Key.*\n)*\s+-> +Index")
"""A step of a PostgreSQL plan that sorts everything found by an index."""


@pytest.mark.parametrize("accounts", [("a",), ("a", "b")])
@pytest.mark.parametrize("category", [None, Category.CASH])
@pytest.mark.parametrize("symbol", [None, "AAPL.US"])
@pytest.mark.parametrize("dialect", ["longbridge", "another"])
@pytest.mark.parametrize("newest", [True, False])
def test_a_page_is_read_by_the_key_and_never_sorted(
    ledger: Ledger, accounts: tuple[str, ...], category: Category | None, symbol: str | None, dialect: str, newest: bool
) -> None:
    reader = LedgerReader(ledger, MemoryLimits())
    watched = Watched(ledger)
    where = [one_of("category", category.value)] if category else []
    where += [one_of("symbol", symbol)] if symbol else []
    query = FlowQuery(accounts, hour(0), hour(24), limit=50, offset=100, newest=newest, where=tuple(where))
    with patch.object(ledger, "raw_connection", lambda: watched):
        reader.read_page(dialect, query, lambda _flow: b"")
        place = '[1767312000000000,"a","x"]'
        reader.read_page(dialect, query._replace(offset=0, after=place), lambda _flow: b"")
    watched.close()
    text = unspread("\n".join(watched.steps))
    if ledger.engine.dialect.name == "sqlite":
        assert "SEARCH flows USING PRIMARY KEY (account=? AND at_us>? AND at_us<?)" in text
        assert "TEMP B-TREE" not in text
        assert "SCAN flows" not in text
    else:
        assert "using flows_pkey on flows" in text
        assert "Index Cond: ((account = " in text
        assert "Seq Scan" not in text
        assert "Sort" not in text or len(accounts) > 1
        assert not SORTED.search(text), "what is put in order is the first rows of each account, no more"


@pytest.mark.parametrize("newest", [True, False])
def test_a_record_is_found_by_its_id(ledger: Ledger, newest: bool) -> None:
    """Through an index of its own, in a long account whose times are not known. A copy has no record id."""
    rows = [make_row(f"r{number}", 1 + number % 20) for number in (*range(99), 7)]
    named = [
        row._replace(flow=row.flow._replace(ref=row.flow.identity if number % 2 else "other"))
        for number, row in enumerate(rows)
    ]
    commit_read(ledger, hours(0, 24), *named, rows[-1])
    reader, watched = LedgerReader(ledger, MemoryLimits()), Watched(ledger)
    with patch.object(ledger, "raw_connection", lambda: watched):
        sizes = [
            reader.read_page(
                "longbridge",
                FlowQuery(("a",), hour(0), hour(24), limit=5, newest=newest, where=(one_of(RECORD_ID, value),)),
                lambda flow: flow.identity.encode(),
            ).size
            for value in ("r7", "r8", "r7~1")
        ]
    watched.close()
    assert sizes == [1, 0, 0]
    if ledger.engine.dialect.name == "sqlite":  # PostgreSQL goes by statistics: of so few rows any index will do
        assert "SEARCH flows USING INDEX flows_by_record_id (account=? AND id=?" in "\n".join(watched.steps)
