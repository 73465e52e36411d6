"""A provider that takes hardly any time: Longbridge's pages by (start_time, end_time, page, size), from one buffer.

An RSGI application for Granian, in one worker. It checks no signature and encodes no row; it bisects and copies bytes.
"""

import os
from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from liushui.server.rsgi_app import Http, Scope

HEADERS: Final = [("content-type", "application/json; charset=utf-8")]
BEGIN, END = b'{"code":0,"message":"success","data":{"list":[', b"]}}"


class _Row(msgspec.Struct):
    business_time: str


class Stub:
    """All rows in one buffer, newest first, and the offset of each."""

    def __init__(self, file: Path) -> None:
        rows = file.read_bytes().splitlines()
        rows.reverse()
        self._at = array("q", (-int(msgspec.json.decode(row, type=_Row).business_time) for row in rows))
        self._starts = array("q", accumulate((len(row) + 1 for row in rows), initial=0))
        self._buffer = memoryview(b",".join(rows))

    async def __rsgi__(self, scope: Scope, http: Http) -> None:
        """Granian calls this for each request."""
        asked = dict(parse_qsl(scope.query_string))
        page = self.page(asked) if asked else b""
        http.response_bytes(200, HEADERS, BEGIN + page + END)

    def page(self, asked: dict[str, str]) -> memoryview | bytes:
        """The requested rows, joined by commas. Both ends of the range are inclusive."""
        first, last = -int(asked["end_time"]), -int(asked["start_time"])
        begin = bisect_left(self._at, first) + (int(asked["page"]) - 1) * int(asked["size"])
        end = min(begin + int(asked["size"]), bisect_right(self._at, last))
        return self._buffer[self._starts[begin] : self._starts[end] - 1] if begin < end else b""


def app() -> Stub:
    """The application for the rows file that the environment names."""
    return Stub(Path(os.environ["LIUSHUI_BENCH_ROWS"]))
