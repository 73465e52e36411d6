"""WeCom fund flow, the end that pulls: a token of two hours, and pages that each name the place of the next."""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec

from liushui.errors import AuthError
from liushui.provider import NO_VALUES, Page, Slice
from liushui.providers.wecom.codec import page_of, token_of
from liushui.providers.wecom.rules import RULES
from liushui.providers.wecom.wire import GET_FUND_FLOW, GET_TOKEN
from liushui.rules import Rate
from liushui.wire import transport
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection

STALE: Final = (40014, 42001)
"""Codes that say that a token is no good any more, and nothing of the credentials it was made with."""

_SECOND_NS: Final = 10**9


class WecomClient:
    """One corporation's account at WeCom."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, bare_key=True)
        self._credentials = {
            name: transport.check_header_value(name, credentials[name]) for name in ("corpid", "corpsecret")
        }
        self._token = ""
        self._token_end_ns = 0

    async def fetch_page(
        self,
        asked: Slice,
        size: int,
        *,
        page_token: str | None = None,
        params: Mapping[str, str] = NO_VALUES,
        newest: bool = False,
    ) -> Page:
        """One page of a slice, oldest first. It may be short, or empty, and have another one after it."""
        del newest  # pages begin at the oldest row
        ends = inclusive_ends(asked, RULES.resolution)
        if ends is None:
            return Page(())
        cursor = {} if page_token is None else {"cursor": page_token}
        given = {"begin_time": ends[0], "end_time": ends[1], **cursor, "limit": size, **params}
        body = msgspec.json.encode(given)
        try:
            return await self._page(await self._good_token(), body)
        except AuthError as error:
            if error.code not in STALE:
                raise
        return await self._page(await self._new_token(), body)

    def needs_session(self) -> bool:
        return time.monotonic_ns() >= self._token_end_ns

    async def open_session(self) -> None:
        await self._new_token()

    async def close(self) -> None:
        await self._http.close()

    async def _page(self, token: str, body: bytes) -> Page:
        answer = await self._http.call("POST", GET_FUND_FLOW, query=urlencode({"access_token": token}), body=body)
        rows, cursor = page_of(answer.body, status=answer.status, retry_after_s=answer.retry_after_s)
        return Page(rows, next_token=cursor)

    async def _good_token(self) -> str:
        """The token at hand, a new one where its time is over."""
        return await self._new_token() if self.needs_session() else self._token

    async def _new_token(self) -> str:
        answer = await self._http.call("GET", GET_TOKEN, query=urlencode(self._credentials))
        found = token_of(answer.body, status=answer.status, retry_after_s=answer.retry_after_s)
        self._token, self._token_end_ns = found.access_token, time.monotonic_ns() + found.expires_in * _SECOND_NS
        return self._token
