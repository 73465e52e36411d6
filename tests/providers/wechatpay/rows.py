"""Rows of bills as the ledger keeps them, for tests."""

import json


def row(
    *,
    at: str = "2026-11-01 09:15:02",
    amount: str = "88.00",
    side: str = "收入",
    number: str = "4200009000202611010000000001",
    balance: str = "",
    of: str = "BASIC",
    **more: str,
) -> bytes:
    """A row. Empty cells are left out."""
    cells = {
        "记账时间": at,
        "微信支付业务单号": number,
        "资金流水单号": number,
        "业务名称": "交易",
        "业务类型": "交易",
        "收支类型": side,
        "收支金额(元)": amount,
        "账户结余(元)": balance,
        **more,
        "#account_type": of,
    }
    stated = {name: text for name, text in cells.items() if text}
    return json.dumps(stated, ensure_ascii=False, separators=(",", ":")).encode()
