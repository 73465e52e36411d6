"""What happens on a day: events of one to three rows, as an account's statement tells them. Pure, given its chance.

The oddities are those of real wires and are meant: rows equal in every field, a direction that contradicts the sign,
a symbol that is missing or empty, amounts of zero, trailing zeros, an empty description, a category with no code.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from random import Random

from liushui.flow import Category, Direction, Flow, Kind
from liushui.money import EXACT
from liushui.simulate import market
from liushui.simulate.market import LISTINGS, Listing

IN, OUT = Direction.IN, Direction.OUT
CASH, STOCK, FUND, OTHER = Category.CASH, Category.STOCK, Category.FUND, Category.OTHER
CATEGORIES = frozenset((CASH, STOCK, FUND, OTHER))

TWINS_ONE_IN = 100
"""Of so many events one happens twice, in the same second and to the last letter, as two fills of one order do."""

SATURDAY = 5
LAST_EVENT_S = 86_340
"""An event begins by then, so that its last row falls on the same day."""

_by_time = attrgetter("at")


class Draw:
    """One day's chance and clock."""

    def __init__(self, random: Random, midnight: datetime) -> None:
        self._bits = random.getrandbits
        self._midnight = midnight

    def below(self, end: int) -> int:
        """A whole number from 0 to end - 1."""
        return self._bits(32) % end

    def one_in(self, chances: int) -> bool:
        return self._bits(32) % chances == 0

    def at(self, second: int) -> datetime:
        """The instant of that second of the day."""
        return self._midnight + timedelta(0, second)

    def any_second(self) -> int:
        return self._bits(32) % LAST_EVENT_S


Event = Callable[[Draw], list[Flow]]


def flows_of_day(random: Random, midnight: datetime, count: int, *, opening: bool) -> list[Flow]:
    """The `count` rows of a day, oldest first. `opening`: the account begins with a deposit."""
    draw = Draw(random, midnight)
    events = ON_TRADING_DAYS if midnight.weekday() < SATURDAY else ON_OTHER_DAYS
    flows = deposit(draw, second=0) if opening and count else []
    while (room := count - len(flows)) > 0:  # every event has at least one row
        happened = events[draw.below(len(events))](draw)
        if len(happened) > room:  # half a conversion would be no conversion
            happened = ONE_ROW[draw.below(len(ONE_ROW))](draw)
        flows += happened
        if draw.one_in(TWINS_ONE_IN) and 2 * len(happened) <= room:
            flows += happened
    flows.sort(key=_by_time)  # stable: what happens in one second keeps its order
    return flows


# ---------------------------------------------------------------- what happens


def trade(draw: Draw) -> list[Flow]:
    """A purchase or a sale, and the platform's fee in the same second or a few later."""
    listing = LISTINGS[draw.below(len(LISTINGS))]
    second = listing.hours.opens_s + draw.below(listing.hours.open_for_s)
    price, places = listing.price * (900 + draw.below(201)) // 1000, listing.places
    if places == 2 and draw.one_in(8):  # fractional shares, of 0.0001
        units, places = price * (1 + draw.below(90_000)), places + 4
    else:
        units = price * listing.lot * (1 + draw.below(20))
    buys = draw.one_in(2)
    at = draw.at(second)
    amount = exact(-units if buys else units, places)
    side = OUT if buys else IN
    filled = row(at, amount, listing.currency, side, Kind.TRADE, STOCK, listing.symbol, listing.name)
    lag_s = draw.below(4)
    return [filled, platform_fee(draw, draw.at(second + lag_s) if lag_s else at, listing)]


def platform_fee(draw: Draw, at: datetime, listing: Listing) -> Flow:
    """A fee; now and then one that is waived, and so zero, or given back, and so positive on the side OUT."""
    which = draw.below(40)
    units, places = 500 + 10 * draw.below(1500), 3
    if which == 0:
        amount, note = exact(units, places), "Platform Fee reversed"
    elif which <= 2:
        amount, note = exact(0, 2), "Platform Fee waived"
    else:
        amount, note = exact(-units, places), market.FEE_NOTES[which % len(market.FEE_NOTES)]
    symbol = "" if which == 3 else listing.symbol
    return row(at, amount, listing.currency, OUT, Kind.FEE, CASH, symbol, note)


