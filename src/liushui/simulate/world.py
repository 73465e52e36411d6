"""A seeded world of accounts and their flows, for any provider to tell in its own words. It does no I/O, has no clock.

The same parameters and desks give the same world on any machine and in any process: what happens to an account on a
day follows from (seed, account, day), from how many rows its days have, and, for money that comes from another account
of the same person, from the same of that account. Stretches of days are made when asked for; only counts are held.
"""

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from liushui.conditions import DETAIL_PREFIX
from liushui.errors import ConfigError, short_repr
from liushui.flow import Flow
from liushui.instant import DAY_US, EPOCH, to_iso, to_us
from liushui.simulate.checkpoints import Plan, calendar, plan
from liushui.simulate.density import Density
from liushui.simulate.people import ONE_BROKER, Account, Desk, accounts_of
from liushui.simulate.random_draw import Draw, chance
from liushui.simulate.role_profile import Habits, Pocket
from liushui.simulate.roles import HABITS
from liushui.simulate.row_cache import RowCache
from liushui.simulate.statement import Move, Statement, Stretch, midnight_of, openings
from liushui.simulate.transfers import Transfer, transfers

ACCOUNTS_MAX = 20_000
"""People. Each account has a key that is made when the simulator starts: more would make it wait for seconds."""
FLOWS_A_DAY_MAX = 50_000
"""On average, for one account. A day is made whole, so this bounds the memory; ten million in five years are 5,476."""

_FLOWS_HELD = 60_000
"""Rows of stretches that are kept as flows: some 40 MB."""
_PLANS_HELD = 10_000
"""Stretches whose plans are kept, and accounts whose pockets and levels are: some 10 MB."""
_TRANSFERS_HELD = 50_000
"""What transfers may weigh that are kept."""
_DAYS_WEIGHED_HELD = 2_000_000
"""Days whose counts are kept: 16 MB, a thousand accounts of five years."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What makes a world the one it is. Raises ConfigError naming what does not fit."""

    accounts: int
    """How many traders, and how many shops: accounts at each desk."""
    flows: int
    """Of each account, exactly, in [begin, end)."""
    seed: int = 1
    begin: datetime = datetime(2021, 1, 1, tzinfo=UTC)
    end: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    live: bool = False
    """Whether the world goes on after `end`, as dense as before."""

    def __post_init__(self) -> None:
        if not 1 <= self.accounts <= ACCOUNTS_MAX:
            raise ConfigError(f"accounts: expected 1 to {ACCOUNTS_MAX}, got {short_repr(self.accounts)}")
        for name, at in (("begin", self.begin), ("end", self.end)):
            if at.tzinfo is None or to_us(at) % DAY_US or at < EPOCH:
                raise ConfigError(
                    f"{name}: expected the beginning of a day in UTC, 1970 or later, got {at.isoformat()}"
                )
        if self.begin >= self.end:
            raise ConfigError(f"end: expected a day after {to_iso(self.begin)}, got {to_iso(self.end)}")
        most = FLOWS_A_DAY_MAX * (self.end - self.begin).days
        if not 0 <= self.flows <= most:
            raise ConfigError(f"flows: expected 0 to {most} ({FLOWS_A_DAY_MAX} a day), got {short_repr(self.flows)}")


def day_number(at: datetime) -> int:
    """The UTC day of an instant, counted from the Unix epoch."""
    return to_us(at) // DAY_US


