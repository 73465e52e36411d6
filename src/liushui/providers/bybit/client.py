"""Collects the transaction log of a Bybit unified account: signed requests, pages linked by cursors."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlencode

from liushui.provider import Page, PageRequest
from liushui.providers.bybit.rules import ACCOUNT_TYPE, RECV_WINDOW, RULES
from liushui.providers.bybit.wire import PATH, parse_page, sign
from liushui.rules import Rate
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection, check_header_value

WINDOW_MS: Final = str(RECV_WINDOW // timedelta(milliseconds=1))


class BybitClient:
    """One API key at Bybit."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s)
        self._key = check_header_value("api_key", credentials["api_key"])
        self._secret = credentials["api_secret"]

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return one page of a slice, newest row first. A page may be short or empty and still have a next page."""
        ends = inclusive_ends(request.slice_, RULES.resolution)
        if ends is None:
            return Page(())
        params = {"accountType": ACCOUNT_TYPE, "startTime": ends[0], "endTime": ends[1], "limit": request.size}
        query = urlencode({**params, **request.params})
        if request.page_token is not None and "cursor" not in request.params:
            # The service's cursors are already URL-encoded. We send them back unchanged, as the official client does.
            query += f"&cursor={quote(request.page_token, safe='%')}"
        answer = await self._http.call("GET", PATH, query=query, headers=lambda: self._signed(query))
        rows, cursor = parse_page(answer)
        return Page(rows, next_token=cursor)

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()

    def _signed(self, query: str) -> dict[str, str]:
        timestamp = str(int(self._http.clock.now_s() * 1000))
        signature = sign(secret=self._secret, timestamp=timestamp, key=self._key, window=WINDOW_MS, query=query)
        return {
            "x-bapi-api-key": self._key,
            "x-bapi-timestamp": timestamp,
            "x-bapi-recv-window": WINDOW_MS,
            "x-bapi-sign": signature,
        }
