"""Serves a simulated world: the same servers as a ledger's, over the world's reader, in one worker process."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from liushui.instant import system_clock
from liushui.provider import Provider
from liushui.providers import get_provider, load_providers
from liushui.ratelimit import IncomingLimits
from liushui.server.rsgi_app import App, DialectRouter
from liushui.server.run import Address, end_with_parent, serve
from liushui.simulate.faults.app import FaultyApp
from liushui.simulate.faults.fault_schedule import SeededSchedule
from liushui.simulate.faults.faulty_dialects import FaultyDialects
from liushui.simulate.faults.profiles import profile_named
from liushui.simulate.faults.reader import TruthEndpoint, with_lifecycles
from liushui.simulate.people import institutions_of
from liushui.simulate.reader import SimulatedAccount, WorldReader
from liushui.simulate.world import Parameters, World
from liushui.temporary_folder import temporary_folder

ENVIRONMENT: Final = "LIUSHUI_SIMULATE"
"""The environment variable that tells the worker process which world to serve."""


class FaultOptions(msgspec.Struct, frozen=True):
    """Which faults the providers have. `opened`: when the simulator started, for rows that appear late or change."""

    profile: str
    seed: int
    opened: datetime


class SimulatorConfig(msgspec.Struct, frozen=True):
    """What the worker process needs to know. `limits`: the file that counts calls; None: no rates are enforced."""

    world: dict[str, object]
    providers: Sequence[str]
    limits: str | None
    faults: FaultOptions | None

    def reader(self) -> WorldReader:
        """A reader of the world, with the machine's clock."""
        chosen = providers_named(self.providers)
        world = World(msgspec.convert(self.world, Parameters), institutions_of(chosen))
        limits = IncomingLimits(Path(self.limits), system_clock) if self.limits else None
        return WorldReader(world, chosen, system_clock, limits=limits)

    def dialects(self) -> DialectRouter:
        """The providers' servers, without faults."""
        return DialectRouter(providers_named(self.providers), self.reader())

    def app(self) -> App | FaultyApp:
        """The application. Raises ConfigError for an unknown fault profile, or a world too large for faults."""
        chosen = providers_named(self.providers)
        if self.faults is None:
            return App(self.dialects(), chosen)
        profile, seed = profile_named(self.faults.profile), self.faults.seed
        reader = with_lifecycles(self.reader(), chosen, profile=profile, seed=seed, opened=self.faults.opened)
        outages = {name: provider.outage_responses for name, provider in chosen.items()}
        dialects = FaultyDialects(chosen, reader, SeededSchedule(profile, seed), profile=profile, outages=outages)
        return FaultyApp(App(dialects, chosen), TruthEndpoint(reader))


def providers_named(names: Sequence[str]) -> Mapping[str, Provider]:
    """The providers of those names, or all of them where none is named. Raises ConfigError for an unknown name."""
    return {name: get_provider(name) for name in names} or load_providers()


def simulated_accounts(parameters: Parameters, names: Sequence[str] = ()) -> list[SimulatedAccount]:
    """The accounts of a world at the named providers, or at all of them, with what a client needs to read them."""
    chosen = providers_named(names)
    return WorldReader(World(parameters, institutions_of(chosen)), chosen).accounts()


def serve_world(
    parameters: Parameters,
    address: Address,
    names: Sequence[str] = (),
    *,
    rate_limit: bool,
    faults: FaultOptions | None = None,
    started: Callable[[], None],
) -> None:
    """Serve a world at the named providers, or at all of them, until a signal ends it.

    Raises ConfigError for an unknown fault profile, or a world too large for faults.
    """
    with temporary_folder("simulate") as folder:
        limits = str(folder / "limits.db") if rate_limit else None
        config = SimulatorConfig(asdict(parameters), names, limits, faults)
        config.app()  # raises here what would otherwise kill the worker
        os.environ[ENVIRONMENT] = msgspec.json.encode(config).decode()
        target = "liushui.simulate.serve:world_app"
        serve(target, config.dialects().reply, address, workers=1, started=started)


def world_app() -> App | FaultyApp:
    """The application of the worker process."""
    end_with_parent()
    return msgspec.json.decode(os.environ[ENVIRONMENT], type=SimulatorConfig).app()


class AnnouncedAccount(msgspec.Struct):
    """One account, as a simulator prints it."""

    name: str
    provider: str
    flows: int
    credentials: dict[str, str]


class SimulatorInfo(msgspec.Struct):
    """What a simulator prints as JSON once it is ready."""

    base_url: str
    socket_url: str
    accounts: list[AnnouncedAccount]
