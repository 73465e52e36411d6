"""Random numbers of one simulated day, and the flows that are drawn from them. Pure.

Everything follows from a seed. The same words give the same numbers on any machine and in any process.
"""

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
"""The latest second of a day at which an event may begin. Its last row must fall on the same day."""

REPEATED_ONE_IN: Final = 80
"""One event in this number happens twice at the same instant with equal rows, like two fills of one order.

If the day has no room for the repetition, a later event is repeated instead. About one row in a hundred is the second
of such a pair.
"""


def seeded_random(*seed: object) -> Random:
    """Return a generator that depends only on the words of `seed`."""
    # The hash() of a str differs from process to process, so it cannot be the seed.
    digest = blake2b("/".join(map(str, seed)).encode(), digest_size=16).digest()
    return Random(int.from_bytes(digest, "big"))  # noqa: S311 # it has to repeat itself; it keeps no secret of value


class Draw:
    """Draws numbers, choices and instants of the UTC day that begins at `midnight`."""

    def __init__(self, random: Random, midnight: datetime) -> None:
        self._bits = random.getrandbits
        self.midnight = midnight

    def below(self, end: int) -> int:
        """A whole number from 0 to end - 1."""
        return self._bits(32) % end

    def one_in(self, chances: int) -> bool:
        """Return True once in this number of calls, on average."""
        return self._bits(32) % chances == 0

    def one_of(self, choices: Sequence[S]) -> S:
        """Return one of the choices. Each is equally likely."""
        return choices[self._bits(32) % len(choices)]

    def digits(self, count: int) -> str:
        """Return a number with exactly `count` digits (at most 18) and no leading zero, as record numbers have."""
        least = 10 ** (count - 1)
        return str(least + self._bits(64) % (9 * least))

    def at(self, second: int) -> datetime:
        """The instant at a second of the day."""
        return self.midnight + timedelta(0, second)

    def at_ms(self, millisecond: int) -> datetime:
        """The instant at a millisecond of the day."""
        return self.midnight + timedelta(0, 0, 0, millisecond)

    def any_second(self) -> int:
        """A second of the day at which an event may begin."""
        return self._bits(32) % LAST_EVENT_S


Event = Callable[[Draw, S], list[Flow]]
"""An event of an account: one to three rows, or a few more. `S` is the type of what the account trades."""


def draw_events(
    draw: Draw, scope: S, count: int, *, events: Sequence[Event[S]], single_row_events: Sequence[Event[S]]
) -> list[list[Flow]]:
    """Return events with exactly `count` rows together, in the order in which they were drawn."""
    drawn: list[list[Flow]] = []
    room, repeat = count, False
    while room > 0:  # every event has at least one row
        rows = draw.one_of(events)(draw, scope)
        if len(rows) > room:  # an event is never cut: half of a conversion would not be a conversion
            rows = draw.one_of(single_row_events)(draw, scope)
        drawn.append(rows)
        repeat = draw.one_in(REPEATED_ONE_IN) or repeat
        if repeat and 2 * len(rows) <= room:
            drawn.append(rows)
            room -= len(rows)
            repeat = False
        room -= len(rows)
    return drawn


def decimal_of(units: int, places: int) -> Decimal:
    """Return `units` of 10 ** -places, with trailing zeros: decimal_of(1230, 3) is 1.230."""
    return Decimal(units).scaleb(-places, EXACT)


def new_flow(
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
    """Return a flow without its balance. The statement adds the balance."""
    # By position, because keyword arguments take twice as long and a world has millions of rows.
    return Flow(
        "", at, amount, currency, direction, kind, category, label, subaccount,
        None, settled_at, ref, order_ref, symbol, name, price, quantity, note, fx,
    )  # fmt: skip
