"""A broker's account: the events of a day, of one to three rows each. Pure.

The oddities are intentional, because real services have them: rows that are equal in every field, a direction that
contradicts the sign, a missing or an empty symbol, amounts of zero, trailing zeros, an empty description, a category
without a code.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Final, NamedTuple

from liushui.flow import Category, Direction, Flow, Fx, Kind
from liushui.simulate import instruments
from liushui.simulate.instruments import FUNDS, LISTINGS, Fund, Listing
from liushui.simulate.random_draw import Draw, Event, decimal_of, draw_events, new_flow
from liushui.simulate.role_profile import RoleProfile, Wallet

IN, OUT = Direction.IN, Direction.OUT
CASH, STOCK, FUND, OTHER = Category.CASH, Category.STOCK, Category.FUND, Category.OTHER

SATURDAY: Final = 5
SETTLES_DAYS: Final = 2
"""Trading days from a trade to its settlement."""
RATE_PLACES: Final = 6
RATE_UNIT: Final = 10**RATE_PLACES


class Scope(NamedTuple):
    """The currencies, listings and funds of an account in a span that moves only some currencies."""

    currencies: tuple[str, ...]
    listings: tuple[Listing, ...]
    funds: tuple[Fund, ...]


@cache
def scope_of(currencies: tuple[str, ...]) -> Scope:
    """Return the listings and funds in those currencies."""
    return Scope(
        currencies,
        tuple(listing for listing in LISTINGS if listing.currency in currencies),
        tuple(fund for fund in FUNDS if fund.currency in currencies),
    )


def day(draw: Draw, wallets: Sequence[Wallet], count: int) -> list[list[Flow]]:
    """Return the events of a day, with exactly `count` rows in total. Trades happen on weekdays only."""
    events = ON_TRADING_DAYS if draw.midnight.weekday() < SATURDAY else ON_OTHER_DAYS
    scope = scope_of(tuple(wallet.currency for wallet in wallets))
    return draw_events(draw, scope, count, events=events, single_row_events=SINGLE_ROW_EVENTS)


# ---------------------------------------------------------------- events


def trade(draw: Draw, scope: Scope) -> list[Flow]:
    """A purchase or a sale. The platform's fee follows in the same second or up to three seconds later."""
    listing = draw.one_of(scope.listings)
    second = listing.hours.opens_s + draw.below(listing.hours.open_for_s)
    price, places = listing.price * (900 + draw.below(201)) // 1000, listing.places
    if places == 2 and draw.one_in(8):  # fractional shares, of 0.0001
        shares, share_places = 1 + draw.below(90_000), 4
    else:
        shares, share_places = listing.lot * (1 + draw.below(20)), 0
    units = price * shares
    buys = draw.one_in(2)
    at = draw.at(second)
    amount = decimal_of(-units if buys else units, places + share_places)
    side = OUT if buys else IN
    filled = new_flow(
        at, amount, listing.currency, side, Kind.TRADE, STOCK, listing.symbol, listing.name,
        settled_at=settlement(draw.midnight),
        order_ref=draw.digits(18),
        name=listing.name,
        price=decimal_of(price, places),
        quantity=decimal_of(shares, share_places),
    )  # fmt: skip
    lag_s = draw.below(4)
    return [filled, platform_fee(draw, draw.at(second + lag_s) if lag_s else at, listing)]


@cache
def settlement(midnight: datetime) -> datetime:
    """Return the beginning of the day on which a trade of that day settles."""
    days = SETTLES_DAYS
    while days:
        midnight += timedelta(days=1)
        days -= midnight.weekday() < SATURDAY
    return midnight


def platform_fee(draw: Draw, at: datetime, listing: Listing) -> Flow:
    """A fee. Some fees are waived and therefore zero. Some are reversed and therefore positive, with direction OUT."""
    which = draw.below(40)
    units, places = 500 + 10 * draw.below(1500), 3
    if which == 0:
        amount, note = decimal_of(units, places), "Platform Fee reversed"
    elif which <= 2:
        amount, note = decimal_of(0, 2), instruments.WAIVED_NOTE
    else:
        amount, note = decimal_of(-units, places), instruments.FEE_NOTES[which % len(instruments.FEE_NOTES)]
    symbol = "" if which == 3 else listing.symbol
    return new_flow(at, amount, listing.currency, OUT, Kind.FEE, CASH, symbol, note)


