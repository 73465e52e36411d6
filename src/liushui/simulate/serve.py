"""Serves a simulated world in one worker process: the servers of a ledger, over the world's reader."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from liushui.instant import system_clock
from liushui.provider import Provider
from liushui.providers import get_provider, load_providers
from liushui.ratelimit import IncomingLimits
from liushui.server.rsgi_app import App, DialectRouter
from liushui.server.run import Address, serve
from liushui.simulate.faults.app import FaultyApp
from liushui.simulate.faults.fault_schedule import SeededSchedule
from liushui.simulate.faults.faulty_dialects import FaultyDialects
from liushui.simulate.faults.profiles import profile_named
from liushui.simulate.faults.reader import TruthEndpoint, with_lifecycles
from liushui.simulate.people import institutions_of
from liushui.simulate.reader import SimulatedAccount, WorldReader
from liushui.simulate.world import Parameters, World
from liushui.temporary_folder import temporary_folder


class FaultOptions(msgspec.Struct, frozen=True):
    """The faults of the providers. `opened` is when the simulator started, for rows that appear late or change."""

    profile: str
    seed: int
    opened: datetime


class Simulator:
    """A world and the providers that serve it. `limits` is the file that counts calls. If it is None, no rates are
    enforced."""

    def __init__(
        self,
        parameters: Parameters,
        providers: Mapping[str, Provider],
        limits: Path | None,
        faults: FaultOptions | None,
    ) -> None:
        self._providers, self._faults = providers, faults
        world = World(parameters, institutions_of(providers))
        calls = IncomingLimits(limits, system_clock) if limits else None
        self._reader = WorldReader(world, providers, system_clock, limits=calls)
        self.dialects = DialectRouter(providers, self._reader)
        """The providers' servers, without faults."""

    def app(self) -> App | FaultyApp:
        """The application. Raises ConfigError for an unknown fault profile, or a world too large for faults."""
        if self._faults is None:
            return App(self.dialects, self._providers)
        profile, seed = profile_named(self._faults.profile), self._faults.seed
        reader = with_lifecycles(self._reader, self._providers, profile=profile, seed=seed, opened=self._faults.opened)
        outages = {name: provider.outage_responses for name, provider in self._providers.items()}
        dialects = FaultyDialects(
            self._providers, reader, SeededSchedule(profile, seed), profile=profile, outages=outages
        )
        return FaultyApp(App(dialects, self._providers), TruthEndpoint(reader))


def providers_named(names: Sequence[str]) -> Mapping[str, Provider]:
    """Return the providers with those names, or all providers if no name is given. Raises ConfigError for an unknown
    name."""
    return {name: get_provider(name) for name in names} or load_providers()


def simulated_accounts(parameters: Parameters, names: Sequence[str] = ()) -> list[SimulatedAccount]:
    """Return the accounts of a world at the named providers, or at all of them, with the data that a client needs to
    read them."""
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
        limits = folder / "limits.db" if rate_limit else None
        simulator = Simulator(parameters, providers_named(names), limits, faults)
        serve(simulator.app(), simulator.dialects.reply, address, workers=1, started=started)


class AnnouncedAccount(msgspec.Struct):
    """One account, as a simulator prints it."""

    name: str
    provider: str
    flows: int
    credentials: dict[str, str]


class SimulatorInfo(msgspec.Struct):
    """The output of a simulator, as JSON, once it is ready."""

    base_url: str
    socket_url: str
    accounts: list[AnnouncedAccount]
