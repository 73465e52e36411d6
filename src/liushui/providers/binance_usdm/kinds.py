"""The meaning of Binance's income types, and the types that flows of other providers get."""

from collections.abc import Mapping
from typing import Final

from liushui.conditions import DETAIL_PREFIX, AnyOf, Term
from liushui.flow import Kind

TYPE: Final = "binance_usdm:incomeType"
"""Key in Flow.detail for the type of a row. Only received rows have it."""

KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(
        (
            *("TRANSFER", "INTERNAL_TRANSFER", "CROSS_COLLATERAL_TRANSFER", "STRATEGY_UMFUTURES_TRANSFER"),
            *("COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW"),
        ),
        Kind.TRANSFER,
    ),
    **dict.fromkeys(("REALIZED_PNL", "OPTIONS_SETTLE_PROFIT", "DELIVERED_SETTELMENT"), Kind.REALIZED_PNL),
    **dict.fromkeys(("FUNDING_FEE", "SPECIAL_FUNDING_FEE"), Kind.FUNDING),
    **dict.fromkeys(("COMMISSION", "OPTIONS_PREMIUM_FEE", "POSITION_LIMIT_INCREASE_FEE"), Kind.FEE),
    **dict.fromkeys(("COMMISSION_REBATE", "REFERRAL_KICKBACK", "API_REBATE", "FEE_RETURN"), Kind.REBATE),
    "INSURANCE_CLEAR": Kind.LIQUIDATION,
    "AUTO_EXCHANGE": Kind.CONVERSION,
    "BFUSD_REWARD": Kind.INTEREST,
}
"""The kind of each income type. Every other type is OTHER, because the list is open."""

_TYPES: Final[Mapping[Kind, str]] = {
    **{kind: type_ for type_, kind in reversed(list(KINDS.items()))},
    Kind.DEPOSIT: "TRANSFER",
    Kind.WITHDRAWAL: "TRANSFER",
}


def kind_of(type_: str) -> Kind:
    return KINDS.get(type_, Kind.OTHER)


def type_for(kind: Kind) -> str:
    """Return the income type for a flow of another provider: the first type of its kind, or the kind in capitals."""
    return _TYPES.get(kind, kind.value.upper())


def has_type(type_: str) -> AnyOf:
    """The condition for flows that are written with this income type."""
    kinds = tuple(kind.value for kind in Kind if type_for(kind) == type_)
    received = f"{DETAIL_PREFIX}{TYPE}"
    return ((Term(received, (type_,)),), (Term(received, (None,)), Term("kind", kinds)))
