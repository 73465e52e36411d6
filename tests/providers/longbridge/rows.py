"""Rows of Longbridge's API for tests: one with changed fields, and random rows."""

import json
from typing import Any, Final

from hypothesis import strategies as st

from liushui.instant import UNIX_SECONDS_MAX, UNIX_SECONDS_MIN

Row = dict[str, Any]

FIELDS: Final = (
    "transaction_flow_name",
    "direction",
    "business_type",
    "balance",
    "currency",
    "business_time",
    "symbol",
    "description",
)
"""In the order that the service sends them."""

MISSING: Final = object()
"""As the value of a field: leave it out."""

CODE_MIN, CODE_MAX = -(2**31), 2**31 - 1
"""What the official clients read a code into."""


def row(**changes: object) -> Row:
    """A purchase, with some of its fields changed or left out."""
    values: Row = {
        "transaction_flow_name": "股票買入成交",
        "direction": 1,
        "business_type": 2,
        "balance": "-248.60",
        "currency": "USD",
        "business_time": "1621507957",
        "symbol": "AAPL.US",
        "description": "AAPL",
    }
    return {name: value for name, value in (values | changes).items() if value is not MISSING}


def wire(values: Row) -> bytes:
    """A row as the service writes it: no spaces, no escapes that need not be."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


_digits = st.integers(0, 10**14 - 1).map(str) | st.integers(0, 999_999).map(str)
_fractions = st.text("0123456789", min_size=1, max_size=14).map(lambda digits: f".{digits}") | st.just("")
amounts = st.builds(lambda sign, whole, part: f"{sign}{whole}{part}", st.sampled_from(["", "-"]), _digits, _fractions)
"""Signed plain decimal text that the official clients can hold; trailing zeros, and a sign before a zero."""

HELD_TIMES: Final = (UNIX_SECONDS_MIN + 2 * 86_400, UNIX_SECONDS_MAX - 86_400)
"""The first and the last second that the official clients have a date for, whatever the machine's time zone."""

times = st.sampled_from([HELD_TIMES[0], -1, 0, 1, 2**31, 2**32, HELD_TIMES[1]]) | st.integers(*HELD_TIMES)

rows = st.fixed_dictionaries(
    {
        "transaction_flow_name": st.text(min_size=1),
        "direction": st.sampled_from([1, 2]),
        "business_type": st.integers(0, 3) | st.integers(CODE_MIN, CODE_MAX),
        "balance": amounts,
        "currency": st.sampled_from(["USD", "HKD", "CNH", "USDT"]) | st.text(min_size=1, max_size=32),
        "business_time": times.map(str),
        "symbol": st.sampled_from([None, "", "AAPL.US", "700.HK"]) | st.text(),
        "description": st.text(),
    }
).map(lambda values: {name: values[name] for name in FIELDS})
"""Any row that the official clients accept, its fields in the service's order. A name is never empty."""
