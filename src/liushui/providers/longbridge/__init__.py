"""Longbridge / LongPort OpenAPI, cash flow (GET /v1/asset/cashflow), the current generation."""

from liushui.http import JSON_HEADERS, Response
from liushui.provider import Provider
from liushui.providers._longbridge.rules import CREDENTIALS, key_name, new_credentials
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.client import LongbridgeClient
from liushui.providers.longbridge.rules import NAME, RULES
from liushui.providers.longbridge.server import LongbridgeServer
from liushui.providers.longbridge.socket import LongbridgeSocket

SNIPPET = """\
from datetime import datetime
from longbridge.openapi import Config, TradeContext

config = Config.from_apikey("{app_key}", "{app_secret}", "{access_token}", http_url="{base_url}")
for flow in TradeContext(config).cash_flow(start_at=datetime(2000, 1, 1), end_at=datetime.now(), size=5):
    print(flow)
"""


PROVIDER = Provider(
    name=NAME,
    title="Longbridge OpenAPI",
    rules=RULES,
    codec=codec,
    server=LongbridgeServer(),
    socket=LongbridgeSocket(),
    credentials=CREDENTIALS,
    base_url="https://openapi.longportapp.com",
    connect=LongbridgeClient,
    new_credentials=new_credentials,
    key_name=key_name,
    snippet=SNIPPET,
    auth="HMAC-SHA256 over the request, key and access token",
    outage_responses=(Response(500, JSON_HEADERS, b'{"code":500000,"message":"internal error"}'),),
    tested_with="`longbridge` 5.3.0, `longport` 3.0.18",
)
