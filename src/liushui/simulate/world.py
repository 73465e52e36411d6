"""A seeded world of accounts and their flows, without I/O and without a clock. Any provider can serve it.

The same parameters and institutions give the same world on any machine and in any process. An account's flows of a day
follow from (seed, account, day) and from the row counts of its days. For transfers, the same facts of the person's
other accounts count too. Spans of days are generated on demand. Only counts are kept.
"""

import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from liushui.conditions import DETAIL_PREFIX, RECORD_ID
from liushui.errors import ConfigError, short_repr
from liushui.flow import Flow
from liushui.instant import DAY_US, EPOCH, to_iso, to_us
from liushui.simulate.balanced_spans import SpanPlan, plan_span, span_calendar
from liushui.simulate.density import Density
from liushui.simulate.people import SINGLE_BROKER, Account, Institution, accounts_of
from liushui.simulate.random_draw import Draw, seeded_random
from liushui.simulate.role_profile import Wallet
from liushui.simulate.row_cache import RowCache
from liushui.simulate.running_balances import SpanFlows, Statement, TransferLeg, midnight_of, openings
from liushui.simulate.transfers import Transfer, exchange_transfers, transfers

ACCOUNTS_MAX = 20_000
"""The most people. Each account gets a key when the simulator starts: more accounts would delay the start by
seconds."""
FLOWS_A_DAY_MAX = 50_000
"""The most flows a day of one account, on average. A day is generated as a whole, so this bounds the memory. Ten
million flows in five years are 5,476 a day."""

_FLOWS_CACHED = 60_000
"""Flows of spans that are cached: about 40 MB."""
_PLANS_CACHED = 10_000
"""Plans of spans, and wallets and levels of accounts, that are cached: about 10 MB."""
_TRANSFERS_CACHED = 50_000
"""Transfers that are cached, in rows."""
_COUNTED_DAYS_CACHED = 2_000_000
"""Days whose counts are cached: 16 MB, a thousand accounts of five years."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The parameters that determine a world. Raises ConfigError naming the parameter that is out of range."""

    accounts: int
    """The number of people. Each has one account at each institution."""
    flows: int
    """The number of flows of each account in [begin, end), exactly."""
    seed: int = 1
    begin: datetime = datetime(2021, 1, 1, tzinfo=UTC)
    end: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    live: bool = False
    """Whether the world continues after `end`, with the same density."""

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


def _renamed(wallets: Sequence[Wallet], names: Sequence[str]) -> tuple[Wallet, ...]:
    """Return as many of the wallets as there are names, each with one of these names."""
    return tuple(wallet._replace(subaccount=name) for wallet, name in zip(wallets, names, strict=False))


def day_number(at: datetime) -> int:
    """The UTC day of an instant, counted from the Unix epoch."""
    return to_us(at) // DAY_US


