"""The lives of an account's rows: from when each is there, as what, and until when. They follow from the seed alone."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import count
from random import Random
from typing import Final, NamedTuple

from liushui.errors import NotRepresentable
from liushui.flow import Category, Flow, Kind
from liushui.instant import MAX_INSTANT, to_us
from liushui.money import EXACT
from liushui.provider import Provider
from liushui.simulate.faults.profiles import WHOLE, Change, Profile, drawn
from liushui.simulate.random_draw import chance

CHANGES_WITHIN: Final = (
    timedelta(seconds=10),
    timedelta(minutes=10),
    timedelta(hours=6),
    timedelta(days=2),
    timedelta(days=21),
)
"""Rows are late, or change, by anything up to one of these."""
MOVED_MAX: Final = timedelta(hours=3)
"""How far a restated time is from the one before, at most."""
FACTOR_MAX: Final = 9
"""How many times as large a restated amount is, at most."""
FORMS: Final = 1 << 16

UNKNOWN_WORDS: Final = "Liquidity Harmonisation"
UNKNOWN_CURRENCY: Final = "XTS"
"""The code that ISO 4217 keeps free for tests."""
RESTATED_WORDS: Final = "Restated"

FOREVER_US: Final = to_us(MAX_INSTANT)
_MICROSECOND: Final = timedelta(microseconds=1)


class Showing(NamedTuple):
    """A row as it is there for some time. One that is restated has several showings, of which none overlap.

    Showings stand in the order of `at_us`, then `number`.
    """

    at_us: int
    """When it says that it happened."""
    number: int
    """Of its row: no two rows of an account have the same."""
    from_us: int
    until_us: int
    """It is there in [from_us, until_us)."""
    flow: Flow
    damage: int | None = None
    """The form of its damage. None: it can be read."""


def lives_of(account: str, flows: Sequence[Flow], *, provider: Provider, profile: Profile, seed: int) -> list[Showing]:
    """Every showing of an account's rows, in their order, where `flows` are what truly happened, oldest first.

    A flow is changed only as far as the provider has words for it. Rows that were changed, doubled or crowded keep
    the balance that they had: no running balance holds across them.
    """
    numbers = count()
    showings: list[Showing] = []
    for place, flow in enumerate(flows):
        random = chance("life", seed, account, place)
        change = drawn(profile.rows, random.randrange(WHOLE))
        showings += _life(change, flow, next(numbers), random, provider)
        if change is Change.TWIN:
            showings.append(_always(flow, next(numbers)))
    random = chance("crowds", seed, account)
    for _ in range(profile.crowds if flows else 0):
        showings += [_always(flow, next(numbers)) for flow in _crowd(flows, random, provider)]
    return sorted(showings, key=lambda showing: showing[:2])


def _life(change: Change | None, flow: Flow, number: int, random: Random, provider: Provider) -> list[Showing]:
    """The showings of one row."""
    shown = _always(flow, number)
    later_us = shown.at_us + 1 + random.randrange(random.choice(CHANGES_WITHIN) // _MICROSECOND)
    match change:
        case Change.LATE:
            return [shown._replace(from_us=later_us)]
        case Change.WITHDRAWN:
            return [shown._replace(until_us=later_us)]
        case Change.MALFORMED:
            return [shown._replace(damage=random.randrange(FORMS))]
        case Change.MENDED:
            return [
                shown._replace(until_us=later_us, damage=random.randrange(FORMS)),
                shown._replace(from_us=later_us),
            ]
        case Change.UNKNOWN:
            return [_always(_unknown(flow, provider), number)]
        case Change.AMOUNT | Change.WORDS | Change.TIME:
            restated = _always(_sayable(_restated(change, flow, random), flow, provider), number)
            return [shown._replace(until_us=later_us), restated._replace(from_us=later_us)]
    return [shown]


def _always(flow: Flow, number: int) -> Showing:
    """A row that is there from the instant it happened."""
    at_us = to_us(flow.at)
    return Showing(at_us, number, at_us, FOREVER_US, flow)


def _restated(change: Change, flow: Flow, random: Random) -> Flow:
    if change is Change.AMOUNT:
        return flow._replace(amount=EXACT.multiply(flow.amount, Decimal(random.randint(2, FACTOR_MAX))))
    if change is Change.TIME:
        moved = timedelta(seconds=random.randint(1, MOVED_MAX // timedelta(seconds=1)))
        return flow._replace(at=flow.at + random.choice((moved, -moved)))
    if random.getrandbits(1):
        return flow._replace(label=RESTATED_WORDS)
    return flow._replace(note=RESTATED_WORDS)


def _unknown(flow: Flow, provider: Provider) -> Flow:
    """The flow as one of a kind that nobody knows, and in a currency that nobody knows, where that can be said."""
    odd = flow._replace(kind=Kind.OTHER, category=Category.OTHER, label=UNKNOWN_WORDS)
    return _sayable(odd._replace(currency=UNKNOWN_CURRENCY), _sayable(odd, flow, provider), provider)


def _sayable(flow: Flow, otherwise: Flow, provider: Provider) -> Flow:
    """The flow, unless the provider has no words for it."""
    try:
        provider.codec.write(flow)
    except NotRepresentable:
        return otherwise
    return flow


def _crowd(flows: Sequence[Flow], random: Random, provider: Provider) -> Iterator[Flow]:
    """More flows in one part of the account than the provider's largest page holds, at one instant just after another
    flow's: in company of a kind that nobody knows, no filter might tell them apart."""
    like = random.choice(flows)
    at = like.at + provider.rules.resolution
    mates = [flow for flow in flows if flow.subaccount == like.subaccount]
    size_max = provider.rules.paging.size_max
    for number in range(1 + size_max + size_max // 8):
        flow = mates[number % len(mates)]
        amount = EXACT.multiply(flow.amount, Decimal(1 + number))
        yield flow._replace(at=at, amount=amount, ref=_like(flow.ref, random))


def _like(ref: str | None, random: Random) -> str | None:
    """Another reference of the same shape, where it is a number; else the same one."""
    if not ref or not ref.isdecimal():
        return ref
    return str(random.randrange(10 ** (len(ref) - 1), 10 ** len(ref)))
