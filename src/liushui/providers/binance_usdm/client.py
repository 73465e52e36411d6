"""Collects the income of a Binance USDⓈ-M Futures account: signed requests, one page per call."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

from liushui.provider import Page, PageRequest
from liushui.providers.binance_usdm.rules import RECV_WINDOW, RULES
from liushui.providers.binance_usdm.wire import PATH, parse_page, sign
from liushui.rules import Rate
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection, check_header_value


class BinanceClient:
    """One API key at Binance."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        headers = {"x-mbx-apikey": check_header_value("api_key", credentials["api_key"])}
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers=headers)
        self._secret = credentials["api_secret"]

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return one page of a slice, oldest row first."""
        ends = inclusive_ends(request.slice_, RULES.resolution)
        if ends is None:
            return Page(())
        number = int(request.page_token or RULES.paging.first)
        params = {"startTime": ends[0], "endTime": ends[1], "limit": request.size, "page": number}
        query = urlencode({**params, **request.params})
        rows = parse_page(await self._http.call("GET", PATH, query=lambda: self._signed(query)))
        return Page(rows, next_token=str(number + 1) if rows else None)

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()

    def _signed(self, query: str) -> str:
        """Return the query with the time and the signature. The client makes them after waiting for the rate limit,
        just before the call."""
        window_ms, now_ms = RECV_WINDOW // timedelta(milliseconds=1), int(self._http.clock.now_s() * 1000)
        dated = f"{query}&recvWindow={window_ms}&timestamp={now_ms}"
        return f"{dated}&signature={sign(secret=self._secret, query=dated)}"
