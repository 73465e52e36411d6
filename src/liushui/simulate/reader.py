"""The simulated world, read through the contract that a ledger is read through: keys, rates, and pages of rows."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from liushui.flow import Flow
from liushui.instant import DAY_US, SECOND_US, Clock, system_clock, to_us
from liushui.provider import FlowPage, FlowQuery, Key, Limits, Provider, Tally
from liushui.rules import Rate
from liushui.simulate.cache import RowCache
from liushui.simulate.chance import chance
from liushui.simulate.reel import Filter, Reel, reel
from liushui.simulate.sheet import Sheet
from liushui.simulate.world import World

DAY_S = DAY_US // SECOND_US

_ROWS_HELD = 200_000
"""Rows that are kept as they were written: some 50 MB, the last twenty pages of ten thousand."""
_REELS_HELD = 64
"""Filters whose day counts are remembered: 64 counts of five years are 10 MB."""


class SimulatedAccount(NamedTuple):
    """An account as one provider gives access to it."""

    name: str
    provider: Provider
    credentials: Mapping[str, str]
    """What a credentials file holds."""
    flows: int
    """How many there are by now."""


class WorldReader:
    """A FlowReader of a world, with a key for every account at every provider given. For one process, any threads."""

    def __init__(
        self,
        world: World,
        providers: Mapping[str, Provider],
        clock: Clock = system_clock,
        *,
        limits: Limits | None = None,
    ) -> None:
        self.world = world
        self._providers = providers
        self._clock = clock
        self._keys = {
            (key.dialect, key.public): key
            for provider in providers.values()
            for key in (_key(world, provider, account, paced=limits is not None) for account in world.accounts)
        }
        self._limits = limits
        self._reel: Callable[[Filter], Reel] = lru_cache(_REELS_HELD)(lambda wanted: reel(world, wanted))
        self._sheets: RowCache[tuple[Filter, str, str | None, int], Sheet] = RowCache(_ROWS_HELD)

    def now(self) -> datetime:
        return self._clock()

    def key(self, dialect: str, public: str) -> Key | None:
        return self._keys.get((dialect, public))

    def admit(self, key: Key, rate: Rate, what: str = "") -> Tally:
        if self._limits is None or not key.paced:
            return Tally(admitted=True, used=0)
        return self._limits.admit(f"{key.dialect}:{key.public}:{what}", rate)

    def session(self, key: Key, life: timedelta) -> datetime:
        raise NotImplementedError

    def count(self, query: FlowQuery) -> int:
        raise NotImplementedError

    def page(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> FlowPage:
        """One page, newest first: what happened by now, in one order of all rows, so that pages partition them.

        `write` is taken to depend on the dialect and the query's language alone: what it wrote is kept under those.
        """
        asked = {term.field: term.values[0] for part in query.where for every in part for term in every}
        wanted = Filter(self.world.known(query.accounts), asked.get("category"), asked.get("symbol"))  # type: ignore[arg-type]
        return FlowPage(b",".join(self._pieces(dialect, query, wanted, write)), 0)

    def accounts(self) -> list[SimulatedAccount]:
        """Every account at every provider, with what a client needs to read it."""
        until = self._after_now()
        flows = {account: self.world.happened(account, until) for account in self.world.accounts}
        return [
            SimulatedAccount(account, self._providers[key.dialect], key.credentials, flows[account])
            for key in self._keys.values()
            for account in key.accounts
        ]

    def truth(self, account: str, since: datetime, until: datetime) -> Iterator[Flow]:
        """What reading [since, until) must give, oldest first: every flow that has happened by now."""
        return self.world.flows(account, since, min(until, self._after_now()))

    def _after_now(self) -> datetime:
        """The end of a range that takes in what happens at this instant."""
        return self.now() + timedelta(microseconds=1)

    def _pieces(
        self, dialect: str, query: FlowQuery, wanted: Filter, write: Callable[[Flow], bytes]
    ) -> Iterator[bytes]:
        """The page in pieces, each of rows of one day."""
        begin_s, end_s = self._range_s(query)
        if begin_s >= end_s or wanted.takes_none:
            return
        first, last = begin_s // DAY_S, (end_s - 1) // DAY_S
        days, day, skip, left = self._reel(wanted), last, query.offset, query.limit
        while day >= first and left > 0:
            if first < day < last:
                day, skip = days.passed(day, first, skip)
            sheet = self._sheet(dialect, query.language, wanted, days, day, write)
            places = sheet.within(begin_s, end_s)
            skipped, skip = skip, max(skip - len(places), 0)
            if places := places[skipped : skipped + left]:
                yield sheet.text(places)
                left -= len(places)
            day -= 1

    def _range_s(self, query: FlowQuery) -> tuple[int, int]:
        """What of the query's range there is by now, as [begin, end) in whole Unix seconds: the world has no finer."""
        begin_s = max(_second_from(query.since), self.world.begin_day * DAY_S)
        end_s = min(_second_from(query.until), to_us(self.now()) // SECOND_US + 1)
        return begin_s, end_s if self.world.end_day is None else min(end_s, self.world.end_day * DAY_S)

    def _sheet(
        self,
        dialect: str,
        language: str | None,
        wanted: Filter,
        days: Reel,
        day: int,
        write: Callable[[Flow], bytes],
    ) -> Sheet:
        return self._sheets.get((wanted, dialect, language, day), lambda: Sheet(days.flows(day), write))


def _key(world: World, provider: Provider, account: str, *, paced: bool) -> Key:
    random = chance("credentials", world.parameters.seed, provider.name, account)
    credentials = provider.new_credentials(random.randbytes)
    return Key(provider.key_name(credentials), provider.name, (account,), credentials, paced=paced)


def _second_from(at: datetime) -> int:
    """The first whole second that is not before `at`."""
    return -(-to_us(at) // SECOND_US)
