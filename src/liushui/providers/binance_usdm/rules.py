"""Binance futures income: documented limits and error codes, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, ClockRefused, ProviderError, RateLimited, Refused, Unavailable
from liushui.rules import Filter, LinkRules, PageNumber, Rate, RecordId, Retention, Rules, Uniqueness

NAME: Final = "binance_usdm"

WEIGHT: Final = 30
"""The weight of a call. The budget is a weight of 2400 a minute."""
RECV_WINDOW_DEFAULT: Final = timedelta(seconds=5)
"""The maximum age of a request that names no window of its own."""
RECV_WINDOW_MAX: Final = timedelta(seconds=60)
RECV_WINDOW: Final = timedelta(seconds=30)
"""The window that our client names."""
AHEAD_MAX: Final = timedelta(seconds=1)
"""The time of a request has to be less than this ahead of the service's time."""

RULES: Final = Rules(
    paging=PageNumber(size_default=100, size_max=1_000),
    rate=Rate(calls=80, per=timedelta(minutes=1)),
    resolution=timedelta(milliseconds=1),
    history_start=datetime(2019, 9, 1, tzinfo=UTC),
    time_field="time",
    record_id=RecordId(Uniqueness.SHARED),
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(minutes=5),
    zone="UTC",
    clock_skew_max=RECV_WINDOW,
    clock_ahead_max=AHEAD_MAX,
    window_default=timedelta(days=7),
    retention=Retention(months=3, zone="UTC", doubt=timedelta(days=1)),
    filters=(Filter("incomeType", "incomeType"), Filter("symbol", "symbol")),
    balances=None,
    links=LinkRules(fee_window=timedelta(minutes=1)),
)

REFUSALS: Final = Rate(calls=30, per=timedelta(minutes=1))
"""The number of calls over the rate after which a client is banned."""
BAN: Final = timedelta(minutes=2)
"""How long the first ban lasts."""
BANNED_STATUS: Final = 418
"""The HTTP status of an answer to a banned client."""

TOO_MANY_CALLS: Final = -1003
BAD_TIME: Final = -1021
BAD_SIGNATURE: Final = -1022
REVERSED_RANGE: Final = -1023
MISSING_PARAMETER: Final = -1102
BAD_SYMBOL: Final = -1121
BAD_PARAMETER: Final = -1130
MALFORMED_KEY: Final = -2014
UNKNOWN_KEY: Final = -2015
NO_SUCH_ROUTE: Final = -5000

ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    -1000: Unavailable,
    -1001: Unavailable,
    TOO_MANY_CALLS: RateLimited,
    -1007: Unavailable,
    -1008: Unavailable,
    -1016: Unavailable,
    BAD_TIME: ClockRefused,
    BAD_SIGNATURE: AuthError,
    REVERSED_RANGE: Refused,
    -1100: Refused,
    MISSING_PARAMETER: Refused,
    BAD_SYMBOL: Refused,
    -1128: Refused,
    BAD_PARAMETER: Refused,
    MALFORMED_KEY: AuthError,
    UNKNOWN_KEY: AuthError,
    NO_SUCH_ROUTE: Refused,
}
