"""The meaning of the types in Bybit's transaction log, and the types that flows of other providers get."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from liushui.conditions import DETAIL_PREFIX, SIDE, AnyOf, Term
from liushui.flow import Category, Direction, Kind

TYPE: Final = "bybit:type"
"""Key in Flow.detail for the type of a row. Only received rows have it."""

KINDS: Final[Mapping[str, Kind]] = {
    "TRADE": Kind.TRADE,
    "ADL": Kind.TRADE,
    "SETTLEMENT": Kind.FUNDING,
    "DELIVERY": Kind.REALIZED_PNL,
    "LIQUIDATION": Kind.LIQUIDATION,
    "FEE_REFUND": Kind.REBATE,
    "CURRENCY_BUY": Kind.CONVERSION,
    "CURRENCY_SELL": Kind.CONVERSION,
    "CONVERT": Kind.CONVERSION,
    "SPREAD_FEE_OUT": Kind.FEE,
    "AUTO_DEDUCTION": Kind.ADJUSTMENT,
    "CUSTODY_LOCK": Kind.TRANSFER,
    "CUSTODY_UNLOCK": Kind.TRANSFER,
}
"""The kinds of types, by the type's whole name."""
KIND_PATTERNS: Final[tuple[tuple[str, Kind], ...]] = (
    ("*TRANSFER*", Kind.TRANSFER),
    ("*_SUBSCRIPTION", Kind.TRANSFER),
    ("*_REDEMPTION", Kind.TRANSFER),
    ("*_REFUND", Kind.TRANSFER),
    ("*INTEREST*", Kind.INTEREST),
    ("SPOT_REPAYMENT_*", Kind.CONVERSION),
    ("IDN_CONVERT_*", Kind.CONVERSION),
    ("*_FEE", Kind.FEE),
)
"""The kinds of all other types. The first pattern that matches decides. Bybit has about a hundred types and adds some
every few months. A type that no pattern matches is OTHER."""


class Types(NamedTuple):
    """The types that flows of other providers get, by side."""

    incoming: str
    outgoing: str

    def of(self, side: Direction) -> str:
        return self.outgoing if side is Direction.OUT else self.incoming


_TRANSFER: Final = Types("TRANSFER_IN", "TRANSFER_OUT")
OTHER_TYPES: Final = Types("OTHER", "OTHER")
"""A type that Bybit does not have."""
TYPES: Final[Mapping[Kind, Types]] = {
    Kind.TRANSFER: _TRANSFER,
    Kind.DEPOSIT: _TRANSFER,
    Kind.WITHDRAWAL: _TRANSFER,
    Kind.TRADE: Types("TRADE", "TRADE"),
    Kind.FEE: Types("SPREAD_FEE_OUT", "SPREAD_FEE_OUT"),
    Kind.REBATE: Types("FEE_REFUND", "FEE_REFUND"),
    Kind.FUNDING: Types("SETTLEMENT", "SETTLEMENT"),
    Kind.REALIZED_PNL: Types("DELIVERY", "DELIVERY"),
    Kind.LIQUIDATION: Types("LIQUIDATION", "LIQUIDATION"),
    Kind.INTEREST: Types("INTEREST", "INTEREST"),
    Kind.CONVERSION: Types("CURRENCY_BUY", "CURRENCY_SELL"),
    Kind.ADJUSTMENT: Types("AUTO_DEDUCTION", "AUTO_DEDUCTION"),
}
FUTURES_CATEGORIES: Final = ("linear", "inverse", "option")
LINEAR: Final = "linear"
"""The category of futures flows of other providers. Other flows have no category."""


@lru_cache(1_000)
def kind_of(type_: str) -> Kind:
    return KINDS.get(type_) or next((kind for pattern, kind in KIND_PATTERNS if _matches(type_, pattern)), Kind.OTHER)


def _matches(text: str, pattern: str) -> bool:
    """Whether a text matches a pattern. The pattern is a part of the text; a `*` stands for any text before or after
    it."""
    part = pattern.strip("*")
    if pattern.startswith("*"):
        return part in text if pattern.endswith("*") else text.endswith(part)
    return text.startswith(part)


def category_of(category: str) -> Category:
    return Category.FUTURES if category in FUTURES_CATEGORIES else Category.OTHER


# ---------------------------------------------------------------- conditions: which flows are written with a value

_NOT_RECEIVED: Final = Term(f"{DETAIL_PREFIX}{TYPE}", (None,))


def has_type(type_: str) -> AnyOf:
    """The condition for flows that are written with this type."""
    any_of = [(Term(f"{DETAIL_PREFIX}{TYPE}", (type_,)),)]
    for side in (Direction.IN, Direction.OUT):
        kinds = tuple(kind.value for kind in Kind if TYPES.get(kind, OTHER_TYPES).of(side) == type_)
        any_of.append((_NOT_RECEIVED, Term(SIDE, (side.value,)), Term("kind", kinds)))  # type: ignore[arg-type]
    return tuple(any_of)


def has_category(category: str) -> AnyOf:
    """The condition for flows that are written with this category."""
    received = (Term(f"{DETAIL_PREFIX}bybit:category", (category,)),)
    if category != LINEAR:
        return (received,)
    return (received, (_NOT_RECEIVED, Term("category", (Category.FUTURES.value,))))
