"""WeCom fund flow: documented limits and error codes, as data. MAPPING.md says where each is documented."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from liushui.errors import AuthError, ProviderError, RateLimited, Refused, Unavailable
from liushui.instant import to_utc
from liushui.rules import (
    BalanceRules,
    Cursor,
    Filter,
    LinkRules,
    PublishClock,
    Rate,
    RecordId,
    Retention,
    Rules,
    Uniqueness,
)

NAME: Final = "wecom"

ZONE: Final = "Asia/Shanghai"
FLOOR: Final = to_utc(datetime(2022, 12, 1, tzinfo=ZoneInfo(ZONE)))
WINDOW_MAX: Final = timedelta(days=31)

RULES: Final = Rules(
    paging=Cursor(size_default=100, size_max=200),
    rate=Rate(calls=600, per=timedelta(minutes=1)),
    resolution=timedelta(seconds=1),
    history_start=FLOOR,
    time_field="timestamp",
    record_id=RecordId(Uniqueness.NOT_PROMISED, fields=("request_no", "mch_id", "transaction_type", "fund_flow_type")),
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(minutes=15),
    zone=ZONE,
    links=LinkRules(pays_out=True, shows_money_of="wechatpay"),
    filters=(Filter("mch_id", "mch_id"),),
    window_max=WINDOW_MAX,
    floor=FLOOR,
    retention=Retention(years=3, zone=ZONE),
    publish=PublishClock(at=time(11), zone=ZONE),
    currencies=frozenset({"CNY"}),
    balances=BalanceRules(hides_rows=True),
)

TOKEN_LIFE: Final = timedelta(seconds=7200)
TOKEN_RATE: Final = Rate(calls=600, per=timedelta(minutes=1))
"""Limit of gettoken. It is as high as the limit for rows, because some clients renew a token before every call in its
last minute."""

ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    -1: Unavailable,
    40001: AuthError,
    40013: AuthError,
    40014: AuthError,
    40058: Refused,
    41001: AuthError,
    41002: AuthError,
    41004: AuthError,
    42001: AuthError,
    45009: RateLimited,
    45033: RateLimited,
    48002: AuthError,
    60020: AuthError,
    301002: AuthError,
}
INVALID_TOKEN_CODES: Final = (40014, 42001)
"""Errors that mean that an access token is no longer valid. The credentials may still be valid."""
