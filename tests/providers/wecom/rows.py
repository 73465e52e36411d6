"""Rows of WeCom's API for tests: one with changed fields, and random rows."""

import json
from typing import Any, Final

from hypothesis import strategies as st

from liushui.instant import UNIX_SECONDS_MAX, UNIX_SECONDS_MIN
from liushui.providers.wecom.codec import FEN_DIGITS_MAX, FEN_MAX
from tests.providers.wecom.caller import seconds

Row = dict[str, Any]

FIELDS: Final = (
    "timestamp",
    "request_no",
    "transaction_type",
    "fund_flow_type",
    "transaction_amount",
    "account_balance",
    "out_trade_no",
    "mch_id",
    "operator_userid",
    "group_list",
    "remark",
)
"""In the order of the document's sample."""

OPTIONAL: Final = ("account_balance", "out_trade_no", "operator_userid", "group_list", "remark")
"""What may be null or missing."""

MISSING: Final = object()
"""As the value of a field: leave it out."""

AT: Final = seconds(2025, 12, 10, 12)
READABLE_FEN_MAX: Final = 10**FEN_DIGITS_MAX - 1
"""The largest amount that is read. Of those, FEN_MAX is the largest that is served."""


def row(**changes: object) -> Row:
    """A receipt, with some of its fields changed or left out."""
    values: Row = {
        "timestamp": AT,
        "request_no": "50000000012025121001",
        "transaction_type": 3,
        "fund_flow_type": 1,
        "transaction_amount": 20,
        "account_balance": 40,
        "out_trade_no": "WX2025121000001",
        "mch_id": "1600000001",
        "operator_userid": "ZhangSan",
        "group_list": [{"group_name": "Rule1"}, {"group_name": "Rule2"}],
        "remark": "REMARK",
    }
    return {name: value for name, value in (values | changes).items() if value is not MISSING}


def wire(values: Row) -> bytes:
    """A row as our server writes it: no spaces, no escapes that need not be."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


_fen = st.integers(0, 10**9) | st.integers(0, FEN_MAX)

rows = st.fixed_dictionaries(
    {
        "timestamp": st.integers(UNIX_SECONDS_MIN, UNIX_SECONDS_MAX),
        "request_no": st.text(),
        "transaction_type": st.integers(1, 5) | st.integers(-(2**31), 2**31 - 1),
        "fund_flow_type": st.sampled_from([1, 2]),
        "transaction_amount": _fen,
        "mch_id": st.text(),
    },
    optional={
        "account_balance": _fen | st.integers(-FEN_MAX, 0),
        "out_trade_no": st.text(),
        "operator_userid": st.text(),
        "group_list": st.lists(st.builds(lambda name: {"group_name": name}, st.text()), max_size=3),
        "remark": st.text(),
    },
).map(lambda values: {name: values[name] for name in FIELDS if name in values})
"""Any row that the document allows and every client can hold, its fields in the order of the sample."""
