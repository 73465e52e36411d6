"""Longbridge's limits, error codes and credentials, for both generations, as data.

The documentation of the current generation states them. The first draft states none. We assume that it has the same.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, ProviderError, RateLimited, Unavailable
from liushui.provider import CredentialField
from liushui.rules import Filter, LinkRules, PageNumber, Rate, Rules

RULES: Final = Rules(
    paging=PageNumber(size_default=50, size_max=10_000),
    rate=Rate(calls=30, per=timedelta(seconds=30), spacing=timedelta(milliseconds=20)),
    resolution=timedelta(seconds=1),
    history_start=datetime(2018, 1, 1, tzinfo=UTC),
    time_field="business_time",
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(seconds=10),
    zone="Asia/Hong_Kong",
    balances=None,
    clock_skew_max=timedelta(seconds=300),
    links=LinkRules(fee_window=timedelta(seconds=3), tax_window=timedelta(seconds=5)),
    filters=(Filter("business_type", "business_type", ("1", "2", "3")), Filter("symbol", "symbol")),
)

GATEWAY_ERRORS: Final[Mapping[int, type[ProviderError]]] = {
    401003: AuthError,
    403201: AuthError,
    403202: Unavailable,
    403203: AuthError,
    403205: AuthError,
    429001: RateLimited,
    429002: RateLimited,
    500000: Unavailable,
}
"""Error codes of the gateway in front of all of Longbridge's services."""

CREDENTIALS: Final = (
    CredentialField("app_key", "App Key", secret=False),
    CredentialField("app_secret", "App Secret", secret=True),
    CredentialField("access_token", "Access Token", secret=True),
)


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return credentials in the service's format: a key of 32 hex digits, a secret of 64, and a token."""
    return {
        "app_key": random_bytes(16).hex(),
        "app_secret": random_bytes(32).hex(),
        "access_token": f"m_{random_bytes(48).hex()}",
    }


def key_name(credentials: Mapping[str, str]) -> str:
    """Return the app key, which is not secret."""
    return credentials["app_key"]
