"""HK and US securities of an unnamed broker, cash transactions (GET /account/v1/transactions)."""

from collections.abc import Callable

from liushui.http import JSON_HEADERS, Response
from liushui.provider import CredentialField, Provider
from liushui.providers.hkus import codec
from liushui.providers.hkus.client import HkusClient
from liushui.providers.hkus.rules import NAME, RULES
from liushui.providers.hkus.server import HkusServer

SNIPPET = """\
import hashlib, hmac, time, urllib.request

target = "/account/v1/transactions?page=1&page_size=5"
timestamp = str(time.time_ns() // 1_000_000)
message = timestamp + "GET" + target
signature = hmac.new(b"{api_secret}", message.encode(), hashlib.sha256).hexdigest()
headers = dict([("X-API-Key", "{api_key}"), ("X-API-Timestamp", timestamp), ("X-API-Signature", signature)])
print(urllib.request.urlopen(urllib.request.Request("{base_url}" + target, headers=headers)).read().decode())
"""


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return a key of 32 hex digits and a secret of 64. The document does not show a format."""
    return {"api_key": random_bytes(16).hex(), "api_secret": random_bytes(32).hex()}


PROVIDER = Provider(
    name=NAME,
    title="HK/US securities account",
    rules=RULES,
    codec=codec,
    server=HkusServer(),
    credentials=(
        CredentialField("api_key", "API Key", secret=False),
        CredentialField("api_secret", "API Secret", secret=True),
    ),
    base_url="",  # the document names no host, so the user has to name it
    connect=HkusClient,
    new_credentials=new_credentials,
    key_name=lambda credentials: credentials["api_key"],
    snippet=SNIPPET,
    auth="HMAC-SHA256 over time, method, target and body; API key",
    outage_responses=(Response(500, JSON_HEADERS, b'{"code":12010012,"message":"Internal server error"}'),),
    tested_with="an independent client that uses only the standard library",
)
