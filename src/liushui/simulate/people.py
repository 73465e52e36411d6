"""The people of the world and the institutions at which they have accounts.

A trader has an account at each broker and each exchange. A shop has one at each payment provider. The trader and the
shop with the same number belong to one person.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from liushui.provider import DetailSimulator, Provider, Role
from liushui.simulate.broker import BROKER
from liushui.simulate.exchange import EXCHANGE
from liushui.simulate.futures import FUTURES
from liushui.simulate.role_profile import RoleProfile
from liushui.simulate.shop import SHOP

ROLE_PROFILES: Final[Mapping[Role, RoleProfile]] = {
    Role.BROKER: BROKER,
    Role.EXCHANGE: EXCHANGE,
    Role.FUTURES: FUTURES,
    Role.SHOP: SHOP,
}
MAIN_ROLES: Final = (Role.BROKER, Role.SHOP)
"""The roles in which a person has a main account."""


class Institution(NamedTuple):
    """A provider, with the facts that the world needs. Every person has one account at each."""

    name: str
    role: Role
    is_main: bool
    """Whether accounts here are named without the institution: `trader-1` instead of `trader-1-name`."""
    simulate_detail: DetailSimulator | None = None
    subaccounts: tuple[str, ...] = ()
    """The names of the parts of accounts here. Empty: the role names them."""
    is_advisory: bool = False
    """Whether the provider calls the balances on its rows indicative. Some of them then do not follow from each
    other."""
    shown_at: str = ""
    """The institution where each account has a second view of the account here: the same flows. Empty: nowhere."""


SINGLE_BROKER: Final = (Institution("", Role.BROKER, is_main=True),)
"""A world with one broker. Its accounts do not depend on the broker's name."""


class Account(NamedTuple):
    """An account of a person."""

    name: str
    person: int
    institution: Institution

    @property
    def profile(self) -> RoleProfile:
        """The behaviour of the account."""
        return ROLE_PROFILES[self.institution.role]


def institutions_of(providers: Mapping[str, Provider]) -> tuple[Institution, ...]:
    """An institution for each provider, sorted by name.

    A person's main account of a role is at the provider that asks for it. If none does, it is at the provider that has
    a WebSocket, or else at the first one by name.
    """
    known = sorted(providers.items())
    mains: dict[Role, str] = {}
    for name, provider in sorted(known, key=lambda item: (not item[1].is_main, item[1].socket is None)):
        mains.setdefault(provider.role, name)
    return tuple(
        Institution(
            name,
            provider.role,
            is_main=provider.role in MAIN_ROLES and mains[provider.role] == name,
            simulate_detail=provider.simulate_detail,
            subaccounts=tuple(provider.subaccounts),
            is_advisory=provider.rules.balances is not None and provider.rules.balances.advisory,
            shown_at=next((view for view, other in known if other.rules.links.shows_money_of == name), ""),
        )
        for name, provider in known
    )


def accounts_of(people: int, institutions: Iterable[Institution]) -> tuple[Account, ...]:
    """Return every account, person by person, the main accounts of each person first."""
    ordered = sorted(institutions, key=lambda one: (one.role is Role.SHOP, not one.is_main, one.name))
    return tuple(
        Account(_name(person, institution), person, institution)
        for person in range(1, people + 1)
        for institution in ordered
    )


def _name(person: int, institution: Institution) -> str:
    owner = f"{'shop' if institution.role is Role.SHOP else 'trader'}-{person}"
    return owner if institution.is_main else f"{owner}-{institution.name}"
