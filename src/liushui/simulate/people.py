"""The people of the world and where they have accounts.

A trader has one at each broker and futures exchange, a shop one at each provider for shops. The trader and the shop of
one number are one person's.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from liushui.provider import DetailSimulator, Provider, Role


class Desk(NamedTuple):
    """Where every person has an account: a provider, as far as the world knows one."""

    name: str
    role: Role
    plain: bool
    """Whether accounts here are named without it, `trader-1`, not `trader-1-name`."""
    simulate_detail: DetailSimulator | None = None


ONE_BROKER: Final = (Desk("", Role.BROKER, plain=True),)
"""A world of one broker, which has the same accounts whatever it is called."""


class Account(NamedTuple):
    """An account of a person."""

    name: str
    person: int
    desk: Desk


def desks_of(providers: Mapping[str, Provider]) -> tuple[Desk, ...]:
    """A desk for each provider, by name. A trader's main account is at the broker that has a WebSocket, else at the
    first one by name; a shop's at the first."""
    known = sorted(providers.items())
    mains: dict[Role, str] = {}
    for name, provider in sorted(known, key=lambda item: item[1].socket is None):
        mains.setdefault(provider.role, name)
    return tuple(
        Desk(
            name,
            provider.role,
            plain=provider.role is not Role.FUTURES and mains[provider.role] == name,
            simulate_detail=provider.simulate_detail,
        )
        for name, provider in known
    )


def accounts_of(people: int, desks: Iterable[Desk]) -> tuple[Account, ...]:
    """Everybody's accounts: person by person, each one's main ones first."""
    ordered = sorted(desks, key=lambda desk: (desk.role is Role.SHOP, not desk.plain, desk.name))
    return tuple(Account(_name(number, desk), number, desk) for number in range(1, people + 1) for desk in ordered)


def _name(person: int, desk: Desk) -> str:
    who = f"{'shop' if desk.role is Role.SHOP else 'trader'}-{person}"
    return who if desk.plain else f"{who}-{desk.name}"
