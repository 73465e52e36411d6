"""sync: from HTTP to a durable ledger, end to end. `liushui sync` against the bare loop, each in its own process.

Against the simulator, and against the stub: the simulator's own work for each page would hide the difference between
the two. Both figures have the start of a Python process in them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from bench.data import BEGIN, END, SEED
from bench.process import LIUSHUI, PYTHON, Server, Took, run, serving
from bench.results import Outcome, Ratio, Series
from bench.setting import Setting, check_rows, credentials, sync_command
from liushui.instant import to_us
from liushui.providers.longbridge import PROVIDER
from liushui.simulate.serve import simulated_accounts
from liushui.simulate.world import Parameters
from liushui.testing.server import free_port

BAR: Final = 0.6


class _Synced(msgspec.Struct):
    """What `liushui sync --format json` prints of a source."""

    rows: int
    added: int
    gaps: int
    error: str | None


class _Copied(msgspec.Struct):
    rows: int


def measure(setting: Setting) -> Outcome:
    """Rows a second of both, once a round, from either server."""
    outcome = Outcome("sync")
    flows = setting.options.flows
    with _simulator(setting) as (server, fields):
        _compare(setting, outcome, "simulator", server, fields)
    with setting.stub(setting.data(flows)) as server:
        _compare(setting, outcome, "stub", server, credentials())
    start = [run([*LIUSHUI, "--version"]).wall_s for _ in range(setting.options.rounds)]
    outcome.figures.append(Series("start of the process, part of each sync", "liushui", "s", start))
    outcome.notes.append(
        "sync: both take turns at one server, after one run each that is not counted. Ours reads from the oldest day "
        "forward, and the bare loop from the newest day back, so each finds the other's rows in the simulator's cache"
    )
    return outcome


def _compare(setting: Setting, outcome: Outcome, name: str, server: Server, fields: dict[str, str]) -> None:
    ours: list[Took] = []
    bare: list[Took] = []
    _bare(setting, f"{name}-bare-warm", server, fields)
    _ours(setting, f"{name}-ours-warm", server, fields)
    for number in range(setting.options.rounds):
        setting.say(f"sync from the {name}, round {number + 1}")
        ours.append(_ours(setting, f"{name}-ours-{number}", server, fields))
        bare.append(_bare(setting, f"{name}-bare-{number}", server, fields))
    what, flows = f"HTTP to durable ledger, from the {name}", setting.options.flows
    outcome.ratios.append(
        Ratio(
            f"sync, {name}",
            Series(what, "liushui sync", "rows/s", [flows / took.wall_s for took in ours]),
            Series(what, "bare loop", "rows/s", [flows / took.wall_s for took in bare]),
            BAR,
            "at least",
        )
    )
    used = f"processor time, from the {name}"
    outcome.figures.append(Series(used, "liushui sync", "s", [took.cpu_s for took in ours]))
    outcome.figures.append(Series(used, "bare loop", "s", [took.cpu_s for took in bare]))


def _ours(setting: Setting, name: str, server: Server, fields: dict[str, str]) -> Took:
    took = run(sync_command(setting.new_ledger(name, server.url, fields)))
    (synced,) = msgspec.json.decode(took.output, type=list[_Synced])
    check_rows("liushui sync", synced.added, setting.options.flows)
    return took


def _bare(setting: Setting, name: str, server: Server, fields: dict[str, str]) -> Took:
    folder = setting.folder / name
    folder.mkdir()
    key = folder / "credentials.json"
    key.write_bytes(msgspec.json.encode(fields))
    command = [PYTHON, "-m", "bench.peers.bare", server.url, str(key), str(folder / "bare.db")]
    took = run([*command, str(to_us(BEGIN) // 1_000_000), str(int(time.time()))])
    check_rows("the bare loop", msgspec.json.decode(took.output, type=_Copied).rows, setting.options.flows)
    return took


@contextmanager
def _simulator(setting: Setting) -> Iterator[tuple[Server, dict[str, str]]]:
    """`liushui simulate` of the same world as the rows, and the credentials of its account."""
    flows, port, socket_port = setting.options.flows, free_port(), free_port()
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
    with serving(command, port=port, log=setting.folder / "simulator.log") as server:
        yield server, fields
