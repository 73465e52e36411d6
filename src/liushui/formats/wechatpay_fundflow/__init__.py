"""WeChat Pay's 资金账单 of a merchant: rows in the order of the balance, and control totals at the end."""

from collections.abc import Sequence

from liushui.files.cells import Cells, parse_amount
from liushui.files.contract import Claims, ControlTotal, file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Direction, Flow, Kind
from liushui.formats._wallets import CURRENCY, SIDES, ZONE, kind_of, signed
from liushui.wire.decoding import parse_choice

COLUMNS = (
    *(
        "记账时间",
        "微信支付业务单号",
        "资金流水单号",
        "业务名称",
        "业务类型",
        "收支类型",
        "收支金额(元)",
        "账户结余(元)",
    ),
    *("资金变更提交申请人", "备注", "业务凭证号"),
)
IDENTITY = (*COLUMNS[:7], "业务凭证号")
"""All but the balance, the applicant and the note. A refund has the order's number, so no number is an id."""
CONTROL = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")
KINDS = {
    "交易": Kind.RECEIPT,
    "扣除交易手续费": Kind.FEE,
    "退还交易手续费": Kind.REBATE,
    "退款": Kind.REFUND,
    "退款关闭": Kind.REFUND,
}


def read(cells: Cells) -> Flow:
    """The flow in a row."""
    side = parse_choice("收支类型", cells.required("收支类型"), SIDES)
    type_ = cells.text("业务类型")
    return Flow(
        identity=cells.identity(*IDENTITY, amounts=("收支金额(元)",)),
        at=cells.time("记账时间", ZONE),
        amount=signed(cells.amount("收支金额(元)"), side, "收支金额(元)"),
        currency=CURRENCY,
        direction=side,
        kind=KINDS.get(type_) or kind_of(cells.text("业务名称")),
        category=Category.CASH,
        label=type_,
        balance_after=cells.amount("账户结余(元)"),
        ref=cells.text_or_none("资金流水单号"),
        order_ref=cells.text_or_none("微信支付业务单号"),
        note=cells.text_or_none("备注"),
        detail=cells.detail("wechatpay_fundflow", "业务名称", "业务凭证号", "资金变更提交申请人"),
    )


def read_trailer(cells: Sequence[str], claims: Claims) -> bool:
    """The control header and the control row."""
    if claims.trailer:
        values = dict(zip(claims.trailer, cells, strict=False))
        for side, rows, amount in ((Direction.IN, *CONTROL[1:3]), (Direction.OUT, *CONTROL[3:])):
            count = int(parse_amount(rows, values.get(rows, "")))
            claims.totals.append(ControlTotal(count, parse_amount(amount, values.get(amount, "")), side, CURRENCY))
        claims.totals.append(ControlTotal(int(parse_amount(CONTROL[0], values.get(CONTROL[0], ""))), None))
        claims.trailer = []
        return True
    if {*CONTROL} <= {*cells}:
        claims.trailer = list(cells)
        return True
    return False


FORMAT = TableFormat(
    name="wechatpay_fundflow",
    title="微信支付 资金账单",
    rules=file_rules(ZONE, currencies=[CURRENCY]),
    headers=(Header(COLUMNS[:8], COLUMNS[8:]),),
    read=read,
    read_trailer=read_trailer,
    has_totals=True,
    provider="wechatpay",
)
