"""Collects bills of an OKX trading account: signed requests; each page begins after the id of a bill."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from liushui.errors import WireError
from liushui.instant import EPOCH
from liushui.provider import Page, PageRequest
from liushui.providers.okx.rules import ASK_RECENT, RULES
from liushui.providers.okx.wire import ARCHIVE_PATH, RECENT_PATH, bill_id_of, parse_page, sign
from liushui.rules import Rate
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection, check_header_value


class OkxClient:
    """One API key at OKX."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        headers = {"content-type": "application/json"}
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers=headers)
        self._key = check_header_value("api_key", credentials["api_key"])
        self._passphrase = check_header_value("passphrase", credentials["passphrase"])
        self._secret = credentials["api_secret"]

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return one page of a slice, newest bill first.

        Raises WireError for a full page without a readable bill id, because the next page would have no starting point.
        A shorter page is the last one: the sync tests whether it has all rows.
        """
        ends = inclusive_ends(request.slice_, RULES.resolution)
        if ends is None:
            return Page(())
        # Every page's request names the begin and the end of the slice: with an id alone, the pages would leave the
        # slice.
        params: dict[str, int | str] = {"begin": ends[0], "end": ends[1], "limit": request.size}
        if request.page_token is not None:
            params["after"] = request.page_token
        query = urlencode({**params, **request.params})
        path = RECENT_PATH if request.slice_.since > self._now() - ASK_RECENT else ARCHIVE_PATH
        answer = await self._http.call("GET", path, query=query, headers=lambda: self._signed(path, query))
        rows = parse_page(answer)
        if not rows:
            return Page(())
        ids = [bill_id for row in rows if (bill_id := bill_id_of(row)) is not None]
        if not ids and len(rows) < request.size:
            return Page(rows)
        if not ids:
            raise WireError("billId", f"expected ids of digits on a page of {len(rows)} bills, got none")
        return Page(rows, next_token=ids[-1])

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()

    def _now(self) -> datetime:
        """Return the service's time, as far as the client knows it."""
        return EPOCH + timedelta(seconds=self._http.clock.now_s())

    def _signed(self, path: str, query: str) -> dict[str, str]:
        timestamp = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        signature = sign(
            secret=self._secret, timestamp=timestamp, method="GET", path=self._http.prefix + path, query=query
        )
        return {
            "ok-access-key": self._key,
            "ok-access-sign": signature,
            "ok-access-timestamp": timestamp,
            "ok-access-passphrase": self._passphrase,
        }
