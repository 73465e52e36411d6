"""sync: from HTTP to a durable ledger, end to end. `liushui sync` against the bare loop, each in its own process.

Both read from the simulator, and from the stub. With the simulator alone, its own work for each page would hide the
difference between the two. Both figures include the start of a Python process.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from bench.context import BEGIN, END, SEED, BenchContext, check_rows, credentials, sync_command
from bench.process import LIUSHUI, PYTHON, Server, Took, run, serving
from bench.results import Measurement, Ratio, Series
from liushui.instant import to_us
from liushui.providers.longbridge import PROVIDER
from liushui.simulate.serve import simulated_accounts
from liushui.simulate.world import Parameters
from liushui.testing.processes import free_port

BAR: Final = 0.6


class _Synced(msgspec.Struct):
    """The output of `liushui sync --format json` for a source."""

    rows: int
    added: int
    gaps: int
    error: str | None


class _Copied(msgspec.Struct):
    rows: int


def measure(context: BenchContext) -> Measurement:
    """Rows a second of both contestants, once a round, from each of the two servers."""
    measurement = Measurement("sync")
    flows = context.options.flows
    with _simulator(context) as (server, fields):
        _compare(context, measurement, "simulator", server, fields)
    with context.stub(context.data(flows)) as server:
        _compare(context, measurement, "stub", server, credentials())
    start = [run([*LIUSHUI, "--version"]).wall_s for _ in range(context.options.rounds)]
    measurement.figures.append(Series("start of the process, part of each sync", "liushui", "s", start))
    measurement.notes.append(
        "sync: both take turns at one server, after one run each that is not counted. Ours reads from the oldest day "
        "forward, and the bare loop from the newest day back, so each finds the other's rows in the simulator's cache"
    )
    return measurement


def _compare(
    context: BenchContext, measurement: Measurement, name: str, server: Server, fields: dict[str, str]
) -> None:
    ours: list[Took] = []
    bare: list[Took] = []
    _bare(context, f"{name}-bare-warm", server, fields)
    _ours(context, f"{name}-ours-warm", server, fields)
    for number in range(context.options.rounds):
        context.log(f"sync from the {name}, round {number + 1}")
        ours.append(_ours(context, f"{name}-ours-{number}", server, fields))
        bare.append(_bare(context, f"{name}-bare-{number}", server, fields))
    what, flows = f"HTTP to durable ledger, from the {name}", context.options.flows
    measurement.ratios.append(
        Ratio(
            f"sync, {name}",
            Series(what, "liushui sync", "rows/s", [flows / took.wall_s for took in ours]),
            Series(what, "bare loop", "rows/s", [flows / took.wall_s for took in bare]),
            BAR,
            "at least",
        )
    )
    used = f"processor time, from the {name}"
    measurement.figures.append(Series(used, "liushui sync", "s", [took.cpu_s for took in ours]))
    measurement.figures.append(Series(used, "bare loop", "s", [took.cpu_s for took in bare]))


def _ours(context: BenchContext, name: str, server: Server, fields: dict[str, str]) -> Took:
    took = run(sync_command(context.new_ledger(name, server.url, fields)))
    (synced,) = msgspec.json.decode(took.output, type=list[_Synced])
    check_rows("liushui sync", synced.added, context.options.flows)
    return took


def _bare(context: BenchContext, name: str, server: Server, fields: dict[str, str]) -> Took:
    folder = context.folder / name
    folder.mkdir()
    key = folder / "credentials.json"
    key.write_bytes(msgspec.json.encode(fields))
    command = [PYTHON, "-m", "bench.peers.bare", server.url, str(key), str(folder / "bare.db")]
    took = run([*command, str(to_us(BEGIN) // 1_000_000), str(int(time.time()))])
    check_rows("the bare loop", msgspec.json.decode(took.output, type=_Copied).rows, context.options.flows)
    return took


@contextmanager
def _simulator(context: BenchContext) -> Iterator[tuple[Server, dict[str, str]]]:
    """`liushui simulate` of the same world as the rows, and the credentials of its account."""
    flows, port, socket_port = context.options.flows, free_port(), free_port()
    days = ["--begin", BEGIN.date().isoformat(), "--end", END.date().isoformat()]
    command = [*LIUSHUI, "simulate", "--no-rate-limit", "--accounts", "1", "--flows", str(flows), "--seed", str(SEED)]
    command += [
        *days,
        "--provider",
        PROVIDER.name,
        "--port",
        str(port),
        "--socket-port",
        str(socket_port),
        "--format",
        "json",
    ]
    parameters = Parameters(accounts=1, flows=flows, seed=SEED, begin=BEGIN, end=END)
    (account,) = simulated_accounts(parameters, [PROVIDER.name])
    fields = dict(account.credentials)
    with serving(command, port=port, log=context.folder / "simulator.log") as server:
        yield server, fields
