"""HK and US securities, the end that pulls: signed requests over HTTP, one page a call."""

import time
from collections.abc import Mapping
from urllib.parse import urlencode

from liushui.errors import WireError
from liushui.provider import NO_VALUES, Page, Slice
from liushui.providers.hkus.answers import data_of, page_of
from liushui.providers.hkus.rules import RULES
from liushui.providers.hkus.signing import signature_of
from liushui.providers.hkus.wire import TRANSACTIONS
from liushui.rules import Rate
from liushui.wire import transport
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection

_NANOSECONDS_A_MILLISECOND = 1_000_000


class HkusClient:
    """One API key at the broker."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        self._http = HttpConnection(
            base_url, rate=rate, timeout_s=timeout_s, headers={"content-type": "application/json"}
        )
        self._key = transport.check_header_value("api_key", credentials["api_key"])
        self._secret = credentials["api_secret"]

    async def fetch_page(
        self,
        asked: Slice,
        size: int,
        *,
        page_token: str | None = None,
        params: Mapping[str, str] = NO_VALUES,
        newest: bool = False,
    ) -> Page:
        """One page of a slice, newest first, and how many rows all pages have."""
        del newest  # every page is
        ends = inclusive_ends(asked, RULES.resolution)
        if ends is None:
            return Page((), total=0)
        number = int(page_token or RULES.paging.first)
        given = {"page": number, "page_size": size, "from_date": ends[0], "to_date": ends[1], **params}
        query = urlencode(given)
        answer = await self._http.call("GET", TRANSACTIONS, query=query, headers=lambda: self._signed(query))
        page = page_of(data_of(answer))
        if page.page != number and "page" not in params:
            raise WireError("page", f"expected {number}, which was asked for, got {page.page}")
        rows = [bytes(row) for row in page.transactions]
        is_counted = page.page * page.page_size >= page.total_records
        is_last = not rows or (
            is_counted and len(rows) < page.page_size
        )  # a total may lag behind: a full page may go on
        return Page(rows, next_token=None if is_last else str(page.page + 1), total=page.total_records)

    async def close(self) -> None:
        await self._http.close()

    def _signed(self, query: str) -> dict[str, str]:
        timestamp = str(time.time_ns() // _NANOSECONDS_A_MILLISECOND)
        signature = signature_of(
            secret=self._secret, timestamp=timestamp, method="GET", path=self._http.prefix + TRANSACTIONS, query=query
        )
        return {"x-api-key": self._key, "x-api-timestamp": timestamp, "x-api-signature": signature}
