"""Bank of Communications (交通银行): the account's details, with the side in words and the balance after each row."""

from liushui.errors import WireError
from liushui.files.cells import Cells, parse_time
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Direction, Flow
from liushui.formats._cn_banks import ZONE, day_and_time, kind_of, side_of

COLUMNS = ("交易日期", "交易时间", "交易类型", "借贷", "交易金额", "余额", "对方账号", "摘要")
PATTERNS = ("%Y-%m-%d %H:%M:%S", "%Y%m%d %H:%M:%S", "%Y%m%d %H%M%S", "%Y%m%d")


def read(cells: Cells) -> Flow:
    """Return the flow in a row. The amount has no sign; 借 means money out, 贷 money in."""
    amount, side = cells.amount("交易金额"), side_of(cells, "借贷")
    if amount < 0:
        raise WireError("交易金额", f"expected 0 or more beside 借贷, got {amount}")
    label = cells.text("交易类型")
    at = parse_time("交易日期", day_and_time(cells, "交易日期", "交易时间"), ZONE, PATTERNS)
    return Flow(
        identity=cells.identity(*COLUMNS, amounts=("交易金额", "余额"), times={"交易日期": at, "交易时间": at}),
        at=at,
        amount=-amount if side is Direction.OUT and amount else amount,
        currency="CNY",
        direction=side,
        kind=kind_of(f"{label} {cells.text('摘要')}"),
        category=Category.CASH,
        label=label,
        balance_after=cells.amount("余额"),
        name=cells.text_or_none("对方户名"),
        note=cells.text_or_none("摘要"),
        detail=cells.detail("bocom_csv", "对方账号", "交易地点"),
    )


FORMAT = TableFormat(
    name="bocom_csv",
    title="交通银行 交易明细",
    rules=file_rules(ZONE, currencies=["CNY"]),
    headers=(
        Header(
            ("交易日期", "交易时间", "交易类型", "借贷", "交易金额", "余额"),
            ("序号", "对方账号", "对方户名", "交易地点", "摘要"),
        ),
    ),
    read=read,
)
