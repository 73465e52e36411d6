"""Kraken's ledgers.csv: every movement of every asset, in UTC, with the balance after it."""

from liushui.errors import WireError
from liushui.files.cells import Cells
from liushui.files.contract import file_rules
from liushui.files.tables import Header, TableFormat
from liushui.flow import Category, Flow, Kind
from liushui.money import EXACT, ZERO
from liushui.rules import FeeLeg
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
ASSETS = {
    **dict.fromkeys(("XXBT", "XBT"), "BTC"),
    **dict.fromkeys(("XXDG", "XDG"), "DOGE"),
    **{f"X{code}": code for code in ("ETC", "ETH", "LTC", "MLN", "REP", "XLM", "XMR", "XRP", "ZEC")},
    **{f"Z{code}": code for code in ("AUD", "CAD", "EUR", "GBP", "JPY", "USD")},
}
"""Kraken's older names of currencies. Newer files have the common names, so old and new files give an account the same
currency. Names with a suffix, such as DOT.S, are separate balances."""
PENDING = "pending"
"""Suffix of the label of a row without txid and balance. Such a row is the request for a deposit or withdrawal. It is
followed by the row that moved the balance, with the same refid."""
EARN = {"reward": Kind.INTEREST, "allocation": Kind.TRANSFER, "deallocation": Kind.TRANSFER, "migration": Kind.TRANSFER}
"""The kind of an `earn` row, by its subtype."""

REQUEST = ("refid", "time", "type", "asset", "amount")
"""The fields that distinguish requests."""


def read(cells: Cells) -> Flow:
    """Return the flow in a row. The balance changes by the amount minus the fee, so both are one flow. A request is a
    flow of 0."""
    amount, fee = cells.amount("amount"), cells.amount_or_none("fee") or ZERO
    type_, subtype = cells.text("type"), cells.text("subtype")
    asset, fee_asset = cells.required("asset"), cells.text("feecurrency")
    if fee and fee_asset and _common(fee_asset) != _common(asset):
        raise WireError("feecurrency", f"expected {asset}, whose balance the fee is taken from, got {fee_asset}")
    at = cells.time("time", "UTC")
    is_pending = not cells.text("txid") and not cells.text("balance")
    return Flow(
        identity=cells.identity(*REQUEST, amounts=("amount",), times={"time": at})
        if is_pending
        else cells.record_id("txid"),
        at=at,
        amount=ZERO if is_pending else EXACT.subtract(amount, fee),
        currency=parse_currency("asset", _common(asset)),
        kind=EARN.get(subtype, Kind.OTHER) if type_ == "earn" else KINDS.get(type_, Kind.OTHER),
        category=Category.CASH,
        label=" ".join(filter(None, (type_, subtype, PENDING if is_pending else ""))),
        subaccount=cells.text("wallet"),
        balance_after=cells.amount_or_none("balance"),
        ref=cells.text_or_none("txid"),
        order_ref=cells.text_or_none("refid"),
        detail=cells.detail("kraken_csv", "amount", "fee", "aclass", "asset") if fee or is_pending else None,
    )


def _common(asset: str) -> str:
    return ASSETS.get(asset, asset)


FORMAT = TableFormat(
    name="kraken_csv",
    title="Kraken ledgers.csv",
    rules=file_rules("UTC", id_columns=("txid",), fee_legs=(FeeLeg("kraken_csv:fee", is_charge_positive=True),)),
    headers=(
        Header(
            ("txid", "refid", "time", "type", "aclass", "asset", "amount", "fee", "balance"),
            ("subtype", "subclass", "wallet", "feecurrency"),
        ),
    ),
    read=read,
)
