"""A provider's client without a provider: it answers pages of rows that a test supplies, with faults on request."""

from collections.abc import Callable
from datetime import datetime

from liushui.provider import Codec, Page, PageRequest, Slice

Fault = Callable[[int, Slice, int], None]
"""Called before each answer with the call's number (from 1), the slice and the page. It may raise, or change rows."""


class ClientDouble:
    """Answers numbered pages, newest first. Its `rows` may change between two calls."""

    def __init__(self, codec: Codec, rows: list[bytes], *, fault: Fault | None = None, cap: int | None = None) -> None:
        self.rows = rows
        self.calls: list[tuple[Slice, int, int]] = []
        self.closed = False
        self._codec = codec
        self._fault = fault
        self._cap = cap
        """The most rows of a page, whatever size was requested."""

    async def fetch_page(self, request: PageRequest) -> Page:
        """One page."""
        # Filters are ignored, and the newest rows always come first.
        slice_, number = request.slice_, int(request.page_token or 1)
        self.calls.append((slice_, number, request.size))
        if self._fault is not None:
            self._fault(len(self.calls), slice_, number)
        size = min(request.size, self._cap or request.size)
        matching = [row for at, row in self._dated() if slice_.since <= at < slice_.until]
        rows = matching[(number - 1) * size : number * size]
        return Page(rows, next_token=str(number + 1) if rows else None)

    async def close(self) -> None:
        """Record that the client was closed."""
        self.closed = True

    def _dated(self) -> list[tuple[datetime, bytes]]:
        """Return the rows with their times, newest first. Rows of one time keep their order in `rows`."""
        dated = [(self._codec.read(row).flow.at, row) for row in self.rows]
        return sorted(dated, key=lambda pair: pair[0], reverse=True)
