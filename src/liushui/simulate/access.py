"""Who may read the world: a key for every account at its provider, and how often where somebody counts."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple

from liushui.instant import Clock
from liushui.provider import Key, Provider, RateCheck
from liushui.rules import Rate
from liushui.simulate.random_draw import chance
from liushui.simulate.world import World


class SimulatedAccount(NamedTuple):
    """An account, as its provider gives access to it."""

    name: str
    provider: Provider
    credentials: Mapping[str, str]
    """What a credentials file holds."""
    flows: int
    """How many there are by now."""


class Unlimited:
    """A provider.Limits that lets everything in. Sessions are known to this process alone; any threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[str, datetime] = {}
        self._lock = Lock()

    def admit(self, _name: str, _rate: Rate) -> RateCheck:
        """Let it in."""
        return RateCheck(admitted=True, used=0)

    def session_start(self, name: str, life: timedelta) -> datetime:
        """When the session of that name began: the same instant for `life`, then a new one, now."""
        with self._lock:
            now = self._clock()
            began = self._began.get(name, now)
            if not began <= now < began + life:
                began = now
            self._began[name] = began
            return began


def keys_of(world: World, providers: Mapping[str, Provider], *, paced: bool) -> list[Key]:
    """A key for each account at a provider given, in the world's order. They follow from the seed."""
    return [
        _key(world, providers[desk], name, paced=paced)
        for name in world.accounts
        if (desk := world.account(name).desk.name) in providers
    ]


def _key(world: World, provider: Provider, account: str, *, paced: bool) -> Key:
    random = chance("credentials", world.parameters.seed, provider.name, account)
    credentials = provider.new_credentials(random.randbytes)
    return Key(provider.key_name(credentials), provider.name, (account,), credentials, paced=paced)
