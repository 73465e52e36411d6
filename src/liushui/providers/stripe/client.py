"""Collects balance transactions from Stripe: an API key in a header, pages linked by the ids of rows."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

from liushui.errors import WireError
from liushui.provider import Page, PageRequest
from liushui.providers.stripe.rules import RULES
from liushui.providers.stripe.wire import PATH, parse_page, record_id
from liushui.rules import Rate
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection, check_header_value


class StripeClient:
    """One account at Stripe."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        headers = {"Authorization": f"Bearer {check_header_value('api_key', credentials['api_key'])}"}
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers=headers, bare_key=True)

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return one page of a slice, newest row first. The next page begins after the last row's id."""
        ends = inclusive_ends(request.slice_, RULES.resolution)
        if ends is None:
            return Page(())
        params: dict[str, str | int] = {"created[gte]": ends[0], "created[lte]": ends[1], "limit": request.size}
        last_id, _, unnamed = (request.page_token or "").partition(" ")
        if last_id:
            params["starting_after"] = last_id
        query = urlencode({**params, **request.params})
        rows, has_more = parse_page(await self._http.call("GET", PATH, query=query))
        # If the last rows of a page have unreadable ids, the next page begins after the last readable id and returns
        # them again.
        rows = rows[int(unnamed or 0) :]
        if not has_more:
            return Page(rows)
        for index in range(len(rows) - 1, -1, -1):
            if (id_ := record_id(rows[index])) is not None:
                repeated = len(rows) - 1 - index
                return Page(rows, next_token=f"{id_} {repeated}" if repeated else id_)
        raise WireError("data", "expected a row with an id, after which the next page begins, got none and has_more")

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()
