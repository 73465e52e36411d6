"""The flow: one movement of money, in the same shape for every provider."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class Direction(StrEnum):
    """Whether money came in or went out, as the provider stated it. NONE: the provider does not state it.

    It is kept in addition to the signed amount because real providers sometimes contradict themselves.
    """

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
    """The kind of asset that the movement concerns."""

    CASH = "cash"
    STOCK = "stock"
    FUND = "fund"
    FUTURES = "futures"
    OTHER = "other"


class Fx(NamedTuple):
    """The other leg of a currency conversion, and the exchange rate that the provider stated."""

    currency: str
    amount: Decimal
    rate: Decimal


class Flow(NamedTuple):
    """One movement of money.

    Decimals are exact and keep their trailing zeros. Instants are timezone-aware and in UTC.
    """

    identity: str
    """The text that distinguishes this row from the provider's other rows: its record id or, without one, a digest of
    its facts. Rows that share an identity are equal rows; the ledger numbers them."""
    at: datetime
    amount: Decimal
    """Signed: positive into the account, negative out of it."""
    currency: str
    """The provider's own code. The list is open: fiat, crypto and points alike."""
    direction: Direction = Direction.NONE
    kind: Kind = Kind.OTHER
    category: Category = Category.OTHER
    label: str = ""
    """The provider's own name for the movement, unchanged."""
    subaccount: str = ""
    """The part of the account whose balance this flow moves. Empty if the account has one balance for each currency."""
    balance_after: Decimal | None = None
    settled_at: datetime | None = None
    ref: str | None = None
    """The provider's id of the record."""
    order_ref: str | None = None
    """The id of the order that caused the movement."""
    symbol: str | None = None
    name: str | None = None
    """The security's name."""
    price: Decimal | None = None
    quantity: Decimal | None = None
    note: str | None = None
    fx: Fx | None = None
    detail: Mapping[str, object] | None = None
    """Data that only one provider has: JSON values without floats, under keys that begin with the provider's name."""


def side_of(flow: Flow) -> Direction:
    """IN or OUT, for wire formats that write a magnitude and a side instead of a signed amount.

    The amount's sign decides. A zero amount has the side that the provider stated, and IN if it stated none.
    """
    if flow.amount:
        return Direction.OUT if flow.amount < 0 else Direction.IN
    return Direction.OUT if flow.direction is Direction.OUT else Direction.IN
