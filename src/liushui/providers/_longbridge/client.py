"""Collects cash flows from Longbridge, for both generations: signed requests, one page per call."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import timedelta

from liushui.errors import ProviderError
from liushui.provider import Page, PageRequest
from liushui.providers._longbridge.wire import Signer, parse_page
from liushui.rules import PageNumber, Rules
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import Answer, HttpConnection


class CashFlowClient(ABC):
    """One account at Longbridge. Each generation defines how a request carries the parameters."""

    def __init__(
        self,
        http: HttpConnection,
        credentials: Mapping[str, str],
        *,
        rules: Rules[PageNumber],
        errors: Mapping[int, type[ProviderError]],
    ) -> None:
        self._http = http
        self._signer = Signer(credentials)
        self._rules = rules
        self._errors = errors

    async def fetch_page(self, request: PageRequest) -> Page:
        """Return one page of a slice, newest row first. A page without rows is the last one."""
        ends = inclusive_ends(request.slice_, self._rules.resolution)
        if ends is None:
            return Page(())
        number = int(request.page_token or self._rules.paging.first)
        params: dict[str, int | str] = {
            "start_time": ends[0],
            "end_time": ends[1],
            "page": number,
            "size": request.size,
        }
        rows = parse_page(await self._send({**params, **request.params}), self._errors)
        return Page(rows, next_token=str(number + 1) if rows else None)

    @property
    def clock_offset(self) -> timedelta | None:
        return self._http.clock.offset

    async def close(self) -> None:
        """Close the connection."""
        await self._http.close()

    @abstractmethod
    async def _send(self, params: Mapping[str, int | str]) -> Answer:
        """Make the call with these parameters."""

    async def _call(self, method: str, path: str, *, query: str = "", body: bytes = b"") -> Answer:
        """Make a signed call."""
        signed_path = self._http.prefix + path
        return await self._http.call(
            method,
            path,
            query=query,
            body=body or None,
            headers=lambda: self._signer.headers(
                method, signed_path, query=query, body=body, at_s=int(self._http.clock.now_s())
            ),
        )
