"""Conditions on flows in SQL, equal on both engines: amounts and texts are compared inside the database.

PostgreSQL compares amounts as NUMERIC. SQLite has no exact numbers, so it compares their decimal texts.

Texts are compared in upper case, which makes the two small sigmas equal, and also "ß" and "SS". For ASCII letters the
databases' own comparisons are sufficient, and much cheaper. A text whose letters have no case, such as Chinese, is
compared unchanged. All other texts need ICU on PostgreSQL, because the database's locale may be "C", and our own
function on SQLite, which folds only ASCII.
"""

import unicodedata
from decimal import Decimal
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from liushui.conditions import DETAIL_PREFIX, RECORD_ID, SIDE, AllOf, AnyOf, Term, Where
from liushui.ledger.engines.sql_dialects import FOLD_FUNCTION, SQLDialect, dialect_of, fold
from liushui.ledger.schema import HAS_RECORD_ID
from liushui.money import to_plain_string


class _ByEngine(FunctionElement[Any]):
    """An expression with two clauses: the first is for SQLite, the second for PostgreSQL."""

    inherit_cache = True  # SQLAlchemy may cache the compiled statement, because its key contains both clauses

    def __init__(self, sqlite: ColumnElement[Any], postgresql: ColumnElement[Any]) -> None:
        super().__init__(sqlite, postgresql)
        self.type = sqlite.type


