"""WeChat Pay's bill of a person, as CSV or xlsx. Its owner can delete rows, so it proves nothing."""

import re
from collections.abc import Sequence
from typing import Final

from liushui.files.cells import Cells
from liushui.files.contract import Claims, file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow
from liushui.formats._wallets import CURRENCY, ZONE, kind_of, personal_side, signed

_COUNT: Final = re.compile(r"共\s*\d+\s*笔记录")
AMOUNT = "金额(元)"
COLUMNS = ("交易时间", "交易类型", "交易对方", "收/支", AMOUNT, "支付方式", "当前状态", "交易单号")
IDENTITY = ("交易时间", "交易类型", "交易对方", "收/支", AMOUNT, "交易单号", "商户单号")


def read(cells: Cells) -> Flow:
    """Return the flow in a row. The subaccount is the means of payment (零钱 or a bank card)."""
    type_ = cells.text("交易类型")
    side = personal_side(cells, type_, cells.text("商品"))
    at = cells.time("交易时间", ZONE, "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M")
    return Flow(
        identity=cells.identity(*IDENTITY, amounts=(AMOUNT,), times={"交易时间": at}),
        at=at,
        amount=signed(cells.amount(AMOUNT), side, AMOUNT),
        currency=CURRENCY,
        direction=side,
        kind=kind_of(type_),
        category=Category.CASH,
        label=type_,
        subaccount=cells.text("支付方式"),
        ref=cells.text_or_none("交易单号"),
        order_ref=cells.text_or_none("商户单号"),
        name=cells.text_or_none("交易对方"),
        note=cells.text_or_none("商品"),
        detail=cells.detail("wechat_personal", "收/支", "当前状态", "备注"),
    )


def skip_count(cells: Sequence[str], claims: Claims) -> bool:  # noqa: ARG001 - the signature of a trailer
    """Whether a line only states the number of rows, such as 共 4 笔记录. Bills since March 2026 may end with one.

    The number is not compared, because the owner of a bill can delete rows from it.
    """
    texts = [cell for cell in cells if cell]
    return len(texts) == 1 and _COUNT.fullmatch(texts[0]) is not None


FORMAT = TableFormat(
    name="wechat_personal",
    title="微信支付 个人账单",
    rules=file_rules(ZONE, balances=None, currencies=[CURRENCY]),
    headers=(Header(COLUMNS, ("商品", "商户单号", "备注"), {AMOUNT: r"金额(?: ?\(元\))?"}),),
    read=read,
    read_trailer=skip_count,
)
