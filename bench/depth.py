"""depth: the first page of a whole account against a deep one, 50 rows each, over one connection."""

from typing import Final

from bench.context import BenchContext
from bench.load import fetch
from bench.pages import ROWS, Page, check_pages, times_of
from bench.results import Measurement, Ratio, Series
from bench.serve import liushui_serve, load_generator

DEPTHS: Final = (1_000, 10_000)
BARS: Final = dict.fromkeys(DEPTHS, 3.0)
SECONDS: Final = 2.0


def measure(context: BenchContext) -> Measurement:
    """Milliseconds for page 1 and for the deep pages. An account without deep pages has its last page measured."""
    measurement = Measurement("depth")
    times = times_of(context.data(context.options.flows))
    last = len(times) // ROWS
    numbers = [1, *([number for number in DEPTHS if number <= last] or [last])]
    took_ms: dict[int, list[float]] = {number: [] for number in numbers}
    load = load_generator(context, measurement)
    with liushui_serve(context) as ours:
        for round_ in range(context.options.rounds):
            context.log(f"depth, round {round_ + 1}")
            for number in numbers:
                requests = ours.requests_for([Page(times[0], times[-1], number)])
                check_pages(ours.name, fetch(ours.server, requests))
                seconds = min(SECONDS, context.options.seconds)
                found = load.run(ours.server, requests, connections=1, seconds=seconds)
                took_ms[number].append(found.p50_us / 1_000)
    series = {number: Series(f"page {number:,}", ours.name, "ms", took_ms[number]) for number in numbers}
    for number in numbers[1:]:
        bar = BARS.get(number)
        measurement.ratios.append(
            Ratio(f"page {number:,} ÷ page 1", series[number], series[1], bar, "at most" if bar else "reported")
        )
    return measurement
