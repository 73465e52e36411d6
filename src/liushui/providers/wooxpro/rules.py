"""WOO X Pro: documented limits and error codes, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable
from liushui.rules import Filter, RangeOnly, Rate, RecordId, Rules, Uniqueness

NAME: Final = "wooxpro"

RULES: Final = Rules(
    paging=RangeOnly(size_default=100, size_max=1_000, partition_by=("account",), split_by=("flow_type", "symbol")),
    rate=Rate(calls=6, per=timedelta(seconds=2)),
    resolution=timedelta(milliseconds=1),
    history_start=datetime(2018, 1, 1, tzinfo=UTC),
    time_field="time",
    record_id=RecordId(Uniqueness.SHARED),
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(seconds=10),
    zone="UTC",
    balances=None,
    window_default=timedelta(days=7),
    filters=(
        Filter("flow_type", "flow_type", ("1", "2", "3", "4", "5")),
        Filter("account", "account", ("futures", "copy_trading")),
        Filter("symbol", "symbol"),
    ),
)

REFUSALS: Final = Rate(calls=30, per=timedelta(seconds=60))
"""The number of calls over the rate after which a key is banned, and how long a banned client should wait."""

SUCCESS: Final = 1000
BANNED: Final = 30017
BANNED_STATUS: Final = 418
"""The HTTP status of an answer to a banned client."""

ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    30000: Refused,
    30001: AuthError,
    30002: AuthError,
    30003: AuthError,
    30010: AuthError,
    30011: AuthError,
    30012: AuthError,
    30013: RateLimited,
    30014: Unavailable,
    30016: Unavailable,
    BANNED: RateLimited,
    40011: Refused,
    40034: Refused,
    40039: Refused,
}
