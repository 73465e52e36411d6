"""Code that the bills of WeChat Pay and Alipay share: control totals after the rows, and sides in words."""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from liushui.errors import WireError, short_repr
from liushui.files.cells import Cells, parse_amount, parse_time
from liushui.files.contract import Claims, ControlTotal
from liushui.files.errors import FileError
from liushui.flow import Direction, Kind

ZONE: Final = "Asia/Shanghai"
CURRENCY: Final = "CNY"
SIDES: Final = {"收入": Direction.IN, "支出": Direction.OUT}

_NEUTRAL: Final = (
    ("退款", Direction.IN),
    ("退回", Direction.IN),
    ("充值", Direction.IN),
    ("卖出", Direction.IN),
    ("赎回", Direction.IN),
    ("收益", Direction.IN),
    ("零钱通转出-到零钱", Direction.IN),
    ("提现", Direction.OUT),
    ("还款", Direction.OUT),
    ("转入零钱通", Direction.OUT),
    ("转入余额宝", Direction.OUT),
    ("余额宝-自动转入", Direction.OUT),
    ("余额宝-单次转入", Direction.OUT),
    ("转出", Direction.OUT),
    ("买入", Direction.OUT),
    ("购买", Direction.OUT),
)
"""Words in rows that count neither as income nor as expense, and the direction of the money. The first match counts."""

_KINDS: Final = (
    ("退款", Kind.REFUND),
    ("手续费", Kind.FEE),
    ("服务费", Kind.FEE),
    ("提现", Kind.WITHDRAWAL),
    ("充值", Kind.DEPOSIT),
    ("收益", Kind.INTEREST),
    ("利息", Kind.INTEREST),
    ("转账", Kind.TRANSFER),
    ("红包", Kind.TRANSFER),
    ("转入", Kind.TRANSFER),
    ("转出", Kind.TRANSFER),
)
_MERCHANT_KINDS: Final = {
    "在线支付": Kind.RECEIPT,
    "交易付款": Kind.RECEIPT,
    "交易": Kind.RECEIPT,
    "交易退款": Kind.REFUND,
    "收费": Kind.FEE,
    "退费": Kind.REBATE,
}
"""The row types in Alipay's 账务明细 of a merchant, both in the file and in the API."""
_PERIOD: Final = re.compile(r"(?:起始|开始)(?:时间|日期)[：:]\s*\[([^\]]+)\].*?终止(?:时间|日期)[：:]\s*\[([^\]]+)\]")
_DAYS: Final = ("%Y-%m-%d %H:%M:%S", "%Y年%m月%d日 %H:%M:%S")
_TOTAL: Final = re.compile(r"#?(支出|收入)(?:合计)?[：:]\s*(\d+)\s*笔[，, ]*(?:共)?\s*(-?[\d,.]+)\s*元")


def kind_of(text: str) -> Kind:
    """Return the kind of a flow by its words. The first match counts."""
    return next((kind for word, kind in _KINDS if word in text), Kind.OTHER)


def merchant_kind(type_: str) -> Kind:
    """The kind of a row of Alipay's 账务明细 of a merchant, by its type."""
    return _MERCHANT_KINDS.get(type_) or kind_of(type_)


def personal_side(cells: Cells, *texts: str) -> Direction:
    """Return the side of a row of a personal bill; for neutral rows, the words decide. Raises WireError."""
    stated = cells.text("收/支")
    if stated in SIDES:
        return SIDES[stated]
    joined = " ".join(texts)
    for word, side in _NEUTRAL:
        if word in joined:
            return side
    raise WireError("收/支", f"expected 收入 or 支出, got {short_repr(stated)} for {short_repr(joined)}")


def signed(amount: Decimal, side: Direction, column: str) -> Decimal:
    """The amount with the sign of its side. Raises WireError for an unsigned column with a sign."""
    if amount < 0:
        raise WireError(column, f"expected 0 or more, got {amount}")
    return -amount if side is Direction.OUT and amount else amount


def period(lines: Sequence[tuple[int, list[str]]]) -> Claims:
    """The period in the lines before a header: `起始时间：[…] 终止时间：[…]`."""
    claims = Claims()
    for number, cells in lines:
        if found := _PERIOD.search(" ".join(cells)):
            try:
                claims.since, claims.until = (parse_time("period", text, ZONE, _DAYS) for text in found.groups())
            except WireError as error:
                raise FileError("line %(line)s: %(error)s", line=number, error=error) from error
    return claims


def read_total(cells: Sequence[str], claims: Claims) -> bool:
    """Read a line such as `#支出合计：3笔，共-12.00元` into the claims. Returns False if it is not such a line."""
    match = _TOTAL.search(" ".join(filter(None, cells)))
    if match is None or not cells[0].startswith("#"):
        return False
    amount = abs(parse_amount("合计", match[3]))
    claims.totals.append(ControlTotal(int(match[2]), amount, SIDES[match[1]], CURRENCY))
    return True
