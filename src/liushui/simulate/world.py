"""A seeded world of accounts and their flows, for any provider to tell in its own words. It does no I/O, has no clock.

The same parameters give the same world on any machine and in any process: what happens to an account on a day follows
from (seed, account, day) and how many rows fall on that day. Days are made when asked for; only their counts are held.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from liushui.errors import ConfigError
from liushui.flow import Flow
from liushui.instant import DAY_US, EPOCH, iso, to_us
from liushui.money import shown
from liushui.simulate.cache import RowCache
from liushui.simulate.chance import chance
from liushui.simulate.density import Density
from liushui.simulate.events import flows_of_day

ACCOUNTS_MAX = 100_000
"""Each has a key that is made when the simulator starts: more would make it wait for seconds."""
FLOWS_A_DAY_MAX = 50_000
"""On average, for one account. A day is made whole, so this bounds the memory; ten million in five years are 5,476."""

_FLOWS_HELD = 60_000
"""Rows of days that are kept as flows: some 30 MB."""
_DAYS_WEIGHED_HELD = 2_000_000
"""Days whose counts are kept: 16 MB, a thousand accounts of five years."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What makes a world the one it is. Raises ConfigError naming what does not fit."""

    accounts: int
    flows: int
    """Of each account, exactly, in [begin, end)."""
    seed: int = 1
    begin: datetime = datetime(2021, 1, 1, tzinfo=UTC)
    end: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    live: bool = False
    """Whether the world goes on after `end`, as dense as before."""

    def __post_init__(self) -> None:
        if not 1 <= self.accounts <= ACCOUNTS_MAX:
            raise ConfigError(f"accounts: expected 1 to {ACCOUNTS_MAX}, got {shown(self.accounts)}")
        for name, at in (("begin", self.begin), ("end", self.end)):
            if at.tzinfo is None or to_us(at) % DAY_US or at < EPOCH:
                raise ConfigError(
                    f"{name}: expected the beginning of a day in UTC, 1970 or later, got {at.isoformat()}"
                )
        if self.begin >= self.end:
            raise ConfigError(f"end: expected a day after {iso(self.begin)}, got {iso(self.end)}")
        most = FLOWS_A_DAY_MAX * (self.end - self.begin).days
        if not 0 <= self.flows <= most:
            raise ConfigError(f"flows: expected 0 to {most} ({FLOWS_A_DAY_MAX} a day), got {shown(self.flows)}")


def day_number(at: datetime) -> int:
    """The UTC day of an instant, counted from the Unix epoch."""
    return to_us(at) // DAY_US


class World:
    """The accounts, `trader-1` and on, and what happened to each. Safe to use from several threads."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.accounts = tuple(f"trader-{number}" for number in range(1, parameters.accounts + 1))
        self.begin_day = day_number(parameters.begin)
        self.end_day = None if parameters.live else day_number(parameters.end)
        """The day after the last; None where there is no last."""
        self._numbers = {name: number for number, name in enumerate(self.accounts, 1)}
        self._densities: RowCache[int, Density] = RowCache(_DAYS_WEIGHED_HELD)
        self._days: RowCache[tuple[int, int], Sequence[Flow]] = RowCache(_FLOWS_HELD)

    def known(self, accounts: Iterable[str]) -> tuple[str, ...]:
        """Those of the names that are accounts here, each once, in the world's order."""
        return tuple(sorted(self._numbers.keys() & set(accounts), key=self._numbers.__getitem__))

    def before(self, account: str, day: int) -> int:
        """How many flows an account has before that day begins. Raises KeyError where there is no such account."""
        return self.density(account).before(day)

    def density(self, account: str) -> Density:
        """How an account's flows spread over its days. Raises KeyError where there is no such account."""
        number = self._numbers[account]
        return self._densities.get(number, lambda: self._make_density(number))

    def day(self, account: str, day: int) -> Sequence[Flow]:
        """An account's flows of one UTC day, oldest first; those of one second in an order that stays the same."""
        number = self._numbers[account]
        return self._days.get((number, day), lambda: self._make_day(account, number, day))

    def flows(self, account: str, since: datetime, until: datetime) -> Iterator[Flow]:
        """Every flow of an account with since <= at < until, oldest first, a day in memory at a time."""
        first, after = max(day_number(since), self.begin_day), day_number(until) + 1
        for day in range(first, after if self.end_day is None else min(after, self.end_day)):
            for flow in self.day(account, day):
                if since <= flow.at < until:
                    yield flow

    def happened(self, account: str, until: datetime) -> int:
        """How many flows of an account there are with at < until."""
        if self.end_day is not None and until >= self.parameters.end:
            return self.parameters.flows
        day = day_number(until)
        return self.before(account, day) + sum(flow.at < until for flow in self.day(account, day))

    def _make_day(self, account: str, number: int, day: int) -> Sequence[Flow]:
        earlier = self.before(account, day)
        return flows_of_day(
            chance("day", self.parameters.seed, number, day),
            EPOCH + timedelta(days=day),
            self.before(account, day + 1) - earlier,
            opening=earlier == 0,
        )

    def _make_density(self, number: int) -> Density:
        asked = self.parameters
        return Density(
            chance("density", asked.seed, number),
            begin=self.begin_day,
            end=day_number(asked.end),
            flows=asked.flows,
            live=asked.live,
        )
