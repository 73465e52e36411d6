"""A shop's account on a day: receipts, fees, refunds, and what is withdrawn. Pure, given its chance.

No merchant ever owes: each event gives before it takes, and a closing withdrawal takes what is there.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from liushui.flow import Category, Direction, Flow, Kind
from liushui.simulate.random_draw import Draw, Event, exact, happenings, row
from liushui.simulate.role_profile import Habits, Pocket

IN, OUT = Direction.IN, Direction.OUT

MERCHANTS: Final = 2
CURRENCY: Final = "CNY"
RECEIPT_NOTES: Final = (None, "", "订金", "尾款", '门店自提 "3号店"', "會員續費 / VIP")
WITHDRAWAL_NOTE: Final = "提现至银行卡"
OTHER_NOTE: Final = "平台补贴"

SELLS_FOR_S: Final = 54_000
"""Seconds of the UTC day in which something is sold: from eight in the morning in China to eleven at night."""
REFUND_WITHIN_S: Final = 7_200
FEE_PER_MILLE: Final = 6


def day(draw: Draw, pockets: Sequence[Pocket], count: int) -> list[Flow]:
    return happenings(draw, pockets, count, events=EVENTS, one_row=ONE_ROW)


# ---------------------------------------------------------------- what happens


class Sale:
    """A receipt, and what may follow from it."""

    def __init__(self, draw: Draw, pockets: Sequence[Pocket]) -> None:
        self.pocket = draw.one_of(pockets)
        self.second = draw.below(SELLS_FOR_S)
        self.units = 1 + draw.below((500, 30_000, 800_000)[draw.below(3)])
        self._draw = draw
        self._order, self._ref = draw.digits(18), draw.digits(17)
        self._note = draw.one_of(RECEIPT_NOTES)

    @property
    def fee_units(self) -> int:
        """The fee in fen, rounded up."""
        return -(-self.units * FEE_PER_MILLE // 1000)

    def receipt(self) -> Flow:
        return self._row(0, self.units, IN, Kind.RECEIPT, self._ref)

    def fee(self) -> Flow:
        """In the same second, under the receipt's own number."""
        return self._row(0, -self.fee_units, OUT, Kind.FEE, self._ref)

    def refund(self, units: int, lag_s: int) -> Flow:
        """A refund, or with units above zero one that is taken back."""
        return self._row(lag_s, units, IN if units > 0 else OUT, Kind.REFUND, self._draw.digits(17))

    def _row(self, lag_s: int, units: int, side: Direction, kind: Kind, ref: str) -> Flow:
        return row(
            self._draw.at(self.second + lag_s), exact(units, 2), CURRENCY, side, kind, Category.CASH, None, self._note,
            subaccount=self.pocket.subaccount,
            ref=ref,
            order_ref=self._order,
        )  # fmt: skip


def sale(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """A receipt on which no fee is taken."""
    return [Sale(draw, pockets).receipt()]


def charged_sale(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """A receipt and its fee."""
    sold = Sale(draw, pockets)
    return [sold.receipt(), sold.fee()]


def refunded_sale(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """A receipt, its fee, and within two hours a refund of all that is left of it, or of a part."""
    sold = Sale(draw, pockets)
    left = sold.units - sold.fee_units
    if not left:
        return [sold.receipt(), sold.fee()]
    units = left if draw.one_in(2) else 1 + draw.below(left)
    return [sold.receipt(), sold.fee(), sold.refund(-units, 1 + draw.below(REFUND_WITHIN_S))]


def refund_taken_back(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """A receipt, its refund, and the refund back in, for the customer could not be paid."""
    sold = Sale(draw, pockets)
    lag_s = 1 + draw.below(REFUND_WITHIN_S)
    return [sold.receipt(), sold.refund(-sold.units, lag_s), sold.refund(sold.units, lag_s + draw.below(600))]


def other(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """What the platform pays."""
    units = 1 + draw.below(5_000)
    return [_put(draw.at(draw.below(SELLS_FOR_S)), draw.one_of(pockets), Kind.OTHER, exact(units, 2), OTHER_NOTE)]


EVENTS: Final[tuple[Event[Sequence[Pocket]], ...]] = (
    *(6 * [sale] + 10 * [charged_sale] + 3 * [refunded_sale] + 1 * [refund_taken_back] + 1 * [other]),
)
ONE_ROW: Final[tuple[Event[Sequence[Pocket]], ...]] = (sale, sale, sale, other)


def _put(at: datetime, pocket: Pocket, kind: Kind, amount: Decimal, note: str) -> Flow:
    side = OUT if kind is Kind.WITHDRAWAL else IN
    return row(at, amount, CURRENCY, side, kind, Category.CASH, None, note, subaccount=pocket.subaccount)


# ---------------------------------------------------------------- what an account begins with and comes back to


def pockets_of(draw: Draw) -> tuple[Pocket, ...]:
    """Two merchants, each with a number of its own."""
    return tuple(Pocket(f"16{number}{draw.digits(7)}", CURRENCY) for number in range(MERCHANTS))


def idle(draw: Draw, pocket: Pocket) -> Flow:
    return _put(draw.at(draw.below(SELLS_FOR_S)), pocket, Kind.OTHER, exact(0, 2), "")


def closing(at: datetime, pocket: Pocket, amount: Decimal) -> Flow:
    """All that is there is withdrawn."""
    return _put(at, pocket, Kind.WITHDRAWAL, amount, WITHDRAWAL_NOTE)


def moved(at: datetime, pocket: Pocket, amount: Decimal, note: str) -> Flow:
    """A withdrawal that goes to another account of the owner."""
    return _put(at, pocket, Kind.WITHDRAWAL, amount, note)


SHOP: Final = Habits(
    rhythm=(*5 * ((40, 41),), (60, 61), (60, 61)),
    pockets=pockets_of,
    opening=None,
    day=day,
    idle=idle,
    closing=closing,
    closes_s=82_800,
    moved=moved,
    words={
        "category": frozenset((Category.CASH,)),
        "kind": frozenset((Kind.RECEIPT, Kind.REFUND, Kind.FEE, Kind.WITHDRAWAL, Kind.OTHER)),
        "symbol": frozenset((None,)),
        "label": frozenset(("",)),
    },
)
