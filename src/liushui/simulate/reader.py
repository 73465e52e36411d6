"""The simulated world, read through the contract that a ledger is read through: keys, rates, and pages of rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec

from liushui.conditions import Where, matches
from liushui.errors import WireError
from liushui.errors import short_repr as excerpt
from liushui.flow import Flow
from liushui.instant import DAY_US, Clock, system_clock, to_us
from liushui.provider import FlowPage, FlowQuery, Key, Provider, RateCheck, RateLimiter
from liushui.rules import Rate
from liushui.simulate.access import SimulatedAccount, Unlimited, keys_of
from liushui.simulate.encoded_day import Place, Sheet
from liushui.simulate.row_cache import RowCache
from liushui.simulate.row_counts import Filter, Reel, known_to_hold, reel
from liushui.simulate.world import World

_ROWS_HELD = 200_000
"""Rows that are kept as they were written: some 70 MB, the last twenty pages of ten thousand."""
_REELS_HELD = 64
"""Filters whose day counts are remembered: 64 counts of five years are 10 MB."""

_place_of = msgspec.json.Decoder(Place).decode


class _Asked(NamedTuple):
    """A query as far as there are rows for it by now."""

    reel: Reel
    sheet: Callable[[int], Sheet]
    days: range
    """The days that rows may be of."""
    begin_us: int
    end_us: int
    after: Place | None
    newest: bool

    def rows_of(self, day: int) -> range:
        """The rows of a day that are asked for, in the order in which they are taken."""
        sheet = self.sheet(day)
        rows = sheet.within(self.begin_us, self.end_us)
        if self.after is None:
            return rows[::-1] if self.newest else rows
        if self.newest:
            return range(rows.start, min(rows.stop, sheet.below(self.after)))[::-1]
        return range(max(rows.start, sheet.up_to(self.after)), rows.stop)


class _Run(NamedTuple):
    """Rows of one day that a page has, in the order in which they are taken."""

    day: int
    rows: range


class WorldReader:
    """A FlowReader of a world, with a key for every account at the providers given. For one process, any threads."""

    def __init__(
        self,
        world: World,
        providers: Mapping[str, Provider],
        clock: Clock = system_clock,
        *,
        limits: RateLimiter | None = None,
    ) -> None:
        """Without `limits` no rates are held."""
        self.world = world
        self._providers = providers
        self._clock = clock
        keys = keys_of(world, providers, paced=limits is not None)
        self._keys = {(key.dialect, key.public): key for key in keys}
        self._limits = limits or Unlimited(clock)
        self._reel: Callable[[Filter], Reel] = lru_cache(_REELS_HELD)(lambda wanted: reel(world, wanted))
        self._sheets: RowCache[tuple[Filter, str, str | None, int], Sheet] = RowCache(_ROWS_HELD)

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
        """One page of what happened by now.

        `write` is taken to depend on the dialect and the query's language alone: what it wrote is kept under those.
        """
        asked = self._asked(dialect, query, write)
        goes_on = query.after is not None
        runs = list(_runs(asked, query.offset, query.limit + goes_on))
        end = None
        if goes_on and sum(len(run.rows) for run in runs) > query.limit:  # its last row says only that there is one
            runs[-1] = _Run(runs[-1].day, runs[-1].rows[:-1])
            day, rows = next(run for run in reversed(runs) if run.rows)
            end = msgspec.json.encode(asked.sheet(day).place(rows[-1])).decode()
        if query.newest and query.ascending:
            runs = [_Run(day, rows[::-1]) for day, rows in reversed(runs)]
        written = [row for run in runs for row in _written(asked, run, query.visible)]
        return FlowPage(b",".join(written), len(written), end)

    def count_flows(self, query: FlowQuery) -> int:
        wanted = known_to_hold(self.world, Filter(self.world.known(query.accounts), query.where))
        begin_us, end_us = self._range_us(query)
        days = _days(wanted, begin_us, end_us)
        found = self._reel(wanted)
        ends = [entry.flow.at for day in {*days[:1], *days[-1:]} for entry in found.entries(day)]
        return sum(begin_us <= to_us(at) < end_us for at in ends) + found.count(days.start + 1, days.stop - 1)

    def accounts(self) -> list[SimulatedAccount]:
        """Every account at its provider, with what a client needs to read it."""
        until = self._after_now()
        return [
            SimulatedAccount(
                account, self._providers[key.dialect], key.credentials, self.world.happened(account, until)
            )
            for key in self._keys.values()
            for account in key.accounts
        ]

    def truth(self, account: str, since: datetime, until: datetime) -> Iterator[Flow]:
        """What reading [since, until) must give, oldest first: every flow that has happened by now."""
        return self.world.flows(account, since, min(until, self._after_now()))

    def _after_now(self) -> datetime:
        """The end of a range that takes in what happens at this instant."""
        return self.now() + timedelta(microseconds=1)

    def _asked(self, dialect: str, query: FlowQuery, write: Callable[[Flow], bytes]) -> _Asked:
        """Raises WireError where `after` is no place that a page named."""
        wanted = known_to_hold(self.world, Filter(self.world.known(query.accounts), query.where))
        begin_us, end_us = self._range_us(query)
        found = self._reel(wanted)

        def sheet(day: int) -> Sheet:
            key = wanted, dialect, query.language, day
            return self._sheets.get(key, lambda: Sheet(found.entries(day), wanted.accounts, write))

        after = _after(query.after) if query.after else None
        days = _days(wanted, begin_us, end_us)
        if after is not None:
            day = after.at_us // DAY_US
            days = (
                range(days.start, min(days.stop, day + 1)) if query.newest else range(max(days.start, day), days.stop)
            )
        return _Asked(found, sheet, days, begin_us, end_us, after, query.newest)

    def _range_us(self, query: FlowQuery) -> tuple[int, int]:
        """What of the query's range there is by now, as [begin, end) in microseconds."""
        begin_us = max(to_us(query.since), self.world.begin_day * DAY_US)
        end_us = min(to_us(query.until), to_us(self.now()) + 1)
        return begin_us, end_us if self.world.end_day is None else min(end_us, self.world.end_day * DAY_US)


def _days(wanted: Filter, begin_us: int, end_us: int) -> range:
    """The days that rows of [begin_us, end_us) may be of."""
    if begin_us >= end_us or not wanted.accounts:
        return range(0)
    return range(begin_us // DAY_US, (end_us - 1) // DAY_US + 1)


def _after(text: str) -> Place:
    try:
        return _place_of(text)
    except msgspec.MsgspecError as error:
        raise WireError("after", f"expected a place that a page named, got {excerpt(text)}") from error


def _runs(asked: _Asked, skip: int, left: int) -> Iterator[_Run]:
    """The rows that a page has, after `skip` of them and `left` at most, in the order in which they are taken."""
    days = asked.days
    day = days.stop - 1 if asked.newest else days.start
    while day in days and left > 0:
        if days.start < day < days.stop - 1:
            day, skip = (
                asked.reel.back(day, days.start, skip) if asked.newest else asked.reel.forth(day, days.stop - 1, skip)
            )
        there = asked.rows_of(day)
        if rows := there[skip : skip + left]:
            yield _Run(day, rows)
            left -= len(rows)
        skip = max(skip - len(there), 0)
        day += -1 if asked.newest else 1


def _written(asked: _Asked, run: _Run, shown: Where) -> Iterator[bytes]:
    """Those of the rows that are shown."""
    rows: Iterable[int] = run.rows
    if shown:
        entries = asked.reel.entries(run.day)
        rows = [row for row in rows if matches(entries[row].flow, shown)]
    return asked.sheet(run.day).rows(rows)
