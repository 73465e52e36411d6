"""Serving a simulated world: the same servers as a ledger's, over the world's reader, in one worker."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec

from liushui.instant import system_clock
from liushui.provider import Provider
from liushui.providers import provider_named, providers
from liushui.server.app import App
from liushui.server.dialects import Dialects
from liushui.server.limits import SharedLimits
from liushui.server.run import Address, serve
from liushui.simulate.access import SimulatedAccount
from liushui.simulate.people import desks_of
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import Parameters, World

ENVIRONMENT: Final = "LIUSHUI_SIMULATE"
"""Tells the worker process which world it serves."""


class Simulating(msgspec.Struct, frozen=True):
    """What the worker process needs to know. `limits` None: no rates are held."""

    world: dict[str, object]
    providers: Sequence[str]
    limits: str | None

    def reader(self) -> WorldReader:
        """A reader of the world, by the machine's clock."""
        found = providers_named(self.providers)
        world = World(msgspec.convert(self.world, Parameters), desks_of(found))
        limits = SharedLimits(Path(self.limits), system_clock) if self.limits else None
        return WorldReader(world, found, system_clock, limits=limits)

    def dialects(self) -> Dialects:
        """The servers of the world's providers."""
        return Dialects(providers_named(self.providers), self.reader())


def providers_named(names: Sequence[str]) -> Mapping[str, Provider]:
    """The providers of those names, every one where none is named. Raises ConfigError listing those there are."""
    return {name: provider_named(name) for name in names} or providers()


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
    started: Callable[[], None],
) -> None:
    """Serve a world at the providers of those names (none: at every one) until a signal ends it."""
    with tempfile.TemporaryDirectory(prefix="liushui-") as folder:
        limits = str(Path(folder) / "limits.db") if rate_limit else None
        simulating = Simulating(asdict(parameters), names, limits)
        os.environ[ENVIRONMENT] = msgspec.json.encode(simulating).decode()
        target = "liushui.simulate.serve:world_app"
        serve(target, simulating.dialects().reply, address, workers=1, started=started)


def world_app() -> App:
    """The application of the worker that serves a world."""
    simulating = msgspec.json.decode(os.environ[ENVIRONMENT], type=Simulating)
    return App(simulating.dialects(), providers_named(simulating.providers))
