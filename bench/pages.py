"""Requests for pages of 50 rows, of varied ranges and depths, signed with the credentials of each contestant."""

import random
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from bench.context import SEED, Data
from bench.load import Request
from bench.process import BenchError
from liushui.providers._longbridge.wire import sign, signature_header

PATH: Final = "/v1/asset/cashflow"
ROWS: Final = 50
DEPTH: Final = 10
"""The largest page number. Every range has enough rows for its page."""
PAGES: Final = 500


class Page(NamedTuple):
    """One page of a range, both ends inclusive in Unix seconds."""

    since: int
    until: int
    number: int
    rows: int = ROWS


class _Row(msgspec.Struct):
    business_time: str


class _Rows(msgspec.Struct):
    list: list[_Row]


class _Answer(msgspec.Struct):
    code: int
    data: _Rows


def times_of(data: Data) -> "array[int]":
    """The time of each row, oldest first."""
    decode = msgspec.json.Decoder(_Row).decode
    return array("q", (int(decode(row).business_time) for row in data.rows()))


def random_pages(times: Sequence[int]) -> list[Page]:
    """Return full pages for an account of any size. The same rows give the same pages."""
    choose = random.Random(SEED)
    pages = []
    for _ in range(PAGES):
        number = choose.randint(1, min(DEPTH, len(times) // ROWS))
        newest = choose.randrange(number * ROWS - 1, len(times))
        oldest = choose.randint(0, newest - number * ROWS + 1)
        pages.append(Page(times[oldest], times[newest], number))
    return pages


def signed(pages: Sequence[Page], credentials: Mapping[str, str]) -> list[Request]:
    """The requests for pages. They are valid for 300 seconds, the tolerance for their timestamps."""
    headers = {
        "x-api-key": credentials["app_key"],
        "authorization": credentials["access_token"],
        "x-timestamp": str(int(time.time())),
    }
    requests = []
    for page in pages:
        given = {"start_time": page.since, "end_time": page.until, "page": page.number, "size": page.rows}
        query = urlencode(given)
        signature = sign(secret=credentials["app_secret"], method="GET", path=PATH, query=query, headers=headers)
        carried = {**headers, "x-api-signature": signature_header(signature)}
        requests.append(Request(f"{PATH}?{query}", carried))
    return requests


def check_pages(who: str, bodies: Sequence[bytes], rows: int = ROWS) -> list[list[str]]:
    """Return the times in each answer. Raises BenchError unless each is a full page: the speed of errors is
    meaningless."""
    found = []
    for body in bodies:
        answer = msgspec.json.decode(body, type=_Answer)
        if answer.code or len(answer.data.list) != rows:
            raise BenchError(f"{who}: expected code 0 and {rows} rows, got {body[:200]!r}")
        found.append([row.business_time for row in answer.data.list])
    return found
