"""Collects transactions of HK and US securities: signed requests, one page per call."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

from liushui.errors import WrongPage
from liushui.provider import Page, PageRequest
from liushui.providers.hkus.rules import RULES
from liushui.providers.hkus.wire import PATH, parse_page, sign
from liushui.rules import Rate
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection, check_header_value


class HkusClient:
    """One API key at the broker."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        headers = {"content-type": "application/json"}
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers=headers)
        self._key = check_header_value("api_key", credentials["api_key"])
        self._secret = credentials["api_secret"]

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return one page of a slice, newest row first, with the number of rows on all pages."""
        ends = inclusive_ends(request.slice_, RULES.resolution)
        if ends is None:
            return Page((), total=0)
        number = int(request.page_token or RULES.paging.first)
        params = {"page": number, "page_size": request.size, "from_date": ends[0], "to_date": ends[1]}
        query = urlencode({**params, **request.params})
        page, rows = parse_page(await self._http.call("GET", PATH, query=query, headers=lambda: self._signed(query)))
        if page.page not in (None, number) and "page" not in request.params:
            raise WrongPage("page", f"expected {number}, which was asked for, got {page.page}")
        # A total may be wrong or absent, so it does not decide which page is the last.
        return Page(rows, next_token=str(number + 1) if rows else None, total=page.total_records)

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()

    def _signed(self, query: str) -> dict[str, str]:
        timestamp = str(int(self._http.clock.now_s() * 1000))
        signature = sign(
            secret=self._secret, timestamp=timestamp, method="GET", path=self._http.prefix + PATH, query=query
        )
        return {"x-api-key": self._key, "x-api-timestamp": timestamp, "x-api-signature": signature}
