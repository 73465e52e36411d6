"""The schema: what migrations make is what the program reads and writes; an account is one shard; pages are ranges."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from liushui.flow import Category
from liushui.ledger import migrations
from liushui.ledger.engine import Ledger
from liushui.ledger.reader import LedgerReader
from liushui.ledger.schema import FACT_TABLES, REVISION, flows, metadata
from liushui.provider import FlowQuery
from liushui.testing.limits import MemoryLimits
from liushui.where import among
from tests.ledger.books import came, hour, hours, keep


def test_migrations_make_the_schema(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        found = sa.inspect(connection)
        for table in metadata.sorted_tables:
            columns = found.get_columns(table.name)
            assert [(one["name"], one["nullable"]) for one in columns] == [
                (column.name, column.nullable) for column in table.columns
            ]
            assert [one["type"].compile(connection.dialect) for one in columns] == [
                column.type.compile(connection.dialect) for column in table.columns
            ]
            assert found.get_pk_constraint(table.name)["constrained_columns"] == table.primary_key.columns.keys()


def test_every_table_is_strict_and_clustered_by_its_key(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        listed = {row.name: (row.strict, row.wr) for row in connection.exec_driver_sql("PRAGMA table_list")}
    assert {name: listed[name] for name in metadata.tables} == dict.fromkeys(metadata.tables, (1, 1))


def test_the_newest_migration_is_the_revision_that_is_known() -> None:
    assert ScriptDirectory(str(next(iter(migrations.__path__)))).get_heads() == [REVISION]


@pytest.mark.parametrize("table", FACT_TABLES, ids=lambda table: table.name)
def test_every_key_of_a_table_with_facts_begins_with_the_account(table: sa.Table) -> None:
    assert table.primary_key.columns.keys()[0] == "account"
    assert all(index.columns.keys()[0] == "account" for index in table.indexes)


@pytest.mark.parametrize("column", [column for table in metadata.sorted_tables for column in table.columns], ids=str)
def test_no_column_holds_a_float(column: sa.Column[object], ledger: Ledger) -> None:
    assert column.type.compile(ledger.engine.dialect) in ("TEXT", "INTEGER", "BLOB")


def test_a_table_refuses_what_its_columns_are_not(ledger: Ledger) -> None:
    keep(ledger, hours(0, 24), came("one", 1))
    for column in flows.columns:
        wrong = "text" if column.type.compile(ledger.engine.dialect) == "INTEGER" else b"bytes"
        with ledger.engine.connect() as connection, pytest.raises(sa.exc.IntegrityError, match="cannot store"):
            connection.exec_driver_sql(f"UPDATE flows SET {column.name} = ?", (wrong,))


# ---------------------------------------------------------------- a page is a range of the key


@pytest.mark.parametrize("accounts", [("a",), ("a", "b")])
@pytest.mark.parametrize("category", [None, Category.CASH])
@pytest.mark.parametrize("symbol", [None, "AAPL.US"])
@pytest.mark.parametrize("dialect", ["longbridge", "another"])
@pytest.mark.parametrize("newest", [True, False])
def test_a_page_is_read_by_the_key_and_never_sorted(
    ledger: Ledger, accounts: tuple[str, ...], category: Category | None, symbol: str | None, dialect: str, newest: bool
) -> None:
    plans: list[str] = []
    reader = LedgerReader(ledger, MemoryLimits())
    connection = reader._connection()
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    where = [among("category", category.value)] if category else []
    where += [among("symbol", symbol)] if symbol else []
    query = FlowQuery(accounts, hour(0), hour(24), limit=50, offset=100, newest=newest, where=tuple(where))
    reader.page(dialect, query, lambda _flow: b"")
    place = '[1767312000000000,"a","x"]'
    reader.page(dialect, query._replace(offset=0, after=place), lambda _flow: b"")
    connection.set_trace_callback(None)
    for statement in statements:
        plans += [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}") if "flows" in statement]
    connection.close()
    assert len([step for step in plans if "SEARCH flows USING PRIMARY KEY (account=? AND at_us>? AND at_us<?)" in step])
    assert not [step for step in plans if "TEMP B-TREE" in step or step.startswith("SCAN flows")]
