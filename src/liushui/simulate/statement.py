"""An account's flows of a stretch of days as its statement has them: in order, numbered, each with its balance."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Final, NamedTuple

from liushui.flow import Flow
from liushui.instant import EPOCH
from liushui.money import EXACT, ZERO
from liushui.provider import DetailSimulator
from liushui.simulate.checkpoints import Plan
from liushui.simulate.random_draw import Draw, chance
from liushui.simulate.role_profile import Habits, Pocket

FIRST_NUMBER: Final = 10_000_001
"""Of an account's first row, where rows are numbered."""

_SUBACCOUNT, _BALANCE, _REF = (Flow._fields.index(name) for name in ("subaccount", "balance_after", "ref"))
_by_time = attrgetter("at")


class Move(NamedTuple):
    """The end of a transfer that is in the account. `amount` None: the row that closes the pocket is that end."""

    at: datetime
    pocket: Pocket
    amount: Decimal | None
    note: str


class Stretch:
    """The flows of a stretch, day by day."""

    __slots__ = ("_days", "_first", "_rows")

    def __init__(self, first: int, days: Iterable[Sequence[Flow]]) -> None:
        self._first = first
        self._days = tuple(days)
        self._rows = sum(map(len, self._days))

    def __len__(self) -> int:
        return self._rows

    def day(self, day: int) -> Sequence[Flow]:
        """A day's flows, oldest first; those of one instant as they happened."""
        return self._days[day - self._first]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a stretch of one account is made from."""

    seed: int
    account: str
    habits: Habits
    plan: Plan
    levels: Mapping[Pocket, Decimal]
    """What each pocket begins with and comes back to; where it is not named, with nothing."""
    earlier: int
    """How many flows the account has before it. An account with none begins with nothing in any pocket."""
    moves: Callable[[int], Sequence[Move]]
    """The ends of a day's transfers that are in the account."""
    simulate_detail: DetailSimulator | None = None

    def stretch(self) -> Stretch:
        """Make it."""
        return Stretch(self.plan.days.start, self._days())

    def _days(self) -> Iterator[Sequence[Flow]]:
        book = _Book(self.plan.pockets, self.levels if self.earlier else {}, FIRST_NUMBER + self.earlier)
        for day, count in zip(self.plan.days, self.plan.counts, strict=True):
            if not count:
                yield ()
                continue
            moves = self.moves(day)
            happened = self._happened(day, moves)
            if self.simulate_detail is not None:
                below = Draw(chance("dress", self.seed, self.account, day), midnight_of(day)).below
                happened = [self.simulate_detail(flow, below) for flow in happened]
            flows = [book.entered(flow) for flow in happened]
            notes = {move.pocket: move.note for move in moves if move.amount is None}
            for pocket in self.plan.closed_on(day):
                at = self.habits.closed_at(midnight_of(day), self.plan.pockets.index(pocket))
                amount = EXACT.subtract(self.levels.get(pocket, ZERO), book.balance(pocket))
                note = notes.get(pocket)
                closing = self.habits.closing(at, pocket, amount)
                flows.append(book.entered(closing if note is None else self.habits.moved(at, pocket, amount, note)))
            yield flows

    def _happened(self, day: int, moves: Sequence[Move]) -> list[Flow]:
        """The rows of a day but those that close, oldest first."""
        midnight = midnight_of(day)
        draw = Draw(chance("day", self.seed, self.account, day), midnight)
        moved = [
            self.habits.moved(move.at, move.pocket, move.amount, move.note) for move in moves if move.amount is not None
        ]
        flows = openings(self.seed, self.account, self.habits, self.plan.opened_on(day), midnight)
        left = self.plan.free(day) - len(moved)
        if left and self.plan.idle:
            flows.append(self.habits.idle(draw, self.plan.pockets[0]))
        else:
            flows += self.habits.day(draw, self.plan.pockets, left)
        flows += moved
        flows.sort(key=_by_time)  # stable: what happens at one instant keeps its order
        return flows


class _Book:
    """The balances of an account, and the number of its next row."""

    def __init__(self, pockets: Sequence[Pocket], levels: Mapping[Pocket, Decimal], number: int) -> None:
        self._balances: dict[tuple[str, str], Decimal] = {pocket: levels.get(pocket, ZERO) for pocket in pockets}
        self._only = pockets[0].subaccount
        self._number = number

    def balance(self, pocket: Pocket) -> Decimal:
        return self._balances[pocket]

    def entered(self, flow: Flow) -> Flow:
        """The row with its balance and, where it names none, its part of the account and its number."""
        pocket = flow.subaccount or self._only, flow.currency
        balance = self._balances[pocket] = EXACT.add(self._balances[pocket], flow.amount)
        fields = list(flow)
        fields[_SUBACCOUNT] = pocket[0]
        fields[_BALANCE] = balance
        if flow.ref is None:
            fields[_REF] = str(self._number)
        self._number += 1
        return Flow._make(fields)


def openings(
    seed: int, account: str, habits: Habits, pockets: Iterable[Pocket], midnight: datetime = EPOCH
) -> list[Flow]:
    """The rows that put its level into each pocket; none in an account that begins with nothing."""
    if habits.opening is None:
        return []
    return [habits.opening(Draw(chance("opening", seed, account, *pocket), midnight), pocket) for pocket in pockets]


def midnight_of(day: int) -> datetime:
    """The beginning of a UTC day that is counted from the Unix epoch."""
    return EPOCH + timedelta(days=day)
