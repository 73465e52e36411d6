"""An account at an exchange with one balance for each coin: futures in USDT, and sometimes a spot trade. Pure.

The events are those of a futures account. But the account has no subaccounts, each row has its own number, and a row
names its order by the order's number. A spot trade has two rows, one for each coin.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from liushui.flow import Category, Flow, Kind
from liushui.simulate import futures
from liushui.simulate.futures import COIN, FUTURES, PLACES
from liushui.simulate.random_draw import Draw, Event, decimal_of, draw_events
from liushui.simulate.role_profile import Wallet

SPOT_COIN: Final = "BTC"
SPOT_SYMBOL: Final = "BTCUSDT"
MARGIN_WALLET: Final = Wallet("", COIN)
SPOT_WALLET: Final = Wallet("", SPOT_COIN)


def day(draw: Draw, wallets: Sequence[Wallet], count: int) -> list[list[Flow]]:
    return draw_events(draw, wallets, count, events=EVENTS, single_row_events=SINGLE_ROW_EVENTS)


def wallets_of(_draw: Draw) -> tuple[Wallet, ...]:
    return (MARGIN_WALLET, SPOT_WALLET)


# ---------------------------------------------------------------- events


def numbered(flow: Flow) -> Flow:
    """Return the flow with its record number, which serves as the number of an order. The statement numbers the rows
    later."""
    return flow._replace(ref=None, order_ref=flow.ref or None)


def in_margin(event: Event[Sequence[Wallet]]) -> Event[Sequence[Wallet]]:
    """Convert the event to the coin in which futures are settled."""

    def happen(draw: Draw, _wallets: Sequence[Wallet]) -> list[Flow]:
        return [numbered(flow) for flow in event(draw, (MARGIN_WALLET,))]

    return happen


def spot_trade(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """A purchase or sale of a coin: two rows of one order, in one millisecond."""
    if SPOT_WALLET not in wallets:
        return opened(draw, wallets)
    at, order = futures.any_time(draw), draw.digits(15)
    units = 1 + draw.below(2_000_000)
    price = 20_000 + draw.below(60_000)
    side = 1 if draw.one_in(2) else -1
    return [
        traded(at, SPOT_WALLET, side * units, order, price),
        traded(at, MARGIN_WALLET, -side * units * price, order, price),
    ]


def traded(at: datetime, wallet: Wallet, units: int, order: str, price: int) -> Flow:
    """One row of a spot trade: `units` of 0.00000001."""
    flow = futures.paid(at, wallet, SPOT_SYMBOL, Kind.TRADE, units, order)
    return numbered(flow)._replace(category=Category.OTHER, price=Decimal(price))


opened, closed, funding, one_funding, liquidation, transfer = map(
    in_margin,
    (futures.opened, futures.closed, futures.funding, futures.one_funding, futures.liquidation, futures.transfer),
)

EVENTS: Final[tuple[Event[Sequence[Wallet]], ...]] = (
    *(6 * [opened] + 8 * [closed] + 5 * [funding] + 2 * [spot_trade] + 1 * [transfer] + 1 * [liquidation]),
)
SINGLE_ROW_EVENTS: Final[tuple[Event[Sequence[Wallet]], ...]] = (opened, one_funding, transfer)


# ---------------------------------------------------------------- opening, idle, closing and transfer rows


def opening(draw: Draw, wallet: Wallet) -> Flow:
    coins = 5_000 + 100 * draw.below(200) if wallet.currency == COIN else 1 + draw.below(5)
    return numbered(futures.paid(draw.at(0), wallet, "", Kind.TRANSFER, coins * 10**PLACES, ""))


def idle(draw: Draw, wallet: Wallet) -> Flow:
    return numbered(futures.paid(draw.at(0), wallet, draw.one_of(futures.SYMBOLS), Kind.FUNDING, 0, ""))


def closing(at: datetime, wallet: Wallet, amount: Decimal) -> Flow:
    """A transfer to or from the funding account."""
    return numbered(futures.put(at, wallet, "", Kind.TRANSFER, amount, ""))


def moved(at: datetime, wallet: Wallet, amount: Decimal, note: str) -> Flow:
    return closing(at, wallet, amount.quantize(decimal_of(1, PLACES)))._replace(note=note)


EXCHANGE: Final = replace(
    FUTURES,
    wallets=wallets_of,
    opening=opening,
    day=day,
    idle=idle,
    closing=closing,
    moved=moved,
    field_values={
        **FUTURES.field_values,
        "category": frozenset((Category.FUTURES, Category.OTHER)),
        "kind": FUTURES.field_values["kind"] | {Kind.TRADE},
    },
)
