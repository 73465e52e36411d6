"""Binance's transaction history: every movement in every account of a user, without balances. It proves nothing."""

from typing import Final

from liushui.files.cells import Cells
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow, Kind
from liushui.wire.decoding import parse_currency

KINDS: Final = (
    ("funding fee", Kind.FUNDING),
    ("kickback", Kind.REBATE),
    ("rebate", Kind.REBATE),
    ("cashback", Kind.REBATE),
    ("fee", Kind.FEE),
    ("profit and loss", Kind.REALIZED_PNL),
    ("liquidat", Kind.LIQUIDATION),
    ("insurance", Kind.LIQUIDATION),
    ("subscription", Kind.TRANSFER),
    ("redemption", Kind.TRANSFER),
    ("transfer", Kind.TRANSFER),
    ("interest", Kind.INTEREST),
    ("reward", Kind.INTEREST),
    ("deposit", Kind.DEPOSIT),
    ("withdraw", Kind.WITHDRAWAL),
    ("convert", Kind.CONVERSION),
    ("exchange", Kind.CONVERSION),
    ("transaction", Kind.TRADE),
    ("buy", Kind.TRADE),
    ("sell", Kind.TRADE),
)
"""A word in the operation, and the kind. The first match counts: `Funding Fee` is a funding fee."""
FUTURES: Final = "futures"
COLUMNS: Final = ("Time", "Account", "Operation", "Coin", "Change", "Remark")


def read(cells: Cells) -> Flow:
    """The flow in a row. Rows have no id."""
    at, label = cells.time("Time", "UTC", "%Y-%m-%d %H:%M:%S", "%y-%m-%d %H:%M:%S"), cells.text("Operation")
    account = cells.text("Account")
    return Flow(
        identity=cells.identity(*COLUMNS, amounts=("Change",), times={"Time": at}),
        at=at,
        amount=cells.amount("Change"),
        currency=parse_currency("Coin", cells.required("Coin")),
        kind=next((kind for word, kind in KINDS if word in label.casefold()), Kind.OTHER),
        category=Category.FUTURES if FUTURES in account.casefold() else Category.CASH,
        label=label,
        subaccount=account,
        note=cells.text_or_none("Remark"),
    )


FORMAT = TableFormat(
    name="binance_csv",
    title="Binance transaction history",
    rules=file_rules("UTC", balances=None),
    headers=(
        Header(
            ("Time", "Account", "Operation", "Coin", "Change"),
            ("Remark", "User ID"),
            spellings={"Time": r"utc_time|time ?\(utc.*\)", "User ID": "user_id"},
        ),
    ),
    read=read,
    zone_column="Time",
    provider="binance_usdm",
)
