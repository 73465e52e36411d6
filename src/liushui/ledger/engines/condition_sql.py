"""Conditions on flows as SQL over the columns of schema.flows, or of any table that has the columns they name."""

from typing import Final

from liushui.conditions import DETAIL_PREFIX, SIDE, AllOf, AnyOf, Term, Where
from liushui.ledger.engines import sql_dialects

TOTALLED: Final = frozenset({"subaccount", "currency", "kind"})
"""What day totals are kept by: a condition on these alone can be answered from them."""

_SIDE: Final = """
CASE WHEN trim(amount, '-0.') <> '' THEN CASE WHEN amount LIKE '-%' THEN 'out' ELSE 'in' END
     WHEN direction = 'out' THEN 'out' ELSE 'in' END
"""
_COLUMNS: Final = frozenset(
    {"subaccount", "currency", "direction", "kind", "category", "label", "ref", "order_ref", "symbol", "name", "note"}
)


def condition(where: Where) -> tuple[str, list[object]]:
    """` AND …` for each part, or nothing; and the values in their places."""
    values: list[object] = []
    sql = "".join(f" AND ({_any_of(part, values)})" for part in where)
    return sql, values


def is_totalled(where: Where) -> bool:
    """Whether day totals can tell how many flows are meant."""
    return all(term.field in TOTALLED for part in where for every in part for term in every)


def _any_of(part: AnyOf, values: list[object]) -> str:
    return " OR ".join(f"({_all_of(every, values)})" for every in part) or "FALSE"


def _all_of(every: AllOf, values: list[object]) -> str:
    return " AND ".join(_term(term, values) for term in every) or "TRUE"


def _term(term: Term, values: list[object]) -> str:
    """Any of the term's values. The column stands before each, with what it needs in its own places."""
    tests = []
    for value in term.values:
        if isinstance(value, str) and "\0" in value:  # no column holds one, and PostgreSQL takes none
            tests.append("FALSE")
        elif value is None:
            tests.append(_is_missing(term.field, values))
        elif term.ending:
            end = str(value)
            column = _column(term.field, values)
            values.append(len(end))
            _column(term.field, values)
            values.append(end)
            tests.append(f"substr({column}, CAST(length({column}) - ? + 1 AS INTEGER)) = ?")
        else:
            tests.append(f"{_column(term.field, values, number=isinstance(value, int))} = ?")
            values.append(value)
    any_of = " OR ".join(tests) or "FALSE"
    return f"NOT coalesce(({any_of}), FALSE)" if term.negated else f"({any_of})"


def _is_missing(field: str, values: list[object]) -> str:
    if field.startswith(DETAIL_PREFIX):
        values.append(_path(field))
        return sql_dialects.MISSING_IN_DETAIL
    return f"{_column(field, values)} IS NULL"


def _column(field: str, values: list[object], *, number: bool = False) -> str:
    if field == SIDE:
        return _SIDE
    if field.startswith(DETAIL_PREFIX):
        values += [_path(field)] * 2
        return sql_dialects.NUMBER_IN_DETAIL if number else sql_dialects.TEXT_IN_DETAIL
    if field not in _COLUMNS:
        raise ValueError(f"no condition can be put on {field!r}")
    return field


def _path(field: str) -> str:
    return '$."{}"'.format(field.removeprefix(DETAIL_PREFIX).replace('"', ""))
