"""Longbridge / LongPort OpenAPI, cash flow (GET /v1/asset/cashflow), the current generation."""

from collections.abc import Callable

from liushui.provider import CredentialField, Provider
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.client import LongbridgeClient
from liushui.providers.longbridge.rules import RULES
from liushui.providers.longbridge.server import NAME, LongbridgeServer
from liushui.providers.longbridge.socket import LongbridgeSocket

SNIPPET = """\
from datetime import datetime
from longbridge.openapi import Config, TradeContext

config = Config.from_apikey("{app_key}", "{app_secret}", "{access_token}", http_url="{base_url}")
for flow in TradeContext(config).cash_flow(start_at=datetime(2000, 1, 1), end_at=datetime.now(), size=5):
    print(flow)
"""


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """A key of the shape the service gives: 32 hex digits, 64 hex digits, and a token."""
    return {
        "app_key": random_bytes(16).hex(),
        "app_secret": random_bytes(32).hex(),
        "access_token": f"m_{random_bytes(48).hex()}",
    }


PROVIDER = Provider(
    name=NAME,
    title="Longbridge OpenAPI",
    rules=RULES,
    codec=codec,
    server=LongbridgeServer(),
    socket=LongbridgeSocket(),
    credentials=(
        CredentialField("app_key", "App Key", secret=False),
        CredentialField("app_secret", "App Secret", secret=True),
        CredentialField("access_token", "Access Token", secret=True),
    ),
    base_url="https://openapi.longportapp.com",
    connect=LongbridgeClient,
    new_credentials=new_credentials,
    key_name=lambda credentials: credentials["app_key"],
    snippet=SNIPPET,
    auth="HMAC-SHA256 over the request, key and access token",
    tested_with="`longbridge` 5.3.0, `longport` 3.0.18",
)
