"""Examples of what the API reads and writes."""

from typing import Any, Final

from liushui.client import words

_FLOW: Final = {
    "key": "k6R0b210zwAGYMAsrO-A2SBmMjdh",
    "account": "trader-1",
    "id": "f27a4c3378adcb2d5c2a6fef5c1f327b",
    "at": "2024-01-31T02:34:54Z",
    "amount": "-248.60",
    "currency": "USD",
    "direction": "out",
    "kind": "trade",
    "category": "stock",
    "label": "Buy Contract-Stock",
    "subaccount": "",
    "balance_after": None,
    "settled_at": None,
    "ref": None,
    "order_ref": None,
    "symbol": "AAPL.US",
    "name": None,
    "price": None,
    "quantity": None,
    "note": "Apple",
    "fx": None,
    "detail": None,
    "batch": 11,
}

EXAMPLES: Final[dict[Any, Any]] = {
    words.FlowPage: {"flows": [_FLOW], "next": None},
    words.FeedPage: {
        "steps": [
            {
                "change": "added",
                "key": _FLOW["key"],
                "account": "trader-1",
                "batch": 11,
                "recorded_at": "2024-01-31T02:40:00Z",
                "ended_as": None,
                "flow": _FLOW,
            }
        ],
        "cursor": "kY3vBQ",
        "more": False,
    },
    words.Balances: {
        "balances": [
            {
                "account": "trader-1",
                "subaccount": "",
                "currency": "USD",
                "amount": "1274000.575000",
                "flows": 1729,
                "at": "2024-01-31T00:00:00Z",
                "covered": True,
            }
        ],
        "covered": True,
        "gaps": [],
    },
    words.RecordFlow: {
        "account": "shop",
        "reference": "order-1017",
        "at": "2024-01-31T09:30:00+08:00",
        "amount": "-12.50",
        "currency": "CNY",
        "kind": "fee",
        "label": "January",
    },
    words.Recorded: {
        "added": 1,
        "known": 0,
        "restated": 0,
        "again": False,
        "rows": [{"row": 0, "outcome": "added", "account": "shop", "reference": "order-1017", "key": _FLOW["key"]}],
    },
    words.MakeAccount: {"account": "shop", "zone": "Asia/Shanghai"},
    words.MakeKey: {"dialect": "longbridge", "accounts": ["trader-1"]},
    words.MakeToken: {"scopes": ["read"], "accounts": ["trader-1"], "name": "the dashboard"},
    words.AskSync: {"everything": False},
    words.ChangeSource: {"paused": True},
}
