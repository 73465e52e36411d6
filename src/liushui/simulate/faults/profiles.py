"""Fault profiles, as data: how often each kind of fault begins, and how often each change of a row happens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeVar

from liushui.errors import ConfigError, short_repr
from liushui.simulate.faults.fault import FaultKind

RATE_BASE: Final = 10_000
"""All rates are out of this number of requests, rows or spans of time."""


class RowChange(StrEnum):
    """A change of a row. A row without a change exists unchanged from its own instant on."""

    LATE = "late"
    """It appears seconds to weeks after it happened."""
    AMOUNT = "amount"
    """Its amount is restated later."""
    WORDS = "words"
    """Its label or its note is restated later."""
    TIME = "time"
    """Its time is restated later."""
    WITHDRAWN = "withdrawn"
    """It disappears later."""
    TWIN = "twin"
    """A second row equals it in every field."""
    MALFORMED = "malformed"
    """It can never be decoded."""
    MENDED = "mended"
    """It cannot be decoded at first, but later it can."""
    UNKNOWN = "unknown"
    """It has an unknown kind and an unknown currency."""


K = TypeVar("K", FaultKind, RowChange)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How a provider misbehaves. The rates in one mapping sum to at most RATE_BASE, because a request has at most one
    fault."""

    wire: Mapping[FaultKind, int] = field(default_factory=dict)
    """How often each kind of fault begins, out of RATE_BASE requests that were answered correctly."""
    burst: int = 3
    """The most consecutive requests that go wrong."""
    delays: tuple[timedelta, ...] = (timedelta(0),)
    """The times that answers take. Each is equally likely."""
    rate_percent: int = 100
    """The percentage of the documented rate that is admitted."""
    skew: timedelta = timedelta(0)
    """How far ahead the provider's clock always is."""
    rows: Mapping[RowChange, int] = field(default_factory=dict)
    """How often each change happens, out of RATE_BASE rows."""
    crowds: int = 0
    """The number of an account's instants with more rows than a page holds."""
    miscounts: int = 0
    """How often a span of MISCOUNT_SPAN has a wrong total, out of RATE_BASE spans."""
    deviations: tuple[str, ...] = ()
    """The names of deviations; each is active at the providers that it applies to."""


MISCOUNT_SPAN: Final = timedelta(seconds=10)
"""How long a wrong total lasts."""


def _ms(*delays: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(milliseconds=delay) for delay in delays)


_NETWORK: Final = {
    FaultKind.REFUSED: 200,
    FaultKind.STALLED: 50,
    FaultKind.RESET: 200,
    FaultKind.TRUNCATED: 200,
    FaultKind.GARBLED: 200,
    FaultKind.HTML: 200,
    FaultKind.BROKEN: 300,
    FaultKind.MAINTENANCE: 200,
}
_LIMITS: Final = {FaultKind.TOO_MANY: 600, FaultKind.BANNED: 200}
_AUTH: Final = {FaultKind.EXPIRED: 300}
_PAGING: Final = {FaultKind.REPEATED: 300, FaultKind.CURSOR_LOST: 200}
_SKEW: Final = {FaultKind.SKEWED: 200}
_RESTATED: Final = {RowChange.AMOUNT: 200, RowChange.WORDS: 200, RowChange.TIME: 200, RowChange.WITHDRAWN: 200}
_MALFORMED: Final = {RowChange.MALFORMED: 100, RowChange.MENDED: 200, RowChange.UNKNOWN: 300}
_DELAYS: Final = _ms(0, 0, 0, 5, 20, 50, 200, 1_500)
_AHEAD: Final = timedelta(seconds=20)

PROFILES: Final[Mapping[str, Profile]] = {
    "none": Profile(),
    "network": Profile(wire=_NETWORK, delays=_DELAYS),
    "limits": Profile(wire=_LIMITS, rate_percent=50),
    "auth": Profile(wire=_AUTH),
    "paging": Profile(wire=_PAGING, delays=_DELAYS, rows={RowChange.LATE: 500}, miscounts=1_000),
    "late": Profile(rows={RowChange.LATE: 1_000}),
    "restated": Profile(rows=_RESTATED),
    "malformed": Profile(rows=_MALFORMED),
    "dense": Profile(rows={RowChange.TWIN: 1_500}, crowds=1),
    "skew": Profile(wire=_SKEW, skew=_AHEAD),
    "storm": Profile(
        wire=_NETWORK | _LIMITS | _AUTH | _PAGING | _SKEW,
        delays=_DELAYS,
        rate_percent=50,
        skew=_AHEAD,
        rows={RowChange.LATE: 500, RowChange.TWIN: 300} | _RESTATED | _MALFORMED,
        crowds=1,
        miscounts=500,
    ),
}


def profile_named(name: str) -> Profile:
    """Return the profile with this name, or a profile with the deviation of this name.

    Raises ConfigError with the known names.
    """
    if name in PROFILES:
        return PROFILES[name]
    from liushui.simulate.faults.deviations import DEVIATIONS  # imported here because help texts only need the profiles

    if name in DEVIATIONS:
        return Profile(deviations=(name,))
    known = f"{' or '.join(PROFILES)}, or a deviation such as page-cap-50"
    raise ConfigError(f"faults: expected {known}, got {short_repr(name)}")


def choose(rates: Mapping[K, int], number: int) -> K | None:
    """Return the choice that a number below RATE_BASE selects, by the rates. Returns None if it selects no choice."""
    for kind, rate in rates.items():
        if number < rate:
            return kind
        number -= rate
    return None