def dividend(draw: Draw, scope: Scope) -> list[Flow]:
    """A dividend, and its tax some seconds later. Some dividends are still in transit (direction OUT, positive
    amount)."""
    listing = draw.one_of(scope.listings)
    second = draw.any_second()
    units = 1_000 + draw.below(400_000)
    side, note = (OUT, f"{listing.name} in transit") if draw.one_in(6) else (IN, listing.name)
    amount = decimal_of(units, 3)
    paid = new_flow(draw.at(second), amount, listing.currency, side, Kind.DIVIDEND, CASH, listing.symbol, note)
    if listing.currency in ("HKD", "SGD"):  # this market has no withholding tax
        return [paid]
    at, tax = draw.at(second + 1 + draw.below(5)), decimal_of(-units * 3 // 10, 3)
    return [paid, new_flow(at, tax, listing.currency, OUT, Kind.TAX, CASH, listing.symbol, listing.name)]


def conversion(draw: Draw, scope: Scope) -> list[Flow]:
    """Both legs of a currency conversion, at one instant. If the span moves only one currency, a deposit instead."""
    if len(scope.currencies) == 1:
        return deposit(draw, scope)
    first = draw.below(len(scope.currencies))
    second = (first + 1 + draw.below(len(scope.currencies) - 1)) % len(scope.currencies)
    sold, bought = scope.currencies[first], scope.currencies[second]
    units = 100 * (100 + draw.below(20_000))
    at, note = draw.at(draw.any_second()), f"{sold}→{bought}"
    rate = instruments.PER_USD[bought] * RATE_UNIT // instruments.PER_USD[sold]
    paid, got = decimal_of(units, 2), decimal_of(units * rate // RATE_UNIT, 2)
    one_to = decimal_of(rate, RATE_PLACES)
    return [
        new_flow(at, -paid, sold, OUT, Kind.CONVERSION, CASH, None, note, fx=Fx(bought, got, one_to)),
        new_flow(at, got, bought, IN, Kind.CONVERSION, CASH, None, note, fx=Fx(sold, paid, one_to)),
    ]


def deposit(draw: Draw, scope: Scope) -> list[Flow]:
    units = 100_000 * (1 + draw.below(50))
    symbol = None if draw.one_in(2) else ""
    note = draw.one_of(instruments.DEPOSIT_NOTES)
    at, currency = draw.at(draw.any_second()), draw.one_of(scope.currencies)
    return [new_flow(at, decimal_of(units, 2), currency, IN, Kind.DEPOSIT, CASH, symbol, note)]


def withdrawal(draw: Draw, scope: Scope) -> list[Flow]:
    units = 50_000 * (1 + draw.below(30))
    symbol = None if draw.one_in(2) else ""
    note = draw.one_of(instruments.WITHDRAWAL_NOTES)
    at, currency = draw.at(draw.any_second()), draw.one_of(scope.currencies)
    return [new_flow(at, decimal_of(-units, 2), currency, OUT, Kind.WITHDRAWAL, CASH, symbol, note)]


def interest(draw: Draw, scope: Scope) -> list[Flow]:
    """Interest with six decimal places, received or paid."""
    units, which = 1 + draw.below(90_000_000), draw.below(len(instruments.INTEREST_NOTES))
    paid = which == 2
    amount = decimal_of(-units if paid else units, 6)
    at, side = draw.at(draw.any_second()), OUT if paid else IN
    note = instruments.INTEREST_NOTES[which]
    return [new_flow(at, amount, draw.one_of(scope.currencies), side, Kind.INTEREST, CASH, None, note)]


def rebate(draw: Draw, scope: Scope) -> list[Flow]:
    """A commission rebate. Some rebates are taken back (direction IN, negative amount)."""
    listing = draw.one_of(scope.listings)
    units = 10 * (1 + draw.below(3_000))
    amount = decimal_of(-units if draw.one_in(10) else units, 4)
    at = draw.at(draw.any_second())
    return [new_flow(at, amount, listing.currency, IN, Kind.REBATE, CASH, listing.symbol, "Commission rebate")]


def fund_order(draw: Draw, scope: Scope) -> list[Flow]:
    """A subscription to a fund or a redemption."""
    fund = draw.one_of(scope.funds)
    units, buys = 10_000 + draw.below(50_000_000), draw.one_in(2)
    amount = decimal_of(-units if buys else units, 4)
    at, side = draw.at(draw.any_second()), OUT if buys else IN
    return [new_flow(at, amount, fund.currency, side, Kind.TRANSFER, FUND, fund.symbol, fund.name)]


def adjustment(draw: Draw, scope: Scope) -> list[Flow]:
    units = draw.below(2_001) - 1_000
    at, side = draw.at(draw.any_second()), OUT if units < 0 else IN
    return [new_flow(at, decimal_of(units, 2), draw.one_of(scope.currencies), side, Kind.ADJUSTMENT, CASH, "", "")]


def unclassified(draw: Draw, scope: Scope) -> list[Flow]:
    """A row for which the provider has a label but no category code."""
    listing = draw.one_of(scope.listings)
    label = draw.one_of(instruments.OWN_LABELS)
    at, amount = draw.at(draw.any_second()), decimal_of(1 + draw.below(5_000_000), 5)
    return [new_flow(at, amount, listing.currency, IN, Kind.OTHER, OTHER, listing.symbol, "", label)]


ON_OTHER_DAYS: tuple[Event[Scope], ...] = (
    *(6 * [dividend] + 5 * [rebate] + 5 * [interest] + 4 * [conversion] + 4 * [deposit]),
    *(3 * [withdrawal] + 4 * [fund_order] + 1 * [adjustment] + 2 * [unclassified]),
)
ON_TRADING_DAYS: tuple[Event[Scope], ...] = (*(2 * len(ON_OTHER_DAYS) * [trade]), *ON_OTHER_DAYS)
SINGLE_ROW_EVENTS: tuple[Event[Scope], ...] = (interest, rebate, withdrawal, fund_order, adjustment)


# ---------------------------------------------------------------- wallets: opening, idle, closing and transfer rows


def wallets_of(draw: Draw) -> tuple[Wallet, ...]:
    """One subaccount with an account number, and a wallet for each currency in it."""
    number = draw.digits(8)
    return tuple(Wallet(number, currency) for currency in instruments.CURRENCIES)


def opening(draw: Draw, wallet: Wallet) -> Flow:
    amount = decimal_of(100_000 * (300 + draw.below(1_200)), 2)
    return new_flow(
        draw.at(0), amount, wallet.currency, IN, Kind.DEPOSIT, CASH, "", draw.one_of(instruments.DEPOSIT_NOTES)
    )


def idle(draw: Draw, wallet: Wallet) -> Flow:
    at = draw.at(draw.any_second())
    return new_flow(at, decimal_of(0, 2), wallet.currency, OUT, Kind.FEE, CASH, "", instruments.WAIVED_NOTE)


def closing(at: datetime, wallet: Wallet, amount: Decimal) -> Flow:
    """A sweep into or out of a money-market fund. If the currency has no such fund, a transfer to or from the bank."""
    side = OUT if amount < 0 else IN
    fund = instruments.SWEEP_FUNDS.get(wallet.currency)
    if fund is not None:
        return new_flow(at, amount, wallet.currency, side, Kind.TRANSFER, FUND, fund.symbol, fund.name, name=fund.name)
    kind = Kind.WITHDRAWAL if side is OUT else Kind.DEPOSIT
    return new_flow(at, amount, wallet.currency, side, kind, CASH, "", instruments.SWEEP_NOTE)


def moved(at: datetime, wallet: Wallet, amount: Decimal, note: str) -> Flow:
    side, kind = (OUT, Kind.WITHDRAWAL) if amount < 0 else (IN, Kind.DEPOSIT)
    return new_flow(at, amount, wallet.currency, side, kind, CASH, "", note)


BROKER: Final = RoleProfile(
    weekday_weights=(*5 * ((60, 81),), (4, 7), (2, 5)),
    wallets=wallets_of,
    opening=opening,
    day=day,
    idle=idle,
    closing=closing,
    closes_s=86_390,
    moved=moved,
    field_values={
        "category": frozenset((CASH, STOCK, FUND, OTHER)),
        "symbol": frozenset((None, "", *instruments.SYMBOLS)),
        "label": frozenset(("", *instruments.OWN_LABELS)),
    },
)
