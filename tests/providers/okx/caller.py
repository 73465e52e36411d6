"""Calls of OKX's server as a function: signed by hand, over a reader in memory."""

import hmac
import json
from base64 import b64encode
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from liushui.http import Request
from liushui.instant import EPOCH
from liushui.provider import Key
from liushui.providers.okx import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader

RECENT: Final = "/api/v5/account/bills"
ARCHIVE: Final = "/api/v5/account/bills-archive"
ACCOUNT: Final = "trader-1"
Row = dict[str, Any]


class Answer(NamedTuple):
    """An answer, its envelope checked."""

    status: int
    code: str
    message: str
    data: list[Row]

    @property
    def rows(self) -> list[Row]:
        """The rows of a page."""
        assert (self.status, self.code, self.message) == (200, "0", ""), self
        return self.data

    @property
    def fault(self) -> tuple[int, str]:
        """The status and the code of an error."""
        assert self.data == []
        return self.status, self.code


class Caller:
    """A client with a key, and the clock that requests are judged by."""

    def __init__(self, reader: MemoryReader, clock: MovableClock, key: Key) -> None:
        self.reader, self.clock, self.key = reader, clock, key

    def get(self, path: str = ARCHIVE, **parameters: object) -> Answer:
        """A page."""
        return self.answer(self.request(path, urlencode(parameters)))

    def request(self, path: str, query: str = "", *, at: datetime | None = None, method: str = "GET") -> Request:
        """A signed request."""
        timestamp = (at or self.clock()).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        given = self.key.credentials
        target = f"{path}?{query}" if query else path
        digest = hmac.new(given["api_secret"].encode(), f"{timestamp}{method}{target}".encode(), sha256).digest()
        headers = {
            "ok-access-key": given["api_key"],
            "ok-access-sign": b64encode(digest).decode(),
            "ok-access-timestamp": timestamp,
            "ok-access-passphrase": given["passphrase"],
        }
        return Request(method, path, query, headers, b"", path, "")

    def answer(self, request: Request) -> Answer:
        """Have a request answered, and check what every answer must have."""
        response = PROVIDER.server.answer(request, self.reader)
        assert dict(response.headers) == {"content-type": "application/json"}
        envelope = json.loads(response.body)
        assert list(envelope) == ["code", "msg", "data"]
        return Answer(response.status, envelope["code"], envelope["msg"], envelope["data"])


def ms(at: datetime) -> int:
    """An instant in whole Unix milliseconds."""
    return (at - EPOCH) // timedelta(milliseconds=1)
