"""Binance's futures transaction history. It states no balances, and proves nothing."""

from liushui.files.cells import Cells
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow, Kind
from liushui.wire.decoding import parse_currency

KINDS = {
    "transfer": Kind.TRANSFER,
    "internal_transfer": Kind.TRANSFER,
    "deposit": Kind.DEPOSIT,
    "withdraw": Kind.WITHDRAWAL,
    "realized_pnl": Kind.REALIZED_PNL,
    "options_settle_profit": Kind.REALIZED_PNL,
    "delivered_settelment": Kind.REALIZED_PNL,
    "funding_fee": Kind.FUNDING,
    "commission": Kind.FEE,
    "referral_kickback": Kind.REBATE,
    "commission_rebate": Kind.REBATE,
    "api_rebate": Kind.REBATE,
    "insurance_clear": Kind.LIQUIDATION,
    "auto_exchange": Kind.CONVERSION,
}
COLUMNS = ("Date", "type", "Amount", "Asset", "Symbol", "Transaction ID")


def read(cells: Cells) -> Flow:
    """The flow in a row. A transaction id is unique within one type only."""
    label, at = cells.text("type"), cells.time("Date", "UTC", "%Y-%m-%d %H:%M:%S", "%y-%m-%d %H:%M:%S")
    return Flow(
        identity=cells.identity(*COLUMNS, amounts=("Amount",), times={"Date": at}),
        at=at,
        amount=cells.amount("Amount"),
        currency=parse_currency("Asset", cells.required("Asset")),
        kind=KINDS.get(label.casefold(), Kind.OTHER),
        category=Category.FUTURES,
        label=label,
        ref=cells.text_or_none("Transaction ID"),
        symbol=cells.text_or_none("Symbol"),
    )


FORMAT = TableFormat(
    name="binance_futures_csv",
    title="Binance futures transaction history",
    rules=file_rules("UTC", balances=None),
    headers=(Header(COLUMNS, spellings={"Date": r"(?:date|time) ?\(utc.*\)|time"}),),
    read=read,
    zone_column="Date",
    provider="binance_usdm",
)
