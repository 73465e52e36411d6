"""Rows of WOO X Pro's API for tests: one with changed fields, and random rows."""

import json
from typing import Any, Final

from hypothesis import strategies as st

from liushui.instant import UNIX_SECONDS_MAX, UNIX_SECONDS_MIN

Row = dict[str, Any]

FIELDS: Final = ("symbol", "flow_type", "type", "amount", "asset", "account", "time", "tran_id")
"""In the order of the document's sample, with the flow_type of its table."""

TYPES: Final = {1: "Transfer", 2: "Realized PNL", 3: "Funding Fee", 4: "Commission Fee", 5: "Liquidation Clearance"}
"""As the document prints them."""

MISSING: Final = object()
"""As the value of a field: leave it out."""

TIME_MIN, TIME_MAX = UNIX_SECONDS_MIN * 1000, UNIX_SECONDS_MAX * 1000 + 999
CODE_MIN, CODE_MAX = -(2**31), 2**31 - 1


def row(**changes: object) -> Row:
    """A commission, with some of its fields changed or left out."""
    values: Row = {
        "symbol": "BTCUSDT",
        "flow_type": 4,
        "type": "Commission Fee",
        "amount": "-0.01000000",
        "asset": "USDT",
        "account": "futures",
        "time": "1570636800000",
        "tran_id": "9689322392",
    }
    return {name: value for name, value in (values | changes).items() if value is not MISSING}


def of_type(code: int, **changes: object) -> Row:
    """A row of one of the document's types."""
    return row(flow_type=code, type=TYPES[code], **changes)


def wire(values: Row) -> bytes:
    """A row as the service writes it: no spaces, no escapes that need not be."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


_digits = st.integers(0, 10**40).map(str) | st.integers(0, 999_999).map(str)
_fractions = st.text("0123456789", min_size=1, max_size=30).map(lambda digits: f".{digits}") | st.just("")
amounts = st.builds(lambda sign, whole, part: f"{sign}{whole}{part}", st.sampled_from(["", "-"]), _digits, _fractions)
"""Signed plain decimal text; trailing zeros, and a sign before a zero."""

times = st.sampled_from([TIME_MIN, -1, 0, 1, 1570636800000, TIME_MAX]) | st.integers(TIME_MIN, TIME_MAX)

rows = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["", "BTCUSDT"]) | st.text(),
        "flow_type": st.integers(0, 5) | st.integers(CODE_MIN, CODE_MAX),
        "type": st.sampled_from(list(TYPES.values())) | st.text(min_size=1),
        "amount": amounts,
        "asset": st.sampled_from(["USDT", "BTC"]) | st.text(min_size=1, max_size=32),
        "account": st.sampled_from(["futures", "copy_trading"]) | st.text(),
        "time": times.map(str),
        "tran_id": st.integers(0, 10**19).map(str) | st.text(),
    }
).map(lambda values: {name: values[name] for name in FIELDS})
"""Any row as the document's table has it, its fields in our order; types, codes and accounts of no list too."""
