"""HK and US securities: documented limits and error codes, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, ClockRefused, ProviderError, RateLimited, Refused, Unavailable
from liushui.rules import Filter, LinkRules, PageNumber, Rate, RecordId, Rules, Uniqueness

NAME: Final = "hkus"

RULES: Final = Rules(
    paging=PageNumber(size_default=20, size_max=100, has_total=True),
    rate=Rate(calls=10, per=timedelta(seconds=1)),
    resolution=timedelta(seconds=1),
    history_start=datetime(2010, 1, 1, tzinfo=UTC),
    time_field="date",
    id_field="id",
    record_id=RecordId(
        Uniqueness.RECORD,
        kind_fields=("tran_type", "business_type", "business_sub_type", "io_type"),
        fields=("id",),
        part_fields=("account_id",),
    ),
    lookback=timedelta(hours=72),
    allowed_lateness=timedelta(seconds=10),
    zone="Asia/Hong_Kong",
    clock_skew_max=timedelta(seconds=60),
    links=LinkRules(fee_window=timedelta(seconds=3), tax_window=timedelta(seconds=5)),
    filters=(
        Filter("business_type", "business_type"),
        Filter("business_types", "business_type"),
        Filter("io_type", "io_type", ("in", "out")),
    ),
)

BAD_PARAMETER: Final = 40001
UNKNOWN_KEY: Final = 40101
BAD_SIGNATURE: Final = 40102
BAD_TIMESTAMP: Final = 40103
KEY_EXPIRED: Final = 40104
UNKNOWN_ROUTE: Final = 40401
TOO_MANY_CALLS: Final = 42901
INTERNAL: Final = 12010012

ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    INTERNAL: Unavailable,
    BAD_PARAMETER: Refused,
    UNKNOWN_KEY: AuthError,
    BAD_SIGNATURE: AuthError,
    BAD_TIMESTAMP: ClockRefused,
    KEY_EXPIRED: AuthError,
    UNKNOWN_ROUTE: Refused,
    TOO_MANY_CALLS: RateLimited,
}
