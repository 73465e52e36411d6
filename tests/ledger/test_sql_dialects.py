"""The SQL that differs between engines: each piece means the same on both, and a mistake in one cannot pass."""

from dataclasses import fields
from typing import Any

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.engines.sql_dialects import POSTGRESQL, SQLITE, SQLDialect, Statement, dialect_of, to_psycopg


def rows_of(ledger: Ledger, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    with ledger.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement, values)]


def value_of(ledger: Ledger, expression: str, *values: object, detail: str = "{}") -> object:
    """The value of an expression, where there is a column `detail`."""
    ((value,),) = rows_of(ledger, f"SELECT {expression} FROM (SELECT CAST(? AS TEXT) AS detail) AS t", *values, detail)
    return value


def test_a_ledger_and_its_connections_have_one_dialect(ledger: Ledger) -> None:
    with ledger.reading() as connection:
        assert dialect_of(connection) is ledger.sql
    assert ledger.sql.name == ledger.engine.dialect.name


def test_the_engines_spell_every_piece_differently() -> None:
    for field in fields(SQLDialect):
        assert getattr(SQLITE, field.name) != getattr(POSTGRESQL, field.name)


def test_a_misspelled_piece_is_an_error_when_the_statement_is_made() -> None:
    with pytest.raises(AttributeError, match="for_updates"):
        Statement(lambda sql: f"SELECT 1 {sql.for_updates}")  # type: ignore[attr-defined] # the mistake


def test_a_statement_has_a_text_for_each_engine(ledger: Ledger) -> None:
    statement = Statement(lambda sql: f"SELECT '{sql.name}'")
    with ledger.reading() as connection:
        assert connection.exec_driver_sql(statement.on(connection)).scalar() == ledger.engine.dialect.name


def test_percent_signs_are_not_placeholders(ledger: Ledger) -> None:
    assert to_psycopg("SELECT a LIKE 'x%' AND b = ?") == "SELECT a LIKE 'x%%' AND b = %s"
    assert rows_of(ledger, "SELECT ? LIKE 'x%'", "xyz") == [(True,)]


def test_json_arrays_become_rows(ledger: Ledger) -> None:
    assert rows_of(ledger, ledger.sql.integers_in_json, "[3, -1, 9007199254740993]") == [(3,), (-1,), (2**53 + 1,)]
    assert rows_of(ledger, ledger.sql.texts_in_json, '["a", "", "十"]') == [("a",), ("",), ("十",)]


def test_the_position_of_a_text(ledger: Ledger) -> None:
    expression = f"{ledger.sql.position}(?, ?)"
    found = [rows_of(ledger, f"SELECT {expression}", text, part)[0][0] for text, part in (("ab~c", "~"), ("ab", "~"))]
    assert found == [3, 0]


@pytest.mark.parametrize(
    ("left", "right", "is_distinct"),
    [("(1, NULL)", "(1, NULL)", False), ("(1, NULL)", "(1, 'x')", True), ("(1, 'x')", "(1, 'y')", True)],
)
def test_rows_with_nulls_are_compared(ledger: Ledger, left: str, right: str, is_distinct: bool) -> None:
    assert rows_of(ledger, f"SELECT {left} {ledger.sql.is_distinct_from} {right}") == [(is_distinct,)]


@pytest.mark.parametrize(
    ("detail", "text", "number", "is_missing"),
    [
        ('{"a": "x"}', "x", None, False),
        ('{"a": 1}', None, 1, False),
        ('{"a": null}', None, None, True),
        ('{"b": 1}', None, None, True),
        ('{"a": [1]}', None, None, False),
    ],
)
def test_values_in_detail(ledger: Ledger, detail: str, text: object, number: object, is_missing: bool) -> None:
    path = '$."a"'
    assert value_of(ledger, ledger.sql.text_in_detail, path, path, detail=detail) == text
    assert value_of(ledger, ledger.sql.number_in_detail, path, path, detail=detail) == number
    assert value_of(ledger, ledger.sql.missing_in_detail, path, detail=detail) == is_missing


LINES = """
SELECT 2 AS at_us, 'a' AS account, 'x' AS id, 'second' AS line, TRUE AS shown
UNION ALL SELECT 1, 'b', 'x', 'first', FALSE UNION ALL SELECT 2, 'b', 'x', 'dritte é', TRUE
"""


@pytest.mark.parametrize(
    ("newest_first", "only_shown", "expected"),
    [
        (False, False, "first,second,dritte é"),
        (True, False, "dritte é,second,first"),
        (False, True, "second,dritte é"),
        (None, True, "second,dritte é"),
    ],
)
def test_lines_are_joined(ledger: Ledger, newest_first: bool | None, only_shown: bool, expected: str) -> None:
    joined = ledger.sql.join_lines(newest_first=newest_first, only_shown=only_shown)
    order = " DESC" if newest_first else ""
    page = f"SELECT * FROM ({LINES}) AS lines ORDER BY at_us{order}, account{order}"
    assert bytes(rows_of(ledger, f"SELECT {joined} FROM ({page}) AS page")[0][0]) == expected.encode()


def test_the_first_rows_of_each_account_are_enough_for_the_first_of_all(ledger: Ledger) -> None:
    numbers = " UNION ALL ".join(f"SELECT {number} AS at_us, 'x' AS id" for number in range(20))
    parts = [ledger.sql.first_rows(f"SELECT * FROM ({numbers}) AS one", 3, newest_first=True)] * 2
    page = f"{' UNION ALL '.join(parts)} ORDER BY at_us DESC LIMIT 3"
    assert rows_of(ledger, page) == [(19, "x"), (19, "x"), (18, "x")]


def test_only_a_bounded_number_of_different_statements_is_prepared() -> None:
    parts = {POSTGRESQL.first_rows("SELECT 1", rows, newest_first=False) for rows in range(1, 1_000)}
    assert len(parts) == 11
