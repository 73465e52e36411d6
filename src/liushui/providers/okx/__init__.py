"""OKX, bills of the trading account (GET /api/v5/account/bills and bills-archive)."""

from collections.abc import Callable
from decimal import Decimal

from liushui.flow import Flow, Kind
from liushui.http import JSON_HEADERS, Response
from liushui.money import EXACT, to_plain_string
from liushui.provider import CredentialField, Provider, Role
from liushui.providers.okx import codec
from liushui.providers.okx.client import OkxClient
from liushui.providers.okx.rules import NAME, RULES
from liushui.providers.okx.server import OkxServer

SNIPPET = """\
from okx.Account import AccountAPI  # pip install python-okx==0.4.4

api = AccountAPI("{api_key}", "{api_secret}", "{passphrase}", flag="0", domain="{base_url}")
for row in api.get_account_bills_archive(limit="5")["data"]:
    print(row)
"""


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return a key in the form of a UUID, a secret of 32 hex digits, and a passphrase."""
    key, secret = random_bytes(16).hex(), random_bytes(16).hex().upper()
    parts = (key[:8], key[8:12], key[12:16], key[16:20], key[20:])
    return {"api_key": "-".join(parts), "api_secret": secret, "passphrase": random_bytes(12).hex()}


def with_legs(flow: Flow, below: Callable[[int], int]) -> Flow:
    """Return a simulated trade with its profit and its fee, whose sum is the amount."""
    if flow.kind is Kind.FUNDING:
        return flow._replace(detail={codec.PNL: to_plain_string(flow.amount), codec.FEE: "0"})
    if flow.kind not in (Kind.REALIZED_PNL, Kind.FEE):
        return flow
    fee = flow.amount if flow.kind is Kind.FEE else Decimal(-1 - below(400_000_000)).scaleb(-8)
    legs = {codec.PNL: to_plain_string(EXACT.subtract(flow.amount, fee)), codec.FEE: to_plain_string(fee)}
    return flow._replace(kind=Kind.TRADE, detail=legs)


PROVIDER = Provider(
    name=NAME,
    title="OKX trading account",
    rules=RULES,
    codec=codec,
    server=OkxServer(),
    credentials=(
        CredentialField("api_key", "API Key", secret=False),
        CredentialField("api_secret", "Secret key", secret=True),
        CredentialField("passphrase", "Passphrase", secret=True),
    ),
    base_url="https://www.okx.com",
    connect=OkxClient,
    new_credentials=new_credentials,
    key_name=lambda credentials: credentials["api_key"],
    snippet=SNIPPET,
    auth="HMAC-SHA256 over time, method, target and body; API key and passphrase",
    outage_responses=(
        Response(503, JSON_HEADERS, b'{"code":"50001","msg":"Service temporarily unavailable.","data":[]}'),
        Response(200, JSON_HEADERS, b'{"code":"50026","msg":"System error. Try again later.","data":[]}'),
    ),
    tested_with="`python-okx` 0.4.4, `okx-api` 3.2.3 (npm)",
    role=Role.EXCHANGE,
    simulate_detail=with_legs,
)
