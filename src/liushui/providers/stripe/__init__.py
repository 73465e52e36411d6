"""Stripe, balance transactions (GET /v1/balance_transactions)."""

from collections.abc import Callable
from decimal import Decimal

from liushui.flow import Flow, Kind
from liushui.http import JSON_HEADERS, Response
from liushui.money import EXACT, to_plain_string
from liushui.provider import CredentialField, Provider, Role
from liushui.providers.stripe import codec
from liushui.providers.stripe.client import StripeClient
from liushui.providers.stripe.rules import NAME, RULES
from liushui.providers.stripe.server import StripeServer, key_name

SNIPPET = """\
import json
from urllib.request import Request, urlopen

url = "{base_url}/v1/balance_transactions?limit=5"
with urlopen(Request(url, headers={{"Authorization": "Bearer {api_key}"}})) as answer:
    for row in json.load(answer)["data"]:
        print(row)
"""

FEE_PER_MILLE = 29


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return a secret key in the format of the service."""
    return {"api_key": f"sk_live_{random_bytes(24).hex()}"}


def with_fee(flow: Flow, below: Callable[[int], int]) -> Flow:
    """Add a fee to most simulated receipts. The flow's amount is then the payment minus the fee."""
    if flow.kind is not Kind.RECEIPT or not below(4):
        return flow
    fee = EXACT.multiply(abs(flow.amount), Decimal(FEE_PER_MILLE)).scaleb(-3, EXACT)
    paid = -(fee // Decimal("0.01") + 1).scaleb(-2, EXACT)
    text = to_plain_string(paid)
    details = {"amount": text, "application": None, "currency": flow.currency, "type": "stripe_fee"}
    gross = to_plain_string(EXACT.subtract(flow.amount, paid))
    return flow._replace(
        detail={
            codec.GROSS: gross,
            codec.FEE: text,
            codec.FEE_DETAILS: [details | {"description": "Stripe processing fees"}],
        }
    )


PROVIDER = Provider(
    name=NAME,
    title="Stripe",
    rules=RULES,
    codec=codec,
    server=StripeServer(),
    credentials=(CredentialField("api_key", "Secret key", secret=True),),
    base_url="https://api.stripe.com",
    connect=StripeClient,
    new_credentials=new_credentials,
    key_name=lambda credentials: key_name(credentials["api_key"]),
    snippet=SNIPPET,
    auth="the key itself, in a header",
    outage_responses=(
        Response(
            503, JSON_HEADERS, b'{"error":{"type":"api_error","message":"The service is temporarily unavailable."}}'
        ),
        Response(500, JSON_HEADERS, b'{"error":{"type":"api_error","message":"An unknown error occurred."}}'),
    ),
    tested_with="`stripe` 16.1.0 (Python), `stripe` 23.1.0 (npm)",
    role=Role.SHOP,
    simulate_detail=with_fee,
)
