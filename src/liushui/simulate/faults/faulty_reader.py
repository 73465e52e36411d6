"""A reader that lies to one request as its ruling says: the provider's own server then answers in its own words.

So no fault that a server can speak of needs words here: its status, code and envelope are the provider's.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from liushui.errors import WireError
from liushui.flow import Flow
from liushui.provider import FlowPage, FlowQuery, FlowReader, Key, RateCheck
from liushui.rules import Rate
from liushui.simulate.faults.fault import Ruling, Sort
from liushui.simulate.faults.profiles import Profile

SKEW: Final = timedelta(hours=1)
"""How far ahead a clock is that is plainly wrong."""
PLACES_HELD: Final = 10_000

PlaceKey = tuple[tuple[str, ...], datetime, datetime, str]
"""The accounts and the range that were asked for, and the place to go on from."""


class Places:
    """Which place came before which, of the pages that were read last. Any threads."""

    def __init__(self) -> None:
        self._before: OrderedDict[PlaceKey, str] = OrderedDict()
        self._lock = Lock()

    def remember(self, query: FlowQuery, end: str) -> None:
        """The page after `query.after` ends at that place."""
        with self._lock:
            self._before[_key_of(query, end)] = query.after or ""
            if len(self._before) > PLACES_HELD:
                self._before.popitem(last=False)

    def before(self, query: FlowQuery) -> str | None:
        """The place that the page before the one asked for began at. None: nobody knows."""
        with self._lock:
            return self._before.get(_key_of(query, query.after or ""))


def _key_of(query: FlowQuery, place: str) -> PlaceKey:
    return query.accounts, query.since, query.until, place


class DoctoredReader:
    """The reader for one request."""

    def __init__(self, reader: FlowReader, ruling: Ruling, profile: Profile, places: Places) -> None:
        self._reader, self._ruling, self._profile, self._places = reader, ruling, profile, places
        self._refused = False

    def now(self) -> datetime:
        now = self._reader.now() + self._profile.skew
        return now + SKEW if self._ruling.sort is Sort.SKEWED else now

    def find_key(self, dialect: str, public: str) -> Key | None:
        key = self._reader.find_key(dialect, public)
        if key is None or self._ruling.sort is not Sort.EXPIRED:
            return key
        just_now = timedelta(seconds=1)  # a server may have looked at its clock before
        return key._replace(expires_at=self.now() - just_now)

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        """Count one call, against less than the documented rate. Whoever is banned has used all of every rate; a call
        that is one too many, all of the first that it is counted against."""
        refused, self._refused = self._refused, True
        if self._ruling.sort is Sort.BANNED or (self._ruling.sort is Sort.TOO_MANY and not refused):
            return RateCheck(admitted=False, used=rate.calls)
        calls = max(1, rate.calls * self._profile.rate_percent // 100)
        return self._reader.admit(key, replace(rate, calls=calls), what)

    def session_start(self, key: Key, life: timedelta) -> datetime:
        return self._reader.session_start(key, life)

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        """One page, or the one before it. Raises WireError where the place to go on from is lost."""
        if self._ruling.sort is Sort.CURSOR_LOST and query.after:
            raise WireError("after", "expected a place that is still known, got one that has expired")
        if self._ruling.sort is Sort.REPEATED:
            query = self._one_before(query)
        found = self._reader.read_page(dialect, query, write)
        if found.end_cursor is not None:
            self._places.remember(query, found.end_cursor)
        return found

    def count_flows(self, query: FlowQuery) -> int:
        return self._reader.count_flows(query)

    def _one_before(self, query: FlowQuery) -> FlowQuery:
        after = self._places.before(query) if query.after else query.after
        return query._replace(offset=max(0, query.offset - query.limit), after=query.after if after is None else after)
