"""A futures account on a day: positions closed, fees, funding every eight hours, liquidations, to the millisecond.

The oddities are meant here too: one record id on rows of several kinds, ids that are the time itself, several rows in
one millisecond, rows equal in every field.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import to_us
from liushui.simulate.random_draw import LAST_EVENT_S, Draw, Event, exact, happenings, row
from liushui.simulate.role_profile import Habits, Pocket

COIN: Final = "USDT"
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "BNBUSDT", "1000PEPEUSDT", "LTCUSDT")
PLACES: Final = 8

FUNDED_EVERY_S: Final = 8 * 3600
FUNDINGS_A_DAY: Final = 3
TIME_IS_ID_ONE_IN: Final = 8
"""Of so many records one is numbered by the millisecond it happened in."""

LAST_EVENT_MS: Final = 1000 * LAST_EVENT_S


def day(draw: Draw, pockets: Sequence[Pocket], count: int) -> list[Flow]:
    return happenings(draw, pockets, count, events=EVENTS, one_row=ONE_ROW)


# ---------------------------------------------------------------- what happens


def opened(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """A position is opened: nothing but its fee."""
    at = any_time(draw)
    return [fee(draw, at, draw.one_of(pockets), draw.one_of(SYMBOLS), record(draw, at))]


def closed(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """A position is closed: what it won or lost and its fee, in one millisecond and under one record id."""
    at, pocket, symbol = any_time(draw), draw.one_of(pockets), draw.one_of(SYMBOLS)
    ref = record(draw, at)
    result = draw.below(40_000_000_000) - 19_500_000_000
    return [paid(at, pocket, symbol, Kind.REALIZED_PNL, result, ref), fee(draw, at, pocket, symbol, ref)]


def funding(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """The funding of up to three positions, at one of the day's three instants."""
    at = draw.at(FUNDED_EVERY_S * draw.below(FUNDINGS_A_DAY))
    pocket, first = draw.one_of(pockets), draw.below(len(SYMBOLS))
    return [
        paid(
            at,
            pocket,
            SYMBOLS[(first + position) % len(SYMBOLS)],
            Kind.FUNDING,
            draw.below(600_000_000) - 350_000_000,
            record(draw, at),
        )
        for position in range(1 + draw.below(3))
    ]


def one_funding(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """The funding of one position."""
    return funding(draw, pockets)[:1]


def liquidation(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """A position is taken away: its loss, the clearance, and the fee, in one millisecond."""
    at, pocket, symbol = any_time(draw), draw.one_of(pockets), draw.one_of(SYMBOLS)
    ref = record(draw, at)
    return [
        paid(at, pocket, symbol, Kind.REALIZED_PNL, -1 - draw.below(90_000_000_000), ref),
        paid(at, pocket, symbol, Kind.LIQUIDATION, -1 - draw.below(3_000_000_000), ref),
        fee(draw, at, pocket, symbol, ref),
    ]


def transfer(draw: Draw, pockets: Sequence[Pocket]) -> list[Flow]:
    """Money from or to the spot account."""
    at = any_time(draw)
    units = 10 ** (PLACES - 2) * (draw.below(200_001) - 100_000)
    return [paid(at, draw.one_of(pockets), "", Kind.TRANSFER, units, record(draw, at))]


EVENTS: Final[tuple[Event[Sequence[Pocket]], ...]] = (
    *(6 * [opened] + 8 * [closed] + 5 * [funding] + 1 * [transfer] + 1 * [liquidation]),
)
ONE_ROW: Final[tuple[Event[Sequence[Pocket]], ...]] = (opened, one_funding, transfer)


# ---------------------------------------------------------------- how it is put


def any_time(draw: Draw) -> datetime:
    return draw.at_ms(draw.below(LAST_EVENT_MS))


def record(draw: Draw, at: datetime) -> str:
    """A record's id, which does not identify: some are the time."""
    return time_id(at) if draw.one_in(TIME_IS_ID_ONE_IN) else draw.digits(15)


def time_id(at: datetime) -> str:
    """The time in Unix milliseconds, as text."""
    return str(to_us(at) // 1000)


def fee(draw: Draw, at: datetime, pocket: Pocket, symbol: str, ref: str) -> Flow:
    return paid(at, pocket, symbol, Kind.FEE, -1 - draw.below(400_000_000), ref)


def paid(at: datetime, pocket: Pocket, symbol: str, kind: Kind, units: int, ref: str) -> Flow:
    """A row of so many units of 0.00000001. The wire names no side but the sign."""
    return put(at, pocket, symbol, kind, exact(units, PLACES), ref)


def put(at: datetime, pocket: Pocket, symbol: str, kind: Kind, amount: Decimal, ref: str) -> Flow:
    return row(
        at, amount, pocket.currency, Direction.NONE, kind, Category.FUTURES, symbol, None,
        subaccount=pocket.subaccount,
        ref=ref,
    )  # fmt: skip


# ---------------------------------------------------------------- what an account begins with and comes back to


def pockets_of(_draw: Draw) -> tuple[Pocket, ...]:
    return (Pocket("futures", COIN), Pocket("copy_trading", COIN))


def opening(draw: Draw, pocket: Pocket) -> Flow:
    at = draw.at(0)
    return paid(at, pocket, "", Kind.TRANSFER, (5_000 + 100 * draw.below(200)) * 10**PLACES, record(draw, at))


def idle(draw: Draw, pocket: Pocket) -> Flow:
    return paid(draw.at(0), pocket, draw.one_of(SYMBOLS), Kind.FUNDING, 0, record(draw, draw.at(0)))


def closing(at: datetime, pocket: Pocket, amount: Decimal) -> Flow:
    """What is too much goes to the spot account, what is missing comes from there."""
    return put(at, pocket, "", Kind.TRANSFER, amount, time_id(at))


def moved(at: datetime, pocket: Pocket, amount: Decimal, _note: str) -> Flow:
    """The wire has no words for a note."""
    return put(at, pocket, "", Kind.TRANSFER, amount.quantize(exact(1, PLACES)), time_id(at))


FUTURES: Final = Habits(
    rhythm=7 * ((50, 51),),
    pockets=pockets_of,
    opening=opening,
    day=day,
    idle=idle,
    closing=closing,
    closes_s=86_390,
    moved=moved,
    words={
        "category": frozenset((Category.FUTURES,)),
        "kind": frozenset((Kind.TRANSFER, Kind.REALIZED_PNL, Kind.FUNDING, Kind.FEE, Kind.LIQUIDATION)),
        "symbol": frozenset(("", *SYMBOLS)),
        "label": frozenset(("",)),
    },
)
