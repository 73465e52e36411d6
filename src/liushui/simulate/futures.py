"""A futures account: profits and losses, fees, funding every eight hours and liquidations, to the millisecond. Pure.

The oddities are intentional, because real services have them: one record id on rows of several kinds, ids equal to the
time, several rows in one millisecond, rows that are equal in every field.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import to_us
from liushui.simulate.random_draw import LAST_EVENT_S, Draw, Event, decimal_of, draw_events, new_flow
from liushui.simulate.role_profile import RoleProfile, Wallet

COIN: Final = "USDT"
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "BNBUSDT", "1000PEPEUSDT", "LTCUSDT")
PLACES: Final = 8

FUNDED_EVERY_S: Final = 8 * 3600
FUNDINGS_A_DAY: Final = 3
TIME_IS_ID_ONE_IN: Final = 8
"""One record in this number has its time in milliseconds as its id."""

LAST_EVENT_MS: Final = 1000 * LAST_EVENT_S


def day(draw: Draw, wallets: Sequence[Wallet], count: int) -> list[list[Flow]]:
    return draw_events(draw, wallets, count, events=EVENTS, single_row_events=SINGLE_ROW_EVENTS)


# ---------------------------------------------------------------- events


def opened(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """Opening a position: only its fee."""
    at = any_time(draw)
    return [fee(draw, at, draw.one_of(wallets), draw.one_of(SYMBOLS), record(draw, at))]


def closed(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """Closing a position: its profit or loss and its fee, in one millisecond and with one record id."""
    at, wallet, symbol = any_time(draw), draw.one_of(wallets), draw.one_of(SYMBOLS)
    ref = record(draw, at)
    result = draw.below(40_000_000_000) - 19_500_000_000
    return [paid(at, wallet, symbol, Kind.REALIZED_PNL, result, ref), fee(draw, at, wallet, symbol, ref)]


def funding(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """Funding of up to three positions, at one of the day's three funding times."""
    at = draw.at(FUNDED_EVERY_S * draw.below(FUNDINGS_A_DAY))
    wallet, first = draw.one_of(wallets), draw.below(len(SYMBOLS))
    return [
        paid(
            at,
            wallet,
            SYMBOLS[(first + position) % len(SYMBOLS)],
            Kind.FUNDING,
            draw.below(600_000_000) - 350_000_000,
            record(draw, at),
        )
        for position in range(1 + draw.below(3))
    ]


def one_funding(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """Funding of one position."""
    return funding(draw, wallets)[:1]


def liquidation(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """A liquidation: the loss, the clearance and the fee, in one millisecond."""
    at, wallet, symbol = any_time(draw), draw.one_of(wallets), draw.one_of(SYMBOLS)
    ref = record(draw, at)
    return [
        paid(at, wallet, symbol, Kind.REALIZED_PNL, -1 - draw.below(90_000_000_000), ref),
        paid(at, wallet, symbol, Kind.LIQUIDATION, -1 - draw.below(3_000_000_000), ref),
        fee(draw, at, wallet, symbol, ref),
    ]


def transfer(draw: Draw, wallets: Sequence[Wallet]) -> list[Flow]:
    """A transfer from or to the spot account."""
    at = any_time(draw)
    units = 10 ** (PLACES - 2) * (draw.below(200_001) - 100_000)
    return [paid(at, draw.one_of(wallets), "", Kind.TRANSFER, units, record(draw, at))]


EVENTS: Final[tuple[Event[Sequence[Wallet]], ...]] = (
    *(6 * [opened] + 8 * [closed] + 5 * [funding] + 1 * [transfer] + 1 * [liquidation]),
)
SINGLE_ROW_EVENTS: Final[tuple[Event[Sequence[Wallet]], ...]] = (opened, one_funding, transfer)


# ---------------------------------------------------------------- rows


def any_time(draw: Draw) -> datetime:
    return draw.at_ms(draw.below(LAST_EVENT_MS))


def record(draw: Draw, at: datetime) -> str:
    """A record id. It does not identify a record, because some ids are the time."""
    return time_id(at) if draw.one_in(TIME_IS_ID_ONE_IN) else draw.digits(15)


def time_id(at: datetime) -> str:
    """The time in Unix milliseconds, as text."""
    return str(to_us(at) // 1000)


def fee(draw: Draw, at: datetime, wallet: Wallet, symbol: str, ref: str) -> Flow:
    return paid(at, wallet, symbol, Kind.FEE, -1 - draw.below(400_000_000), ref)


def paid(at: datetime, wallet: Wallet, symbol: str, kind: Kind, units: int, ref: str) -> Flow:
    """A row of `units` of 0.00000001. On the wire, only the sign gives the direction."""
    return put(at, wallet, symbol, kind, decimal_of(units, PLACES), ref)


def put(at: datetime, wallet: Wallet, symbol: str, kind: Kind, amount: Decimal, ref: str) -> Flow:
    return new_flow(
        at, amount, wallet.currency, Direction.NONE, kind, Category.FUTURES, symbol, None,
        subaccount=wallet.subaccount,
        ref=ref,
    )  # fmt: skip


# ---------------------------------------------------------------- wallets: opening, idle, closing and transfer rows


def wallets_of(_draw: Draw) -> tuple[Wallet, ...]:
    return (Wallet("futures", COIN), Wallet("copy_trading", COIN))


def opening(draw: Draw, wallet: Wallet) -> Flow:
    at = draw.at(0)
    return paid(at, wallet, "", Kind.TRANSFER, (5_000 + 100 * draw.below(200)) * 10**PLACES, record(draw, at))


def idle(draw: Draw, wallet: Wallet) -> Flow:
    return paid(draw.at(0), wallet, draw.one_of(SYMBOLS), Kind.FUNDING, 0, record(draw, draw.at(0)))


def closing(at: datetime, wallet: Wallet, amount: Decimal) -> Flow:
    """A transfer to or from the spot account."""
    return put(at, wallet, "", Kind.TRANSFER, amount, time_id(at))


def moved(at: datetime, wallet: Wallet, amount: Decimal, _note: str) -> Flow:
    """The wire has no field for the note."""
    return put(at, wallet, "", Kind.TRANSFER, amount.quantize(decimal_of(1, PLACES)), time_id(at))


FUTURES: Final = RoleProfile(
    weekday_weights=7 * ((50, 51),),
    wallets=wallets_of,
    opening=opening,
    day=day,
    idle=idle,
    closing=closing,
    closes_s=86_390,
    moved=moved,
    field_values={
        "category": frozenset((Category.FUTURES,)),
        "kind": frozenset((Kind.TRANSFER, Kind.REALIZED_PNL, Kind.FUNDING, Kind.FEE, Kind.LIQUIDATION)),
        "symbol": frozenset(("", *SYMBOLS)),
        "label": frozenset(("",)),
    },
)
