"""Collects futures transactions from WOO X Pro: an API key in a header, one time range per call."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

import msgspec

from liushui.errors import WireError
from liushui.provider import Page, PageRequest, Slice
from liushui.providers.wooxpro.codec import parse_unix_milliseconds
from liushui.providers.wooxpro.rules import RULES
from liushui.providers.wooxpro.wire import PATH, parse_page
from liushui.rules import Rate
from liushui.wire.decoding import DECODE_ERRORS
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection, check_header_value

KEY_HEADER = "X-API-KEY"


class _TimeOnly(msgspec.Struct):
    """The time of a row."""

    time: str | int


_time_only = msgspec.json.Decoder(_TimeOnly)


class WooxproClient:
    """One account at WOO X Pro."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        headers = {KEY_HEADER: check_header_value("api_key", credentials["api_key"])}
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers=headers, bare_key=True)

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return the oldest rows of a slice, or the newest ones, sorted oldest first. There is no further page."""
        ends = inclusive_ends(request.slice_, RULES.resolution)
        if ends is None:
            return Page(())
        # With a start_time the API answers with the oldest rows, without it with the newest rows.
        start = {} if request.newest else {"start_time": ends[0]}
        query = urlencode({**start, "end_time": ends[1], "page_size": request.size, **request.params})
        rows = parse_page(await self._http.call("GET", PATH, query=query))
        return Page([row for row in rows if not _is_before(row, request.slice_)] if request.newest else rows)

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()


def _is_before(row: bytes, slice_: Slice) -> bool:
    """Whether a row is older than a slice. A row without a readable time is kept: the codec will report it."""
    try:
        return parse_unix_milliseconds("time", _time_only.decode(row).time) < slice_.since
    except (*DECODE_ERRORS, WireError):
        return False
