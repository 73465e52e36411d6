"""The world as a provider tells it whose rows are late, restated, withdrawn, damaged or miscounted: a FlowReader."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple

import msgspec

from liushui.conditions import matches
from liushui.errors import ConfigError, WireError
from liushui.errors import short_repr as excerpt
from liushui.flow import Flow
from liushui.instant import EPOCH, to_us
from liushui.provider import FlowPage, FlowQuery, FlowReader, Key, Provider, RateCheck
from liushui.rules import Rate
from liushui.simulate.faults.corrupt_rows import damaged
from liushui.simulate.faults.profiles import MISCOUNTED, WHOLE, Profile
from liushui.simulate.faults.row_lifecycle import Showing, lives_of
from liushui.simulate.random_draw import chance

MISCOUNT_MAX = 3

NOTHING_BEHIND = timedelta(0)


class Place(NamedTuple):
    """Where a row stands in the order of all rows."""

    at_us: int
    account: str
    number: int


_place_of = msgspec.json.Decoder(Place).decode


class Truth(NamedTuple):
    """What a reader has who has read everything, oldest first."""

    rows: list[bytes]
    """As the provider writes them; those that cannot be read included."""
    flows: list[Flow]
    """Those of them that can be read."""
    rejected: list[bytes]
    """And those that cannot."""


_Seen = tuple[str, Showing]
"""An account, and a row of it that is there."""


class LivesReader:
    """A FlowReader of accounts whose rows have lives. Which rows are there follows from the seed and the clock alone.

    For keys, rates, sessions and the clock it asks another reader. An account's rows are made when it is first asked
    for, and held in memory; a page looks at every one of its range. That is good for some 50,000. Any threads.
    """

    def __init__(
        self,
        reader: FlowReader,
        flows: Callable[[str], Iterable[Flow]],
        providers: Mapping[str, Provider],
        *,
        profile: Profile,
        seed: int,
        behind: timedelta = NOTHING_BEHIND,
    ) -> None:
        """`flows` says what truly happens to an account, oldest first; `providers` are those of each account by its
        name. Rows live by a clock that is so much `behind` the reader's."""
        self._reader, self._flows, self._providers = reader, flows, providers
        self._profile, self._seed, self._behind = profile, seed, behind
        self._lives: dict[str, list[Showing]] = {}
        self._lock = Lock()

    def now(self) -> datetime:
        return self._reader.now()

    def find_key(self, dialect: str, public: str) -> Key | None:
        return self._reader.find_key(dialect, public)

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        return self._reader.admit(key, rate, what)

    def session_start(self, key: Key, life: timedelta) -> datetime:
        return self._reader.session_start(key, life)

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        del dialect  # an account is read in its provider's own alone
        found = self._found(query)
        if query.newest:
            found.reverse()
        if query.after:
            after = _after(query.after)
            found = [seen for seen in found if (_place(seen) < after if query.newest else _place(seen) > after)]
        page = found[query.offset : query.offset + query.limit]
        more = query.after is not None and len(found) > query.offset + query.limit
        end = msgspec.json.encode(_place(page[-1])).decode() if more and page else None
        if query.newest and query.ascending:
            page.reverse()
        rows = [
            _row(showing, self._providers[account], write)
            for account, showing in page
            if not query.visible or matches(showing.flow, query.visible)
        ]
        return FlowPage(b",".join(rows), len(rows), end)

    def count_flows(self, query: FlowQuery) -> int:
        """How many rows all pages have together, or, for a while, another number."""
        total = len(self._found(query))
        random = chance("count", self._seed, query.accounts, (self._told_at(self.now()) - EPOCH) // MISCOUNTED)
        lies = random.randrange(WHOLE) < self._profile.miscounts
        by = random.randint(1, MISCOUNT_MAX) * random.choice((-1, 1))
        return max(0, total + by) if lies else total

    def truth(
        self, account: str, since: datetime, until: datetime, at: datetime, *, language: str | None = None
    ) -> Truth:
        """What reading [since, until) of an account whole would give at an instant of the reader's clock.

        Rows that are not published yet, or not kept any more, are none of it. Raises ConfigError where there is no
        such account.
        """
        provider = self._providers.get(account)
        if provider is None:
            raise ConfigError(f"account: expected {' or '.join(self._providers)}, got {excerpt(account)}")
        begin, end = provider.rules.readable(at)
        if provider.rules.publish is None:
            end = until
        showings = self._there(account, max(since, begin), min(until, end), at)
        truth = Truth([], [], [])
        for showing in showings:
            row = _row(showing, provider, lambda flow: provider.codec.write(flow, language))
            truth.rows.append(row)
            try:
                truth.flows.append(provider.codec.read(row).flow)
            except WireError:
                truth.rejected.append(row)
        return truth

    def _found(self, query: FlowQuery) -> list[_Seen]:
        """What a query means, oldest first; at one instant by account, then in an order that stays the same."""
        found = [
            (account, showing)
            for account in sorted(set(query.accounts) & self._providers.keys())
            for showing in self._there(account, query.since, query.until, self.now())
            if not query.where or matches(showing.flow, query.where)
        ]
        return sorted(found, key=_place) if len(query.accounts) > 1 else found

    def _there(self, account: str, since: datetime, until: datetime, at: datetime) -> list[Showing]:
        """The rows of [since, until) that are there at an instant."""
        showings, now_us = self._life(account), to_us(self._told_at(at))
        first, after = (bisect_left(showings, to_us(end), key=lambda showing: showing.at_us) for end in (since, until))
        return [showing for showing in showings[first:after] if showing.from_us <= now_us < showing.until_us]

    def _life(self, account: str) -> list[Showing]:
        with self._lock:
            if account not in self._lives:
                self._lives[account] = lives_of(
                    account,
                    list(self._flows(account)),
                    provider=self._providers[account],
                    profile=self._profile,
                    seed=self._seed,
                )
            return self._lives[account]

    def _told_at(self, at: datetime) -> datetime:
        """What the rows' own clock says at an instant of the reader's."""
        return at - self._behind


def _row(showing: Showing, provider: Provider, write: Callable[[Flow], bytes]) -> bytes:
    row = write(showing.flow)
    return row if showing.damage is None else damaged(row, showing.damage, provider.codec)


def _place(seen: _Seen) -> Place:
    account, showing = seen
    return Place(showing.at_us, account, showing.number)


def _after(text: str) -> Place:
    try:
        return _place_of(text)
    except msgspec.MsgspecError as error:
        raise WireError("after", f"expected a place that a page named, got {excerpt(text)}") from error
