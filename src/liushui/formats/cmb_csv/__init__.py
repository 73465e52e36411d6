"""China Merchants Bank (招商银行): the account's details, with the balance after each row."""

from liushui.files.cells import Cells
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow
from liushui.formats._cn_banks import DAYS, ZONE, kind_of

COLUMNS = ("记账日期", "货币", "交易金额", "联机余额", "交易摘要", "对手信息")


def read(cells: Cells) -> Flow:
    """The flow in a row. The amount has a sign."""
    label, at = cells.text("交易摘要"), cells.time("记账日期", ZONE, *DAYS)
    return Flow(
        identity=cells.identity(*COLUMNS, amounts=("交易金额", "联机余额"), times={"记账日期": at}),
        at=at,
        amount=cells.amount("交易金额"),
        currency=cells.currency("货币"),
        kind=kind_of(label),
        category=Category.CASH,
        label=label,
        balance_after=cells.amount("联机余额"),
        name=cells.text_or_none("对手信息"),
        note=cells.text_or_none("客户摘要"),
    )


FORMAT = TableFormat(
    name="cmb_csv",
    title="招商银行 交易流水",
    rules=file_rules(ZONE),
    headers=(Header(("记账日期", "货币", "交易金额", "联机余额", "交易摘要", "对手信息"), ("客户摘要",)),),
    read=read,
)
