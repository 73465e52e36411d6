"""depth: the first page of a whole account against a deep one, 50 rows each, over one connection."""

from typing import Final

from bench.load import fetch
from bench.pages import ROWS, Page, check_pages, times_of
from bench.results import Outcome, Ratio, Series
from bench.serve import liushui_serve, load_generator
from bench.setting import Setting

DEPTHS: Final = (1_000, 10_000)
BARS: Final = dict.fromkeys(DEPTHS, 3.0)
SECONDS: Final = 2.0


def measure(setting: Setting) -> Outcome:
    """Milliseconds for page 1 and for the deep pages that the account has; its last one where it has none of them."""
    outcome = Outcome("depth")
    times = times_of(setting.data(setting.options.flows))
    last = len(times) // ROWS
    numbers = [1, *([number for number in DEPTHS if number <= last] or [last])]
    took_ms: dict[int, list[float]] = {number: [] for number in numbers}
    load = load_generator(setting, outcome)
    with liushui_serve(setting) as ours:
        for round_ in range(setting.options.rounds):
            setting.say(f"depth, round {round_ + 1}")
            for number in numbers:
                requests = ours.requests_for([Page(times[0], times[-1], number)])
                check_pages(ours.name, fetch(ours.server, requests))
                seconds = min(SECONDS, setting.options.seconds)
                found = load.run(ours.server, requests, connections=1, seconds=seconds)
                took_ms[number].append(found.p50_us / 1_000)
    series = {number: Series(f"page {number:,}", ours.name, "ms", took_ms[number]) for number in numbers}
    for number in numbers[1:]:
        bar = BARS.get(number)
        outcome.ratios.append(
            Ratio(f"page {number:,} ÷ page 1", series[number], series[1], bar, "at most" if bar else "reported")
        )
    return outcome
