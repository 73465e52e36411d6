"""A shop's account: receipts, fees, refunds and withdrawals. Pure.

A merchant's balance is never negative. Each event adds money before it takes any, and a closing withdrawal takes the
balance.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from liushui.flow import Category, Direction, Flow, Kind
from liushui.simulate.random_draw import Draw, Event, decimal_of, draw_events, new_flow
from liushui.simulate.role_profile import RoleProfile, Wallet

IN, OUT = Direction.IN, Direction.OUT

MERCHANTS: Final = 2
CURRENCY: Final = "CNY"
RECEIPT_NOTES: Final = (None, "", "订金", "尾款", '门店自提 "3号店"', "會員續費 / VIP")
WITHDRAWAL_NOTE: Final = "提现至银行卡"
OTHER_NOTE: Final = "平台补贴"

SELLS_FOR_S: Final = 54_000
"""The number of seconds from the beginning of the UTC day in which there are sales: 08:00 to 23:00 in China."""
REFUND_WITHIN_S: Final = 7_200
FEE_PER_MILLE: Final = 6


def day(draw: Draw, wallets: Sequence[Wallet], count: int) -> list[list[Flow]]:
    return draw_events(draw, wallets, count, events=EVENTS, single_row_events=SINGLE_ROW_EVENTS)


# ---------------------------------------------------------------- events


class Sale:
    """A receipt, and its fee and refunds, if there are any."""

    def __init__(self, draw: Draw, wallets: Sequence[Wallet]) -> None:
        self.wallet = draw.one_of(wallets)
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
        """The fee, in the same second and with the same number as the receipt."""
        return self._row(0, -self.fee_units, OUT, Kind.FEE, self._ref)

    def refund(self, units: int, lag_s: int) -> Flow:
        """A refund. Positive units mean a refund that comes back."""
        return self._row(lag_s, units, IN if units > 0 else OUT, Kind.REFUND, self._draw.digits(17))

    def _row(self, lag_s: int, units: int, side: Direction, kind: Kind, ref: str) -> Flow:
        return new_flow(
            self._draw.at(self.second + lag_s), decimal_of(units, 2), CURRENCY, side, kind, Category.CASH, None,
            self._note,
            subaccount=self.wallet.subaccount,
            ref=ref,
            order_ref=self._order,
        )  # fmt: skip


def sale(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """A receipt without a fee."""
    return [Sale(draw, wallets).receipt()]


def charged_sale(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """A receipt with its fee."""
    sold = Sale(draw, wallets)
    return [sold.receipt(), sold.fee()]


def refunded_sale(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """A receipt, its fee, and refunds within two hours: of a part, or of all that is left."""
    sold = Sale(draw, wallets)
    left = sold.units - sold.fee_units
    if not left:
        return [sold.receipt(), sold.fee()]
    units = left if draw.one_in(2) else 1 + draw.below(left)
    return [sold.receipt(), sold.fee(), sold.refund(-units, 1 + draw.below(REFUND_WITHIN_S))]


def refund_taken_back(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """A receipt, its refund, and the refund coming back because the customer could not be paid."""
    sold = Sale(draw, wallets)
    lag_s = 1 + draw.below(REFUND_WITHIN_S)
    return [sold.receipt(), sold.refund(-sold.units, lag_s), sold.refund(sold.units, lag_s + draw.below(600))]


def other(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """A payment by the platform itself."""
    units = 1 + draw.below(5_000)
    return [_put(draw.at(draw.below(SELLS_FOR_S)), draw.one_of(wallets), Kind.OTHER, decimal_of(units, 2), OTHER_NOTE)]


EVENTS: Final[tuple[Event[Sequence[Wallet]], ...]] = (
    *(6 * [sale] + 10 * [charged_sale] + 3 * [refunded_sale] + 1 * [refund_taken_back] + 1 * [other]),
)
SINGLE_ROW_EVENTS: Final[tuple[Event[Sequence[Wallet]], ...]] = (sale, sale, sale, other)


def _put(at: datetime, wallet: Wallet, kind: Kind, amount: Decimal, note: str) -> Flow:
    side = OUT if kind is Kind.WITHDRAWAL else IN
    return new_flow(at, amount, CURRENCY, side, kind, Category.CASH, None, note, subaccount=wallet.subaccount)


# ---------------------------------------------------------------- wallets: opening, idle, closing and transfer rows


def wallets_of(draw: Draw) -> tuple[Wallet, ...]:
    """Two merchants, each with its own number."""
    return tuple(Wallet(f"16{number}{draw.digits(7)}", CURRENCY) for number in range(MERCHANTS))


def idle(draw: Draw, wallet: Wallet) -> Flow:
    return _put(draw.at(draw.below(SELLS_FOR_S)), wallet, Kind.OTHER, decimal_of(0, 2), "")


def closing(at: datetime, wallet: Wallet, amount: Decimal) -> Flow:
    """A withdrawal of the whole balance."""
    return _put(at, wallet, Kind.WITHDRAWAL, amount, WITHDRAWAL_NOTE)


def moved(at: datetime, wallet: Wallet, amount: Decimal, note: str) -> Flow:
    """A withdrawal to another account of the owner."""
    return _put(at, wallet, Kind.WITHDRAWAL, amount, note)


SHOP: Final = RoleProfile(
    weekday_weights=(*5 * ((40, 41),), (60, 61), (60, 61)),
    wallets=wallets_of,
    opening=None,
    day=day,
    idle=idle,
    closing=closing,
    closes_s=82_800,
    moved=moved,
    field_values={
        "category": frozenset((Category.CASH,)),
        "kind": frozenset((Kind.RECEIPT, Kind.REFUND, Kind.FEE, Kind.WITHDRAWAL, Kind.OTHER)),
        "symbol": frozenset((None,)),
        "label": frozenset(("",)),
    },
)
