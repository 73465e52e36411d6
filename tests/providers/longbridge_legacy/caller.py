"""Calls of the first draft's server as a function: signed, over a reader in memory."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from liushui.http import Request
from liushui.instant import UNIX_SECONDS_MAX
from liushui.provider import Key
from liushui.providers._longbridge.wire import sign, signature_header
from liushui.providers.longbridge_legacy import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.longbridge.caller import TRACE, seconds
from tests.providers.longbridge.rows import MISSING

PATH: Final = "/v1/trade/asset/GetCashFlowHistory"
EVER: Final = {"start_time": 0, "end_time": UNIX_SECONDS_MAX, "page": 1, "size": 50}
OK: Final = (200, 0)
BAD: Final = (400, 1470400)
FORBIDDEN: Final = (403, 1470403)
NOT_FOUND: Final = (404, 1470404)
LIMITED: Final = (429, 1470429)


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
        assert self.said == OK, self.message
        rows: list[dict[str, Any]] = self.data["list"]
        return rows

    @property
    def said(self) -> tuple[int, int]:
        """The status and the code."""
        return self.status, self.code


class Caller:
    """Somebody with a key, who signs with the time of a clock."""

    def __init__(self, reader: MemoryReader, clock: MovableClock, key: Key) -> None:
        self.reader, self.clock, self.key = reader, clock, key

    def ask(self, **parameters: object) -> Answer:
        """The newest 50 flows, unless the parameters say otherwise; those that are MISSING are left out."""
        given = {name: value for name, value in (EVER | parameters).items() if value is not MISSING}
        return self.post(json.dumps(given).encode())

    def post(self, body: bytes) -> Answer:
        """Have a body answered."""
        return self.send(self.signed(body))

    def send(self, request: Request) -> Answer:
        """Have a request answered."""
        return answered(request, self.reader)

    def signed(
        self,
        body: bytes,
        *,
        path: str = PATH,
        method: str = "POST",
        route: str = PATH,
        query: str = "",
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
    good = response.status == 200
    assert list(envelope) == ["code", "msg", "message", *(["data"] if good else [])]
    assert type(envelope["code"]) is int
    assert (envelope["code"] == 0) is good
    assert type(envelope["msg"]) is str
    assert envelope["msg"] == envelope["message"] != ""
    return Answer(response.status, envelope["code"], envelope["msg"], envelope.get("data"))
