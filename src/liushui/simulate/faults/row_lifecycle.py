"""How the rows of an account change: the versions of a row, the time of each, and the rows that cannot be decoded.

The seed determines all of it. Pure.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import count
from random import Random
from typing import Final, NamedTuple

from liushui.errors import NotRepresentable, WireError
from liushui.flow import Category, Flow, Kind
from liushui.instant import MAX_INSTANT, to_us
from liushui.money import EXACT
from liushui.provider import Codec, DocumentCodec, Provider
from liushui.simulate.faults.json_rewriting import fields_of, with_field
from liushui.simulate.faults.profiles import RATE_BASE, Profile, RowChange, choose
from liushui.simulate.random_draw import seeded_random

CHANGES_WITHIN: Final = (
    timedelta(seconds=10),
    timedelta(minutes=10),
    timedelta(hours=6),
    timedelta(days=2),
    timedelta(days=21),
)
"""Periods after the event. A row appears late, or changes, within one of them."""
MOVED_MAX: Final = timedelta(hours=3)
"""The longest distance between a restated time and the original one."""
FACTOR_MAX: Final = 9
"""The largest factor by which an amount is restated."""
VARIANTS: Final = 1 << 16

UNKNOWN_LABEL: Final = "Liquidity Harmonisation"
UNKNOWN_CURRENCY: Final = "XTS"
"""The code that ISO 4217 reserves for tests."""
RESTATED_TEXT: Final = "Restated"

FOREVER_US: Final = to_us(MAX_INSTANT)
_MICROSECOND: Final = timedelta(microseconds=1)


class RowVersion(NamedTuple):
    """A row in the form that it has for some time. A restated row has several versions, which do not overlap in time.

    Versions are ordered by `at_us`, then `number`.
    """

    at_us: int
    """The time that the row states."""
    number: int
    """The number of the row, unique within its account."""
    from_us: int
    until_us: int
    """This version exists in [from_us, until_us)."""
    flow: Flow
    corruption: int | None = None
    """The variant of its corruption. None: the version can be decoded."""


def row_versions_of(
    account: str, flows: Sequence[Flow], *, provider: Provider, profile: Profile, seed: int
) -> list[RowVersion]:
    """Return every version of an account's rows, in their order. `flows` are the true flows, oldest first.

    A flow is changed only if the provider can represent the change. Changed, doubled and crowded rows keep their
    original balances: no running balance holds across them.
    """
    numbers = count()
    versions: list[RowVersion] = []
    for index, flow in enumerate(flows):
        random = seeded_random("life", seed, account, index)
        change = choose(profile.rows, random.randrange(RATE_BASE))
        versions += _versions(change, flow, next(numbers), random, provider)
        if change is RowChange.TWIN and provider.rules.id_field is None:  # with an id it would be the same record
            versions.append(_unchanging(flow, next(numbers)))
    random = seeded_random("crowds", seed, account)
    for _ in range(profile.crowds if flows else 0):
        versions += [_unchanging(flow, next(numbers)) for flow in _crowd(flows, random, provider)]
    return sorted(versions, key=lambda version: version[:2])


def _versions(
    change: RowChange | None, flow: Flow, number: int, random: Random, provider: Provider
) -> list[RowVersion]:
    """The versions of one row."""
    original = _unchanging(flow, number)
    later_us = original.at_us + 1 + random.randrange(random.choice(CHANGES_WITHIN) // _MICROSECOND)
    match change:
        case RowChange.LATE:
            return [original._replace(from_us=later_us)]
        case RowChange.WITHDRAWN:
            return [original._replace(until_us=later_us)]
        case RowChange.MALFORMED:
            return [original._replace(corruption=random.randrange(VARIANTS))]
        case RowChange.MENDED:
            return [
                original._replace(until_us=later_us, corruption=random.randrange(VARIANTS)),
                original._replace(from_us=later_us),
            ]
        case RowChange.UNKNOWN:
            return [_unchanging(_with_unknown_kind(flow, provider), number)]
        case RowChange.AMOUNT | RowChange.WORDS | RowChange.TIME:
            restated = _if_representable(_restated(change, flow, random), flow, provider)
            return [original._replace(until_us=later_us), _unchanging(restated, number)._replace(from_us=later_us)]
    return [original]


def _unchanging(flow: Flow, number: int) -> RowVersion:
    """A row that exists unchanged from its own instant on."""
    at_us = to_us(flow.at)
    return RowVersion(at_us, number, at_us, FOREVER_US, flow)


def _restated(change: RowChange, flow: Flow, random: Random) -> Flow:
    if change is RowChange.AMOUNT:
        return flow._replace(amount=EXACT.multiply(flow.amount, Decimal(random.randint(2, FACTOR_MAX))))
    if change is RowChange.TIME:
        moved = timedelta(seconds=random.randint(1, MOVED_MAX // timedelta(seconds=1)))
        return flow._replace(at=flow.at + random.choice((moved, -moved)))
    if random.getrandbits(1):
        return flow._replace(label=RESTATED_TEXT)
    return flow._replace(note=RESTATED_TEXT)


def _with_unknown_kind(flow: Flow, provider: Provider) -> Flow:
    """The flow with an unknown kind and an unknown currency, as far as the provider can represent them."""
    unknown = flow._replace(kind=Kind.OTHER, category=Category.OTHER, label=UNKNOWN_LABEL)
    only_kind = _if_representable(unknown, flow, provider)
    return _if_representable(unknown._replace(currency=UNKNOWN_CURRENCY), only_kind, provider)


def _if_representable(flow: Flow, otherwise: Flow, provider: Provider) -> Flow:
    try:
        provider.codec.write(flow)
    except NotRepresentable:
        return otherwise
    return flow


def _crowd(flows: Sequence[Flow], random: Random, provider: Provider) -> Iterator[Flow]:
    """More flows of one subaccount at one instant than the provider's largest page holds.

    The instant is just after another flow's. All rows are of known kinds, so that filters can distinguish them.
    """
    first = random.choice(flows)
    at = first.at + provider.rules.resolution
    candidates = [flow for flow in flows if flow.subaccount == first.subaccount]
    size_max = provider.rules.paging.size_max
    for number in range(1 + size_max + size_max // 8):
        flow = candidates[number % len(candidates)]
        amount = EXACT.multiply(flow.amount, Decimal(1 + number))
        yield flow._replace(at=at, amount=amount, ref=_another_ref(flow.ref, random))


def _another_ref(ref: str | None, random: Random) -> str | None:
    """Return another number with as many digits, if the reference is a number. Otherwise return the same reference."""
    if not ref or not ref.isdecimal():
        return ref
    return str(random.randrange(10 ** (len(ref) - 1), 10 ** len(ref)))


# ---------------------------------------------------------------- rows that cannot be decoded

MISFITS: Final = (b"null", b"true", b"{}", b'"?"')
"""Values that replace a field's value. At least one of them has the wrong type."""
MISFIT_TEXTS: Final = (b'"?"',)
"""The same for cells, whose values are always text."""
CORRUPTED_CACHED: Final = 1_024
"""Corrupted rows that are cached, because the same rows are requested again and again and corrupting one takes long."""


