"""Calls of Longbridge's server as a function: signed as the official clients sign, over a reader in memory."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from liushui.http import Request
from liushui.instant import to_us
from liushui.provider import Key
from liushui.providers._longbridge.wire import sign, signature_header
from liushui.providers.longbridge import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader

CASH_FLOW: Final = "/v1/asset/cashflow"
EVER: Final = {"start_time": "0", "end_time": "253402300799"}
TRACE: Final = "0123456789abcdef0123456789abcdef"


class Answer(NamedTuple):
    """An answer, its envelope checked."""

    status: int
    code: int
    message: str
    data: Any
    """None where there is none."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a page."""
        assert (self.status, self.code) == (200, 0), self.message
        rows: list[dict[str, Any]] = self.data["list"]
        return rows

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
        """A page of cash flows of all time, unless the parameters say otherwise; those that are None are left out."""
        given = {name: value for name, value in (EVER | parameters).items() if value is not None}
        return self.send(self.signed(urlencode(given)))

    def send(self, request: Request) -> Answer:
        """Have a request answered."""
        return answered(request, self.reader)

    def signed(
        self,
        query: str = urlencode(EVER),
        *,
        path: str = CASH_FLOW,
        method: str = "GET",
        route: str = CASH_FLOW,
        body: bytes = b"",
        timestamp: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        """A request, signed after `headers` took the place of what would be sent."""
        sent = {
            "x-api-key": self.key.public,
            "authorization": self.key.credentials["access_token"],
            "x-timestamp": seconds(self.clock()) if timestamp is None else timestamp,
            "content-type": "application/json; charset=utf-8",
            **(headers or {}),
        }
        signature = sign(
            secret=self.key.credentials["app_secret"], method=method, path=path, query=query, headers=sent, body=body
        )
        sent["x-api-signature"] = signature_header(signature)
        return Request(method, path, query, sent, body, route, TRACE)


def answered(request: Request, reader: MemoryReader) -> Answer:
    """Have a request answered, and check what every answer must have."""
    response = PROVIDER.server.answer(request, reader)
    assert dict(response.headers) == {"content-type": "application/json; charset=utf-8", "x-trace-id": request.trace}
    envelope = json.loads(response.body, parse_float=str)
    assert type(envelope["code"]) is int
    assert type(envelope["message"]) is str
    assert envelope["message"]
    assert ("data" in envelope) is (envelope["code"] == 0) is (response.status == 200)
    return Answer(response.status, envelope["code"], envelope["message"], envelope.get("data"))


def seconds(at: datetime) -> str:
    """An instant as text of whole Unix seconds."""
    return str(to_us(at) // 1_000_000)
