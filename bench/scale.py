"""scale: 50-row pages of a small and of a large ledger, in turn: does a page cost more in a larger ledger?"""

from contextlib import ExitStack
from typing import Final

from bench.context import BenchContext
from bench.load import Load, fetch
from bench.pages import PAGES, check_pages, random_pages, times_of
from bench.results import Measurement, Ratio, Series
from bench.serve import CONNECTIONS, WHAT, liushui_serve, load_generator

BAR: Final = 1.5


def measure(context: BenchContext) -> Measurement:
    """The latencies and the rate at both sizes, under the same load."""
    measurement = Measurement("scale")
    load = load_generator(context, measurement)
    sizes = context.options.memory_flows
    found: dict[int, list[Load]] = {flows: [] for flows in sizes}
    with ExitStack() as stack:
        servers = {flows: stack.enter_context(liushui_serve(context, flows)) for flows in sizes}
        pages = {flows: random_pages(times_of(context.data(flows))) for flows in sizes}
        for flows, ours in servers.items():
            requests = ours.requests_for(pages[flows])
            check_pages(ours.name, fetch(ours.server, requests))
            load.run(ours.server, requests, connections=CONNECTIONS, seconds=1)
        for number in range(context.options.rounds):
            context.log(f"scale, round {number + 1}")
            for flows, ours in servers.items():
                requests, seconds = ours.requests_for(pages[flows]), context.options.seconds
                found[flows].append(load.run(ours.server, requests, connections=CONNECTIONS, seconds=seconds))
    small, large = sizes
    p99 = {flows: _series(f"{WHAT}, p99 at {flows:,} flows", "ms", found[flows]) for flows in sizes}
    measurement.ratios.append(
        Ratio(f"p99 of a page: {large:,} ÷ {small:,} flows", p99[large], p99[small], BAR, "at most")
    )
    for flows in sizes:
        rates = [one.rate for one in found[flows]]
        measurement.figures.append(Series(f"{WHAT} at {flows:,} flows", "liushui serve", "pages/s", rates))
        p50 = [one.p50_us / 1_000 for one in found[flows]]
        measurement.figures.append(Series(f"{WHAT}, p50 at {flows:,} flows", "liushui serve", "ms", p50))
    measurement.notes.append(
        f"scale: {PAGES} different pages at random in each account; the parts of the file that they need are in memory"
    )
    return measurement


def _series(what: str, unit: str, loads: list[Load]) -> Series:
    return Series(what, "liushui serve", unit, [one.p99_us / 1_000 for one in loads])
