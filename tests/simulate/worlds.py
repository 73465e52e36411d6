"""Worlds that several tests look at, and flows put as rows that tell all of a flow."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from liushui.flow import Flow
from liushui.provider import Role
from liushui.simulate.people import Desk
from liushui.simulate.world import Parameters, World

DESKS: Final = (
    Desk("first", Role.BROKER, plain=True),
    Desk("second", Role.BROKER, plain=False),
    Desk("coins", Role.FUTURES, plain=False),
    Desk("till", Role.SHOP, plain=True),
)
"""A person with an account of each role, and a second one at a broker."""

ACCOUNTS: Final = ("trader-1", "trader-1-coins", "trader-1-second", "shop-1")
LATER: Final = datetime(2030, 1, 1, tzinfo=UTC)


def world_of(flows: int, *, people: int = 1, seed: int = 1, live: bool = False, end: datetime | None = None) -> World:
    """A world of people who have an account at each of the desks."""
    asked = Parameters(accounts=people, flows=flows, seed=seed, live=live)
    return World(asked if end is None else Parameters(accounts=people, flows=flows, seed=seed, end=end), DESKS)


def whole(world: World, account: str = "trader-1") -> list[Flow]:
    """Every flow of an account from the world's beginning to its end."""
    return list(world.flows(account, world.parameters.begin, world.parameters.end))


def as_row(flow: Flow) -> bytes:
    """A row that no other flow is put as, but for the account."""
    return msgspec.json.encode(flow)
