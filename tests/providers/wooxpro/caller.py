"""Calls of WOO X Pro's server as a function: with a key in a header, over a reader in memory."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from liushui.http import Request
from liushui.instant import EPOCH
from liushui.provider import Key
from liushui.providers.wooxpro import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader

PATH: Final = "/contract/private/transaction-history"
EVER: Final = {"start_time": "-62135596800000", "end_time": "253402300799999"}
TRACE: Final = "80ba1f071b6f46ad81dd78ac7e9bbccd"
ACCOUNT: Final = "trader-1"


class Answer(NamedTuple):
    """An answer, its envelope checked."""

    status: int
    code: int
    message: str
    data: list[dict[str, Any]]
    limits: Mapping[str, str]
    """What its headers say of the rate, by the end of their names."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a page."""
        assert (self.status, self.code, self.message) == (200, 1000, "Ok"), self.message
        return self.data

    @property
    def fault(self) -> tuple[int, int]:
        """The status and the code of an error."""
        assert self.data == []
        return self.status, self.code


class Caller:
    """Somebody with a key, and the clock that they are judged by."""

    def __init__(self, reader: MemoryReader, clock: MovableClock, key: Key) -> None:
        self.reader, self.clock, self.key = reader, clock, key

    @property
    def api_key(self) -> str:
        return self.key.credentials["api_key"]

    def get(self, **parameters: object) -> Answer:
        """A page of all time, unless the parameters say otherwise; those that are None are left out."""
        return self.ask(urlencode({name: value for name, value in (EVER | parameters).items() if value is not None}))

    def ask(self, query: str) -> Answer:
        """A page, asked for with a query as it stands."""
        return answered(self.request(query), self.reader)

    def request(self, query: str = "", *, path: str = PATH, method: str = "GET", body: bytes = b"") -> Request:
        """A request with the key."""
        return Request(method, path, query, {"x-api-key": self.api_key}, body, path, TRACE)


def answered(request: Request, reader: MemoryReader) -> Answer:
    """Have a request answered, and check what every answer must have."""
    response = PROVIDER.server.answer(request, reader)
    headers = dict(response.headers)
    assert headers.pop("content-type") == "application/json; charset=utf-8"
    envelope = json.loads(response.body, parse_float=str)
    assert list(envelope) == ["code", "message", "data", "trace"]
    assert envelope["trace"] == "80ba1f07-1b6f-46ad-81dd-78ac7e9bbccd"
    assert type(envelope["code"]) is int
    assert envelope["message"]
    assert type(envelope["message"]) is str
    assert type(envelope["data"]) is list
    assert (envelope["code"] == 1000) is (response.status == 200)
    limits = {name.removeprefix("X-BM-RateLimit-"): value for name, value in headers.items()}
    return Answer(response.status, envelope["code"], envelope["message"], envelope["data"], limits)


def ms(at: datetime) -> int:
    """An instant in whole Unix milliseconds."""
    return (at - EPOCH) // timedelta(milliseconds=1)
