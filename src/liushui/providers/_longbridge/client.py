"""The end that pulls cash flows from Longbridge, whatever the generation: signed requests, one page a call."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from liushui.errors import ProviderError
from liushui.provider import NO_VALUES, Page, Slice
from liushui.providers._longbridge.envelope import rows_in
from liushui.providers._longbridge.signing import Signer
from liushui.rules import PageNumber, Rules
from liushui.wire.ranges import inclusive_ends
from liushui.wire.transport import Answer, HttpConnection


class CashFlowClient(ABC):
    """One account at Longbridge. A generation says how it puts its parameters into a request."""

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

    async def fetch_page(
        self,
        asked: Slice,
        size: int,
        *,
        page_token: str | None = None,
        params: Mapping[str, str] = NO_VALUES,
        newest: bool = False,
    ) -> Page:
        """One page of a slice, newest first. A page with rows is followed by another, which may be empty."""
        del newest  # every page is
        ends = inclusive_ends(asked, self._rules.resolution)
        if ends is None:
            return Page(())
        number = int(page_token or self._rules.paging.first)
        given: dict[str, int | str] = {
            "start_time": ends[0],
            "end_time": ends[1],
            "page": number,
            "size": size,
            **params,
        }
        rows = rows_in(await self._ask(given), self._errors)
        return Page(rows, next_token=str(number + 1) if rows else None)

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.close()

    @abstractmethod
    async def _ask(self, given: Mapping[str, int | str]) -> Answer:
        """Make the call with these parameters."""

    async def _call(self, method: str, path: str, *, query: str = "", body: bytes = b"") -> Answer:
        """Make a signed call."""
        whole = self._http.prefix + path
        return await self._http.call(
            method,
            path,
            query=query,
            body=body or None,
            headers=lambda: self._signer.headers(method, whole, query=query, body=body),
        )
