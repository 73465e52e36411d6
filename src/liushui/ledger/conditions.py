"""Conditions on flows as SQL over the columns of schema.flows, or of any table that has the columns they name."""

from typing import Final

from liushui.where import DETAIL, SIDE, AllOf, AnyOf, Term, Where

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
    return " OR ".join(f"({_all_of(every, values)})" for every in part) or "0"


def _all_of(every: AllOf, values: list[object]) -> str:
    return " AND ".join(_term(term, values) for term in every) or "1"


def _term(term: Term, values: list[object]) -> str:
    """Any of the term's values. The column stands before each, with what it needs in its own places."""
    tests = []
    for value in term.values:
        column = _column(term.field, values)
        if value is None:
            tests.append(f"{column} IS NULL")
        elif term.ending:
            values += [len(str(value)) or 1, len(str(value)), str(value)]
            tests.append(f"substr({column}, -?, ?) = ?")
        else:
            values.append(value)
            tests.append(f"{column} = ?")
    any_of = " OR ".join(tests) or "0"
    return f"NOT coalesce(({any_of}), 0)" if term.negated else f"({any_of})"


def _column(field: str, values: list[object]) -> str:
    if field == SIDE:
        return _SIDE
    if field.startswith(DETAIL):
        values.append('$."{}"'.format(field.removeprefix(DETAIL).replace('"', "")))
        return "json_extract(detail, ?)"
    if field not in _COLUMNS:
        raise ValueError(f"no condition can be put on {field!r}")
    return field
