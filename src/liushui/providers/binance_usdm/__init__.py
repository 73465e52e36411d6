"""Binance USDⓈ-M Futures, income history (GET /fapi/v1/income)."""

from collections.abc import Callable
from string import ascii_letters, digits

from liushui.flow import Flow, Kind
from liushui.http import JSON_HEADERS, Response
from liushui.provider import CredentialField, Provider, Role
from liushui.providers.binance_usdm import codec
from liushui.providers.binance_usdm.client import BinanceClient
from liushui.providers.binance_usdm.rules import NAME, RULES
from liushui.providers.binance_usdm.server import BinanceServer

SNIPPET = """\
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    ConfigurationRestAPI,
    DerivativesTradingUsdsFutures,
)  # pip install binance-sdk-derivatives-trading-usds-futures==18.1.0

config = ConfigurationRestAPI(api_key="{api_key}", api_secret="{api_secret}", base_path="{base_url}")
for row in DerivativesTradingUsdsFutures(config_rest_api=config).rest_api.get_income_history(limit=5).data():
    print(row)
"""

_ALPHABET = ascii_letters + digits


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return a key and a secret of 64 letters and digits each."""
    texts = ("".join(_ALPHABET[byte % len(_ALPHABET)] for byte in random_bytes(64)) for _ in range(2))
    return dict(zip(("api_key", "api_secret"), texts, strict=True))


def as_profit(flow: Flow, below: Callable[[int], int]) -> Flow:
    """Return a simulated flow as a futures account has it: the money that a spot trade moves counts as profit or
    loss."""
    del below
    return flow._replace(kind=Kind.REALIZED_PNL) if flow.kind is Kind.TRADE else flow


PROVIDER = Provider(
    name=NAME,
    title="Binance USDⓈ-M Futures",
    rules=RULES,
    codec=codec,
    server=BinanceServer(),
    credentials=(
        CredentialField("api_key", "API Key", secret=False),
        CredentialField("api_secret", "API Secret", secret=True),
    ),
    base_url="https://fapi.binance.com",
    connect=BinanceClient,
    new_credentials=new_credentials,
    key_name=lambda credentials: credentials["api_key"],
    snippet=SNIPPET,
    auth="HMAC-SHA256 over the query, which has the time; API key",
    outage_responses=(Response(503, JSON_HEADERS, b'{"code":-1008,"msg":"Server is currently overloaded."}'),),
    tested_with="`binance-sdk-derivatives-trading-usds-futures` 18.1.0, `python-binance` 1.0.37",
    role=Role.EXCHANGE,
    simulate_detail=as_profit,
)