def corrupted(row: bytes, variant: int, codec: Codec) -> bytes:
    """Return the row with that variant of corruption, or with the next variant that its codec refuses.

    A field is missing, has another type, or is not UTF-8. The page around the row is still JSON. In a table of texts, a
    cell is empty or has another text.
    """
    return _corrupted(row, variant, codec)  # type: ignore[arg-type] # a codec is a module, or hashed by its identity


@lru_cache(CORRUPTED_CACHED)
def _corrupted(row: bytes, variant: int, codec: Codec) -> bytes:
    variants = list(_corruptions(row, MISFIT_TEXTS if isinstance(codec, DocumentCodec) else MISFITS))
    first = variant % len(variants)
    for corrupt in variants[first:] + variants[:first]:
        try:
            codec.read(corrupt)
        except WireError:
            return corrupt
    return _without_utf8(row)


def _corruptions(row: bytes, misfits: Sequence[bytes]) -> Iterator[bytes]:
    for name in fields_of(row):
        for value in (None, *misfits):
            yield with_field(row, name, value)
        if misfits is MISFITS:
            yield _without_utf8(row)


def _without_utf8(row: bytes) -> bytes:
    """Return the row with a byte that is not UTF-8 in its last text. This is a value or, if no value is text, a
    name."""
    before, quote, rest = row.rpartition(b'"')
    return before + b"\xff" + quote + rest
