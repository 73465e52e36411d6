"""Serving a simulated world: the same servers as a ledger's, over the world's reader, in one worker."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec

from liushui.instant import system_clock
from liushui.providers import providers
from liushui.server.app import App
from liushui.server.dialects import Dialects
from liushui.server.limits import SharedLimits
from liushui.server.run import Address, serve
from liushui.simulate.reader import SimulatedAccount, WorldReader
from liushui.simulate.world import Parameters, World

ENVIRONMENT: Final = "LIUSHUI_SIMULATE"
"""Tells the worker process which world it serves."""


class Simulating(msgspec.Struct, frozen=True):
    """What the worker process needs to know. `limits` None: no rates are held."""

    world: dict[str, object]
    limits: str | None

    def reader(self) -> WorldReader:
        """A reader of the world, by the machine's clock."""
        world = World(msgspec.convert(self.world, Parameters))
        limits = SharedLimits(Path(self.limits), system_clock) if self.limits else None
        return WorldReader(world, providers(), system_clock, limits=limits)


def simulated_accounts(parameters: Parameters) -> list[SimulatedAccount]:
    """The accounts of a world, and what a client needs to read them."""
    return WorldReader(World(parameters), providers()).accounts()


def serve_world(parameters: Parameters, address: Address, *, rate_limit: bool, started: Callable[[], None]) -> None:
    """Serve a world until a signal ends it."""
    with tempfile.TemporaryDirectory(prefix="liushui-") as folder:
        simulating = Simulating(asdict(parameters), str(Path(folder) / "limits.db") if rate_limit else None)
        os.environ[ENVIRONMENT] = msgspec.json.encode(simulating).decode()
        dialects = Dialects(providers(), simulating.reader())
        serve("liushui.simulate.serve:world_app", dialects.reply, address, workers=1, started=started)


def world_app() -> App:
    """The application of the worker that serves a world."""
    simulating = msgspec.json.decode(os.environ[ENVIRONMENT], type=Simulating)
    return App(Dialects(providers(), simulating.reader()), providers())
