"""Longbridge cash flow, the end that pulls: signed requests over HTTP, one page a call."""

import time
from collections.abc import Mapping
from urllib.parse import urlencode

from liushui.provider import NOTHING, Page, Slice
from liushui.providers.longbridge.codec import data_of, rows_of_data
from liushui.providers.longbridge.rules import RULES
from liushui.rules import Rate
from liushui.wire import outgoing
from liushui.wire.connection import Connection
from liushui.wire.ranges import ends_of
from liushui.wire.signing import longbridge_signature, longbridge_signature_header

PATH = "/v1/asset/cashflow"
LANGUAGE = "zh-HK"
"""Names arrive in one language, so that a row read twice is the same to the letter."""


class LongbridgeClient:
    """One account at Longbridge."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        self._http = Connection(base_url, rate=rate, timeout_s=timeout_s, headers={"accept-language": LANGUAGE})
        self._key = outgoing.header_value("app_key", credentials["app_key"])
        self._token = outgoing.header_value("access_token", credentials["access_token"])
        self._secret = credentials["app_secret"]

    async def page(
        self,
        asked: Slice,
        size: int,
        *,
        mark: str | None = None,
        part: Mapping[str, str] = NOTHING,
        newest: bool = False,
    ) -> Page:
        """One page of a slice, newest first. A page with rows is followed by another, which may be empty."""
        del newest  # every page is
        ends = ends_of(asked, RULES.resolution)
        if ends is None:
            return Page(())
        number = int(mark or RULES.paging.first)
        given = {"start_time": ends[0], "end_time": ends[1], "page": number, "size": size, **part}
        rows = rows_of_data(await self._get(PATH, urlencode(given)))
        return Page(rows, next=str(number + 1) if rows else None)

    async def close(self) -> None:
        await self._http.close()

    async def _get(self, path: str, query: str) -> bytes:
        answer = await self._http.call("GET", path, query=query, headers=lambda: self._signed("GET", path, query))
        return data_of(
            answer.body,
            status=answer.status,
            trace=answer.headers.get("x-trace-id"),
            retry_after_s=answer.retry_after_s,
        )

    def _signed(self, method: str, path: str, query: str) -> dict[str, str]:
        headers = {
            "x-api-key": self._key,
            "authorization": self._token,
            "x-timestamp": str(int(time.time())),
        }
        signature = longbridge_signature(
            secret=self._secret, method=method, path=self._http.prefix + path, query=query, headers=headers
        )
        headers["x-api-signature"] = longbridge_signature_header(signature)
        return headers
