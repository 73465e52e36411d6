"""WOO X Pro futures transactions, the end that pulls: a key in a header, one range a call."""

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec

from liushui.errors import WireError
from liushui.provider import NO_VALUES, Page, Slice
from liushui.providers.wooxpro.answers import rows_in
from liushui.providers.wooxpro.codec import unix_milliseconds
from liushui.providers.wooxpro.rules import RULES
from liushui.providers.wooxpro.wire import PATH
from liushui.rules import Rate
from liushui.wire import transport
from liushui.wire.decoding import DECODE_ERRORS
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection

KEY_HEADER = "X-API-KEY"


class _Timed(msgspec.Struct):
    """A row as far as it says when it is."""

    time: str | int


_timed = msgspec.json.Decoder(_Timed)


class WooxproClient:
    """One account at WOO X Pro."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        key = transport.check_header_value("api_key", credentials["api_key"])
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers={KEY_HEADER: key}, bare_key=True)

    async def fetch_page(
        self,
        asked: Slice,
        size: int,
        *,
        page_token: str | None = None,
        params: Mapping[str, str] = NO_VALUES,
        newest: bool = False,
    ) -> Page:
        """The oldest rows of a slice, or its newest ones, oldest first. A full page has no way on to the rest."""
        del page_token  # no page has a next one
        ends = inclusive_ends(asked, RULES.resolution)
        if ends is None:
            return Page(())
        start = {} if newest else {"start_time": ends[0]}
        query = urlencode({**start, "end_time": ends[1], "page_size": size, **params})
        rows = rows_in(await self._http.call("GET", PATH, query=query))
        return Page([row for row in rows if not _is_before(row, asked)] if newest else rows)

    async def close(self) -> None:
        await self._http.close()


def _is_before(row: bytes, asked: Slice) -> bool:
    """Whether a row is older than a slice. One that does not say when it is stays, for its reader to name the fault."""
    try:
        return unix_milliseconds("time", _timed.decode(row).time) < asked.since
    except (*DECODE_ERRORS, WireError):
        return False
