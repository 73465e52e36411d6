"""Alipay account log: documented limits and error codes, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable
from liushui.rules import (
    BalanceRules,
    Filter,
    LinkRules,
    PageNumber,
    Rate,
    RecordId,
    Retention,
    Rules,
    Uniqueness,
)

NAME: Final = "alipay"

ZONE: Final = "Asia/Shanghai"
WINDOW_MAX: Final = timedelta(days=31)

RULES: Final = Rules(
    paging=PageNumber(size_default=2_000, size_max=2_000, size_min=1_000, has_total=True),
    rate=Rate(calls=10, per=timedelta(seconds=1)),
    resolution=timedelta(seconds=1),
    end_exclusive=True,
    history_start=datetime(2005, 1, 1, tzinfo=UTC),
    time_field="trans_dt",
    time_zone=ZONE,
    id_field="account_log_id",
    record_id=RecordId(Uniqueness.NOT_PROMISED, fields=("account_log_id",)),
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(minutes=15),
    zone=ZONE,
    window_max=WINDOW_MAX,
    retention=Retention(years=1, zone=ZONE, doubt=timedelta(days=1)),
    filters=(Filter("alipay_order_no", "alipay_order_no"),),
    currencies=frozenset({"CNY"}),
    links=LinkRules(pays_out=True),
    balances=BalanceRules(advisory=True),
)

SUCCESS: Final = "10000"
MISSING_ARGUMENT: Final = "40001"
INVALID_ARGUMENT: Final = "40002"
BUSINESS_FAILED: Final = "40004"
CALL_LIMITED: Final = "40005"
OTHER_MERCHANT: Final = "20001"
NO_PERMISSION: Final = "40006"

MESSAGES: Final[Mapping[str, str]] = {
    SUCCESS: "Success",
    "20000": "Service Currently Unavailable",
    OTHER_MERCHANT: "Insufficient Token Permissions",
    MISSING_ARGUMENT: "Missing Required Arguments",
    INVALID_ARGUMENT: "Invalid Arguments",
    "40003": "Insufficient Conditions",
    BUSINESS_FAILED: "Business Failed",
    CALL_LIMITED: "Call Limited",
    NO_PERMISSION: "Insufficient Permissions",
}
"""The text of `msg` for each code."""

ERRORS: Final[Mapping[str, type[ProviderError]]] = {
    "20000": Unavailable,
    OTHER_MERCHANT: AuthError,
    MISSING_ARGUMENT: Refused,
    INVALID_ARGUMENT: Refused,
    "40003": AuthError,
    BUSINESS_FAILED: Refused,
    CALL_LIMITED: RateLimited,
    NO_PERMISSION: AuthError,
    "isv.missing-app-id": AuthError,
    "isv.missing-signature": AuthError,
    "isv.invalid-app-id": AuthError,
    "isv.invalid-signature": AuthError,
    "SYSTEM_ERROR": Unavailable,
}
"""The error class for each `sub_code`. For a `sub_code` that is not listed, `code` decides."""
