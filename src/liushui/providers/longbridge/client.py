"""Longbridge cash flow, the end that pulls: signed requests over HTTP, one page a call."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import datetime
from urllib.parse import urlencode, urlsplit

import httpx2

from liushui.errors import Unavailable
from liushui.instant import SECOND_US, to_us
from liushui.provider import Page, Rate, Slice
from liushui.providers.longbridge.codec import data_of, rows_of_data
from liushui.wire import outgoing
from liushui.wire.pacing import Pacer
from liushui.wire.signing import longbridge_signature, longbridge_signature_header

PATH = "/v1/asset/cashflow"
LANGUAGE = "zh-HK"
"""Names arrive in one language, so that a row read twice is the same to the letter."""


class LongbridgeClient:
    """One account at Longbridge."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        where = outgoing.base_url(base_url)
        self._key = outgoing.header_value("app_key", credentials["app_key"])
        self._token = outgoing.header_value("access_token", credentials["access_token"])
        self._secret = credentials["app_secret"]
        self._prefix = urlsplit(where).path
        self._pacer = Pacer(rate) if rate else None
        self._http = httpx2.AsyncClient(base_url=where, timeout=timeout_s, headers={"accept-language": LANGUAGE})

    async def page(self, asked: Slice, number: int, size: int) -> Page:
        """One page of a slice, newest first."""
        first, last = _second_from(asked.since), _second_from(asked.until) - 1  # both are inclusive on this wire
        if first > last:
            return Page(())
        query = urlencode({"start_time": first, "end_time": last, "page": number, "size": size})
        return Page(rows_of_data(await self._get(PATH, query)))

    async def close(self) -> None:
        await self._http.aclose()

    async def _get(self, path: str, query: str) -> bytes:
        async with self._pacer.call() if self._pacer else nullcontext():
            signed = self._signed("GET", self._prefix + path, query)
            try:
                answer = await self._http.get(f"{path}?{query}", headers=signed)
            except httpx2.HTTPError as error:
                reason = f"{type(error).__name__} {error}".strip()
                raise Unavailable(f"no answer from {self._http.base_url}: {reason}") from error
        return data_of(
            answer.content,
            status=answer.status_code,
            trace=answer.headers.get("x-trace-id"),
            retry_after_s=outgoing.retry_after_s(answer.headers.get("retry-after")),
        )

    def _signed(self, method: str, path: str, query: str) -> dict[str, str]:
        headers = {
            "x-api-key": self._key,
            "authorization": self._token,
            "x-timestamp": str(int(time.time())),
        }
        signature = longbridge_signature(secret=self._secret, method=method, path=path, query=query, headers=headers)
        headers["x-api-signature"] = longbridge_signature_header(signature)
        return headers


def _second_from(at: datetime) -> int:
    """The first whole Unix second that is not before an instant."""
    return -(-to_us(at) // SECOND_US)
