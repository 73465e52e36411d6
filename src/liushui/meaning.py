"""The meaning of flows for their owner: income and expense, money from and to outside, or a change of form only.

One table for all providers: a provider's mapping gives each flow its kind, and each kind has a meaning. Pure.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from liushui.flow import Kind


class Section(StrEnum):
    """The section of a meaning in a statement of income and expense."""

    INCOME = "income"
    """Money that the owner earned or spent."""
    OUTSIDE = "outside"
    """Money that the owner brought in from outside the ledger, or took out of it."""
    APART = "apart"
    """Money that changed its form or place; it was neither earned nor spent."""


class Meaning(StrEnum):
    """The meanings of flows, in the order of display."""

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
    """Transfers between accounts of one query. No kind has this meaning: links determine these flows."""
    SEEN_TWICE = "seen_twice"
    """Flows that show the same money as flows of another account of the query. Links determine these too."""


SECTIONS: Final[Mapping[Meaning, Section]] = {
    **dict.fromkeys(Meaning, Section.INCOME),
    Meaning.OUTSIDE: Section.OUTSIDE,
    **dict.fromkeys((Meaning.TRADES, Meaning.CONVERSIONS, Meaning.OWN_TRANSFERS, Meaning.SEEN_TWICE), Section.APART),
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
"""The meaning of each kind. Deposits, withdrawals and transfers come from or go to outside, unless they are own
transfers."""


def meaning_of(kind: str) -> Meaning:
    """The meaning of a kind. An unknown kind, for example of an outside provider, means `other`."""
    return MEANINGS.get(kind, Meaning.OTHER)
