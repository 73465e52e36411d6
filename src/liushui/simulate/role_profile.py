"""What accounts of a role do, as data and functions: the form that broker.py, futures.py and shop.py fill in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from liushui.flow import Flow
from liushui.simulate.density import Rhythm
from liushui.simulate.random_draw import Draw


class Pocket(NamedTuple):
    """What has a running balance of its own: a currency of a part of an account."""

    subaccount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class Habits:
    """The ways of one role."""

    rhythm: Rhythm
    """How busy each day of a week is."""
    pockets: Callable[[Draw], tuple[Pocket, ...]]
    """The pockets of a new account. A short stretch of time moves only the first of them."""
    opening: Callable[[Draw, Pocket], Flow] | None
    """The row that a new account begins with in a pocket: its amount is the level that the pocket comes back to. None:
    it begins with nothing, and comes back to nothing."""
    day: Callable[[Draw, Sequence[Pocket], int], list[Flow]]
    """So many rows of a day, in any order; in an account of one subaccount they need not name it."""
    idle: Callable[[Draw, Pocket], Flow]
    """A row that moves nothing, for a stretch of time with no second row that could take back what it moved."""
    closing: Callable[[datetime, Pocket, Decimal], Flow]
    """The row that brings a pocket back to its level."""
    closes_s: int
    """The second of the day from which on closing rows stand; everything else happened before it."""
    moved: Callable[[datetime, Pocket, Decimal, str], Flow]
    """One end of a transfer between two accounts of one person, with the note that both ends carry."""
    words: Mapping[str, frozenset[str | None]]
    """All that can stand in some fields of Flow, so that what is not there is not searched for."""

    def closed_at(self, midnight: datetime, place: int) -> datetime:
        """When the pocket in that place is closed, on a day."""
        return midnight + timedelta(seconds=self.closes_s + place)
