"""Code that the statements of Chinese banks share: forms of days, and kinds by the words of the summary."""

from typing import Final

from liushui.errors import WireError, short_repr
from liushui.files.cells import Cells
from liushui.flow import Direction, Kind

ZONE: Final = "Asia/Shanghai"
DAYS: Final = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%Y年%m月%d日", "%Y.%m.%d")
"""How these files write days. Some forms appear only after a spreadsheet has saved the file."""
_KINDS: Final = (
    ("冲正", Kind.ADJUSTMENT),
    ("退款", Kind.REFUND),
    ("退货", Kind.REFUND),
    ("利息税", Kind.TAX),
    ("结息", Kind.INTEREST),
    ("利息", Kind.INTEREST),
    ("手续费", Kind.FEE),
    ("服务费", Kind.FEE),
    ("年费", Kind.FEE),
    ("结售汇", Kind.CONVERSION),
    ("购汇", Kind.CONVERSION),
    ("转账", Kind.TRANSFER),
    ("汇款", Kind.TRANSFER),
    ("转存", Kind.TRANSFER),
    ("转支", Kind.TRANSFER),
    ("提现", Kind.TRANSFER),
    ("汇入", Kind.TRANSFER),
    ("汇出", Kind.TRANSFER),
    ("网转", Kind.TRANSFER),
    ("现存", Kind.DEPOSIT),
    ("存款", Kind.DEPOSIT),
    ("取现", Kind.WITHDRAWAL),
    ("取款", Kind.WITHDRAWAL),
)


def kind_of(label: str) -> Kind:
    """Return the kind of a flow by the words of its summary. The first match counts."""
    return next((kind for word, kind in _KINDS if word in label), Kind.OTHER)


def side_of(cells: Cells, column: str) -> Direction:
    """Return the direction in a cell that begins with 借 (debit: money out) or 贷 (credit: money in), as banks write
    it."""
    text = cells.required(column)
    if text[0] not in "借贷":
        raise WireError(column, f"expected 借 or 贷, got {short_repr(text)}")
    return Direction.OUT if text[0] == "借" else Direction.IN


def day_and_time(cells: Cells, day: str, clock: str) -> str:
    """A day and a time of day in two cells, as one text."""
    return " ".join(filter(None, (cells.required(day), cells.text(clock))))
