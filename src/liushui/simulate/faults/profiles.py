"""Profiles of faults, as data: how often each sort of fault begins, and how often each change befalls a row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeVar

from liushui.errors import ConfigError, short_repr
from liushui.simulate.faults.fault import Sort

WHOLE: Final = 10_000
"""Rates are out of so many requests, rows, or spans of time."""


class Change(StrEnum):
    """What befalls a row beside its being there from its own instant on."""

    LATE = "late"
    """It appears seconds to weeks after it happened."""
    AMOUNT = "amount"
    """Its amount is restated later."""
    WORDS = "words"
    """Its label, or its note, is."""
    TIME = "time"
    """Its time is."""
    WITHDRAWN = "withdrawn"
    """It is gone later."""
    TWIN = "twin"
    """It is there twice, equal in everything."""
    MALFORMED = "malformed"
    """It can never be read."""
    MENDED = "mended"
    """It cannot be read at first."""
    UNKNOWN = "unknown"
    """It is of a kind, and in a currency, that nobody has heard of."""


Often = TypeVar("Often", Sort, Change)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How a provider misbehaves. Rates are out of WHOLE, and those of one kind sum to no more: one thing at a time."""

    wire: Mapping[Sort, int] = field(default_factory=dict)
    """How many of the requests that are answered well begin a fault of each sort."""
    burst: int = 3
    """How many requests in a row, at most, go wrong: the next one is answered as it should be."""
    delays: tuple[timedelta, ...] = (timedelta(0),)
    """How long answers take, each as likely as the others."""
    rate_percent: int = 100
    """How much of a documented rate is let in."""
    skew: timedelta = timedelta(0)
    """How far ahead the provider's clock always is."""
    rows: Mapping[Change, int] = field(default_factory=dict)
    """How many rows each change befalls."""
    crowds: int = 0
    """How often, in an account, more rows than a page holds happen at one instant."""
    miscounts: int = 0
    """How many spans of MISCOUNTED in an account have a total that lies."""


MISCOUNTED: Final = timedelta(seconds=10)
"""For how long a total lies."""


def _ms(*delays: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(milliseconds=delay) for delay in delays)


_NETWORK: Final = {
    Sort.REFUSED: 200,
    Sort.STALLED: 50,
    Sort.RESET: 200,
    Sort.TRUNCATED: 200,
    Sort.GARBLED: 200,
    Sort.HTML: 200,
    Sort.BROKEN: 300,
    Sort.MAINTENANCE: 200,
}
_LIMITS: Final = {Sort.TOO_MANY: 600, Sort.BANNED: 200}
_AUTH: Final = {Sort.EXPIRED: 300}
_PAGING: Final = {Sort.REPEATED: 300, Sort.CURSOR_LOST: 200}
_SKEW: Final = {Sort.SKEWED: 200}
_RESTATED: Final = {Change.AMOUNT: 200, Change.WORDS: 200, Change.TIME: 200, Change.WITHDRAWN: 200}
_MALFORMED: Final = {Change.MALFORMED: 100, Change.MENDED: 200, Change.UNKNOWN: 300}
_DELAYS: Final = _ms(0, 0, 0, 5, 20, 50, 200, 1_500)
_AHEAD: Final = timedelta(seconds=20)

PROFILES: Final[Mapping[str, Profile]] = {
    "none": Profile(),
    "network": Profile(wire=_NETWORK, delays=_DELAYS),
    "limits": Profile(wire=_LIMITS, rate_percent=50),
    "auth": Profile(wire=_AUTH),
    "paging": Profile(wire=_PAGING, delays=_DELAYS, rows={Change.LATE: 500}, miscounts=1_000),
    "late": Profile(rows={Change.LATE: 1_000}),
    "restated": Profile(rows=_RESTATED),
    "malformed": Profile(rows=_MALFORMED),
    "dense": Profile(rows={Change.TWIN: 1_500}, crowds=1),
    "skew": Profile(wire=_SKEW, skew=_AHEAD),
    "storm": Profile(
        wire=_NETWORK | _LIMITS | _AUTH | _PAGING | _SKEW,
        delays=_DELAYS,
        rate_percent=50,
        skew=_AHEAD,
        rows={Change.LATE: 500, Change.TWIN: 300} | _RESTATED | _MALFORMED,
        crowds=1,
        miscounts=500,
    ),
}


def profile_named(name: str) -> Profile:
    """The profile of that name. Raises ConfigError listing those there are."""
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"faults: expected {' or '.join(PROFILES)}, got {short_repr(name)}") from None


def drawn(rates: Mapping[Often, int], number: int) -> Often | None:
    """What a number below WHOLE falls on. None: nothing happens."""
    for sort, rate in rates.items():
        if number < rate:
            return sort
        number -= rate
    return None
