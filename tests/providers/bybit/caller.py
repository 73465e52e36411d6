"""Calls of Bybit's server as a function: signed by hand, over a reader in memory."""

import hmac
import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from liushui.http import Request
from liushui.instant import EPOCH
from liushui.provider import Key
from liushui.providers.bybit import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader

PATH: Final = "/v5/account/transaction-log"
ACCOUNT: Final = "trader-1"
Row = dict[str, Any]


class Answer(NamedTuple):
    """An answer, its envelope checked."""

    status: int
    code: int
    message: str
    result: dict[str, Any]
    headers: dict[str, str]

    @property
    def rows(self) -> list[Row]:
        """The rows of a page."""
        assert (self.status, self.code, self.message) == (200, 0, "OK"), self
        rows: list[Row] = self.result["list"]
        return rows

    @property
    def cursor(self) -> str:
        """The cursor of the next page."""
        cursor: str = self.result["nextPageCursor"]
        return cursor

    @property
    def fault(self) -> int:
        """The code of an error."""
        assert self.result == {}
        return self.code


class Caller:
    """A client with a key, and the clock that requests are judged by."""

    def __init__(self, reader: MemoryReader, clock: MovableClock, key: Key) -> None:
        self.reader, self.clock, self.key = reader, clock, key

    def get(self, **parameters: object) -> Answer:
        """A page."""
        return self.answer(self.request(urlencode(parameters)))

    def request(self, query: str = "", *, at: datetime | None = None, window: str | None = None) -> Request:
        """A signed request."""
        timestamp = str(ms(at or self.clock()))
        given = self.key.credentials
        message = f"{timestamp}{given['api_key']}{window or ''}{query}".encode()
        headers = {
            "x-bapi-api-key": given["api_key"],
            "x-bapi-sign": hmac.new(given["api_secret"].encode(), message, sha256).hexdigest(),
            "x-bapi-timestamp": timestamp,
        }
        if window is not None:
            headers["x-bapi-recv-window"] = window
        return Request("GET", PATH, query, headers, b"", PATH, "")

    def answer(self, request: Request) -> Answer:
        """Have a request answered, and check what every answer must have."""
        response = PROVIDER.server.answer(request, self.reader)
        headers = dict(response.headers)
        assert headers.pop("content-type") == "application/json"
        envelope = json.loads(response.body)
        assert list(envelope) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
        assert envelope["time"] == ms(self.clock())
        return Answer(response.status, envelope["retCode"], envelope["retMsg"], envelope["result"], headers)


def ms(at: datetime) -> int:
    """An instant in whole Unix milliseconds."""
    return (at - EPOCH) // timedelta(milliseconds=1)
