"""flood: how long others wait while 500 connections ask for the balances with one token, one request after the other.

Idle times and times under load are measured in turns, over connections that stay open.
"""

import asyncio
import time
from contextlib import suppress
from statistics import median
from typing import Final

from bench.context import BenchContext
from bench.full_ledger import make_full_ledger
from bench.process import LIUSHUI, serving
from bench.results import Measurement, Ratio, Series
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import open_ledger
from liushui.testing.processes import HOST, free_port

CONNECTIONS: Final = 500
BALANCES: Final = "/api/v1/balances"
BAR: Final = 5.0
PAUSE_S: Final = 0.02
"""Between two requests of a caller whose times are measured."""
CALM_S: Final = 2.0
"""After the load, the server has so long until it answers as before."""
CALLS_PER_MINUTE: Final = 1_000_000

Times = dict[str, list[float]]
"""The milliseconds of each request, by what is requested."""


def measure(context: BenchContext) -> Measurement:
    """Medians of the login, of /healthz and of another token's balances: under load, and after it, ÷ idle."""
    measurement = Measurement("flood")
    path = make_full_ledger(context.folder / "flood.db", context.options.flows, context.log)
    ledger = open_ledger(str(path))
    crowd, other = (
        create_token(ledger, names=None, scopes=[Scope.READ], calls_per_minute=CALLS_PER_MINUTE).text for _ in range(2)
    )
    ledger.close()
    port = free_port()
    command = [*LIUSHUI, "--ledger", str(path), "serve", "--port", str(port), "--socket-port", str(free_port())]
    medians: dict[str, Times] = {}
    with serving(command, port=port, log=context.folder / "flood.log", path="/login"):
        for number in range(context.options.rounds):
            context.log(f"flood, round {number + 1}")
            for phase, times in asyncio.run(_round(port, crowd, other, context.options.seconds)).items():
                for name, values in times.items():
                    medians.setdefault(phase, {}).setdefault(name, []).append(median(values))
    for phase in ("under load", f"{CALM_S:.0f} s after it"):
        for name, values in medians[phase].items():
            ours = Series(f"{name} {phase}", "liushui serve", "ms", values)
            idle = Series(f"{name} without load", "liushui serve", "ms", medians["idle"][name])
            measurement.ratios.append(Ratio(f"{name} {phase} ÷ idle", ours, idle, BAR, "at most"))
    measurement.notes.append(
        f"flood: {CONNECTIONS} connections ask for {BALANCES} with one token, each again as soon as it is answered"
    )
    return measurement


async def _round(port: int, crowd: str, other: str, seconds: float) -> dict[str, Times]:
    """The times without load, under it, and after it."""
    phases = {"idle": await _times(port, other, seconds)}
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask_for_ever(port, crowd)) for _ in range(CONNECTIONS)]
        await asyncio.sleep(1)  # until all of them have asked
        phases["under load"] = await _times(port, other, seconds)
        for task in tasks:
            task.cancel()
    await asyncio.sleep(CALM_S)
    phases[f"{CALM_S:.0f} s after it"] = await _times(port, other, seconds)
    return phases


async def _times(port: int, token: str, seconds: float) -> Times:
    paths = {"the login": ("/login", ""), "/healthz": ("/healthz", ""), "another token's balances": (BALANCES, token)}
    measured = await asyncio.gather(*(_time(port, *request, seconds) for request in paths.values()))
    return dict(zip(paths, measured, strict=True))


async def _time(port: int, path: str, token: str, seconds: float) -> list[float]:
    reader, writer = await asyncio.open_connection(HOST, port)
    times: list[float] = []
    end_s = time.monotonic() + seconds
    while not times or time.monotonic() < end_s:
        begun_s = time.perf_counter()
        await _get(reader, writer, path, token)
        times.append((time.perf_counter() - begun_s) * 1_000)
        await asyncio.sleep(PAUSE_S)
    writer.close()
    return times


async def _ask_for_ever(port: int, token: str) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        with suppress(ConnectionError, EOFError):
            while True:
                await _get(reader, writer, BALANCES, token)
    finally:
        writer.close()


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, token: str) -> None:
    """Send a request, and read its answer to the end, whatever its status."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{authorization}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, _, after = head.partition(b"content-length:")
    await reader.readexactly(int(after.split(b"\r\n", 1)[0]))
