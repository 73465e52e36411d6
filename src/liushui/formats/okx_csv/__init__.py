"""OKX's history of account movements: the balance before and after each."""

from liushui.files.cells import Cells
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow, Kind
from liushui.money import EXACT
from liushui.rules import FeeLeg
from liushui.wire.decoding import parse_currency

KINDS = (
    ("deposit", Kind.DEPOSIT),
    ("withdraw", Kind.WITHDRAWAL),
    ("transfer", Kind.TRANSFER),
    ("funding", Kind.FUNDING),
    ("liquidation", Kind.LIQUIDATION),
    ("rebate", Kind.REBATE),
    ("interest", Kind.INTEREST),
    ("fee", Kind.FEE),
    ("convert", Kind.CONVERSION),
    ("buy", Kind.TRADE),
    ("sell", Kind.TRADE),
    ("trade", Kind.TRADE),
)
"""A word in the type, and the kind. The first match counts: `Funding fee` is a funding fee."""


def read(cells: Cells) -> Flow:
    """The flow in a row. The change of the balance is the difference of the two balances; the amount may be a
    quantity."""
    before, after = cells.amount("Before Balance"), cells.amount("After Balance")
    label = cells.text("Type")
    return Flow(
        identity=cells.record_id("id"),
        at=cells.time("Time", "UTC"),
        amount=EXACT.subtract(after, before),
        currency=parse_currency("Symbol", cells.required("Symbol")),
        kind=next((kind for word, kind in KINDS if word in label.casefold()), Kind.OTHER),
        category=Category.CASH,
        label=label,
        balance_after=after,
        ref=cells.text_or_none("id"),
        detail=cells.detail("okx_csv", "Amount", "Fee"),
    )


FORMAT = TableFormat(
    name="okx_csv",
    title="OKX account history",
    rules=file_rules("UTC", id_columns=("id",), fee_legs=(FeeLeg("okx_csv:Fee"),)),
    headers=(
        Header(
            ("id", "Time", "Type", "Amount", "Before Balance", "After Balance", "Fee", "Symbol"),
            spellings={"Time": r"time ?\(utc.*\)"},
        ),
    ),
    read=read,
    provider="okx",
)
