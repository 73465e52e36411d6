"""Collects fund flows from WeCom: an access token that is valid for two hours, and pages linked by cursors."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec

from liushui.errors import AuthError
from liushui.provider import Page, PageRequest
from liushui.providers.wecom.rules import INVALID_TOKEN_CODES, RULES, TOKEN_LIFE
from liushui.providers.wecom.wire import PATH, TOKEN_PATH, parse_page, parse_token
from liushui.rules import Rate
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import HttpConnection, check_header_value

_SECOND_NS: Final = 10**9


class WecomClient:
    """One corporation's account at WeCom."""

    def __init__(self, *, base_url: str, credentials: Mapping[str, str], rate: Rate | None, timeout_s: float) -> None:
        self._http = HttpConnection(base_url, rate=rate, timeout_s=timeout_s, bare_key=True)
        self._credentials = {name: check_header_value(name, credentials[name]) for name in ("corpid", "corpsecret")}
        self._token = ""
        self._token_end_ns = 0

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return one page of a slice, oldest row first. A page may be short or empty and still have a next page."""
        ends = inclusive_ends(request.slice_, RULES.resolution)
        if ends is None:
            return Page(())
        params: dict[str, int | str] = {"begin_time": ends[0], "end_time": ends[1], "limit": request.size}
        if request.page_token is not None:
            params["cursor"] = request.page_token
        body = msgspec.json.encode({**params, **request.params})
        if self.needs_session():
            await self.open_session()
        try:
            return await self._post(body)
        except AuthError as error:
            if error.code not in INVALID_TOKEN_CODES:
                raise
        # The service may end a token early, for example if another program gets a token for the same credentials.
        await self.open_session()
        return await self._post(body)

    def needs_session(self) -> bool:
        return time.monotonic_ns() >= self._token_end_ns

    async def open_session(self) -> None:
        token = parse_token(await self._http.call("GET", TOKEN_PATH, query=urlencode(self._credentials)))
        life_s = token.expires_in or 0
        if life_s <= 0:  # no lifetime stated: the token is used until the service says that it has ended
            life_s = int(TOKEN_LIFE.total_seconds())
        self._token, self._token_end_ns = token.access_token, time.monotonic_ns() + life_s * _SECOND_NS

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        await self._http.close()

    async def _post(self, body: bytes) -> Page:
        query = urlencode({"access_token": self._token})
        rows, cursor = parse_page(await self._http.call("POST", PATH, query=query, body=body))
        return Page(rows, next_token=cursor)