def dividend(draw: Draw) -> list[Flow]:
    """A dividend, sometimes still in transit (side OUT, amount positive), and the tax on it some seconds later."""
    listing = LISTINGS[draw.below(len(LISTINGS))]
    second = draw.any_second()
    units = 1_000 + draw.below(400_000)
    side, note = (OUT, f"{listing.name} in transit") if draw.one_in(6) else (IN, listing.name)
    paid = row(draw.at(second), exact(units, 3), listing.currency, side, Kind.DIVIDEND, CASH, listing.symbol, note)
    if listing.currency in ("HKD", "SGD"):  # paid without tax
        return [paid]
    at, tax = draw.at(second + 1 + draw.below(5)), exact(-units * 3 // 10, 3)
    return [paid, row(at, tax, listing.currency, OUT, Kind.TAX, CASH, listing.symbol, listing.name)]


def conversion(draw: Draw) -> list[Flow]:
    """Money out in one currency and in in another, at one instant."""
    first = draw.below(len(market.CURRENCIES))
    second = (first + 1 + draw.below(len(market.CURRENCIES) - 1)) % len(market.CURRENCIES)
    sold, bought = market.CURRENCIES[first], market.CURRENCIES[second]
    units = 100 * (100 + draw.below(200_000))
    at, note = draw.at(draw.any_second()), f"{sold}→{bought}"
    got = units * market.PER_USD[bought] // market.PER_USD[sold]
    return [
        row(at, exact(-units, 2), sold, OUT, Kind.CONVERSION, CASH, None, note),
        row(at, exact(got, 2), bought, IN, Kind.CONVERSION, CASH, None, note),
    ]


def deposit(draw: Draw, *, second: int | None = None) -> list[Flow]:
    units = 100_000 * (1 + draw.below(500))
    at = draw.at(draw.any_second() if second is None else second)
    symbol = None if draw.one_in(2) else ""
    note = market.DEPOSIT_NOTES[draw.below(len(market.DEPOSIT_NOTES))]
    return [row(at, exact(units, 2), _currency(draw), IN, Kind.DEPOSIT, CASH, symbol, note)]


def withdrawal(draw: Draw) -> list[Flow]:
    units = 50_000 * (1 + draw.below(300))
    symbol = None if draw.one_in(2) else ""
    note = market.WITHDRAWAL_NOTES[draw.below(len(market.WITHDRAWAL_NOTES))]
    at = draw.at(draw.any_second())
    return [row(at, exact(-units, 2), _currency(draw), OUT, Kind.WITHDRAWAL, CASH, symbol, note)]


def interest(draw: Draw) -> list[Flow]:
    """Interest to six places, received or paid."""
    units, which = 1 + draw.below(90_000_000), draw.below(len(market.INTEREST_NOTES))
    paid = which == 2
    amount = exact(-units if paid else units, 6)
    at, side = draw.at(draw.any_second()), OUT if paid else IN
    return [row(at, amount, _currency(draw), side, Kind.INTEREST, CASH, None, market.INTEREST_NOTES[which])]


def rebate(draw: Draw) -> list[Flow]:
    """A commission given back; now and then one taken away again (side IN, amount negative)."""
    listing = LISTINGS[draw.below(len(LISTINGS))]
    units = 10 * (1 + draw.below(3_000))
    amount = exact(-units if draw.one_in(10) else units, 4)
    at = draw.at(draw.any_second())
    return [row(at, amount, listing.currency, IN, Kind.REBATE, CASH, listing.symbol, "Commission rebate")]


def fund_order(draw: Draw) -> list[Flow]:
    """Money into a fund, or back out of it."""
    fund = market.FUNDS[draw.below(len(market.FUNDS))]
    units, buys = 10_000 + draw.below(50_000_000), draw.one_in(2)
    amount = exact(-units if buys else units, 4)
    at, side = draw.at(draw.any_second()), OUT if buys else IN
    return [row(at, amount, fund.currency, side, Kind.TRANSFER, FUND, fund.symbol, fund.name)]


def adjustment(draw: Draw) -> list[Flow]:
    units = draw.below(2_001) - 1_000
    at, side = draw.at(draw.any_second()), OUT if units < 0 else IN
    return [row(at, exact(units, 2), _currency(draw), side, Kind.ADJUSTMENT, CASH, "", "")]


def unclassified(draw: Draw) -> list[Flow]:
    """What the provider has words for, but no category."""
    listing = LISTINGS[draw.below(len(LISTINGS))]
    label = market.OWN_LABELS[draw.below(len(market.OWN_LABELS))]
    at, amount = draw.at(draw.any_second()), exact(1 + draw.below(5_000_000), 5)
    return [row(at, amount, listing.currency, IN, Kind.OTHER, OTHER, listing.symbol, "", label)]


ON_OTHER_DAYS: tuple[Event, ...] = (
    *(6 * [dividend] + 5 * [rebate] + 5 * [interest] + 4 * [conversion] + 4 * [deposit]),
    *(3 * [withdrawal] + 4 * [fund_order] + 1 * [adjustment] + 2 * [unclassified]),
)
ON_TRADING_DAYS: tuple[Event, ...] = (*(2 * len(ON_OTHER_DAYS) * [trade]), *ON_OTHER_DAYS)
ONE_ROW: tuple[Event, ...] = (interest, rebate, withdrawal, fund_order, adjustment)


# ---------------------------------------------------------------- how it is put


def exact(units: int, places: int) -> Decimal:
    """`units` of 10 ** -places, trailing zeros kept: exact(1230, 3) is 1.230."""
    return Decimal(units).scaleb(-places, EXACT)


def row(
    at: datetime,
    amount: Decimal,
    currency: str,
    direction: Direction,
    kind: Kind,
    category: Category,
    symbol: str | None,
    note: str,
    label: str = "",
) -> Flow:
    """A flow as far as a statement tells it. Given by position: by name it takes twice as long."""
    return Flow(
        "", at, amount, currency, direction, kind, category, label, "",
        None, None, None, None, symbol, None, None, None, note,
    )  # fmt: skip


def _currency(draw: Draw) -> str:
    return market.CURRENCIES[draw.below(len(market.CURRENCIES))]
