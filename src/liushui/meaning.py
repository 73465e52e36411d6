"""What flows mean for their owner: income and expense, money from and to outside, or money that only changed its form.

One table for all providers: each provider's mapping gives a flow its kind, and the kind has a meaning. Pure.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from liushui.flow import Kind


class Section(StrEnum):
    """Where a meaning stands in a statement of income and expense."""

    INCOME = "income"
    """What the owner earned or paid."""
    OUTSIDE = "outside"
    """Money that the owner brought in from outside of the ledger, or took out of it."""
    APART = "apart"
    """Money that changed its form or its place, and is neither earned nor paid."""


class Meaning(StrEnum):
    """What came in or went out, in the order in which it is shown."""

    SALES = "sales"
    REFUNDS = "refunds"
    FEES = "fees"
    REBATES = "rebates"
    INTEREST = "interest"
    DIVIDENDS = "dividends"
    TAX = "tax"
    FUNDING = "funding"
    TRADING_RESULT = "trading_result"
    OTHER = "other"
    OUTSIDE = "outside"
    TRADES = "trades"
    CONVERSIONS = "conversions"
    OWN_TRANSFERS = "own_transfers"
    """Transfers between accounts of one question. No kind has this meaning: links tell which flows they are."""


SECTIONS: Final[Mapping[Meaning, Section]] = {
    **dict.fromkeys(Meaning, Section.INCOME),
    Meaning.OUTSIDE: Section.OUTSIDE,
    **dict.fromkeys((Meaning.TRADES, Meaning.CONVERSIONS, Meaning.OWN_TRANSFERS), Section.APART),
}

MEANINGS: Final[Mapping[str, Meaning]] = {
    Kind.RECEIPT: Meaning.SALES,
    Kind.REFUND: Meaning.REFUNDS,
    Kind.FEE: Meaning.FEES,
    Kind.REBATE: Meaning.REBATES,
    Kind.INTEREST: Meaning.INTEREST,
    Kind.DIVIDEND: Meaning.DIVIDENDS,
    Kind.TAX: Meaning.TAX,
    Kind.FUNDING: Meaning.FUNDING,
    Kind.REALIZED_PNL: Meaning.TRADING_RESULT,
    Kind.LIQUIDATION: Meaning.TRADING_RESULT,
    Kind.ADJUSTMENT: Meaning.OTHER,
    Kind.OTHER: Meaning.OTHER,
    Kind.DEPOSIT: Meaning.OUTSIDE,
    Kind.WITHDRAWAL: Meaning.OUTSIDE,
    Kind.TRANSFER: Meaning.OUTSIDE,
    Kind.TRADE: Meaning.TRADES,
    Kind.CONVERSION: Meaning.CONVERSIONS,
}
"""The meaning of each kind. Deposits, withdrawals and transfers are from or to outside, unless they are own ones."""


def meaning_of(kind: str) -> Meaning:
    """The meaning of a kind. One that no table knows, perhaps of an outside provider, is other."""
    return MEANINGS.get(kind, Meaning.OTHER)
