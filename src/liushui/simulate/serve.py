"""Serving a simulated world: the same servers as a ledger's, over the world's reader, in one worker."""

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

import msgspec

from liushui.instant import system_clock
from liushui.providers import providers
from liushui.server.app import App
from liushui.server.dialects import Dialects
from liushui.server.run import Address, serve
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import Parameters, World

ENVIRONMENT: Final = "LIUSHUI_SIMULATE"
"""Tells the worker process which world it serves."""


class Simulating(msgspec.Struct, frozen=True):
    """What the worker process needs to know."""

    world: dict[str, object]
    rate_limit: bool


def world_reader(parameters: Parameters, *, rate_limit: bool) -> WorldReader:
    """A reader of the world, by the machine's clock."""
    return WorldReader(World(parameters), providers(), system_clock, rate_limit=rate_limit)


def serve_world(parameters: Parameters, address: Address, *, rate_limit: bool, started: Callable[[], None]) -> None:
    """Serve a world until a signal ends it."""
    simulating = Simulating(asdict(parameters), rate_limit)
    os.environ[ENVIRONMENT] = msgspec.json.encode(simulating).decode()
    dialects = Dialects(providers(), world_reader(parameters, rate_limit=rate_limit))
    serve("liushui.simulate.serve:world_app", dialects.reply, address, workers=1, started=started)


def world_app() -> App:
    """The application of the worker that serves a world."""
    simulating = msgspec.json.decode(os.environ[ENVIRONMENT], type=Simulating)
    parameters = msgspec.convert(simulating.world, Parameters)
    return App(Dialects(providers(), world_reader(parameters, rate_limit=simulating.rate_limit)), providers())
