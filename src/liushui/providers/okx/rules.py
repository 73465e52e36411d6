"""OKX trading account bills: documented limits and error codes, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, ClockRefused, ProviderError, RateLimited, Refused, Unavailable
from liushui.rules import FeeLeg, Filter, IdKeyset, LinkRules, Rate, RecordId, Retention, Rules, Uniqueness

NAME: Final = "okx"

RATE: Final = Rate(calls=5, per=timedelta(seconds=2))
"""Limit of the archive. Our client keeps to it on both routes, because a credential has one budget."""
RECENT_RATE: Final = Rate(calls=5, per=timedelta(seconds=1))
"""Limit of the route for recent bills."""
RECENT: Final = timedelta(days=7)
"""The age of the oldest bill on the route for recent bills."""
ASK_RECENT: Final = RECENT - timedelta(days=1)
"""Our client uses the route for recent bills if a range begins less than this time ago. The margin allows for clocks
that differ."""

INST_TYPES: Final = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "EVENTS")
CONTRACT_TYPES: Final = ("SWAP", "FUTURES")
"""The instrument types to which `ctType` applies."""
MARGIN_MODES: Final = ("isolated", "cross", "cash")
LINEAR_CURRENCIES: Final = ("USDT", "USDC")
"""Currencies in which linear contracts are settled. Contracts that settle in other currencies are inverse."""

RULES: Final = Rules(
    paging=IdKeyset(size_default=100, size_max=100),
    rate=RATE,
    resolution=timedelta(milliseconds=1),
    history_start=datetime(2018, 1, 1, tzinfo=UTC),
    time_field="ts",
    id_field="billId",
    record_id=RecordId(Uniqueness.RECORD, fields=("billId",)),
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(minutes=5),
    zone="UTC",
    clock_skew_max=timedelta(seconds=30),
    retention=Retention(months=3, zone="UTC", doubt=timedelta(days=1)),
    filters=(
        Filter("instType", "instType", INST_TYPES),
        Filter("instId", "instId"),
        Filter("ccy", "ccy"),
        Filter("mgnMode", "mgnMode", MARGIN_MODES),
        Filter("type", "type"),
        Filter("subType", "subType"),
    ),
    links=LinkRules(),
    fee_legs=(FeeLeg("okx:fee"),),
)

SUCCESS: Final = 0

KEY_MISSING: Final = 50103
PASSPHRASE_MISSING: Final = 50104
WRONG_PASSPHRASE: Final = 50105
SIGN_MISSING: Final = 50106
TIMESTAMP_MISSING: Final = 50107
BAD_TIMESTAMP: Final = 50112
STALE_TIMESTAMP: Final = 50102
BAD_SIGNATURE: Final = 50113
UNKNOWN_KEY: Final = 50119
TOO_MANY_CALLS: Final = 50011
BAD_PARAMETER: Final = 51000
AFTER_AND_BEFORE: Final = 50024
NO_SUCH_ROUTE: Final = 404

ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    NO_SUCH_ROUTE: Refused,
    50001: Unavailable,
    50004: Unavailable,
    TOO_MANY_CALLS: RateLimited,
    50013: RateLimited,
    50014: Refused,
    50015: Refused,
    50016: Refused,
    AFTER_AND_BEFORE: Refused,
    50026: Unavailable,
    50030: AuthError,
    50035: AuthError,
    50040: RateLimited,
    50061: RateLimited,
    50076: Refused,
    50077: Refused,
    50101: AuthError,
    STALE_TIMESTAMP: ClockRefused,
    KEY_MISSING: AuthError,
    PASSPHRASE_MISSING: AuthError,
    WRONG_PASSPHRASE: AuthError,
    SIGN_MISSING: AuthError,
    TIMESTAMP_MISSING: AuthError,
    50110: AuthError,
    50111: AuthError,
    BAD_TIMESTAMP: ClockRefused,
    BAD_SIGNATURE: AuthError,
    50114: AuthError,
    UNKNOWN_KEY: AuthError,
    50120: AuthError,
    BAD_PARAMETER: Refused,
}
"""Error classes by code. The HTTP status decides little: an unknown key gets 200, and too many calls get 429 or 200."""
