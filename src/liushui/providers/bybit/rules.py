"""Bybit transaction log: documented limits and error codes, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, ClockRefused, ProviderError, RateLimited, Refused, Unavailable
from liushui.rules import Cursor, FeeLeg, Filter, Rate, RecordId, Retention, Rules, Uniqueness

NAME: Final = "bybit"

ACCOUNT_TYPE: Final = "UNIFIED"
CATEGORIES: Final = ("spot", "linear", "option", "inverse")
SUB_TYPES: Final = ("movePosition",)

WINDOW_MAX: Final = timedelta(days=7)
WINDOW_DEFAULT: Final = timedelta(days=1)
RECV_WINDOW_DEFAULT: Final = timedelta(seconds=5)
"""The maximum age of a request that names no window of its own."""
RECV_WINDOW: Final = timedelta(seconds=30)
"""The window that our client names."""
AHEAD_MAX: Final = timedelta(seconds=1)
"""The time of a request has to be less than this ahead of the service's time."""

RULES: Final = Rules(
    paging=Cursor(size_default=20, size_max=50),
    rate=Rate(calls=25, per=timedelta(seconds=1)),
    resolution=timedelta(milliseconds=1),
    history_start=datetime(2018, 1, 1, tzinfo=UTC),
    time_field="transactionTime",
    record_id=RecordId(Uniqueness.SHARED),
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(minutes=15),
    zone="UTC",
    clock_skew_max=RECV_WINDOW,
    clock_ahead_max=AHEAD_MAX,
    window_max=WINDOW_MAX,
    window_default=WINDOW_DEFAULT,
    retention=Retention(years=2, zone="UTC", doubt=timedelta(days=1)),
    filters=(
        Filter("category", "category", CATEGORIES),
        Filter("currency", "currency"),
        Filter("type", "type"),
        Filter("transSubType", "transSubType", SUB_TYPES),
    ),
    fee_legs=(FeeLeg("bybit:fee", is_charge_positive=True),),
)

RESET_AFTER: Final = timedelta(seconds=2)
"""The stated reset time is this far in the future. Public clients fail if it has passed when the answer arrives."""
ADDRESS_BAN: Final = timedelta(minutes=10)
"""How long an address that made too many calls has to wait."""

SUCCESS: Final = 0
BAD_PARAMETER: Final = 10001
BAD_TIME: Final = 10002
UNKNOWN_KEY: Final = 10003
BAD_SIGNATURE: Final = 10004
TOO_MANY_CALLS: Final = 10006
EXPIRED_KEY: Final = 33004
NO_SUCH_ROUTE: Final = 404
ADDRESS_BANNED_STATUS: Final = 403
"""The HTTP status of an answer to an address that made too many calls."""

ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    -2015: AuthError,
    NO_SUCH_ROUTE: Refused,
    10000: Unavailable,
    BAD_PARAMETER: Refused,
    BAD_TIME: ClockRefused,
    UNKNOWN_KEY: AuthError,
    BAD_SIGNATURE: AuthError,
    10005: AuthError,
    TOO_MANY_CALLS: RateLimited,
    10007: AuthError,
    10009: AuthError,
    10010: AuthError,
    10016: Unavailable,
    10017: Refused,
    10024: AuthError,
    10028: Refused,
    EXPIRED_KEY: AuthError,
}
