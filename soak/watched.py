"""A reader that tells when its answers are hard to read: totals that lie, pages that shift, twins across an edge."""

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
from soak.invariant import Life

EMPTY_ONE_IN: Final = 3
"""How often a page that another one named is empty, where pages are short."""

_rows = msgspec.json.Decoder(list[msgspec.Raw])


class WatchedReader:
    """A FlowReader that answers as another one does. `honest` is the same without its lies.

    `caps`: by account, the most rows that a page has, whatever was asked for; and some pages on the way are empty.
    """

    def __init__(
        self,
        reader: FlowReader,
        honest: FlowReader,
        lives: Mapping[str, Sequence[Life]],
        note: Callable[[str], None],
        *,
        caps: Mapping[str, int],
        random: Random,
    ) -> None:
        self._reader, self._honest, self._lives, self._note = reader, honest, lives, note
        self._caps, self._random = caps, random
        self._last: tuple[object, datetime, bytes] | None = None

    def now(self) -> datetime:
        return self._reader.now()

    def find_key(self, dialect: str, public: str) -> Key | None:
        return self._reader.find_key(dialect, public)

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        tally = self._reader.admit(key, rate, what)
        if not tally.admitted:
            self._note("fault: over a rate")
        return tally

    def session_start(self, key: Key, life: timedelta) -> datetime:
        return self._reader.session_start(key, life)

    def count_flows(self, query: FlowQuery) -> int:
        count = self._reader.count_flows(query)
        if self._reader is not self._honest and count != self._honest.count_flows(query):
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
        found = self._reader.read_page(dialect, query, write)
        asked, now = query._replace(offset=0, after=None), self.now()
        if self._last is not None and self._last[0] == asked and (query.offset or query.after):
            _, before, last = self._last
            if any(self._changed(account, query, before, now) for account in query.accounts):
                self._note("fault: pages shift")
            if found.size and last and bytes(_list(found)[0]) == last:
                self._note("fault: twins across a page's edge")
        self._last = asked, now, bytes(_list(found)[-1]) if found.size and self._is_cut(query, found) else b""
        return found

    def _is_cut(self, query: FlowQuery, found: FlowPage) -> bool:
        return found.size == query.limit

    def _changed(self, account: str, query: FlowQuery, before: datetime, now: datetime) -> bool:
        """Whether a row that is asked for came, changed or went between two instants."""
        lives = self._lives.get(account, ())
        first, after = (
            bisect_left(lives, to_us(end), key=lambda life: life.at_us) for end in (query.since, query.until)
        )
        since_us, until_us = to_us(before), to_us(now)
        return any(since_us < edge <= until_us for life in lives[first:after] for edge in (life.from_us, life.until_us))


def _list(page: FlowPage) -> list[msgspec.Raw]:
    return _rows.decode(b"[" + page.rows + b"]")
