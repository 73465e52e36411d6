"""Rows of this API for tests: the document's own row with changed fields, and random rows. Numbers are literals."""

import json
from typing import Any, Final

from hypothesis import strategies as st

from liushui.instant import UNIX_SECONDS_MAX, UNIX_SECONDS_MIN

Row = dict[str, Any]

FIELDS: Final = (
    "id",
    "account_id",
    "tran_type",
    "date",
    "sett_date",
    "base_currency",
    "market",
    "product_code",
    "product_name",
    "price",
    "qty",
    "amt",
    "balance",
    "io_type",
    "fx_ccy",
    "fx_currency",
    "fx_amt",
    "fx_rate",
    "remarks",
    "business_type",
    "business_sub_type",
)
"""In the order of the document's table. `fx_ccy`, which only the sample has, comes before the name in the table."""

NUMBERS: Final = ("price", "qty", "amt", "balance", "fx_amt", "fx_rate")
REQUIRED: Final = ("date", "base_currency", "amt", "io_type")
ID_MAX: Final = 2**63 - 1

MISSING: Final = object()
"""As the value of a field: leave it out."""


class Literal(str):
    """A JSON value as it stands."""

    __slots__ = ()


def row(**changes: object) -> Row:
    """The document's sample, with some of its fields changed or left out."""
    values: Row = {
        "id": 0,
        "tran_type": "cash",
        "date": 1746775317,
        "sett_date": 1746775317,
        "base_currency": "USD",
        "market": "usex",
        "product_code": "AAPL",
        "product_name": "Apple Inc.",
        "price": Literal("150.0"),
        "qty": Literal("10"),
        "amt": Literal("1500.0"),
        "balance": Literal("8500.0"),
        "io_type": "out",
        "fx_ccy": "USD",
        "fx_amt": Literal("1500.0"),
        "fx_rate": Literal("1.0"),
        "remarks": "Equity trade",
        "business_type": "us_stock",
        "business_sub_type": "not",
    }
    changed = values | changes
    order = {name: number for number, name in enumerate(FIELDS)}
    names = sorted(changed, key=lambda name: order.get(name, len(order)))
    return {name: changed[name] for name in names if changed[name] is not MISSING}


def wire(values: Row) -> bytes:
    """A row as the service writes it: no spaces, no escapes that need not be."""
    pairs = (
        f"{json.dumps(name)}:{value if isinstance(value, Literal) else json.dumps(value, ensure_ascii=False)}"
        for name, value in values.items()
    )
    return "{{{}}}".format(",".join(pairs)).encode()


def unwire(row_: bytes | str) -> Row:
    """A row with its numbers as literals, so that equal rows are equal to the digit. The reverse of `wire`."""

    def named(pairs: list[tuple[str, Any]]) -> Row:
        return {
            name: Literal(value) if name in NUMBERS else value if value is None else _whole(value)
            for name, value in pairs
        }

    found: Row = json.loads(row_, parse_float=Literal, parse_int=Literal, object_pairs_hook=named)
    return found


def _whole(value: object) -> object:
    return int(value) if isinstance(value, Literal) else value


_digits = st.integers(0, 10**40).map(str) | st.integers(0, 999_999).map(str)
_fractions = st.text("0123456789", min_size=1, max_size=30).map(lambda digits: f".{digits}") | st.just("")
numbers = st.builds(
    lambda sign, whole, part: Literal(f"{sign}{whole}{part}"), st.sampled_from(["", "-"]), _digits, _fractions
)
"""Any number without an exponent; trailing zeros, and a sign before a zero."""

times = st.sampled_from([UNIX_SECONDS_MIN, -1, 0, 1, 2**31, 2**32, UNIX_SECONDS_MAX]) | st.integers(
    UNIX_SECONDS_MIN, UNIX_SECONDS_MAX
)
_ids = st.sampled_from([0, 1, ID_MAX]) | st.integers(0, ID_MAX)
_currencies = st.sampled_from(["USD", "HKD", "CNH"]) | st.text(min_size=1, max_size=32)

_required = {
    "date": times,
    "base_currency": _currencies,
    "amt": numbers,
    "io_type": st.sampled_from(["in", "out"]),
    "id": _ids,
}
_optional = {
    "account_id": _ids,
    "tran_type": st.sampled_from(["cash"]) | st.text(),
    "sett_date": times,
    "market": st.sampled_from(["usex", "hkex", "sgex", ""]) | st.text(),
    "product_code": st.sampled_from(["AAPL", "700", "AAPL.US", ""]) | st.text(),
    "product_name": st.text(),
    "price": numbers,
    "qty": numbers,
    "balance": numbers,
    "fx_ccy": st.sampled_from(["USD", "HKD", ""]) | st.text(max_size=32),
    "fx_amt": numbers,
    "fx_rate": st.sampled_from([Literal("1"), Literal("1.0")]) | numbers,
    "remarks": st.text(),
    "business_type": st.sampled_from(["us_stock", "hk_stock", "other"]) | st.text(),
    "business_sub_type": st.sampled_from(["not", "deposit", "fee"]) | st.text(),
}
rows = st.fixed_dictionaries(_required, optional=_optional).map(
    lambda values: {name: values[name] for name in FIELDS if name in values}
)
"""Any row that the document allows, its fields in the table's order."""
