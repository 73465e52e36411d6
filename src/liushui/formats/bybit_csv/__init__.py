"""Bybit's transaction log of a unified trading account (UTA), newest first."""

from liushui.files.cells import Cells
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow, Kind
from liushui.rules import FeeLeg
from liushui.wire.decoding import parse_currency

KINDS = {
    "transfer_in": Kind.TRANSFER,
    "transfer_out": Kind.TRANSFER,
    "trade": Kind.TRADE,
    "settlement": Kind.FUNDING,
    "delivery": Kind.REALIZED_PNL,
    "liquidation": Kind.LIQUIDATION,
    "adl": Kind.LIQUIDATION,
    "interest": Kind.INTEREST,
    "fee_refund": Kind.REBATE,
    "bonus": Kind.OTHER,
    "currency_buy": Kind.CONVERSION,
    "currency_sell": Kind.CONVERSION,
    "airdrop": Kind.OTHER,
}
AMOUNTS = ("Quantity", "Filled Price", "Funding", "Fee Paid", "Cash Flow", "Change", "Wallet Balance")
COLUMNS = ("Time", "Currency", "Contract", "Type", "Direction", *AMOUNTS)
"""The columns that every version of the file has. Together they identify a row."""
OPTIONAL = ("Position", "Fee Rate", "Trade ID", "Order ID", "Action")


def read(cells: Cells) -> Flow:
    """Return the flow in a row. Ids repeat and some files have none, so all facts, including the balance, identify a
    row."""
    label, at = cells.text("Type"), cells.time("Time", "UTC", "%Y-%m-%d %H:%M:%S", "%H:%M %Y-%m-%d")
    return Flow(
        identity=cells.identity(*COLUMNS, amounts=AMOUNTS, times={"Time": at}),
        at=at,
        amount=cells.amount("Change"),
        currency=parse_currency("Currency", cells.required("Currency")),
        kind=KINDS.get(label.casefold().replace(" ", "_"), Kind.OTHER),
        category=Category.FUTURES if cells.text("Contract") else Category.CASH,
        label=label,
        balance_after=cells.amount("Wallet Balance"),
        ref=cells.text_or_none("Trade ID"),
        order_ref=cells.text_or_none("Order ID"),
        symbol=cells.text_or_none("Contract"),
        price=cells.amount_or_none("Filled Price"),
        quantity=cells.amount_or_none("Quantity"),
        detail=cells.detail("bybit_csv", "Direction", "Funding", "Fee Paid", "Cash Flow", "Fee Rate", "Position"),
    )


FORMAT = TableFormat(
    name="bybit_csv",
    title="Bybit UTA transaction log",
    rules=file_rules("UTC", fee_legs=(FeeLeg("bybit_csv:Fee Paid", is_charge_positive=True),)),
    headers=(
        Header(
            COLUMNS,
            OPTIONAL,
            spellings={"Time": r"time ?\(utc.*\)", "Trade ID": r"trade ?id", "Order ID": r"order ?id"},
        ),
    ),
    read=read,
    provider="bybit",
)
