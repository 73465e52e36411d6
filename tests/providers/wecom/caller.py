"""Calls of WeCom's server as a function: with a token that it issued, over a reader in memory."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from liushui.http import Request
from liushui.provider import Key
from liushui.providers.wecom import PROVIDER
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader

GET_TOKEN: Final = "/cgi-bin/gettoken"
GET_FUND_FLOW: Final = "/cgi-bin/externalpay/get_fund_flow"
SHANGHAI: Final = ZoneInfo("Asia/Shanghai")


class Answer(NamedTuple):
    """An answer, its envelope checked."""

    errcode: int
    errmsg: str
    members: dict[str, Any]
    """What stands beside these two."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a page."""
        assert self.errcode == 0, self.errmsg
        rows: list[dict[str, Any]] = self.members["fund_flow_list"]
        return rows

    @property
    def cursor(self) -> str | None:
        """The place to go on from. None: the member is not there."""
        assert self.errcode == 0, self.errmsg
        cursor: str | None = self.members.get("next_cursor")
        return cursor


class Caller:
    """Somebody with a key, who asks for a token where he has none."""

    def __init__(self, reader: MemoryReader, clock: MovableClock, key: Key) -> None:
        self.reader, self.clock, self.key = reader, clock, key
        self.token: str | None = None

    def get_token(self, **changes: str | None) -> Answer:
        """What gettoken answers to the key's credentials, some of them changed or, for None, left out."""
        given = {**self.key.credentials, **changes}
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return self.send(Request("GET", GET_TOKEN, query, {}, route=GET_TOKEN))

    def ask(self, **parameters: object) -> Answer:
        """A page of December 2025, unless the parameters say otherwise; those that are None are left out."""
        given = {"begin_time": seconds(2025, 12, 1), "end_time": seconds(2025, 12, 31)} | parameters
        body = {name: value for name, value in given.items() if value is not None}
        return self.post(json.dumps(body).encode())

    def post(self, body: bytes, *, query: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """What get_fund_flow answers to a body."""
        if query is None:
            if self.token is None:
                self.token = self.get_token().members["access_token"]
            query = urlencode({"access_token": self.token})
        return self.send(Request("POST", GET_FUND_FLOW, query, headers or {}, body, GET_FUND_FLOW))

    def send(self, request: Request) -> Answer:
        """Have a request answered."""
        return answered(request, self.reader)

    def pages(self, **parameters: object) -> list[list[dict[str, Any]]]:
        """Every page, each asked for with the cursor of the one before."""
        answer = self.ask(**parameters)
        pages = [answer.rows]
        while answer.cursor is not None:
            assert len(pages) < 1_000
            answer = self.ask(**parameters | {"cursor": answer.cursor})
            pages.append(answer.rows)
        return pages


def answered(request: Request, reader: MemoryReader) -> Answer:
    """Have a request answered, and check what every answer must have."""
    response = PROVIDER.server.answer(request, reader)
    assert (response.status, dict(response.headers)) == (200, {"content-type": "application/json; charset=UTF-8"})
    members = json.loads(response.body, parse_float=str)
    errcode, errmsg = members.pop("errcode"), members.pop("errmsg")
    assert type(errcode) is int
    assert type(errmsg) is str
    assert (errmsg == "ok") is (errcode == 0) is bool(members)
    return Answer(errcode, errmsg, members)


def seconds(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """A local time in Shanghai as Unix seconds."""
    return int(datetime(year, month, day, hour, minute, second, tzinfo=SHANGHAI).timestamp())
