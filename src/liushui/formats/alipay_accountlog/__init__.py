"""Alipay's 账务明细 of a merchant: its period before the rows, and control totals after them."""

from collections.abc import Sequence

from liushui.errors import WireError
from liushui.files.cells import Cells
from liushui.files.contract import Claims, file_rules
from liushui.files.tables import Header, Line, Preface, TableFormat
from liushui.flow import Category, Direction, Flow
from liushui.formats._wallets import CURRENCY, ZONE, merchant_kind, period, read_total
from liushui.money import ZERO
from liushui.rules import BalanceRules

IN, OUT, BALANCE = "收入金额（+元）", "支出金额（-元）", "账户余额（元）"


def read(cells: Cells) -> Flow:
    """Return the flow in a row. The money is in one of two columns. Money out has a minus sign."""
    coming, going = cells.amount_or_none(IN) or ZERO, cells.amount_or_none(OUT) or ZERO
    if coming and going:
        raise WireError(IN, f"expected an amount in it or in {OUT}, got {coming} and {going}")
    type_ = cells.text("业务类型") or cells.text("业务描述")
    return Flow(
        identity=cells.record_id("账务流水号"),
        at=cells.time("发生时间", ZONE, "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M"),
        amount=coming or -abs(going),
        currency=CURRENCY,
        direction=Direction.OUT if going else Direction.IN if coming else Direction.NONE,
        kind=merchant_kind(type_),
        category=Category.CASH,
        label=type_,
        balance_after=cells.amount_or_none(BALANCE),
        ref=cells.text_or_none("账务流水号"),
        order_ref=cells.text_or_none("业务流水号"),
        name=cells.text_or_none("对方账号"),
        note=cells.text_or_none("备注"),
        detail=cells.detail("alipay_accountlog", "商户订单号", "商品名称", "交易渠道"),
    )


def read_preface(lines: Sequence[Line]) -> tuple[Preface, Claims]:
    """The period that the lines before the header state."""
    return {}, period(lines)


FORMAT = TableFormat(
    name="alipay_accountlog",
    title="支付宝 账务明细",
    # Alipay calls these balances indicative: they need not follow one another.
    rules=file_rules(ZONE, id_columns=("账务流水号",), balances=BalanceRules(advisory=True), currencies=[CURRENCY]),
    headers=(
        Header(
            ("账务流水号", "业务流水号", "发生时间", IN, OUT, BALANCE),
            ("业务类型", "业务描述", "商户订单号", "商品名称", "对方账号", "交易渠道", "备注"),
        ),
    ),
    read=read,
    read_preface=read_preface,
    read_trailer=read_total,
    has_totals=True,
    provider="alipay",
)
