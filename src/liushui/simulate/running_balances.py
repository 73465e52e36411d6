"""An account's flows of one span as in its statement: in order, numbered, each with its balance."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final, NamedTuple

from liushui.flow import Flow
from liushui.instant import EPOCH
from liushui.money import EXACT, ZERO
from liushui.provider import DetailSimulator
from liushui.simulate.balanced_spans import SpanPlan
from liushui.simulate.random_draw import Draw, seeded_random
from liushui.simulate.role_profile import RoleProfile, Wallet

ADVISORY_ONE_IN: Final = 12
"""If balances are indicative, one row in this number states a balance other than its own."""
FIRST_NUMBER: Final = 10_000_001
"""The number of an account's first row, if rows are numbered."""

_SUBACCOUNT, _BALANCE, _REF = (Flow._fields.index(name) for name in ("subaccount", "balance_after", "ref"))


def _by_time(numbered: tuple[Flow, int]) -> datetime:
    return numbered[0].at


class TransferLeg(NamedTuple):
    """The end of a transfer in the account. If `amount` is None, the closing row of the wallet is that end."""

    at: datetime
    wallet: Wallet
    amount: Decimal | None
    note: str
    number: int
    """The transfer's number among the transfers of the person's day."""


NO_EVENT: Final = -1
"""The event of a row that belongs to no other row."""


def transfer_event(number: int) -> int:
    """Return the event of either end of the transfer with that number. It differs from the account's own events, which
    begin at 0."""
    return NO_EVENT - 1 - number


class DayFlows(NamedTuple):
    """The flows of a day, oldest first, and for each flow the event of the day that it belongs to."""

    flows: Sequence[Flow] = ()
    events: Sequence[int] = ()


class SpanFlows:
    """The flows of a span, day by day."""

    __slots__ = ("_days", "_events", "_first", "_rows")

    def __init__(self, first: int, days: Iterable[DayFlows]) -> None:
        self._first = first
        every = tuple(days)
        self._days = tuple(day.flows for day in every)
        self._events = tuple(day.events for day in every)
        self._rows = sum(map(len, self._days))

    def __len__(self) -> int:
        return self._rows

    def day(self, day: int) -> Sequence[Flow]:
        """The flows of a day, oldest first. Flows of one instant are in the order in which they happened."""
        return self._days[day - self._first]

    def events(self, day: int) -> Sequence[int]:
        """The event of each flow of a day. Flows of one event belong together. NO_EVENT means that a flow belongs to
        none.

        The events of transfers have lower numbers than that: see `transfer_event`.
        """
        return self._events[day - self._first]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """The data from which the flows of a span are made."""

    seed: int
    account: str
    profile: RoleProfile
    plan: SpanPlan
    levels: Mapping[Wallet, Decimal]
    """The balance with which each wallet begins and to which it returns. Other wallets have the level zero."""
    rows_before: int
    """The number of the account's flows before the span. Zero: every wallet begins empty."""
    transfer_legs: Callable[[int], Sequence[TransferLeg]]
    """The ends of a day's transfers that fall into the account."""
    simulate_detail: DetailSimulator | None = None
    detail_account: str = ""
    """The account whose name determines the provider's own data on the rows. Empty: `account`."""
    is_advisory: bool = False
    """Whether some rows state the balance after a later row: see `_with_advisory_balances`."""

    def span_flows(self) -> SpanFlows:
        """Generate the span."""
        return SpanFlows(self.plan.days.start, self._days())

    def _days(self) -> Iterator[DayFlows]:
        levels = self.levels if self.rows_before else {}
        ledger = _RunningBalances(self.plan.wallets, levels, FIRST_NUMBER + self.rows_before)
        for day, count in zip(self.plan.days, self.plan.counts, strict=True):
            if not count:
                yield DayFlows()
                continue
            legs = self.transfer_legs(day)
            rows, events = self._rows_before_closing(day, legs)
            if self.simulate_detail is not None:
                below = Draw(
                    seeded_random("dress", self.seed, self.detail_account or self.account, day), midnight_of(day)
                ).below
                rows = [self.simulate_detail(flow, below) for flow in rows]
            flows = [ledger.book(flow) for flow in rows]
            closing_legs = {leg.wallet: leg for leg in legs if leg.amount is None}
            for wallet in self.plan.closed_on(day):
                at = self.profile.closed_at(midnight_of(day), self.plan.wallets.index(wallet))
                amount = EXACT.subtract(self.levels.get(wallet, ZERO), ledger.balance(wallet))
                leg = closing_legs.get(wallet)
                if leg is None:
                    closing = self.profile.closing(at, wallet, amount)
                else:
                    closing = self.profile.moved(at, wallet, amount, leg.note)
                flows.append(ledger.book(closing))
                events.append(NO_EVENT if leg is None else transfer_event(leg.number))
            if self.is_advisory:
                flows = _with_advisory_balances(flows, seeded_random("advisory", self.seed, self.account, day))
            yield DayFlows(flows, events)

    def _rows_before_closing(self, day: int, legs: Sequence[TransferLeg]) -> tuple[list[Flow], MutableSequence[int]]:
        """The rows of a day without the closing rows, oldest first, and their events."""
        midnight = midnight_of(day)
        draw = Draw(seeded_random("day", self.seed, self.account, day), midnight)
        moved = [
            (self.profile.moved(leg.at, leg.wallet, leg.amount, leg.note), transfer_event(leg.number))
            for leg in legs
            if leg.amount is not None
        ]
        opened = openings(self.seed, self.account, self.profile, self.plan.opened_on(day), midnight)
        free = self.plan.free(day) - len(moved)
        if free and self.plan.idle:
            events = [[self.profile.idle(draw, self.plan.wallets[0])]]
        else:
            events = self.profile.day(draw, self.plan.wallets, free)
        numbered = [(flow, NO_EVENT) for flow in opened]
        numbered += [(flow, number) for number, event in enumerate(events) for flow in event]
        numbered += moved
        numbered.sort(key=_by_time)  # stable: flows of one instant keep the order in which they happened
        return [flow for flow, _ in numbered], array("l", (number for _, number in numbered))