class World:
    """The accounts, `trader-1` and so on, and their flows. Safe to use from several threads."""

    def __init__(self, parameters: Parameters, institutions: Iterable[Institution] = SINGLE_BROKER) -> None:
        self.parameters = parameters
        self._accounts = {account.name: account for account in accounts_of(parameters.accounts, institutions)}
        self.accounts = tuple(self._accounts)
        """The names of the accounts."""
        self._people: dict[int, list[Account]] = {}
        for account in self._accounts.values():
            self._people.setdefault(account.person, []).append(account)
        names = {(account.person, account.institution.name): name for name, account in self._accounts.items()}
        self._views = {
            name: names[account.person, account.institution.shown_at]
            for name, account in self._accounts.items()
            if account.institution.shown_at
        }
        """The accounts that another account shows too, each with that account. Both have the same flows, which follow
        from the name of the view. Worlds without the original therefore have the same flows in the view."""
        self._originals = {view: original for original, view in self._views.items()}
        self.begin_day = day_number(parameters.begin)
        self.end_day = None if parameters.live else day_number(parameters.end)
        """The day after the last one. None: the world has no end."""
        self._calendar = span_calendar(begin=self.begin_day, end=day_number(parameters.end), flows=parameters.flows)
        self._densities: RowCache[str, Density] = RowCache(_COUNTED_DAYS_CACHED)
        self._spans: RowCache[tuple[str, int], SpanFlows] = RowCache(_FLOWS_CACHED)
        self._transfers: RowCache[tuple[int, int], Sequence[Transfer]] = RowCache(_TRANSFERS_CACHED)
        self._plan = lru_cache(_PLANS_CACHED)(self._make_plan)
        self._wallets = lru_cache(_PLANS_CACHED)(self._make_wallets)
        self._levels = lru_cache(_PLANS_CACHED)(self._make_levels)

    def account(self, name: str) -> Account:
        """The account with this name. Raises KeyError if there is none."""
        return self._accounts[name]

    def view_of(self, account: str) -> str | None:
        """The account that shows the same money as this one. None: no account does."""
        return self._views.get(account)

    def original_of(self, account: str) -> str:
        """The account whose money this account shows, or this account, if no other one has the same money."""
        return self._originals.get(account, account)

    def existing(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those names that are accounts here, each once, sorted."""
        return tuple(sorted(self._accounts.keys() & set(names)))

    def count_before(self, account: str, day: int) -> int:
        """Return the number of an account's flows before that day begins. Raises KeyError if there is no such
        account."""
        return self.density(account).count_before(day)

    def count_until(self, account: str, until: datetime) -> int:
        """Return the number of an account's flows with at < until."""
        if self.end_day is not None and until >= self.parameters.end:
            return self.parameters.flows
        day = day_number(until)
        return self.count_before(account, day) + sum(flow.at < until for flow in self.day(account, day))

    def density(self, account: str) -> Density:
        """The row counts of an account's days. Raises KeyError if there is no such account."""
        known = self._accounts[account]
        return self._densities.get(account, lambda: self._make_density(known))

    def day(self, account: str, day: int) -> Sequence[Flow]:
        """An account's flows of one UTC day, oldest first. Flows of one instant always have the same order."""
        if day < self.begin_day or (self.end_day is not None and day >= self.end_day):
            return ()
        first = self._calendar.span_of(day).start
        return self._spans.get((account, first), lambda: self._make_span(account, day)).day(day)

    def events(self, account: str, day: int) -> Sequence[int]:
        """The event of each flow of `day`: see `SpanFlows.events`."""
        if day < self.begin_day or (self.end_day is not None and day >= self.end_day):
            return ()
        first = self._calendar.span_of(day).start
        return self._spans.get((account, first), lambda: self._make_span(account, day)).events(day)

    def flows(self, account: str, since: datetime, until: datetime) -> Iterator[Flow]:
        """Every flow of an account with since <= at < until, oldest first. Only one span is in memory at a time."""
        first, after = max(day_number(since), self.begin_day), day_number(until) + 1
        for day in range(first, after if self.end_day is None else min(after, self.end_day)):
            for flow in self.day(account, day):
                if since <= flow.at < until:
                    yield flow

    def field_values(self, account: str) -> Mapping[str, frozenset[str | None]]:
        """Every value that some fields of an account's flows can have. DETAIL_PREFIX stands for all keys of `detail`.

        Raises KeyError if there is no such account.
        """
        wallets = self._wallets(account)
        detail = {} if self._accounts[account].institution.simulate_detail else {DETAIL_PREFIX: frozenset((None,))}
        return {
            **self._accounts[account].profile.field_values,
            **detail,
            RECORD_ID: frozenset((None,)),
            "subaccount": frozenset(wallet.subaccount for wallet in wallets),
            "currency": frozenset(wallet.currency for wallet in wallets),
        }

    def transfers(self, person: int, day: int) -> Sequence[Transfer]:
        """The transfers of one day between the accounts of a person."""
        return self._transfers.get((person, day), lambda: self._make_transfers(person, day))

    def _make_span(self, account: str, day: int) -> SpanFlows:
        plan = self._plan(account, self._calendar.span_of(day))
        return Statement(
            seed=self.parameters.seed,
            account=self._views.get(account, account),
            detail_account=account,
            profile=self._accounts[account].profile,
            plan=plan,
            levels=self._levels(account),
            rows_before=self.count_before(account, plan.days.start),
            transfer_legs=lambda day: self._transfer_legs(account, day),
            simulate_detail=self._accounts[account].institution.simulate_detail,
            is_advisory=self._accounts[account].institution.is_advisory,
        ).span_flows()

    def _make_plan(self, account: str, days: range) -> SpanPlan:
        before = [self.count_before(account, day) for day in range(days.start, days.stop + 1)]
        counts = [after - earlier for earlier, after in itertools.pairwise(before)]
        opens = before[0] == 0 and self._accounts[account].profile.opening is not None
        return plan_span(days, counts, self._wallets(account), opens=opens)

    def _make_wallets(self, account: str) -> tuple[Wallet, ...]:
        draw = Draw(seeded_random("pockets", self.parameters.seed, self._views.get(account, account)), EPOCH)
        wallets = self._accounts[account].profile.wallets(draw)
        names = self._accounts[account].institution.subaccounts
        return _renamed(wallets, names) if names else wallets

    def _make_levels(self, account: str) -> Mapping[Wallet, Decimal]:
        """The level of each wallet: the amount of its opening row, in the span of the account's first row."""
        days = range(self.begin_day, day_number(self.parameters.end))
        first = days.start
        if self.parameters.flows:
            first = days[bisect_left(days, 1, key=lambda day: self.count_before(account, day + 1))]
        wallets = self._plan(account, self._calendar.span_of(first)).wallets
        rows = openings(
            self.parameters.seed, self._views.get(account, account), self._accounts[account].profile, wallets
        )
        return {wallet: row.amount for wallet, row in zip(wallets, rows, strict=False)}

    def _transfer_legs(self, account: str, day: int) -> list[TransferLeg]:
        """The ends of a day's transfers that belong to an account."""
        if (view := self._views.get(account)) is not None:
            wallets = dict(zip(self._wallets(view), self._wallets(account), strict=True))
            return [leg._replace(wallet=wallets[leg.wallet]) for leg in self._transfer_legs(view, day)]
        legs = []
        for number, transfer in enumerate(self.transfers(self._accounts[account].person, day)):
            if transfer.source == account:
                amount = None if transfer.amount is None else -transfer.amount
                legs.append(TransferLeg(transfer.left_at, transfer.out_of, amount, transfer.note, number))
            elif transfer.target == account:
                amount = self._closing_amount(transfer, day) if transfer.amount is None else transfer.amount
                legs.append(TransferLeg(transfer.arrived_at, transfer.into, amount, transfer.note, number))
        return legs

    def _closing_amount(self, transfer: Transfer, day: int) -> Decimal:
        """Return the amount that the closing row of a transfer's source takes out."""
        # This cannot recurse, because a shop's days do not depend on another account.
        (taken,) = (
            -flow.amount
            for flow in self.day(transfer.source, day)
            if flow.at == transfer.left_at and (flow.subaccount, flow.currency) == transfer.out_of
        )
        return taken

    def _make_transfers(self, person: int, day: int) -> Sequence[Transfer]:
        days = self._calendar.span_of(day)
        moving = (account for account in self._people[person] if account.name not in self._views)
        plans = {account: self._plan(account.name, days) for account in moving}
        seed = self.parameters.seed, person, day
        draw = Draw(seeded_random("transfers", *seed), midnight_of(day))
        # These transfers come from a separate draw, so that worlds with fewer than two exchanges do not change.
        between = exchange_transfers(Draw(seeded_random("exchange transfers", *seed), midnight_of(day)), plans, day)
        return [*transfers(draw, plans, day), *between]

    def _make_density(self, account: Account) -> Density:
        parameters = self.parameters
        return Density(
            seeded_random("density", parameters.seed, self._views.get(account.name, account.name)),
            begin=self.begin_day,
            end=day_number(parameters.end),
            flows=parameters.flows,
            live=parameters.live,
            weekday_weights=account.profile.weekday_weights,
            # The accounts of a person rest on the same days. Otherwise few days would have room for a transfer between
            # two accounts.
            resting=seeded_random("resting", parameters.seed, account.person),
        )
