"""The meaning of the codes in OKX's bills, and the codes that flows of other providers get."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from liushui.conditions import DETAIL_PREFIX, SIDE, AnyOf, Term
from liushui.flow import Category, Direction, Kind

TYPE: Final = "okx:type"
SUB_TYPE: Final = "okx:subType"
"""Keys in Flow.detail for the codes of a received row. Only received rows have TYPE."""

SUBTYPE_WORDS: Final[Mapping[str, str]] = {
    "1": "Buy",
    "2": "Sell",
    "3": "Open long",
    "4": "Open short",
    "5": "Close long",
    "6": "Close short",
    "9": "Interest deduction for Market loans",
    "11": "Transfer in",
    "12": "Transfer out",
    "14": "Interest deduction for VIP loans",
    "16": "Repay forcibly",
    "17": "Repay interest by borrowing forcibly",
    "100": "Partial liquidation close long",
    "101": "Partial liquidation close short",
    "102": "Partial liquidation buy",
    "103": "Partial liquidation sell",
    "104": "Liquidation long",
    "105": "Liquidation short",
    "106": "Liquidation buy",
    "107": "Liquidation sell",
    "108": "Clawback",
    "110": "Liquidation transfer in",
    "111": "Liquidation transfer out",
    "112": "Delivery long",
    "113": "Delivery short",
    "114": "Forced repayment buy",
    "115": "Forced repayment sell",
    "117": "Delivery/Exercise clawback",
    "118": "System token conversion transfer in",
    "119": "System token conversion transfer out",
    "125": "ADL close long",
    "126": "ADL close short",
    "127": "ADL buy",
    "128": "ADL sell",
    "131": "ddh buy",
    "132": "ddh sell",
    "160": "Manual margin increase",
    "161": "Manual margin decrease",
    "162": "Auto margin increase",
    "170": "Exercised",
    "171": "Counterparty exercised",
    "172": "Expired OTM",
    "173": "Funding fee expense",
    "174": "Funding fee income",
    "200": "System transfer in",
    "201": "Manually transfer in",
    "202": "System transfer out",
    "203": "Manually transfer out",
    "204": "block trade buy",
    "205": "block trade sell",
    "206": "block trade open long",
    "207": "block trade open short",
    "208": "block trade close long",
    "209": "block trade close short",
    "210": "Manual Borrowing of quick margin",
    "211": "Manual Repayment of quick margin",
    "212": "Auto borrow of quick margin",
    "213": "Auto repay of quick margin",
    "220": "Transfer in when using USDT to buy OPTION",
    "221": "Transfer out when using USDT to buy OPTION",
    "224": "Repayment transfer in",
    "225": "Repayment transfer out",
    "236": "Easy convert in",
    "237": "Easy convert out",
    "250": "Profit sharing expenses",
    "251": "Profit sharing refund",
    "280": "SPOT profit sharing expenses",
    "281": "SPOT profit sharing refund",
}
"""The document's words for each subType. The list is open: an unknown code is shown as it is."""

KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(("1", "6", "12"), Kind.TRANSFER),
    **dict.fromkeys(("2", "13", "14", "24", "30", "32"), Kind.TRADE),
    **dict.fromkeys(("3", "34"), Kind.REALIZED_PNL),
    **dict.fromkeys(("4", "5", "9", "10"), Kind.LIQUIDATION),
    "7": Kind.INTEREST,
    "8": Kind.FUNDING,
    **dict.fromkeys(("11", "27", "28", "29"), Kind.CONVERSION),
    "250": Kind.FEE,
    "251": Kind.REFUND,
}
"""The kind of each type. Unknown types are OTHER."""
SUBTYPE_KINDS: Final[Mapping[str, Kind]] = {"381": Kind.INTEREST}
"""The kinds of some subTypes. They apply to every type."""


class Codes(NamedTuple):
    """The codes that flows of other providers get: the type, and the subType by side."""

    type: str
    incoming: str
    outgoing: str

    def sub_type(self, side: Direction) -> str:
        return self.outgoing if side is Direction.OUT else self.incoming


_TRANSFER: Final = Codes("1", "11", "12")
OTHER_CODES: Final = Codes("0", "0", "0")
"""Codes that OKX does not have."""
CODES: Final[Mapping[Kind, Codes]] = {
    Kind.TRANSFER: _TRANSFER,
    Kind.DEPOSIT: _TRANSFER,
    Kind.WITHDRAWAL: _TRANSFER,
    Kind.TRADE: Codes("2", "1", "2"),
    Kind.REALIZED_PNL: Codes("3", "112", "113"),
    Kind.LIQUIDATION: Codes("5", "104", "105"),
    Kind.INTEREST: Codes("7", "9", "9"),
    Kind.FUNDING: Codes("8", "174", "173"),
    Kind.CONVERSION: Codes("11", "118", "119"),
    Kind.FEE: Codes("250", "250", "250"),
    Kind.REFUND: Codes("251", "251", "251"),
}
FUTURES_INST_TYPE: Final = "SWAP"
"""The instType of futures flows of other providers. Other flows have no instType."""


def kind_of(type_: str, sub_type: str) -> Kind:
    return SUBTYPE_KINDS.get(sub_type) or KINDS.get(type_, Kind.OTHER)


def label_of(sub_type: str) -> str:
    return SUBTYPE_WORDS.get(sub_type, sub_type)


def category_of(inst_type: str) -> Category:
    return Category.FUTURES if inst_type in ("SWAP", "FUTURES", "OPTION") else Category.OTHER


# ---------------------------------------------------------------- conditions: which flows are written with a code

_NOT_RECEIVED: Final = Term(f"{DETAIL_PREFIX}{TYPE}", (None,))


def has_type(code: str) -> AnyOf:
    """The condition for flows that are written with this type."""
    kinds = tuple(kind.value for kind in Kind if CODES.get(kind, OTHER_CODES).type == code)
    return ((Term(f"{DETAIL_PREFIX}{TYPE}", (code,)),), (_NOT_RECEIVED, Term("kind", kinds)))


def has_sub_type(code: str) -> AnyOf:
    """The condition for flows that are written with this subType."""
    any_of = [(Term(f"{DETAIL_PREFIX}{SUB_TYPE}", (code,)),)]
    for side in (Direction.IN, Direction.OUT):
        kinds = tuple(kind.value for kind in Kind if CODES.get(kind, OTHER_CODES).sub_type(side) == code)
        any_of.append((_NOT_RECEIVED, Term(SIDE, (side.value,)), Term("kind", kinds)))  # type: ignore[arg-type]
    return tuple(any_of)


def has_inst_type(*codes: str) -> AnyOf:
    """The condition for flows that are written with one of these instrument types."""
    received = (Term(f"{DETAIL_PREFIX}okx:instType", codes),)
    if FUTURES_INST_TYPE not in codes:
        return (received,)
    return (received, (_NOT_RECEIVED, Term("category", (Category.FUTURES.value,))))
