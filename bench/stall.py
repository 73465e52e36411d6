"""stall: the latency of small pages, alone and while another client requests the largest pages."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from bench.context import BenchContext
from bench.load import Load, fetch
from bench.pages import Page, check_pages, random_pages, times_of
from bench.results import Measurement, Ratio, Series
from bench.serve import liushui_serve, load_generator
from liushui.providers.longbridge import PROVIDER

SMALL_CONNECTIONS: Final = 8
LARGE_CONNECTIONS: Final = 8
WHAT: Final = f"50-row pages, {SMALL_CONNECTIONS} connections"


def measure(context: BenchContext) -> Measurement:
    """Milliseconds of small pages, alone and during requests for large pages, in turn."""
    measurement = Measurement("stall")
    load = load_generator(context, measurement)
    beside = load._replace(folder=context.folder / "large")
    beside.folder.mkdir()
    times = times_of(context.data(context.options.flows))
    rows = min(PROVIDER.rules.paging.size_max, len(times))
    small, large = random_pages(times), [Page(times[0], times[-1], 1, rows)]
    found: dict[str, list[Load]] = {"alone": [], "beside": [], "large": []}
    seconds = context.options.seconds
    with liushui_serve(context) as ours, ThreadPoolExecutor(1) as pool:
        check_pages(ours.name, fetch(ours.server, ours.requests_for(large)), rows)
        load.run(ours.server, ours.requests_for(small), connections=SMALL_CONNECTIONS, seconds=1)
        for number in range(context.options.rounds):
            context.log(f"stall, round {number + 1}")
            requests = ours.requests_for(small)
            found["alone"].append(load.run(ours.server, requests, connections=SMALL_CONNECTIONS, seconds=seconds))
            # The requests for large pages begin first and end last, so all small pages overlap with them.
            going = pool.submit(
                beside.run,
                ours.server,
                ours.requests_for(large),
                connections=LARGE_CONNECTIONS,
                seconds=seconds + 2,
            )
            requests = ours.requests_for(small)
            found["beside"].append(load.run(ours.server, requests, connections=SMALL_CONNECTIONS, seconds=seconds))
            found["large"].append(going.result())
    for name, part in (("p50", "p50_us"), ("p99", "p99_us")):
        alone, with_large = (
            Series(f"{WHAT}, {name}{said}", "liushui serve", "ms", [getattr(one, part) / 1_000 for one in found[key]])
            for key, said in (("alone", ""), ("beside", f" beside {rows:,}-row pages"))
        )
        measurement.ratios.append(Ratio(f"{name} of small pages beside large ones ÷ alone", with_large, alone))
    rates = [one.rate for one in found["large"]]
    what = f"{rows:,}-row pages, {LARGE_CONNECTIONS} connections"
    measurement.figures.append(Series(what, "liushui serve", "pages/s", rates))
    measurement.notes.append(
        "stall: assembling a large page takes one core for a while, so small pages share the other cores. They "
        "do not wait for the large page to finish"
    )
    return measurement
