"""Transfers between one person's accounts: what leaves one arrives in the other. Pure, given chance and room.

Both accounts' days are made from the same transfers, which follow from how many rows each account has on that day.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from liushui.provider import Role
from liushui.simulate.checkpoints import Plan
from liushui.simulate.people import Account
from liushui.simulate.random_draw import Draw, exact
from liushui.simulate.role_profile import Pocket
from liushui.simulate.roles import HABITS

ONE_DAY_IN: Final = 6
"""Of so many days on which two accounts both move, one has a transfer between them."""

SAME_MONEY: Final[Mapping[str, str]] = {"USDT": "USD", "CNY": "CNH"}
"""Currencies that arrive as another one, unit for unit."""

LEAVES_S: Final = (600, 80_000)
"""The second of the day at which a transfer leaves: the least, and how many different ones there are."""
TAKES_S: Final = (5, 600)
"""How long it takes: the least, and how many different times there are."""


class Transfer(NamedTuple):
    """Money on its way from one pocket to another."""

    source: str
    out_of: Pocket
    left_at: datetime
    target: str
    into: Pocket
    arrived_at: datetime
    amount: Decimal | None
    """Above zero. None: all that the closing row of the source takes out of its pocket."""
    note: str = ""


def transfers(draw: Draw, plans: Mapping[Account, Plan], day: int) -> Sequence[Transfer]:
    """A person's transfers of one day, to and from the main account: none where there is no such account.

    As many as the main account has room for; an account that is no shop has one at most.
    """
    main = next((account for account in plans if account.desk.plain and account.desk.role is Role.BROKER), None)
    if main is None:
        return ()
    found: list[Transfer] = []
    for account, plan in plans.items():
        if account.desk.role is Role.SHOP:
            found += _withdrawn(draw, account, plan, main, plans[main], day)
        elif account is not main and draw.one_in(ONE_DAY_IN) and plan.room(day):
            found += _sent(draw, account, plan, main, plans[main])
    return [
        transfer._replace(note=f"Transfer {day}{main.person:05}{number}")
        for number, transfer in enumerate(found[: plans[main].room(day)])
    ]


def _withdrawn(draw: Draw, shop: Account, plan: Plan, main: Account, main_plan: Plan, day: int) -> Iterator[Transfer]:
    """What a shop withdraws on a day arrives in its owner's main account."""
    for pocket in plan.closed_on(day):
        into = _same_money(pocket, main_plan)
        if into is not None:
            left_at = HABITS[shop.desk.role].closed_at(draw.midnight, plan.pockets.index(pocket))
            yield Transfer(shop.name, pocket, left_at, main.name, into, left_at + _time_taken(draw), None)


def _sent(draw: Draw, account: Account, plan: Plan, main: Account, main_plan: Plan) -> Iterator[Transfer]:
    """A round sum, one way or the other."""
    pocket = draw.one_of(plan.pockets)
    own = _same_money(pocket, main_plan)
    left_at = draw.at(LEAVES_S[0] + draw.below(LEAVES_S[1]))
    arrived_at = left_at + _time_taken(draw)
    amount = exact(10_000 * (1 + draw.below(200)), 2)
    comes = draw.one_in(2)
    if own is None:
        return
    if comes:
        yield Transfer(account.name, pocket, left_at, main.name, own, arrived_at, amount)
    else:
        yield Transfer(main.name, own, left_at, account.name, pocket, arrived_at, amount)


def _time_taken(draw: Draw) -> timedelta:
    return timedelta(0, TAKES_S[0] + draw.below(TAKES_S[1]))


def _same_money(pocket: Pocket, plan: Plan) -> Pocket | None:
    """The pocket of a plan that the money of another can be put into."""
    currency = SAME_MONEY.get(pocket.currency, pocket.currency)
    return next((known for known in plan.pockets if known.currency == currency), None)
