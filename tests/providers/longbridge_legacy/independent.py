"""A client of the first draft, written only from its document, with nothing but the standard library.

It shares no line with the code under test. Answers that it understands can be understood by any outsider's client.
"""

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlsplit

URL_PATH = "/v1/trade/asset/GetCashFlowHistory"
FIELDS = {
    "transaction_flow_name": str,
    "direction": int,
    "business_type": int,
    "balance": str,
    "currency": str,
    "business_time": int,
    "description": str,
}
"""The table 响应体 with its types; `symbol` 不一定所有的都有, not every row has one."""


class Refusal(Exception):
    """The service said no: the HTTP status, `code` and `msg`."""

    def __init__(self, status: int, code: int, msg: str) -> None:
        super().__init__(f"HTTP {status}, code {code}: {msg}")
        self.status, self.code, self.msg = status, code, msg


class CashFlow(NamedTuple):
    """One row of 流水信息."""

    name: str
    direction: int
    business_type: int
    amount: Decimal
    currency: str
    seconds: int
    symbol: str
    description: str


class Client:
    """Somebody with an app key, its secret and an access token."""

    def __init__(self, base_url: str, app_key: str, app_secret: str, access_token: str) -> None:
        self.base_url, self.app_key, self.app_secret, self.access_token = base_url, app_key, app_secret, access_token

    def page(self, **body: object) -> list[CashFlow]:
        """One page. Raises Refusal."""
        status, answer = self.post(json.dumps(body).encode("utf-8"))
        if answer["code"] != 0:
            raise Refusal(status, answer["code"], answer["msg"])
        return [cash_flow(row) for row in answer["data"]["list"]]

    def everything(self, start_time: int, end_time: int, size: int, **filters: object) -> Iterator[CashFlow]:
        """Page after page until one is empty."""
        for number in range(1, 10_000):
            found = self.page(start_time=start_time, end_time=end_time, page=number, size=size, **filters)
            if not found:
                return
            yield from found

    def post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """One signed request, and the status and the envelope of its answer."""
        where = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
        try:
            connection.request("POST", URL_PATH, body, self.headers(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def headers(self, body: bytes) -> dict[str, str]:
        """The document's two headers, and what the signature needs."""
        stamp = str(int(time.time()))
        signed = "authorization;x-api-key;x-timestamp"
        lines = f"authorization:{self.access_token}\nx-api-key:{self.app_key}\nx-timestamp:{stamp}\n"
        text = f"POST|{URL_PATH}||{lines}|{signed}|{sha1(body) if body else ''}"
        proof = hmac.new(self.app_secret.encode(), f"HMAC-SHA256|{sha1(text.encode())}".encode(), hashlib.sha256)
        return {
            "Authorization": self.access_token,
            "Content-Type": "application/json; charset=utf-8",
            "X-Api-Key": self.app_key,
            "X-Timestamp": stamp,
            "X-Api-Signature": f"HMAC-SHA256 SignedHeaders={signed}, Signature={proof.hexdigest()}",
        }


def sha1(text: bytes) -> str:
    """As 40 hex digits: the scheme signs with SHA-256 what SHA-1 made short."""
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def cash_flow(row: dict[str, Any]) -> CashFlow:
    """A row as the table 响应体 has it. Raises TypeError where a field is of another type."""
    for name, kind in FIELDS.items():
        if type(row[name]) is not kind:
            raise TypeError(f"{name}: {row[name]!r}")
    return CashFlow(
        row["transaction_flow_name"],
        row["direction"],
        row["business_type"],
        Decimal(row["balance"]),
        row["currency"],
        row["business_time"],
        row.get("symbol") or "",
        row["description"],
    )
