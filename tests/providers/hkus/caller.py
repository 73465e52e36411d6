"""Calls of this dialect's server as a function: signed by the recipe, over a reader in memory."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from liushui.http import Request
from liushui.instant import to_us
from liushui.provider import Key
from liushui.providers.hkus import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.hkus.rows import Row, unwire

TRANSACTIONS: Final = "/account/v1/transactions"


class Answer(NamedTuple):
    """An answer, its envelope checked."""

    status: int
    code: int
    message: str
    details: str
    data: Any
    """None where there is none."""

    @property
    def rows(self) -> list[Row]:
        """The rows of a page, numbers as literals."""
        assert (self.status, self.code) == (200, 0), (self.message, self.details)
        rows: list[Row] = self.data["transactions"]
        return rows

    @property
    def total(self) -> int:
        """How many rows all pages have."""
        assert self.rows is not None
        return int(self.data["total_records"])

    @property
    def fault(self) -> tuple[int, int]:
        """The status and the code of an error."""
        assert self.data is None
        return self.status, self.code


class Caller:
    """Somebody with a key, who signs with the time of a clock."""

    def __init__(self, reader: MemoryReader, clock: MovableClock, key: Key) -> None:
        self.reader, self.clock, self.key = reader, clock, key

    def get(self, **parameters: object) -> Answer:
        """A page; parameters that are None are left out."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self.send(self.signed(urlencode(given)))

    def send(self, request: Request) -> Answer:
        """Have a request answered."""
        return answered(request, self.reader)

    def signed(
        self,
        query: str = "",
        *,
        path: str = TRANSACTIONS,
        method: str = "GET",
        route: str = TRANSACTIONS,
        body: bytes = b"",
        timestamp: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        """A request, signed after `headers` took the place of what would be sent."""
        sent = {
            "x-api-key": self.key.public,
            "x-api-timestamp": milliseconds(self.clock()) if timestamp is None else timestamp,
            "content-type": "application/json",
            **(headers or {}),
        }
        secret = self.key.credentials["api_secret"]
        target = f"{path}?{query}" if query else path
        sent["x-api-signature"] = signature(secret, f"{sent['x-api-timestamp']}{method}{target}".encode() + body)
        return Request(method, path, query, sent, body, route, "a-trace")


def signature(secret: str, message: bytes) -> str:
    """The recipe, told once more."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def answered(request: Request, reader: MemoryReader) -> Answer:
    """Have a request answered, and check what every answer must have."""
    response = PROVIDER.server.answer(request, reader)
    assert response.headers == [("content-type", "application/json")]
    envelope = json.loads(response.body, parse_float=str)
    assert type(envelope["code"]) is int
    if envelope["code"]:
        assert set(envelope) <= {"code", "message", "details"}
        assert type(envelope["message"]) is type(envelope.get("details", "")) is str
        assert response.status >= 400
        return Answer(response.status, envelope["code"], envelope["message"], envelope.get("details", ""), None)
    assert (response.status, list(envelope)) == (200, ["code", "data"])
    data = unwire(response.body)["data"]
    assert list(data) == ["total_records", "page", "page_size", "transactions"]
    assert len(data["transactions"]) <= data["page_size"]
    return Answer(response.status, 0, "", "", data)


def milliseconds(at: datetime) -> str:
    """An instant as text of whole Unix milliseconds."""
    return str(to_us(at) // 1000)
