"""WOO X Pro, futures transactions (GET /contract/private/transaction-history)."""

from collections.abc import Callable

from liushui.http import JSON_HEADERS, Response
from liushui.provider import CredentialField, Provider, Role
from liushui.providers.wooxpro import codec
from liushui.providers.wooxpro.client import WooxproClient
from liushui.providers.wooxpro.rules import NAME, RULES
from liushui.providers.wooxpro.server import WooxproServer, key_name

SNIPPET = """\
import json
from urllib.request import Request, urlopen

url = "{base_url}/contract/private/transaction-history?page_size=5"
with urlopen(Request(url, headers={{"X-API-KEY": "{api_key}"}})) as answer:
    for row in json.load(answer)["data"]:
        print(row)
"""


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return an API key in the service's format: 40 hex digits."""
    return {"api_key": random_bytes(20).hex()}


PROVIDER = Provider(
    name=NAME,
    title="WOO X Pro Futures",
    rules=RULES,
    codec=codec,
    server=WooxproServer(),
    credentials=(CredentialField("api_key", "API Key", secret=True),),
    base_url="https://cloud-api.wooxpro.com",
    connect=WooxproClient,
    new_credentials=new_credentials,
    key_name=lambda credentials: key_name(credentials["api_key"]),
    snippet=SNIPPET,
    auth="the key itself, in a header",
    outage_responses=(
        Response(200, JSON_HEADERS, b'{"code":30016,"message":"Service is under maintenance","data":[],"trace":"-"}'),
        Response(503, JSON_HEADERS, b'{"code":30014,"message":"Service unavailable","data":[],"trace":"-"}'),
    ),
    tested_with="a client written from the documentation alone",
    role=Role.FUTURES,
)
