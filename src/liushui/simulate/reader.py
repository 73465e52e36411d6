"""The simulated world as a FlowReader, the contract through which servers read a ledger: keys, rates, pages of rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from liushui.conditions import Where, matches
from liushui.flow import Flow
from liushui.instant import DAY_US, Clock, system_clock, to_us
from liushui.provider import FlowPage, FlowQuery, Key, Provider, RateCheck, RateLimiter, issue
from liushui.rules import Rate
from liushui.simulate.encoded_day import EncodedDay, RowPosition, position_of
from liushui.simulate.random_draw import seeded_random
from liushui.simulate.row_cache import RowCache
from liushui.simulate.row_counts import RowCounts, RowFilter, row_counts_of, without_hopeless_accounts
from liushui.simulate.world import World

_ROWS_CACHED = 200_000
"""Encoded rows that are cached: about 70 MB, the last twenty pages of ten thousand."""
_COUNTS_CACHED = 64
"""Filters whose day counts are cached: 64 times five years take 10 MB."""


class SimulatedAccount(NamedTuple):
    """An account, with the data that a client needs to read it."""

    name: str
    provider: Provider
    credentials: Mapping[str, str]
    """The content of a credentials file."""
    flows: int
    """The number of flows that it has now."""


class WorldReader:
    """A FlowReader of a world, with a key for every account at the given providers.

    For one process. Safe to use from several threads. Without `limits`, no rate is enforced.
    """

    def __init__(
        self,
        world: World,
        providers: Mapping[str, Provider],
        clock: Clock = system_clock,
        *,
        limits: RateLimiter | None = None,
    ) -> None:
        self.world = world
        self._providers = providers
        self._clock = clock
        keys = _keys_of(world, providers, paced=limits is not None)
        self._keys = {(key.dialect, key.public): key for key in keys}
        self._limits = limits or _NoLimits(clock)
        self._row_counts: Callable[[RowFilter], RowCounts] = lru_cache(_COUNTS_CACHED)(
            lambda wanted: row_counts_of(world, wanted)
        )
        self._encoded_days: RowCache[tuple[RowFilter, str, str | None, int], EncodedDay] = RowCache(_ROWS_CACHED)

    def now(self) -> datetime:
        return self._clock()

    def find_key(self, dialect: str, public: str) -> Key | None:
        return self._keys.get((dialect, public))

    def admit(self, key: Key, rate: Rate, what: str = "") -> RateCheck:
        if not key.paced:
            return RateCheck(admitted=True, used=0)
        return self._limits.admit(f"{key.dialect}:{key.public}:{what}", rate)

    def session_start(self, key: Key, life: timedelta) -> datetime:
        return self._limits.session_start(f"{key.dialect}:{key.public}", life)

    def read_page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        """Return one page of the flows up to now.

        `write` must depend only on the dialect and the query's language, because encoded rows are cached under those
        two.
        """
        search = self._search(dialect, query, write)
        wants_end = query.after is not None
        # One row more than the page. It shows whether there is another page.
        chunks = list(_chunks(search, query.offset, query.limit + wants_end))
        end = None
        if wants_end and sum(len(chunk.rows) for chunk in chunks) > query.limit:
            chunks[-1] = _Chunk(chunks[-1].day, chunks[-1].rows[:-1])
            day, rows = next(chunk for chunk in reversed(chunks) if chunk.rows)
            end = search.encoded_day(day).position(rows[-1]).to_cursor()
        if query.newest and query.ascending:
            chunks = [_Chunk(day, rows[::-1]) for day, rows in reversed(chunks)]
        page = [row for chunk in chunks for row in _visible_rows(search, chunk, query.visible)]
        return FlowPage(b",".join(page), len(page), end)

    def is_complete(self, accounts: Sequence[str], since: datetime, until: datetime) -> bool:
        del accounts, since, until  # nothing is missing
        return True

    def count_flows(self, query: FlowQuery) -> int:
        wanted = self._filter_of(query)
        begin_us, end_us = self._range_us(query)
        days = _days_of(wanted, begin_us, end_us)
        counts = self._row_counts(wanted)
        # Only the first and the last day can have rows outside the range. The days between them are counted as a whole.
        at_edges = [entry.flow.at for day in {*days[:1], *days[-1:]} for entry in counts.entries(day)]
        return sum(begin_us <= to_us(at) < end_us for at in at_edges) + counts.count(days.start + 1, days.stop - 1)

    def accounts(self) -> list[SimulatedAccount]:
        """Return every account at the given providers, with the data that a client needs to read it."""
        until = self._after_now()
        return [
            SimulatedAccount(
                account,
                self._providers[key.dialect],
                issue(self._providers[key.dialect], key.credentials).given,
                self.world.count_until(account, until),
            )
            for key in self._keys.values()
            for account in key.accounts
        ]

    def truth(self, account: str, since: datetime, until: datetime) -> Iterator[Flow]:
        """Return the flows that reading [since, until) must give, oldest first: every flow up to now."""
        return self.world.flows(account, since, min(until, self._after_now()))

    def _after_now(self) -> datetime:
        """Return the exclusive end of a range that includes the present instant."""
        return self.now() + timedelta(microseconds=1)

    def _filter_of(self, query: FlowQuery) -> RowFilter:
        wanted = RowFilter(self.world.existing(query.accounts), query.where)
        return without_hopeless_accounts(self.world, wanted)

    def _search(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> "_Search":
        """Prepare a query. Raises WireError if `after` is not a cursor of a page."""
        wanted = self._filter_of(query)
        begin_us, end_us = self._range_us(query)
        counts = self._row_counts(wanted)

        def encoded_day(day: int) -> EncodedDay:
            key = wanted, dialect, query.language, day
            return self._encoded_days.get(key, lambda: EncodedDay(counts.entries(day), wanted.accounts, write))

        after = position_of(query.after) if query.after else None
        days = _days_of(wanted, begin_us, end_us)
        if after is not None:
            day = after.at_us // DAY_US
            days = (
                range(days.start, min(days.stop, day + 1)) if query.newest else range(max(days.start, day), days.stop)
            )
        return _Search(counts, encoded_day, days, begin_us, end_us, after, query.newest)

    def _range_us(self, query: FlowQuery) -> tuple[int, int]:
        """Return the part of the query's range that the world has by now, as [begin, end) in microseconds."""
        begin_us = max(to_us(query.since), self.world.begin_day * DAY_US)
        end_us = min(to_us(query.until), to_us(self.now()) + 1)
        return begin_us, end_us if self.world.end_day is None else min(end_us, self.world.end_day * DAY_US)


