"""WeChat Pay fund flow bills: documented limits and error codes, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Final

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable
from liushui.rules import (
    DayDocument,
    Filter,
    LinkRules,
    PublishClock,
    Rate,
    RecordId,
    Retention,
    Rules,
    Uniqueness,
    WithdrawalBound,
)

NAME: Final = "wechatpay"
ZONE: Final = "Asia/Shanghai"

RATE: Final = Rate(calls=3, per=timedelta(seconds=1))
"""Limit of the calls that return the address of a bill."""
DOWNLOAD_RATE: Final = Rate(calls=10, per=timedelta(seconds=1))
"""Limit of the downloads. It is higher, so that calls within the first limit never exceed this one."""

ACCOUNT_TYPES: Final = ("BASIC", "OPERATION", "FEES")
URL_LIFE: Final = timedelta(minutes=5)
"""How long the address of a bill is valid."""
CLOCK_SKEW_MAX: Final = timedelta(minutes=5)

RULES: Final = Rules(
    paging=DayDocument(size_default=1_000, size_max=1_000, partition_by=("account_type",)),
    rate=RATE,
    resolution=timedelta(seconds=1),
    history_start=datetime(2013, 7, 31, 16, tzinfo=UTC),
    record_id=RecordId(Uniqueness.STATEMENT),
    lookback=timedelta(days=3),
    allowed_lateness=timedelta(minutes=30),
    zone=ZONE,
    clock_skew_max=CLOCK_SKEW_MAX,
    window_max=timedelta(days=1) - timedelta(seconds=1),
    filters=(Filter("account_type", "#account_type", ACCOUNT_TYPES),),
    retention=Retention(months=3, zone=ZONE, doubt=timedelta(days=1)),
    publish=PublishClock(at=time(10), zone=ZONE),
    currencies=frozenset({"CNY"}),
    links=LinkRules(pays_out=True),
    withdrawals=WithdrawalBound(rows=0, percent=0),  # a day may have few rows, and a published bill does not lose rows
)

PARAM_ERROR: Final = "PARAM_ERROR"
INVALID_REQUEST: Final = "INVALID_REQUEST"
NO_STATEMENT: Final = "NO_STATEMENT_EXIST"
CREATING: Final = "STATEMENT_CREATING"
SIGN_ERROR: Final = "SIGN_ERROR"
NO_AUTH: Final = "NO_AUTH"
TOO_MANY_CALLS: Final = "FREQUENCY_LIMITED"
NO_SUCH_ROUTE: Final = "RESOURCE_NOT_EXISTS"

ERRORS: Final[Mapping[str, type[ProviderError]]] = {
    PARAM_ERROR: Refused,
    INVALID_REQUEST: Refused,
    NO_STATEMENT: Refused,
    CREATING: Unavailable,
    SIGN_ERROR: AuthError,
    NO_AUTH: AuthError,
    "RATELIMIT_EXCEEDED": RateLimited,
    TOO_MANY_CALLS: RateLimited,
    NO_SUCH_ROUTE: Refused,
    "SYSTEM_ERROR": Unavailable,
}
"""Error classes by code. For our client, NO_STATEMENT means a day without flows and not an error."""
