"""Longbridge OpenAPI, cash flow history (POST /v1/trade/asset/GetCashFlowHistory), the first draft of April 2022."""

from liushui.http import JSON_HEADERS, Response
from liushui.provider import Provider
from liushui.providers._longbridge.rules import CREDENTIALS, key_name, new_credentials
from liushui.providers.longbridge_legacy import codec
from liushui.providers.longbridge_legacy.client import LongbridgeLegacyClient
from liushui.providers.longbridge_legacy.rules import NAME, RULES
from liushui.providers.longbridge_legacy.server import LongbridgeLegacyServer

SNIPPET = """\
from longbridge.openapi import HttpClient

client = HttpClient.from_apikey("{app_key}", "{app_secret}", "{access_token}", http_url="{base_url}")
body = dict(start_time=946684800, end_time=4102444800, page=1, size=5)
for flow in client.request("post", "/v1/trade/asset/GetCashFlowHistory", body=body)["list"]:
    print(flow)
"""

PROVIDER = Provider(
    name=NAME,
    title="Longbridge OpenAPI, first draft",
    rules=RULES,
    codec=codec,
    server=LongbridgeLegacyServer(),
    credentials=CREDENTIALS,
    base_url="https://openapi.longbridge.sg",
    connect=LongbridgeLegacyClient,
    new_credentials=new_credentials,
    key_name=key_name,
    snippet=SNIPPET,
    auth="HMAC-SHA256 over the request with its body, key and access token",
    outage_responses=(
        Response(500, JSON_HEADERS, b'{"code":500000,"msg":"internal error","message":"internal error"}'),
    ),
    tested_with="`HttpClient` of `longbridge` 5.3.0",
)
