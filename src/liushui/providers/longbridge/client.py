"""Longbridge cash flow, the end that pulls: signed requests over HTTP, one page a call."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import httpx2

from liushui.errors import Unavailable
from liushui.instant import to_us
from liushui.provider import Page, Rate, Slice
from liushui.providers.longbridge.codec import data_of, rows_of_data
from liushui.providers.longbridge.rules import RULES
from liushui.wire.pacing import Pacer
from liushui.wire.signing import longbridge_signature, longbridge_signature_header

PATH = "/v1/asset/cashflow"
LANGUAGE = "zh-HK"
"""Names arrive in one language, so that a row read twice is the same to the letter."""


class LongbridgeClient:
    """One account at Longbridge."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        self._credentials = credentials
        self._prefix = urlsplit(base_url).path.rstrip("/")
        self._pacer = Pacer(rate) if rate else None
        self._http = httpx2.AsyncClient(
            base_url=base_url.rstrip("/"), timeout=timeout_s, headers={"accept-language": LANGUAGE}
        )

    async def page(self, asked: Slice, number: int, size: int) -> Page:
        """One page of a slice, newest first."""
        last = asked.until - RULES.resolution  # both ends are inclusive on this wire
        query = urlencode(
            {
                "start_time": to_us(asked.since) // 1_000_000,
                "end_time": to_us(last) // 1_000_000,
                "page": number,
                "size": size,
            }
        )
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
            retry_after_s=_retry_after_s(answer.headers.get("retry-after")),
        )

    def _signed(self, method: str, path: str, query: str) -> dict[str, str]:
        headers = {
            "x-api-key": self._credentials["app_key"],
            "authorization": self._credentials["access_token"],
            "x-timestamp": str(int(time.time())),
        }
        signature = longbridge_signature(
            secret=self._credentials["app_secret"], method=method, path=path, query=query, headers=headers
        )
        headers["x-api-signature"] = longbridge_signature_header(signature)
        return headers


def _retry_after_s(header: str | None) -> float | None:
    return timedelta(seconds=int(header)).total_seconds() if header and header.isdigit() else None
