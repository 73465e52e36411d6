"""Bybit, transaction log of the unified account (GET /v5/account/transaction-log)."""

from collections.abc import Callable
from decimal import Decimal
from string import ascii_letters, digits

from liushui.flow import Flow, Kind
from liushui.http import JSON_HEADERS, Response
from liushui.money import EXACT, to_plain_string
from liushui.provider import CredentialField, Provider, Role
from liushui.providers.bybit import codec
from liushui.providers.bybit.client import BybitClient
from liushui.providers.bybit.rules import NAME, RULES
from liushui.providers.bybit.server import BybitServer

SNIPPET = """\
from pybit.unified_trading import HTTP  # pip install pybit==5.17.0

session = HTTP(api_key="{api_key}", api_secret="{api_secret}")
session.endpoint = "{base_url}"
for row in session.get_transaction_log(accountType="UNIFIED", limit=5)["result"]["list"]:
    print(row)
"""

_ALPHABET = ascii_letters + digits


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return a key of 18 letters and digits, and a secret of 36."""
    texts = ("".join(_ALPHABET[byte % len(_ALPHABET)] for byte in random_bytes(length)) for length in (18, 36))
    return dict(zip(("api_key", "api_secret"), texts, strict=True))


def with_legs(flow: Flow, below: Callable[[int], int]) -> Flow:
    """Return a simulated trade with its cash flow and its fee. Together they are the amount."""
    if flow.kind not in (Kind.REALIZED_PNL, Kind.FEE):
        return flow
    fee = -flow.amount if flow.kind is Kind.FEE else Decimal(1 + below(400_000_000)).scaleb(-8)
    cash_flow = EXACT.add(flow.amount, fee)
    legs = {codec.CASH_FLOW: to_plain_string(cash_flow), codec.FEE: to_plain_string(fee)}
    return flow._replace(kind=Kind.TRADE, detail=legs)


PROVIDER = Provider(
    name=NAME,
    title="Bybit unified account",
    rules=RULES,
    codec=codec,
    server=BybitServer(),
    credentials=(
        CredentialField("api_key", "API Key", secret=False),
        CredentialField("api_secret", "API Secret", secret=True),
    ),
    base_url="https://api.bybit.com",
    connect=BybitClient,
    new_credentials=new_credentials,
    key_name=lambda credentials: credentials["api_key"],
    snippet=SNIPPET,
    auth="HMAC-SHA256 over time, key, window and query; API key",
    outage_responses=(
        Response(200, JSON_HEADERS, b'{"retCode":10016,"retMsg":"Server error.","result":{},"retExtInfo":{},"time":0}'),
        Response(
            503, JSON_HEADERS, b'{"retCode":10000,"retMsg":"Server timeout","result":{},"retExtInfo":{},"time":0}'
        ),
    ),
    tested_with="`pybit` 5.17.0, `bybit-api` 4.7.7 (npm)",
    role=Role.EXCHANGE,
    simulate_detail=with_legs,
)