class World:
    """The accounts, `trader-1` and on, and what happened to each. Safe to use from several threads."""

    def __init__(self, parameters: Parameters, desks: Iterable[Desk] = ONE_BROKER) -> None:
        self.parameters = parameters
        self._known = {account.name: account for account in accounts_of(parameters.accounts, desks)}
        self.accounts = tuple(self._known)
        self._people: dict[int, list[Account]] = {}
        for known in self._known.values():
            self._people.setdefault(known.person, []).append(known)
        self.begin_day = day_number(parameters.begin)
        self.end_day = None if parameters.live else day_number(parameters.end)
        """The day after the last; None where there is no last."""
        self._calendar = calendar(begin=self.begin_day, end=day_number(parameters.end), flows=parameters.flows)
        self._densities: RowCache[str, Density] = RowCache(_DAYS_WEIGHED_HELD)
        self._stretches: RowCache[tuple[str, int], Stretch] = RowCache(_FLOWS_HELD)
        self._moved: RowCache[tuple[int, int], Sequence[Transfer]] = RowCache(_TRANSFERS_HELD)
        self._plan = lru_cache(_PLANS_HELD)(self._make_plan)
        self._pockets = lru_cache(_PLANS_HELD)(self._make_pockets)
        self._levels = lru_cache(_PLANS_HELD)(self._make_levels)

    def account(self, name: str) -> Account:
        """The account of that name. Raises KeyError where there is none."""
        return self._known[name]

    def known(self, accounts: Iterable[str]) -> tuple[str, ...]:
        """Those of the names that are accounts here, each once, in the order of their names."""
        return tuple(sorted(self._known.keys() & set(accounts)))

    def before(self, account: str, day: int) -> int:
        """How many flows an account has before that day begins. Raises KeyError where there is no such account."""
        return self.density(account).before(day)

    def density(self, account: str) -> Density:
        """How an account's flows spread over its days. Raises KeyError where there is no such account."""
        known = self._known[account]
        return self._densities.get(account, lambda: self._make_density(known))

    def day(self, account: str, day: int) -> Sequence[Flow]:
        """An account's flows of one UTC day, oldest first; those of one instant in an order that stays the same."""
        if day < self.begin_day or (self.end_day is not None and day >= self.end_day):
            return ()
        first = self._calendar.around(day).start
        return self._stretches.get((account, first), lambda: self._make_stretch(account, day)).day(day)

    def flows(self, account: str, since: datetime, until: datetime) -> Iterator[Flow]:
        """Every flow of an account with since <= at < until, oldest first, a stretch in memory at a time."""
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

    def words(self, account: str) -> Mapping[str, frozenset[str | None]]:
        """All that can stand in some fields of an account's flows, under DETAIL_PREFIX in any key of theirs.

        Raises KeyError where there is no such account.
        """
        pockets = self._pockets(account)
        undressed = {} if self._known[account].desk.simulate_detail else {DETAIL_PREFIX: frozenset((None,))}
        return {
            **self._habits(account).words,
            **undressed,
            "subaccount": frozenset(pocket.subaccount for pocket in pockets),
            "currency": frozenset(pocket.currency for pocket in pockets),
        }

    def transfers(self, person: int, day: int) -> Sequence[Transfer]:
        """The transfers of one day between the accounts of a person."""
        return self._moved.get((person, day), lambda: self._make_transfers(person, day))

    def _habits(self, account: str) -> Habits:
        return HABITS[self._known[account].desk.role]

    def _make_stretch(self, account: str, day: int) -> Stretch:
        found = self._plan(account, self._calendar.around(day))
        return Statement(
            seed=self.parameters.seed,
            account=account,
            habits=self._habits(account),
            plan=found,
            levels=self._levels(account),
            earlier=self.before(account, found.days.start),
            moves=lambda day: self._moves(account, day),
            simulate_detail=self._known[account].desk.simulate_detail,
        ).stretch()

    def _make_plan(self, account: str, days: range) -> Plan:
        before = [self.before(account, day) for day in range(days.start, days.stop + 1)]
        counts = [after - earlier for earlier, after in itertools.pairwise(before)]
        opens = before[0] == 0 and self._habits(account).opening is not None
        return plan(days, counts, self._pockets(account), opens=opens)

    def _make_pockets(self, account: str) -> tuple[Pocket, ...]:
        return self._habits(account).pockets(Draw(chance("pockets", self.parameters.seed, account), EPOCH))

    def _make_levels(self, account: str) -> Mapping[Pocket, Decimal]:
        """What each pocket comes back to: what it was opened with, in the stretch of the account's first row."""
        days = range(self.begin_day, day_number(self.parameters.end))
        first = bisect_left(days, 1, key=lambda day: self.before(account, day + 1)) if self.parameters.flows else 0
        pockets = self._plan(account, self._calendar.around(days[first])).pockets
        rows = openings(self.parameters.seed, account, self._habits(account), pockets)
        return {pocket: row.amount for pocket, row in zip(pockets, rows, strict=False)}

    def _moves(self, account: str, day: int) -> list[Move]:
        """The ends of a day's transfers that are in an account."""
        moves = []
        for sent in self.transfers(self._known[account].person, day):
            if sent.source == account:
                amount = None if sent.amount is None else -sent.amount
                moves.append(Move(sent.left_at, sent.out_of, amount, sent.note))
            elif sent.target == account:
                amount = self._closed_with(sent, day) if sent.amount is None else sent.amount
                moves.append(Move(sent.arrived_at, sent.into, amount, sent.note))
        return moves

    def _closed_with(self, sent: Transfer, day: int) -> Decimal:
        """What the closing row of a transfer's source takes out. That account's days wait for nobody else's."""
        (taken,) = (
            -flow.amount
            for flow in self.day(sent.source, day)
            if flow.at == sent.left_at and (flow.subaccount, flow.currency) == sent.out_of
        )
        return taken

    def _make_transfers(self, person: int, day: int) -> Sequence[Transfer]:
        days = self._calendar.around(day)
        plans = {known: self._plan(known.name, days) for known in self._people[person]}
        return transfers(Draw(chance("transfers", self.parameters.seed, person, day), midnight_of(day)), plans, day)

    def _make_density(self, known: Account) -> Density:
        asked = self.parameters
        return Density(
            chance("density", asked.seed, known.name),
            begin=self.begin_day,
            end=day_number(asked.end),
            flows=asked.flows,
            live=asked.live,
            rhythm=HABITS[known.desk.role].rhythm,
            resting=chance("resting", asked.seed, known.person),  # else few days have room for a transfer
        )
