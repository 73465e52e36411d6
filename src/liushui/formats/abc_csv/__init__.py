"""Agricultural Bank of China (农业银行): the account's details, with the balance after each row."""

from liushui.files.cells import Cells, parse_time
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow
from liushui.formats._cn_banks import ZONE, day_and_time, kind_of

COLUMNS = ("交易日期", "交易时间", "交易摘要", "交易金额", "本次余额", "日志号")
PATTERNS = ("%Y%m%d %H%M%S", "%Y%m%d", "%Y-%m-%d %H:%M:%S", "%Y%m%d %H:%M:%S")


def read(cells: Cells) -> Flow:
    """The flow in a row. The amount has a sign."""
    label = cells.text("交易摘要")
    at = parse_time("交易日期", day_and_time(cells, "交易日期", "交易时间"), ZONE, PATTERNS)
    return Flow(
        identity=cells.identity(*COLUMNS, amounts=("交易金额", "本次余额"), times={"交易日期": at, "交易时间": at}),
        at=at,
        amount=cells.amount("交易金额"),
        currency="CNY",
        kind=kind_of(label),
        category=Category.CASH,
        label=label,
        balance_after=cells.amount("本次余额"),
        ref=cells.text_or_none("日志号"),
        name=cells.text_or_none("对手信息"),
        note=cells.text_or_none("交易附言"),
        detail=cells.detail("abc_csv", "交易渠道"),
    )


FORMAT = TableFormat(
    name="abc_csv",
    title="中国农业银行 账户明细",
    rules=file_rules(ZONE, currencies=["CNY"]),
    headers=(
        Header(
            ("交易日期", "交易时间", "交易摘要", "交易金额", "本次余额"), ("对手信息", "日志号", "交易渠道", "交易附言")
        ),
    ),
    read=read,
)
