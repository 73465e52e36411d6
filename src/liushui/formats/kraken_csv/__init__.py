"""Kraken's ledgers.csv: every movement of every asset, in UTC, with the balance after it."""

from liushui.files.cells import Cells
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow, Kind
from liushui.money import EXACT, ZERO
from liushui.wire.decoding import parse_currency

KINDS = {
    "deposit": Kind.DEPOSIT,
    "withdrawal": Kind.WITHDRAWAL,
    "transfer": Kind.TRANSFER,
    "trade": Kind.TRADE,
    "margin": Kind.REALIZED_PNL,
    "margin trade": Kind.REALIZED_PNL,
    "settled": Kind.REALIZED_PNL,
    "rollover": Kind.INTEREST,
    "spend": Kind.CONVERSION,
    "receive": Kind.CONVERSION,
    "conversion": Kind.CONVERSION,
    "staking": Kind.INTEREST,
    "reward": Kind.INTEREST,
    "dividend": Kind.DIVIDEND,
    "adjustment": Kind.ADJUSTMENT,
}
EARN = {"reward": Kind.INTEREST, "allocation": Kind.TRANSFER, "deallocation": Kind.TRANSFER, "migration": Kind.TRANSFER}
"""The kind of an `earn` row, by its subtype."""


def read(cells: Cells) -> Flow:
    """The flow in a row. The balance moves by the amount less the fee, so both are one flow."""
    amount, fee = cells.amount("amount"), cells.amount_or_none("fee") or ZERO
    type_, subtype = cells.text("type"), cells.text("subtype")
    return Flow(
        identity=cells.record_id("txid"),
        at=cells.time("time", "UTC"),
        amount=EXACT.subtract(amount, fee),
        currency=parse_currency("asset", cells.required("asset")),
        kind=EARN.get(subtype, Kind.OTHER) if type_ == "earn" else KINDS.get(type_, Kind.OTHER),
        category=Category.CASH,
        label=" ".join(filter(None, (type_, subtype))),
        subaccount=cells.text("wallet"),
        balance_after=cells.amount_or_none("balance"),
        ref=cells.text_or_none("txid"),
        order_ref=cells.text_or_none("refid"),
        detail=cells.detail("kraken_csv", "amount", "fee", "aclass") if fee else None,
    )


FORMAT = TableFormat(
    name="kraken_csv",
    title="Kraken ledgers.csv",
    rules=file_rules("UTC", id_columns=("txid",)),
    headers=(
        Header(
            ("txid", "refid", "time", "type", "aclass", "asset", "amount", "fee", "balance"),
            ("subtype", "subclass", "wallet"),
        ),
    ),
    read=read,
)
