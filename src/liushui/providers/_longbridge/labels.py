"""Longbridge's names for what moved the money, in its three languages, and our kind for each. They identify nothing."""

from typing import NamedTuple

from liushui.flow import Direction, Kind

LANGUAGES = ("zh-HK", "zh-CN", "en")


class Label(NamedTuple):
    """One movement's names. `side` None: either."""

    kind: Kind
    side: Direction | None
    names: tuple[str, str, str]
    """In the order of LANGUAGES."""


OUT, IN = Direction.OUT, Direction.IN

LABELS = (
    Label(Kind.TRADE, OUT, ("股票買入成交", "股票买入成交", "BuyContract-Stocks")),
    Label(Kind.TRADE, IN, ("股票賣出成交", "股票卖出成交", "SellContract-Stocks")),
    Label(Kind.FEE, None, ("平台費", "平台费", "Platform Fee")),
    Label(Kind.REBATE, None, ("佣金返還", "佣金返还", "Commission Rebate")),
    Label(Kind.DIVIDEND, None, ("現金股息", "现金股息", "Cash Dividend")),
    Label(Kind.TAX, None, ("股息稅", "股息税", "Dividend Tax")),
    Label(Kind.INTEREST, None, ("利息", "利息", "Interest")),
    Label(Kind.DEPOSIT, None, ("入金", "入金", "Deposit")),
    Label(Kind.WITHDRAWAL, None, ("出金", "出金", "Withdrawal")),
    Label(Kind.TRANSFER, OUT, ("資金轉出", "资金转出", "Transfer Out")),
    Label(Kind.TRANSFER, IN, ("資金轉入", "资金转入", "Transfer In")),
    Label(Kind.CONVERSION, OUT, ("換匯轉出", "换汇转出", "Currency Exchange Out")),
    Label(Kind.CONVERSION, IN, ("換匯轉入", "换汇转入", "Currency Exchange In")),
    Label(Kind.RECEIPT, None, ("收款", "收款", "Receipt")),
    Label(Kind.REFUND, None, ("退款", "退款", "Refund")),
    Label(Kind.FUNDING, None, ("資金費用", "资金费用", "Funding Fee")),
    Label(Kind.REALIZED_PNL, None, ("已實現盈虧", "已实现盈亏", "Realized P&L")),
    Label(Kind.LIQUIDATION, None, ("強平清算費", "强平清算费", "Liquidation Clearance")),
    Label(Kind.ADJUSTMENT, None, ("帳戶調整", "账户调整", "Adjustment")),
    Label(Kind.OTHER, None, ("其他", "其他", "Other")),
)

KINDS = {name: label.kind for label in LABELS for name in label.names}
_NAMES = {
    (label.kind, side): label.names
    for label in LABELS
    for side in ((label.side,) if label.side else (Direction.OUT, Direction.IN))
}


def label_for(kind: Kind, side: Direction, language: str | None, *, otherwise: str = LANGUAGES[0]) -> str:
    """The name in the language that an accept-language value asks for first, in `otherwise` if that has none."""
    return _NAMES[kind, side][LANGUAGES.index(_language(language or "") or otherwise)]


def _language(accepted: str) -> str | None:
    first = accepted.split(",")[0].split(";")[0].strip().lower()
    if first.startswith("en"):
        return "en"
    if first in ("zh-cn", "zh-hans", "zh-sg", "zh-hans-cn"):
        return "zh-CN"
    return "zh-HK" if first.startswith("zh-") else None
