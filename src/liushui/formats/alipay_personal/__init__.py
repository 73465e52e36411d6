"""Alipay's bill of a person, with the columns of before or after February 2023. It proves nothing."""

from liushui.files.cells import Cells
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Direction, Flow
from liushui.formats._wallets import CURRENCY, ZONE, kind_of, personal_side, signed
from liushui.money import ZERO

SINCE_2023 = Header(
    ("交易时间", "交易分类", "交易对方", "商品说明", "收/支", "金额", "收/付款方式", "交易状态", "交易订单号"),
    ("对方账号", "商家订单号", "备注"),
)
BEFORE_2023 = Header(
    ("交易号", "交易创建时间", "类型", "交易对方", "商品名称", "金额（元）", "收/支", "交易状态"),
    ("商家订单号", "付款时间", "最近修改时间", "交易来源地", "服务费（元）", "成功退款（元）", "备注", "资金状态"),
)
CLOSED = "交易关闭"
"""The state of a payment that was never made, so that no money moved."""
PATTERNS = ("%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M")


def read(cells: Cells) -> Flow:
    """Return the flow in a row. A closed transaction states an amount but moved no money: its flow has the amount 0."""
    is_new = bool(cells.text("交易订单号"))
    amount_column = "金额" if is_new else "金额（元）"
    what = cells.text("商品说明" if is_new else "商品名称")
    type_, status = cells.text("交易分类" if is_new else "类型"), cells.text("交易状态")
    amount = cells.amount(amount_column)
    is_closed = status == CLOSED
    side = Direction.NONE if is_closed else personal_side(cells, status, type_, what)
    ref = "交易订单号" if is_new else "交易号"
    time = "交易时间" if is_new else "付款时间" if cells.text("付款时间") else "交易创建时间"
    at = cells.time(time, ZONE, *PATTERNS)
    return Flow(
        identity=cells.identity(
            *(ref, time, amount_column, "收/支", "商家订单号", "商品说明" if is_new else "商品名称"),
            amounts=(amount_column,),
            times={time: at},
        ),
        at=at,
        amount=ZERO if is_closed else signed(amount, side, amount_column),
        currency=CURRENCY,
        direction=side,
        kind=kind_of(f"{type_} {status} {what}"),
        category=Category.CASH,
        label=type_,
        subaccount=cells.text("收/付款方式"),
        ref=cells.text_or_none(ref),
        order_ref=cells.text_or_none("商家订单号"),
        name=cells.text_or_none("交易对方"),
        note=what or None,
        detail=cells.detail(
            "alipay_personal", "收/支", "交易状态", amount_column, "资金状态", "成功退款（元）", "备注"
        ),
    )


FORMAT = TableFormat(
    name="alipay_personal",
    title="支付宝 个人账单",
    rules=file_rules(ZONE, balances=None, currencies=[CURRENCY]),
    headers=(SINCE_2023, BEFORE_2023),
    read=read,
)
