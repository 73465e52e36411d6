"""The flow: one movement of money, in our own words, whoever sent it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class Direction(StrEnum):
    """The side the provider named. It is kept beside the signed amount: on real wires the two can disagree."""

    IN = "in"
    OUT = "out"
    NONE = "none"


class Kind(StrEnum):
    """Why the money moved."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    TRANSFER = "transfer"
    TRADE = "trade"
    FEE = "fee"
    REBATE = "rebate"
    FUNDING = "funding"
    REALIZED_PNL = "realized_pnl"
    LIQUIDATION = "liquidation"
    DIVIDEND = "dividend"
    INTEREST = "interest"
    TAX = "tax"
    RECEIPT = "receipt"
    REFUND = "refund"
    CONVERSION = "conversion"
    ADJUSTMENT = "adjustment"
    OTHER = "other"


class Category(StrEnum):
    """What the money belongs to."""

    CASH = "cash"
    STOCK = "stock"
    FUND = "fund"
    FUTURES = "futures"
    OTHER = "other"


class Fx(NamedTuple):
    """The other leg of a conversion: its currency, its amount, and the rate the provider stated."""

    currency: str
    amount: Decimal
    rate: Decimal


class Flow(NamedTuple):
    """One movement of money.

    `at` and `settled_at` are aware UTC instants. `amount` is signed, + into the account, exact, its trailing zeros
    kept. `identity` is the codec's: the text that makes this row the row it is; rows of equal identity in one
    closed slice are told apart by the ledger. `label` holds the provider's words, untouched.
    `detail` holds what only one provider has, as JSON values without floats.
    """

    identity: str
    at: datetime
    amount: Decimal
    currency: str
    direction: Direction = Direction.NONE
    kind: Kind = Kind.OTHER
    category: Category = Category.OTHER
    label: str = ""
    subaccount: str = ""
    balance_after: Decimal | None = None
    settled_at: datetime | None = None
    ref: str | None = None
    order_ref: str | None = None
    symbol: str | None = None
    name: str | None = None
    price: Decimal | None = None
    quantity: Decimal | None = None
    note: str | None = None
    fx: Fx | None = None
    detail: Mapping[str, object] | None = None


def side_of(flow: Flow) -> Direction:
    """The side that the money went to, for wires that state a magnitude and a side.

    The amount's sign decides; of a zero amount the provider's word, and IN where it gave none.
    """
    if flow.amount:
        return Direction.OUT if flow.amount < 0 else Direction.IN
    return Direction.OUT if flow.direction is Direction.OUT else Direction.IN
