"""What is known of Longbridge whatever the generation of its API, as data: limits, codes of its gateway, credentials.

The current generation's document states it. The first draft's is silent, and is taken to mean the same.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from liushui.errors import AuthError, ProviderError, RateLimited, Unavailable
from liushui.provider import CredentialField
from liushui.rules import Filter, PageNumber, Rate, Rules

RULES: Final = Rules(
    paging=PageNumber(size_default=50, size_max=10_000),
    rate=Rate(calls=30, per=timedelta(seconds=30), spacing=timedelta(milliseconds=20)),
    resolution=timedelta(seconds=1),
    history_start=datetime(2018, 1, 1, tzinfo=UTC),
    lookback=timedelta(hours=48),
    allowed_lateness=timedelta(seconds=10),
    zone="Asia/Hong_Kong",
    clock_skew_max=timedelta(seconds=300),
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
"""Codes of what stands before every service of the provider's."""

CREDENTIALS: Final = (
    CredentialField("app_key", "App Key", secret=False),
    CredentialField("app_secret", "App Secret", secret=True),
    CredentialField("access_token", "Access Token", secret=True),
)


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """A key of the shape the service gives: 32 hex digits, 64 hex digits, and a token."""
    return {
        "app_key": random_bytes(16).hex(),
        "app_secret": random_bytes(32).hex(),
        "access_token": f"m_{random_bytes(48).hex()}",
    }


def key_name(credentials: Mapping[str, str]) -> str:
    """The part of a credential that is no secret."""
    return credentials["app_key"]
