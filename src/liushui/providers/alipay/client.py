"""Collects the account log of an app at Alipay: signed requests, numbered pages, verified answers."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec

from liushui.errors import WrongPage
from liushui.provider import Page, PageRequest
from liushui.providers.alipay.rules import RULES
from liushui.providers.alipay.wire import (
    BUSINESS,
    CHARSET,
    FORM_TYPE,
    METHOD,
    PATH,
    SIGNATURE_TYPE,
    parse_page,
    parse_total,
    sign_request,
    write_time,
)
from liushui.rules import Rate
from liushui.wire.ranges import from_steps, inclusive_ends
from liushui.wire.rsa import read_private_key, read_public_key
from liushui.wire.transport import HttpConnection


class AlipayClient:
    """One app at Alipay. The client rejects answers that Alipay's key has not signed."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        headers = {"content-type": FORM_TYPE}
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, headers=headers)
        self._app = credentials["app_id"]
        self._key = read_private_key("app_private_key", credentials["app_private_key"])
        self._platform_key = read_public_key("alipay_public_key", credentials["alipay_public_key"])

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return one page of a slice, oldest row first, with the number of rows on all pages."""
        ends = inclusive_ends(request.slice_, RULES.resolution)
        if ends is None:
            return Page((), total=0)
        number = request.page_token or str(RULES.paging.first)
        content = msgspec.json.encode(
            {
                "start_time": write_time(from_steps(ends[0], RULES.resolution)),
                "end_time": write_time(from_steps(ends[1] + 1, RULES.resolution)),
                "page_no": number,
                "page_size": str(request.size),
                **request.params,
            }
        ).decode()
        answer = await self._http.call(
            "POST",
            PATH,
            query=lambda: urlencode(self._signed(content)),
            body=urlencode({BUSINESS: content}).encode(),
        )
        page, rows = parse_page(answer, self._platform_key)
        if page.page_no is not None and str(page.page_no) != number and "page_no" not in request.params:
            raise WrongPage("page_no", f"expected {number}, which was asked for, got {page.page_no}")
        # A total may be wrong or absent, so it does not decide which page is the last.
        following = str(int(number) + 1) if rows else None
        return Page(rows, next_token=following, total=parse_total(page.total_size))

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()

    def _signed(self, content: str) -> dict[str, str]:
        """Return the parameters of a request other than its content, with the signature over all of them."""
        params = {
            "app_id": self._app,
            "charset": CHARSET,
            "format": "JSON",
            "method": METHOD,
            "sign_type": SIGNATURE_TYPE,
            "timestamp": write_time(datetime.fromtimestamp(self._http.clock.now_s(), UTC)),
            "version": "1.0",
        }
        return {**params, "sign": sign_request({**params, BUSINESS: content}, self._key)}
