"""Worlds for several tests, and rows that show every field of a flow."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from liushui.flow import Flow
from liushui.provider import Role
from liushui.simulate.people import Institution
from liushui.simulate.world import Parameters, World

INSTITUTIONS: Final = (
    Institution("first", Role.BROKER, is_main=True),
    Institution("second", Role.BROKER, is_main=False),
    Institution("coins", Role.FUTURES, is_main=False),
    Institution("till", Role.SHOP, is_main=True),
)
"""A person has an account of each role, and a second one at a broker."""

ACCOUNTS: Final = ("trader-1", "trader-1-coins", "trader-1-second", "shop-1")
LATER: Final = datetime(2030, 1, 1, tzinfo=UTC)


def world_of(flows: int, *, people: int = 1, seed: int = 1, live: bool = False, end: datetime | None = None) -> World:
    """A world of people with an account at each of INSTITUTIONS."""
    asked = Parameters(accounts=people, flows=flows, seed=seed, live=live)
    return World(asked if end is None else Parameters(accounts=people, flows=flows, seed=seed, end=end), INSTITUTIONS)


def whole(world: World, account: str = "trader-1") -> list[Flow]:
    """Every flow of an account from the world's beginning to its end."""
    return list(world.flows(account, world.parameters.begin, world.parameters.end))


def as_row(flow: Flow) -> bytes:
    """A row that differs for different flows of an account. The identity is left out: the world's flows have none."""
    return msgspec.json.encode(flow._replace(identity=""))
