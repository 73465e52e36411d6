"""One day's chance and clock, and how a movement drawn from it is put as a flow. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from random import Random
from typing import Final, TypeVar

from liushui.flow import Category, Direction, Flow, Fx, Kind
from liushui.money import EXACT

S = TypeVar("S")

LAST_EVENT_S: Final = 86_340
"""An event begins by then, so that its last row falls on the same day."""

TWINS_ONE_IN: Final = 80
"""Of so many events one happens twice, at the same instant and to the last letter, as two fills of one order do. Where
the day has no room for it a later one does: about one row in a hundred is the second of two."""


class Draw:
    """What comes next by chance, on the day that begins at `midnight`."""

    def __init__(self, random: Random, midnight: datetime) -> None:
        self._bits = random.getrandbits
        self.midnight = midnight

    def below(self, end: int) -> int:
        """A whole number from 0 to end - 1."""
        return self._bits(32) % end

    def one_in(self, chances: int) -> bool:
        return self._bits(32) % chances == 0

    def one_of(self, choices: Sequence[S]) -> S:
        return choices[self._bits(32) % len(choices)]

    def digits(self, count: int) -> str:
        """A number of so many digits, as records are numbered: at most 18, the first of them not zero."""
        least = 10 ** (count - 1)
        return str(least + self._bits(64) % (9 * least))

    def at(self, second: int) -> datetime:
        """The instant of that second of the day."""
        return self.midnight + timedelta(0, second)

    def at_ms(self, millisecond: int) -> datetime:
        """The instant of that millisecond of the day."""
        return self.midnight + timedelta(0, 0, 0, millisecond)

    def any_second(self) -> int:
        return self._bits(32) % LAST_EVENT_S


Event = Callable[[Draw, S], list[Flow]]
"""Something that happens, given where it may: one to three rows, or a few more."""


def happenings(
    draw: Draw, scope: S, count: int, *, events: Sequence[Event[S]], one_row: Sequence[Event[S]]
) -> list[Flow]:
    """`count` rows of events, in the order in which they were drawn."""
    flows: list[Flow] = []
    twice = False
    while (room := count - len(flows)) > 0:  # every event has at least one row
        happened = draw.one_of(events)(draw, scope)
        if len(happened) > room:  # half a conversion would be no conversion
            happened = draw.one_of(one_row)(draw, scope)
        flows += happened
        twice = draw.one_in(TWINS_ONE_IN) or twice
        if twice and 2 * len(happened) <= room:
            flows += happened
            twice = False
    return flows


def exact(units: int, places: int) -> Decimal:
    """`units` of 10 ** -places, trailing zeros kept: exact(1230, 3) is 1.230."""
    return Decimal(units).scaleb(-places, EXACT)


def row(
    at: datetime,
    amount: Decimal,
    currency: str,
    direction: Direction,
    kind: Kind,
    category: Category,
    symbol: str | None,
    note: str | None,
    label: str = "",
    *,
    subaccount: str = "",
    settled_at: datetime | None = None,
    ref: str | None = None,
    order_ref: str | None = None,
    name: str | None = None,
    price: Decimal | None = None,
    quantity: Decimal | None = None,
    fx: Fx | None = None,
) -> Flow:
    """A flow but for its balance. Given to Flow by position: by name it takes twice as long."""
    return Flow(
        "", at, amount, currency, direction, kind, category, label, subaccount,
        None, settled_at, ref, order_ref, symbol, name, price, quantity, note, fx,
    )  # fmt: skip


def chance(*seed: object) -> Random:
    """A generator seeded from the words of `seed` alone. `hash()` would differ from process to process."""
    digest = blake2b("/".join(map(str, seed)).encode(), digest_size=16).digest()
    return Random(int.from_bytes(digest, "big"))  # noqa: S311 # it has to repeat itself; it keeps no secret of value
