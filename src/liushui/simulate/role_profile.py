"""The behaviour of an account of one role, as data and functions.

broker.py, exchange.py, futures.py and shop.py each define one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from liushui.flow import Flow
from liushui.simulate.density import WeekdayWeights
from liushui.simulate.random_draw import Draw


class Wallet(NamedTuple):
    """One running balance: a currency of one part of an account."""

    subaccount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class RoleProfile:
    """How accounts of one role behave.

    An account's days are divided into spans. At the end of each span, every wallet that moved returns to its level. A
    balance can therefore be computed without the earlier spans (see balanced_spans.py).
    """

    weekday_weights: WeekdayWeights
    """How busy each weekday is."""
    wallets: Callable[[Draw], tuple[Wallet, ...]]
    """The wallets of a new account. A span with few rows moves only the first of them."""
    opening: Callable[[Draw, Wallet], Flow] | None
    """The first row of a wallet. Its amount is the level that the wallet returns to. None: wallets begin at zero and
    return to zero."""
    day: Callable[[Draw, Sequence[Wallet], int], list[list[Flow]]]
    """Returns the events of one day in any order, with exactly the requested number of rows. Rows need no subaccount if
    the account has only one."""
    idle: Callable[[Draw, Wallet], Flow]
    """A row of amount zero, for a span whose only row could not be compensated."""
    closing: Callable[[datetime, Wallet, Decimal], Flow]
    """The row that brings a wallet back to its level."""
    closes_s: int
    """The second of the day at which closing rows begin. All other rows come before it."""
    moved: Callable[[datetime, Wallet, Decimal, str], Flow]
    """One end of a transfer between two accounts of a person. Both ends have the same note."""
    field_values: Mapping[str, frozenset[str | None]]
    """Every value that some fields of Flow can have. Filters for other values need no search."""

    def closed_at(self, midnight: datetime, index: int) -> datetime:
        """When the wallet with that index is closed, on the day that begins at `midnight`."""
        return midnight + timedelta(seconds=self.closes_s + index)
