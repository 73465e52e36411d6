"""growth: all providers at once, at growing sizes. `liushui sync` against the bare loop of every provider.

Both read the same simulator, one after the other: two accounts at each provider, without faults and rate limits. Each
size has a new simulator.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from bench.context import PROVIDERS, BenchContext, check_rows, recent_days, sync_command
from bench.process import LIUSHUI, PYTHON, Server, Took, run, serving
from bench.results import Measurement, Ratio, Series
from liushui.instant import to_us
from liushui.ledger.engine import open_ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.simulate.reader import SimulatedAccount
from liushui.simulate.serve import simulated_accounts
from liushui.simulate.world import Parameters
from liushui.testing.processes import free_port

PEOPLE: Final = 2
SEED: Final = 1
NOWHERE: Final = "http://127.0.0.1:9"
RATE_BAR: Final = 0.5
RATE_FROM: Final = 300_000
"""The number of flows from which the bar of the rate applies. With fewer, the start of the process dominates."""
MEMORY_BAR_MIB: Final = 200
MIB: Final = 2**20
WARM_MAX: Final = 300_000
"""The largest number of flows at which the bare loops run once before, uncounted, to fill the simulator's cache."""


class _Synced(msgspec.Struct):
    """The output of `liushui sync --format json` for a source."""

    added: int
    gaps: int
    error: str | None


class _Copied(msgspec.Struct):
    rows: int


def measure(context: BenchContext) -> Measurement:
    """Time, rate and memory at each size, and the time of the bare loops with the same simulator."""
    measurement = Measurement("growth")
    everybody = simulated_accounts(_world(0), PROVIDERS)
    nothing = ["--until", _world(0).begin.date().isoformat()]
    idle = run([*sync_command(_ledger(context.folder / "growth-idle.db", NOWHERE, everybody)), *nothing])
    for flows in context.options.growth_flows:
        context.log(f"growth, {flows:,} flows at {len(PROVIDERS)} providers")
        with _simulator(context, flows) as (server, accounts):
            count = sum(account.flows for account in accounts)  # every account has as many: rounded down
            ours, theirs = _both(context, count, server, accounts)
        what = f"HTTP to durable ledger, {len(PROVIDERS)} providers, {flows:,} flows"
        pair = (
            Series(what, "liushui sync", "rows/s", [count / ours.wall_s]),
            Series(what, "bare loops", "rows/s", [count / theirs.wall_s]),
        )
        bar = RATE_BAR if flows >= RATE_FROM else None
        measurement.ratios.append(Ratio(f"growth, {flows:,} flows", *pair, bar, "at least" if bar else "reported"))
        measurement.figures += [
            Series(f"time for {flows:,} flows", "liushui sync", "s", [ours.wall_s]),
            Series(f"processor time for {flows:,} flows", "liushui sync", "s", [ours.cpu_s]),
            Series(f"processor time for {flows:,} flows", "bare loops", "s", [theirs.cpu_s]),
        ]
        # A few rows need no more than what differs from one run to the next.
        above = max(1, (ours.private_bytes or ours.rss_bytes) - (idle.private_bytes or idle.rss_bytes))
        what = f"peak memory above that of a sync that reads nothing, {flows:,} flows"
        peak = Series(what, "liushui sync", "MiB", [above / MIB])
        allowed = Series(what, "may have", "MiB", [MEMORY_BAR_MIB])
        measurement.ratios.append(Ratio(f"growth, memory of {flows:,} flows", peak, allowed, 1.0, "at most"))
    measurement.notes.append(
        "growth: one run each. Both contestants of a size read from one simulator, ours first. The simulator generates "
        "every row again, except the last 200,000, which it caches"
    )
    return measurement


def _both(context: BenchContext, flows: int, server: Server, accounts: Sequence[SimulatedAccount]) -> tuple[Took, Took]:
    """Measure the cost of a sync, and of the bare loops, over every account."""
    path = _ledger(context.folder / f"growth-{flows}.db", server.url, accounts)
    sources = context.folder / f"growth-{flows}.json"
    listed = [
        {"provider": one.provider.name, "name": one.name, "url": server.url, "credentials": one.credentials}
        for one in accounts
    ]
    sources.write_bytes(msgspec.json.encode(listed))
    if flows <= WARM_MAX:
        _bare(context, f"growth-{flows}-warm", sources, flows)
    ours = run(sync_command(path))
    synced = msgspec.json.decode(ours.output, type=list[_Synced])
    check_rows("liushui sync", sum(one.added for one in synced), flows)
    theirs = _bare(context, f"growth-{flows}-bare", sources, flows)
    for file in context.folder.glob(f"growth-{flows}*.db*"):
        file.unlink()
    return ours, theirs


def _bare(context: BenchContext, name: str, sources: Path, flows: int) -> Took:
    command = [PYTHON, "-m", "bench.peers.everywhere", str(sources), str(context.folder / f"{name}.db")]
    took = run([*command, *(str(to_us(at) // 1_000_000) for at in (_world(0).begin, _world(0).end))])
    copied = msgspec.json.decode(took.output, type=_Copied).rows
    check_rows("the bare loops", min(copied, flows), flows)  # those of ranges read rows of their edges twice
    return took


def _ledger(path: Path, url: str, accounts: Sequence[SimulatedAccount]) -> Path:
    """A new ledger with a source for each account."""
    ledger = open_ledger(str(path), create=True)
    for one in accounts:
        make_account(ledger, one.name, one.provider.name, one.provider.rules.zone)
        given = dict(one.credentials)
        add_source(ledger, account=one.name, base_url=url, credentials=given, since=_world(0).begin, paced=False)
    ledger.close()
    return path


def _world(flows: int) -> Parameters:
    """The world with that many flows in each account."""
    begin, end = recent_days()
    return Parameters(accounts=PEOPLE, flows=flows, seed=SEED, begin=begin, end=end)


@contextmanager
def _simulator(context: BenchContext, flows: int) -> Iterator[tuple[Server, list[SimulatedAccount]]]:
    """`liushui simulate` of all providers, and the data that a client needs to read their accounts."""
    world = _world(flows // (PEOPLE * len(PROVIDERS)))
    command = [*LIUSHUI, "simulate", "--no-rate-limit", "--accounts", str(PEOPLE), "--flows", str(world.flows)]
    port, socket_port = free_port(), free_port()
    days = ["--begin", world.begin.date().isoformat(), "--end", world.end.date().isoformat(), "--seed", str(SEED)]
    command += [word for name in PROVIDERS for word in ("--provider", name)]
    command += [*days, "--port", str(port), "--socket-port", str(socket_port), "--format", "json"]
    with serving(command, port=port, log=context.folder / "growth-simulator.log") as server:
        yield server, simulated_accounts(world, PROVIDERS)
