"""A reader that notes when its answers are hard to read: wrong totals, pages that shift, equal rows across pages."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

from liushui.flow import Flow
from liushui.instant import to_us
from liushui.provider import FlowPage, FlowQuery, FlowReader, Key, RateCheck
from liushui.rules import Rate
from soak.invariant import RowPresence

EMPTY_ONE_IN: Final = 3
"""If pages are capped, one follow-up page in this number is empty."""

_rows = msgspec.json.Decoder(list[msgspec.Raw])


class ObservedReader:
    """A FlowReader that answers like another one and calls `note` for each difficulty.

    `correct_reader` is the same reader without wrong totals. `caps` limits the rows of a page for each account,
    regardless of the requested number. Some follow-up pages are then empty as well.
    """

    def __init__(
        self,
        reader: FlowReader,
        correct_reader: FlowReader,
        rows_present: Mapping[str, Sequence[RowPresence]],
        note: Callable[[str], None],
        *,
        caps: Mapping[str, int],
        random: Random,
    ) -> None:
        self._reader, self._correct_reader, self._rows_present, self._note = reader, correct_reader, rows_present, note
        self._caps, self._random = caps, random
        self._last: tuple[object, datetime, bytes] | None = None
        """The latest page: its query without the position of the page, the time of the read, and its last row if the
        page was full."""

    def now(self) -> datetime:
        return self._reader.now()

    def find_key(self, dialect: str, public: str) -> Key | None:
        return self._reader.find_key(dialect, public)

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        check = self._reader.admit(key, rate, what)
        if not check.admitted:
            self._note("fault: over a rate")
        return check

    def session_start(self, key: Key, life: timedelta) -> datetime:
        return self._reader.session_start(key, life)

    def is_complete(self, accounts: Sequence[str], since: datetime, until: datetime) -> bool:
        return self._reader.is_complete(accounts, since, until)

    def count_flows(self, query: FlowQuery) -> int:
        count = self._reader.count_flows(query)
        if self._reader is not self._correct_reader and count != self._correct_reader.count_flows(query):
            self._note("fault: total lies")
        return count

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        cap = min((self._caps[account] for account in query.accounts if account in self._caps), default=None)
        if cap is not None:
            if query.after and not self._random.randrange(EMPTY_ONE_IN):
                self._note("fault: empty page on the way")
                return FlowPage(b"", 0, query.after)
            if cap < query.limit:
                self._note("fault: short page")
                query = query._replace(limit=cap, offset=query.offset // query.limit * cap)
        page = self._reader.read_page(dialect, query, write)
        whole_query, now = query._replace(offset=0, after=None), self.now()
        if self._last is not None and self._last[0] == whole_query and (query.offset or query.after):
            _, before, last_row = self._last
            if any(self._changed(account, query, before, now) for account in query.accounts):
                self._note("fault: pages shift")
            if page.size and last_row and bytes(_rows_of(page)[0]) == last_row:
                self._note("fault: twins across a page's edge")
        is_full = page.size == query.limit
        self._last = whole_query, now, bytes(_rows_of(page)[-1]) if page.size and is_full else b""
        return page

    def _changed(self, account: str, query: FlowQuery, since: datetime, until: datetime) -> bool:
        """Whether a row of the query appeared, changed or disappeared between two instants."""
        rows = self._rows_present.get(account, ())
        first, after = (bisect_left(rows, to_us(end), key=lambda row: row.at_us) for end in (query.since, query.until))
        since_us, until_us = to_us(since), to_us(until)
        return any(since_us < edge <= until_us for row in rows[first:after] for edge in (row.from_us, row.until_us))


def _rows_of(page: FlowPage) -> list[msgspec.Raw]:
    return _rows.decode(b"[" + page.rows + b"]")
