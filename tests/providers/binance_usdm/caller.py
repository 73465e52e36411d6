"""Calls of Binance's server as a function: signed by hand, over a reader in memory."""

import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from liushui.http import Request
from liushui.instant import EPOCH
from liushui.provider import NO_VALUES, Key
from liushui.providers.binance_usdm import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader

PATH: Final = "/fapi/v1/income"
ACCOUNT: Final = "trader-1"
Row = dict[str, Any]


class Answer(NamedTuple):
    """An answer: a list of rows, or an error."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def rows(self) -> list[Row]:
        """The rows of a page."""
        assert self.status == 200, self
        rows: list[Row] = self.body
        return rows

    @property
    def fault(self) -> tuple[int, int]:
        """The status and the code of an error."""
        assert list(self.body) == ["code", "msg"]
        return self.status, self.body["code"]


class Caller:
    """A client with a key, and the clock that requests are judged by."""

    def __init__(self, reader: MemoryReader, clock: MovableClock, key: Key) -> None:
        self.reader, self.clock, self.key = reader, clock, key

    def get(self, **parameters: object) -> Answer:
        """A page."""
        return self.answer(self.request(parameters))

    def request(self, parameters: Mapping[str, object] = NO_VALUES, *, at: datetime | None = None) -> Request:
        """A signed request."""
        query = urlencode({**parameters, "timestamp": ms(at or self.clock())})
        signature = hmac.new(self.key.credentials["api_secret"].encode(), query.encode(), sha256).hexdigest()
        headers = {"x-mbx-apikey": self.key.credentials["api_key"]}
        return Request("GET", PATH, f"{query}&signature={signature}", headers, b"", PATH, "")

    def answer(self, request: Request) -> Answer:
        """Have a request answered, and check what every answer must have."""
        response = PROVIDER.server.answer(request, self.reader)
        headers = dict(response.headers)
        assert headers.pop("content-type") == "application/json"
        return Answer(response.status, json.loads(response.body), headers)


def ms(at: datetime) -> int:
    """An instant in whole Unix milliseconds."""
    return (at - EPOCH) // timedelta(milliseconds=1)
