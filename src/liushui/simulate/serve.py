"""Serving a simulated world: the same servers as a ledger's, over the world's reader, in one worker."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from liushui.instant import system_clock
from liushui.provider import Provider
from liushui.providers import get_provider, load_providers
from liushui.ratelimit.incoming import IncomingLimits
from liushui.server.app import App
from liushui.server.router import DialectRouter
from liushui.server.run import Address, serve
from liushui.simulate.access import SimulatedAccount
from liushui.simulate.faults.app import FaultyApp
from liushui.simulate.faults.dialects import FaultyDialects
from liushui.simulate.faults.fault_schedule import SeededRulings
from liushui.simulate.faults.profiles import profile_named
from liushui.simulate.faults.worlds import Truth, lives_in
from liushui.simulate.people import desks_of
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import Parameters, World

ENVIRONMENT: Final = "LIUSHUI_SIMULATE"
"""Tells the worker process which world it serves."""


class Faults(msgspec.Struct, frozen=True):
    """How the providers misbehave, by the name of a profile, and since when there is anybody to see it."""

    profile: str
    seed: int
    opened: datetime


class Simulating(msgspec.Struct, frozen=True):
    """What the worker process needs to know. `limits` None: no rates are held."""

    world: dict[str, object]
    providers: Sequence[str]
    limits: str | None
    faults: Faults | None

    def reader(self) -> WorldReader:
        """A reader of the world, by the machine's clock."""
        found = providers_named(self.providers)
        world = World(msgspec.convert(self.world, Parameters), desks_of(found))
        limits = IncomingLimits(Path(self.limits), system_clock) if self.limits else None
        return WorldReader(world, found, system_clock, limits=limits)

    def dialects(self) -> DialectRouter:
        """The servers of the world's providers, as they should be."""
        return DialectRouter(providers_named(self.providers), self.reader())

    def app(self) -> App | FaultyApp:
        """The application that answers. Raises ConfigError where its faults cannot be had."""
        found = providers_named(self.providers)
        if self.faults is None:
            return App(self.dialects(), found)
        profile, seed = profile_named(self.faults.profile), self.faults.seed
        reader = lives_in(self.reader(), found, profile=profile, seed=seed, opened=self.faults.opened)
        outages = {name: provider.outage_responses for name, provider in found.items()}
        rulings = SeededRulings(profile, seed)
        dialects = FaultyDialects(found, reader, rulings, profile=profile, outages=outages)
        return FaultyApp(App(dialects, found), Truth(reader))


def providers_named(names: Sequence[str]) -> Mapping[str, Provider]:
    """The providers of those names, every one where none is named. Raises ConfigError listing those there are."""
    return {name: get_provider(name) for name in names} or load_providers()


def simulated_accounts(parameters: Parameters, names: Sequence[str] = ()) -> list[SimulatedAccount]:
    """The accounts of a world at the providers of those names (none: at every one), and what a client needs to read
    them."""
    found = providers_named(names)
    return WorldReader(World(parameters, desks_of(found)), found).accounts()


def serve_world(
    parameters: Parameters,
    address: Address,
    names: Sequence[str] = (),
    *,
    rate_limit: bool,
    faults: Faults | None = None,
    started: Callable[[], None],
) -> None:
    """Serve a world at the providers of those names (none: at every one) until a signal ends it.

    Raises ConfigError for a profile of faults that there is not, or that a world of this size cannot have.
    """
    with tempfile.TemporaryDirectory(prefix="liushui-") as folder:
        limits = str(Path(folder) / "limits.db") if rate_limit else None
        simulating = Simulating(asdict(parameters), names, limits, faults)
        simulating.app()  # what cannot be served is told here, not in the worker
        os.environ[ENVIRONMENT] = msgspec.json.encode(simulating).decode()
        target = "liushui.simulate.serve:world_app"
        serve(target, simulating.dialects().reply, address, workers=1, started=started)


def world_app() -> App | FaultyApp:
    """The application of the worker that serves a world."""
    return msgspec.json.decode(os.environ[ENVIRONMENT], type=Simulating).app()


class AnnouncedAccount(msgspec.Struct):
    """One account of a simulator, as it prints it."""

    name: str
    provider: str
    flows: int
    credentials: dict[str, str]


class Simulator(msgspec.Struct):
    """What a simulator prints once it is ready."""

    base_url: str
    socket_url: str
    accounts: list[AnnouncedAccount]
