"""HSBC Hong Kong: the account's transactions, with the balance after each row."""

from liushui.files.cells import Cells
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow, Kind
from liushui.wire.decoding import parse_currency

ZONE = "Asia/Hong_Kong"
COLUMNS = ("Date", "Description", "Billing amount", "Billing currency", "Balance", "Balance currency")
KINDS = (
    ("INTEREST", Kind.INTEREST),
    ("CHARGE", Kind.FEE),
    ("FEE", Kind.FEE),
    ("DIVIDEND", Kind.DIVIDEND),
    ("TRANSFER", Kind.TRANSFER),
    ("FPS", Kind.TRANSFER),
)
"""A word in the description, and the kind. The first match counts."""


def read(cells: Cells) -> Flow:
    """The flow in a row. The amount has a sign. A balance in a currency other than the amount's is ignored."""
    currency = parse_currency("Billing currency", cells.required("Billing currency"))
    at = cells.time("Date", ZONE, "%d/%m/%Y", "%d %b %Y")
    states_balance = cells.text("Balance currency") in ("", currency)
    return Flow(
        identity=cells.identity(*COLUMNS, amounts=("Billing amount", "Balance"), times={"Date": at}),
        at=at,
        amount=cells.amount("Billing amount"),
        currency=currency,
        kind=next((kind for word, kind in KINDS if word in cells.text("Description").upper()), Kind.OTHER),
        category=Category.CASH,
        label=cells.text("Description"),
        balance_after=cells.amount_or_none("Balance") if states_balance else None,
    )


FORMAT = TableFormat(
    name="hsbc_hk_csv",
    title="HSBC Hong Kong transactions",
    rules=file_rules(ZONE),
    headers=(Header(COLUMNS),),
    read=read,
)