# ---------------------------------------------------------------- keys and limits


class _NoLimits:
    """A provider.RateLimiter that admits every call. Sessions are known only to this process. Safe to use from several
    threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[str, datetime] = {}
        self._lock = Lock()

    def admit(self, _name: str, _rate: Rate) -> RateCheck:
        return RateCheck(admitted=True, used=0)

    def session_start(self, name: str, life: timedelta) -> datetime:
        """Return when the session with this name began. After `life`, a new session begins now."""
        with self._lock:
            now = self._clock()
            began = self._began.get(name, now)
            if not began <= now < began + life:
                began = now
            self._began[name] = began
            return began


def _keys_of(world: World, providers: Mapping[str, Provider], *, paced: bool) -> list[Key]:
    """Return a key for each account at the given providers, in the world's order. The seed determines the keys."""
    return [
        _key(world, providers[institution], name, paced=paced)
        for name in world.accounts
        if (institution := world.account(name).institution.name) in providers
    ]


def _key(world: World, provider: Provider, account: str, *, paced: bool) -> Key:
    random = seeded_random("credentials", world.parameters.seed, provider.name, account)
    credentials = provider.simulate_credentials(random.randbytes)
    return Key(provider.key_name(credentials), provider.name, (account,), credentials, paced=paced)


# ---------------------------------------------------------------- finding the rows of a page


class _Search(NamedTuple):
    """A query, limited to the part that the world has by now."""

    counts: RowCounts
    encoded_day: Callable[[int], EncodedDay]
    days: range
    """The days that may have rows."""
    begin_us: int
    end_us: int
    after: RowPosition | None
    newest: bool

    def rows_of(self, day: int) -> range:
        """Return the indexes of the rows of a day, in the order of the page."""
        encoded = self.encoded_day(day)
        rows = encoded.within(self.begin_us, self.end_us)
        if self.after is None:
            return rows[::-1] if self.newest else rows
        if self.newest:
            return range(rows.start, min(rows.stop, encoded.count_before(self.after)))[::-1]
        return range(max(rows.start, encoded.count_up_to(self.after)), rows.stop)


class _Chunk(NamedTuple):
    """The rows of one day on a page, in the order of the page."""

    day: int
    rows: range


def _days_of(wanted: RowFilter, begin_us: int, end_us: int) -> range:
    """The days that may have rows in [begin_us, end_us)."""
    if begin_us >= end_us or not wanted.accounts:
        return range(0)
    return range(begin_us // DAY_US, (end_us - 1) // DAY_US + 1)


def _chunks(search: _Search, skip: int, left: int) -> Iterator[_Chunk]:
    """Yield up to `left` rows after the first `skip` rows, day by day, in the order of the page."""
    days = search.days
    day = days.stop - 1 if search.newest else days.start
    while day in days and left > 0:
        # The range or the cursor may cut the first and the last day, so only days between them are skipped by count.
        if days.start < day < days.stop - 1:
            if search.newest:
                day, skip = search.counts.skip_back(day, days.start, skip)
            else:
                day, skip = search.counts.skip_forward(day, days.stop - 1, skip)
        rows = search.rows_of(day)
        if chunk := rows[skip : skip + left]:
            yield _Chunk(day, chunk)
            left -= len(chunk)
        skip = max(skip - len(rows), 0)
        day += -1 if search.newest else 1


def _visible_rows(search: _Search, chunk: _Chunk, visible: Where) -> Iterator[bytes]:
    """The encoded rows of a chunk that match `visible`."""
    indexes: Iterable[int] = chunk.rows
    if visible:
        entries = search.counts.entries(chunk.day)
        indexes = [index for index in indexes if matches(entries[index].flow, visible)]
    return search.encoded_day(chunk.day).rows(indexes)
