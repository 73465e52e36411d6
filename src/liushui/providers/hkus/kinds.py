"""Maps the vocabulary of HK and US securities to ours: markets, business types, kinds, filters.

Pure. The functions come in pairs that are inverse to each other: one reads, the other writes.
"""

from typing import Final

from liushui.conditions import DETAIL_PREFIX, SIDE, AnyOf, Term
from liushui.flow import Category, Direction, Flow, Kind

TRAN_TYPE: Final = "hkus:tran_type"
MARKET: Final = "hkus:market"
IO_TYPE: Final = "hkus:io_type"
"""Key in Flow.detail for a row's io_type. Every row that was received from this provider has it, and no other flow has
it."""
BUSINESS_TYPE: Final = "hkus:business_type"
BUSINESS_SUB_TYPE: Final = "hkus:business_sub_type"
FX_CCY: Final = "hkus:fx_ccy"
FX_CURRENCY: Final = "hkus:fx_currency"
"""Key in Flow.detail for an fx_currency that contradicts fx_ccy."""
FX_AMT: Final = "hkus:fx_amt"
FX_RATE: Final = "hkus:fx_rate"
NEGATIVE_AMT: Final = "hkus:negative_amt"
"""Key in Flow.detail, with the value true, for a row whose `amt` is negative. Its amount keeps the sign as stated."""

DIRECTIONS = {"in": Direction.IN, "out": Direction.OUT}
MARKET_SUFFIXES = {"usex": "US", "hkex": "HK"}
"""The suffix of our symbols for each market."""
STOCK_SUFFIXES = {"us_stock": ".US", "hk_stock": ".HK"}
"""The suffix of our symbols for each business type of stocks."""

CASH: Final = "cash"
OTHER: Final = "other"
NOT: Final = "not"
"""A business_sub_type that has no meaning."""
SUB_TYPES = {kind.value: kind for kind in Kind}
"""Known business_sub_types. Their names are those of our kinds."""

_CATEGORIES_BUT_STOCK: Final = tuple(category.value for category in Category if category is not Category.STOCK)


# ---------------------------------------------------------------- reading


def kind_of(business_type: str | None, business_sub_type: str | None, *, is_priced: bool) -> Kind:
    """Return the kind of a row. A stock movement with price and quantity and without a sub-type is a trade."""
    if business_sub_type and business_sub_type != NOT:
        return SUB_TYPES.get(business_sub_type, Kind.OTHER)
    return Kind.TRADE if business_type in STOCK_SUFFIXES and is_priced else Kind.OTHER


def label_of(tran_type: str | None, business_type: str | None, business_sub_type: str | None) -> str:
    """Return the most specific of the provider's three names that has a meaning."""
    specific = None if business_sub_type == NOT else business_sub_type
    return specific or business_type or tran_type or ""


def symbol_of(product_code: str | None, market: str | None) -> str | None:
    """Return the symbol with its market, such as `AAPL.US`. For an unknown market, return the code alone."""
    suffix = MARKET_SUFFIXES.get(market or "")
    return f"{product_code}.{suffix}" if product_code and suffix else product_code


# ---------------------------------------------------------------- writing


def product_code_for(symbol: str | None, market: str | None) -> str | None:
    """Return the product_code from which `symbol_of` makes this symbol."""
    suffix = MARKET_SUFFIXES.get(market or "")
    return symbol.removesuffix(f".{suffix}") if symbol and suffix else symbol


def market_for(symbol: str | None) -> str | None:
    """Return the market in the symbol of a flow from another provider."""
    code, _, suffix = (symbol or "").rpartition(".")
    return next((market for market, known in MARKET_SUFFIXES.items() if code and suffix == known), None)


def business_type_for(flow: Flow) -> str | None:
    """Return the business type of a flow from another provider. Returns None for a stock in an unknown market.

    `has_business_type` selects flows by the same rule.
    """
    if flow.category is not Category.STOCK or not flow.symbol:
        return OTHER
    return next((name for name, suffix in STOCK_SUFFIXES.items() if flow.symbol.endswith(suffix)), None)


# ---------------------------------------------------------------- filters

_FOREIGN: Final = Term(f"{DETAIL_PREFIX}{IO_TYPE}", (None,))
_STOCK: Final = Term("category", (Category.STOCK.value,))


def has_business_type(value: str) -> AnyOf:
    """The condition for flows with this business_type: as received, or as `business_type_for` writes it."""
    received = (Term(f"{DETAIL_PREFIX}{BUSINESS_TYPE}", (value,)),)
    if value in STOCK_SUFFIXES:
        return received, (_FOREIGN, _STOCK, Term("symbol", (STOCK_SUFFIXES[value],), ending=True))
    if value == OTHER:
        return (
            received,
            (_FOREIGN, Term("category", _CATEGORIES_BUT_STOCK)),
            (_FOREIGN, _STOCK, Term("symbol", (None, ""))),
        )
    return (received,)


def has_io_type(value: str) -> AnyOf:
    """The condition for flows whose rows have this io_type: as received, or by the sign of the amount."""
    return (Term(f"{DETAIL_PREFIX}{IO_TYPE}", (value,)),), (_FOREIGN, Term(SIDE, (value,)))