def _with_advisory_balances(flows: Sequence[Flow], random: Random) -> list[Flow]:
    """Return the flows of a day. Some of them state the balance after the next row of their wallet.

    A service that books in parts states such balances. The last row of the day states the correct balance. Equal rows
    of one instant keep their balances, because only the balances may distinguish them.
    """
    stated = list(flows)
    alike = Counter((flow.at, flow.amount) for flow in flows)
    following: dict[tuple[str, str], Flow] = {}
    for index in range(len(flows) - 1, -1, -1):
        flow = flows[index]
        later = following.get((flow.subaccount, flow.currency))
        if later is not None and random.getrandbits(32) % ADVISORY_ONE_IN == 0 and alike[flow.at, flow.amount] == 1:
            stated[index] = flow._replace(balance_after=later.balance_after)
        following[flow.subaccount, flow.currency] = flow
    return stated


class _RunningBalances:
    """The balances of an account, and the number of its next row."""

    def __init__(self, wallets: Sequence[Wallet], levels: Mapping[Wallet, Decimal], number: int) -> None:
        self._balances: dict[tuple[str, str], Decimal] = {wallet: levels.get(wallet, ZERO) for wallet in wallets}
        self._default_subaccount = wallets[0].subaccount
        self._number = number

    def balance(self, wallet: Wallet) -> Decimal:
        return self._balances[wallet]

    def book(self, flow: Flow) -> Flow:
        """Return the row with its balance, and with its subaccount and number if these are missing."""
        wallet = flow.subaccount or self._default_subaccount, flow.currency
        balance = self._balances[wallet] = EXACT.add(self._balances[wallet], flow.amount)
        fields = list(flow)  # Flow._replace takes several times as long
        fields[_SUBACCOUNT] = wallet[0]
        fields[_BALANCE] = balance
        if flow.ref is None:
            fields[_REF] = str(self._number)
        self._number += 1
        return Flow._make(fields)


def openings(
    seed: int, account: str, profile: RoleProfile, wallets: Iterable[Wallet], midnight: datetime = EPOCH
) -> list[Flow]:
    """The opening rows of wallets. Empty if the profile has none."""
    if profile.opening is None:
        return []
    draws = ((wallet, seeded_random("opening", seed, account, *wallet)) for wallet in wallets)
    return [profile.opening(Draw(random, midnight), wallet) for wallet, random in draws]


def midnight_of(day: int) -> datetime:
    """The beginning of a UTC day that is counted from the Unix epoch."""
    return EPOCH + timedelta(days=day)