@compiles(_ByEngine)
def _compile_second(element: _ByEngine, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    return f"({compiler.process(list(element.clauses)[1], **options)})"


@compiles(_ByEngine, "sqlite")
def _compile_first(element: _ByEngine, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    return f"({compiler.process(next(iter(element.clauses)), **options)})"


# ---------------------------------------------------------------- texts


def equals_folded(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether a column equals a text, ignoring case."""
    if text.isascii():
        return _ByEngine(sa.collate(column, "NOCASE") == text, _upper(column, "C") == fold(text))
    return _folded(column) == fold(text)


def contains_folded(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Whether a column contains a text, ignoring case."""
    if has_no_case(text):
        exact = sa.collate(column, "C").contains(text, autoescape=True)
        return _ByEngine(sa.func.instr(column, text) > 0, exact)
    if text.isascii():
        # SQLite's LIKE ignores the case of ASCII letters, and takes a third of the time of UPPER.
        any_case = column.contains(text, autoescape=True)
        return _ByEngine(any_case, _upper(column, "C").contains(fold(text), autoescape=True))
    return _folded(column).contains(fold(text), autoescape=True)


def has_no_case(text: str) -> bool:
    """Whether a text is the same in upper and lower case, such as "提现 1", so that a search need not fold it.

    Recognises only ASCII and letters without case, such as Chinese characters. For other texts it returns False.
    """
    return all(unicodedata.category(sign) == "Lo" or (sign.isascii() and not sign.isalpha()) for sign in text)


def _folded(column: ColumnElement[Any]) -> ColumnElement[str]:
    fold_function = getattr(sa.func, FOLD_FUNCTION)
    return _ByEngine(fold_function(column, type_=sa.Text()), _upper(column, "und-x-icu"))


def _upper(column: ColumnElement[Any], collation: str) -> ColumnElement[str]:
    return sa.func.upper(sa.collate(column, collation), type_=sa.Text())


# ---------------------------------------------------------------- amounts


def at_least(column: ColumnElement[Any], bound: Decimal) -> ColumnElement[bool]:
    """Whether the amount in a column is `bound` or more."""
    if bound > 0:
        text = sa.and_(sa.not_(_is_negative(column)), _compare_digits(column, bound, largest=False))
    else:
        text = sa.or_(sa.not_(_is_negative(column)), _compare_digits(column, bound, largest=True, negative=True))
    return _ByEngine(text, sa.cast(column, sa.Numeric) >= bound)


def at_most(column: ColumnElement[Any], bound: Decimal) -> ColumnElement[bool]:
    """Whether the amount in a column is `bound` or less."""
    if bound < 0:
        text = sa.and_(_is_negative(column), _compare_digits(column, bound, largest=False, negative=True))
    else:
        text = sa.or_(_is_negative(column), _compare_digits(column, bound, largest=True))
    return _ByEngine(text, sa.cast(column, sa.Numeric) <= bound)


def _is_negative(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return sa.type_coerce(column, sa.Text()) < "0"  # the minus sign sorts before every digit


def _compare_digits(
    column: ColumnElement[Any], bound: Decimal, *, largest: bool, negative: bool = False
) -> ColumnElement[bool]:
    """Whether an amount with the given sign has at most (`largest`) or at least the absolute value of `bound`.

    Plain decimal texts without leading and trailing zeros are compared by the number of digits before the point: more
    digits mean a larger number. With equally many, the text that sorts later is larger.
    """
    amount = sa.type_coerce(column, sa.Text())
    whole = sa.func.instr(amount.op("||")("."), ".") - 1
    text = sa.case((sa.func.instr(amount, ".") > 0, sa.func.rtrim(sa.func.rtrim(amount, "0"), ".")), else_=amount)
    bound_text = ("-" if negative else "") + to_plain_string(bound.copy_abs())
    bound_whole = len(bound_text.partition(".")[0])
    if "." in bound_text:
        bound_text = bound_text.rstrip("0").rstrip(".")
    if largest:
        return sa.or_(whole < bound_whole, sa.and_(whole == bound_whole, text <= bound_text))
    return sa.or_(whole > bound_whole, sa.and_(whole == bound_whole, text >= bound_text))


def exact_sums(connection: Connection, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """Aggregates that sum columns of amounts exactly. Their values are to be read with `day_totals.parse_sum`."""
    sql = dialect_of(connection)
    return [sa.literal_column(sql.exact_sum(str(column))) for column in columns]


# ---------------------------------------------------------------- conditions as text

# For statements outside of SQLAlchemy, on the columns of schema.flows or of any table with the condition's columns.


TOTALLED: Final = frozenset({"subaccount", "currency", "kind"})
"""The columns by which day totals are grouped; conditions on these alone can use day totals."""

_SIDE: Final = """
CASE WHEN trim(amount, '-0.') <> '' THEN CASE WHEN amount LIKE '-%' THEN 'out' ELSE 'in' END
     WHEN direction = 'out' THEN 'out' ELSE 'in' END
"""
_COLUMNS: Final = frozenset(
    {"subaccount", "currency", "direction", "kind", "category", "label", "ref", "order_ref", "symbol", "name", "note"}
)


def condition(where: Where, sql: SQLDialect) -> tuple[str, list[object]]:
    """Return ` AND …` for each part of a condition (empty for none), and the parameters of that text."""
    writer = _Writer(sql)
    text = "".join(f" AND ({writer.any_of(part)})" for part in where)
    return text, writer.parameters


def is_totalled(where: Where) -> bool:
    """Whether day totals suffice to count the flows that meet a condition."""
    return all(term.field in TOTALLED for part in where for terms in part for term in terms)


class _Writer:
    """Writes one condition. Parameters are added in the order in which the text mentions them."""

    def __init__(self, sql: SQLDialect) -> None:
        self.parameters: list[object] = []
        self._sql = sql

    def any_of(self, part: AnyOf) -> str:
        return " OR ".join(f"({self._all_of(terms)})" for terms in part) or "FALSE"

    def _all_of(self, terms: AllOf) -> str:
        return " AND ".join(map(self._term, terms)) or "TRUE"

    def _term(self, term: Term) -> str:
        any_of = " OR ".join(self._test(term, value) for value in term.values) or "FALSE"
        return f"NOT coalesce(({any_of}), FALSE)" if term.negated else f"({any_of})"

    def _test(self, term: Term, value: object) -> str:
        if isinstance(value, str) and "\0" in value:  # no column contains NUL, and PostgreSQL refuses it as a parameter
            return "FALSE"
        if value is None:
            return self._is_missing(term.field)
        if term.ending:
            suffix = str(value)
            # The column may have parameters of its own, and occurs twice here.
            column = self._column(term.field)
            self.parameters.append(len(suffix))
            self._column(term.field)
            self.parameters.append(suffix)
            return f"substr({column}, CAST(length({column}) - ? + 1 AS INTEGER)) = ?"
        column = self._column(term.field, number=isinstance(value, int))
        self.parameters.append(value)
        if term.field == RECORD_ID:
            return f"{HAS_RECORD_ID} AND {column} = ?"
        return f"{column} = ?"

    def _is_missing(self, field: str) -> str:
        if field == RECORD_ID:
            return f"NOT ({HAS_RECORD_ID})"
        if field.startswith(DETAIL_PREFIX):
            self.parameters.append(_json_path(field))
            return self._sql.missing_in_detail
        return f"{self._column(field)} IS NULL"

    def _column(self, field: str, *, number: bool = False) -> str:
        if field == SIDE:
            return _SIDE
        if field == RECORD_ID:
            return "id"
        if field.startswith(DETAIL_PREFIX):
            self.parameters += [_json_path(field)] * 2
            return self._sql.number_in_detail if number else self._sql.text_in_detail
        if field not in _COLUMNS:
            raise ValueError(f"no condition can be put on {field!r}")
        return field


def _json_path(field: str) -> str:
    return '$."{}"'.format(field.removeprefix(DETAIL_PREFIX).replace('"', ""))
