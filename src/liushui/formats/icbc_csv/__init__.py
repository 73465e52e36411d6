"""Industrial and Commercial Bank of China (工商银行): the account's details, money in and out in two columns."""

import re
from collections.abc import Sequence
from typing import Final

from liushui.errors import WireError
from liushui.files.cells import CURRENCY_NAMES, Cells, parse_amount
from liushui.files.contract import Claims, ControlTotal, file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Direction, Flow
from liushui.formats._cn_banks import DAYS, ZONE, kind_of
from liushui.money import EXACT, ZERO

_TOTAL: Final = re.compile(r"(?:(\w+)合计|合计金额)")
IN, OUT = "记账金额(收入)", "记账金额(支出)"
COLUMNS = ("交易日期", "摘要", "交易详情", "交易场所", IN, OUT, "记账币种", "余额", "对方户名", "对方账户")


def read(cells: Cells) -> Flow:
    """The flow in a row, by the booked amount."""
    coming, going = cells.amount_or_none(IN), cells.amount_or_none(OUT)
    if bool(coming) == bool(going):
        raise WireError(IN, f"expected an amount in it or in {OUT}, got {coming} and {going}")
    label, at = cells.text("摘要"), cells.time("交易日期", ZONE, *DAYS)
    return Flow(
        identity=cells.identity(*COLUMNS, amounts=(IN, OUT, "余额"), times={"交易日期": at}),
        at=at,
        amount=coming or EXACT.minus(going or ZERO),
        currency=cells.currency("记账币种"),
        direction=Direction.IN if coming else Direction.OUT,
        kind=kind_of(label),
        category=Category.CASH,
        label=label,
        balance_after=cells.amount_or_none("余额"),
        name=cells.text_or_none("对方户名"),
        note=cells.text_or_none("交易详情"),
        detail=cells.detail("icbc_csv", "交易场所", "对方账户"),
    )


def read_trailer(cells: Sequence[str], claims: Claims) -> bool:
    """Read a line such as `人民币合计,…,"1,234.50","88.00",`: the totals of all money in and of all money out.

    The last two amounts are those in the account's currency. A credit card's line (合计金额) names no currency.
    """
    match = _TOTAL.fullmatch(cells[0]) if cells else None
    if match is None:
        return False
    amounts = [cell for cell in cells[1:] if cell][-2:]
    if len(amounts) == 2:
        currency = None if match[1] is None else CURRENCY_NAMES.get(match[1], match[1])
        for side, column, text in zip((Direction.IN, Direction.OUT), (IN, OUT), amounts, strict=True):
            claims.totals.append(ControlTotal(None, parse_amount(column, text), side, currency))
    return True


FORMAT = TableFormat(
    name="icbc_csv",
    title="中国工商银行 账户明细",
    rules=file_rules(ZONE),
    headers=(
        Header(
            ("交易日期", "摘要", IN, OUT, "记账币种", "余额"),
            (
                *("交易详情", "交易场所", "交易国家或地区简称", "钞/汇", "交易金额(收入)", "交易金额(支出)"),
                *("交易币种", "对方户名", "对方账户"),
            ),
        ),
    ),
    read=read,
    read_trailer=read_trailer,
)
