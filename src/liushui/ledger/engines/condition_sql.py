"""Conditions on flows as SQL text, over the columns of schema.flows or of any table with the columns that they name."""

from typing import Final

from liushui.conditions import DETAIL_PREFIX, SIDE, AllOf, AnyOf, Term, Where
from liushui.ledger.engines.sql_dialects import SQLDialect

TOTALLED: Final = frozenset({"subaccount", "currency", "kind"})
"""The columns that day totals are grouped by: they answer a condition on these alone."""

_SIDE: Final = """
CASE WHEN trim(amount, '-0.') <> '' THEN CASE WHEN amount LIKE '-%' THEN 'out' ELSE 'in' END
     WHEN direction = 'out' THEN 'out' ELSE 'in' END
"""
_COLUMNS: Final = frozenset(
    {"subaccount", "currency", "direction", "kind", "category", "label", "ref", "order_ref", "symbol", "name", "note"}
)


def condition(where: Where, sql: SQLDialect) -> tuple[str, list[object]]:
    """` AND …` for each part of a condition, empty for none; and the parameters of that text."""
    writer = _Writer(sql)
    text = "".join(f" AND ({writer.any_of(part)})" for part in where)
    return text, writer.parameters


def is_totalled(where: Where) -> bool:
    """Whether day totals can tell how many flows a condition holds for."""
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
        if isinstance(value, str) and "\0" in value:  # no column holds one, and PostgreSQL refuses it as a parameter
            return "FALSE"
        if value is None:
            return self._is_missing(term.field)
        if term.ending:
            suffix = str(value)
            # The column may have parameters of its own, and stands here twice.
            column = self._column(term.field)
            self.parameters.append(len(suffix))
            self._column(term.field)
            self.parameters.append(suffix)
            return f"substr({column}, CAST(length({column}) - ? + 1 AS INTEGER)) = ?"
        column = self._column(term.field, number=isinstance(value, int))
        self.parameters.append(value)
        return f"{column} = ?"

    def _is_missing(self, field: str) -> str:
        if field.startswith(DETAIL_PREFIX):
            self.parameters.append(_json_path(field))
            return self._sql.missing_in_detail
        return f"{self._column(field)} IS NULL"

    def _column(self, field: str, *, number: bool = False) -> str:
        if field == SIDE:
            return _SIDE
        if field.startswith(DETAIL_PREFIX):
            self.parameters += [_json_path(field)] * 2
            return self._sql.number_in_detail if number else self._sql.text_in_detail
        if field not in _COLUMNS:
            raise ValueError(f"no condition can be put on {field!r}")
        return field


def _json_path(field: str) -> str:
    return '$."{}"'.format(field.removeprefix(DETAIL_PREFIX).replace('"', ""))
