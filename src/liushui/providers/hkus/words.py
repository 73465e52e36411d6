"""The words of this dialect and ours: sides, markets, business types, kinds; and which flows a filter means. Pure."""

from typing import Final

from liushui.conditions import DETAIL_PREFIX, SIDE, AnyOf, Term
from liushui.flow import Category, Direction, Flow, Kind

TRAN_TYPE: Final = "hkus:tran_type"
MARKET: Final = "hkus:market"
IO_TYPE: Final = "hkus:io_type"
"""Key in Flow.detail of a row's io_type. Each row that was received here has one, and no flow from elsewhere."""
BUSINESS_TYPE: Final = "hkus:business_type"
BUSINESS_SUB_TYPE: Final = "hkus:business_sub_type"
FX_CCY: Final = "hkus:fx_ccy"
FX_CURRENCY: Final = "hkus:fx_currency"
"""Key in Flow.detail of an fx_currency that contradicts fx_ccy."""
FX_AMT: Final = "hkus:fx_amt"
FX_RATE: Final = "hkus:fx_rate"
NEGATIVE_AMT: Final = "hkus:negative_amt"
"""Key in Flow.detail of a row whose `amt` has a minus sign: true. Its amount is kept as it was stated."""

SIDES = {"in": Direction.IN, "out": Direction.OUT}
MARKETS = {"usex": "US", "hkex": "HK"}
"""What a symbol ends with, by the row's market."""
STOCKS = {"us_stock": ".US", "hk_stock": ".HK"}
"""What the symbols of a business type's stocks end with."""

CASH: Final = "cash"
OTHER: Final = "other"
NOT: Final = "not"
SUB_TYPES = {kind.value: kind for kind in Kind}
"""What each business_sub_type that we know stands for: our kinds' own words."""

_CATEGORIES_BUT_STOCK: Final = tuple(category.value for category in Category if category is not Category.STOCK)


# ---------------------------------------------------------------- reading


def kind_of(business_type: str | None, business_sub_type: str | None, *, is_priced: bool) -> Kind:
    """What moved the money: as the sub-type says, or a trade where it says nothing of a priced quantity of stock."""
    if business_sub_type and business_sub_type != NOT:
        return SUB_TYPES.get(business_sub_type, Kind.OTHER)
    return Kind.TRADE if business_type in STOCKS and is_priced else Kind.OTHER


def label_of(tran_type: str | None, business_type: str | None, business_sub_type: str | None) -> str:
    """The narrowest of the provider's words for it that says anything."""
    narrow = None if business_sub_type == NOT else business_sub_type
    return narrow or business_type or tran_type or ""


def symbol_of(product_code: str | None, market: str | None) -> str | None:
    """The security, `AAPL.US`; its code alone where the market is not one that we know."""
    suffix = MARKETS.get(market or "")
    return f"{product_code}.{suffix}" if product_code and suffix else product_code


# ---------------------------------------------------------------- writing


def product_of(symbol: str | None, market: str | None) -> str | None:
    """The product_code that `symbol_of` made a symbol from."""
    suffix = MARKETS.get(market or "")
    return symbol.removesuffix(f".{suffix}") if symbol and suffix else symbol


def market_for(symbol: str | None) -> str | None:
    """The market that the symbol of a flow from elsewhere names."""
    code, _, suffix = (symbol or "").rpartition(".")
    return next((market for market, known in MARKETS.items() if code and suffix == known), None)


def business_type_for(flow: Flow) -> str | None:
    """The business type of a flow from elsewhere. None: it is of a stock that the list has no word for.

    `with_business_type` finds it by the same words.
    """
    if flow.category is not Category.STOCK or not flow.symbol:
        return OTHER
    return next((name for name, end in STOCKS.items() if flow.symbol.endswith(end)), None)


# ---------------------------------------------------------------- filters

_ELSEWHERE: Final = Term(f"{DETAIL_PREFIX}{IO_TYPE}", (None,))
_STOCK: Final = Term("category", (Category.STOCK.value,))


def with_business_type(value: str) -> AnyOf:
    """The flows whose rows have this business_type: received ones by their own, others by what is written."""
    received = (Term(f"{DETAIL_PREFIX}{BUSINESS_TYPE}", (value,)),)
    if value in STOCKS:
        return received, (_ELSEWHERE, _STOCK, Term("symbol", (STOCKS[value],), ending=True))
    if value == OTHER:
        return (
            received,
            (_ELSEWHERE, Term("category", _CATEGORIES_BUT_STOCK)),
            (_ELSEWHERE, _STOCK, Term("symbol", (None, ""))),
        )
    return (received,)


def with_io_type(value: str) -> AnyOf:
    """The flows whose rows have this io_type: received ones by their own, others by the side of the money."""
    return (Term(f"{DETAIL_PREFIX}{IO_TYPE}", (value,)),), (_ELSEWHERE, Term(SIDE, (value,)))
