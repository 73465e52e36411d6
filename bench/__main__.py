"""`python -m bench`: parses the arguments, runs the measurements in order, prints and saves the results."""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from bench import (
    collect,
    depth,
    dialects,
    export,
    export_speed,
    flood,
    growth,
    imports,
    ingest,
    memory,
    overview,
    postgres,
    reconcile,
    report,
    scale,
    serve,
    stall,
    sync,
    totals,
    web,
)
from bench.context import ROWS_MIN, BenchContext, Options
from bench.process import CACHE, BenchError
from bench.report import this_machine
from bench.results import Measurement

MEASUREMENTS: Final[dict[str, Callable[[BenchContext], Measurement]]] = {
    "ingest": ingest.measure,
    "postgres": postgres.measure,
    "import": imports.measure,
    "sync": sync.measure,
    "collect": collect.measure,
    "growth": growth.measure,
    "serve": serve.measure,
    "dialects": dialects.measure,
    "scale": scale.measure,
    "stall": stall.measure,
    "flood": flood.measure,
    "depth": depth.measure,
    "totals": totals.measure,
    "overview": overview.measure,
    "web": web.measure,
    "memory": memory.measure,
    "export": export.measure,
    "export-speed": export_speed.measure,
    "reconcile": reconcile.measure,
}


def main() -> int:
    """Measure, print and save. Returns 1 if a measurement failed."""
    asked = _parser().parse_args()
    options = Options(
        asked.flows,
        asked.rounds,
        asked.seconds,
        tuple(asked.memory_flows),
        asked.install,
        growth_flows=tuple(asked.growth_flows),
    )
    names = asked.only or list(MEASUREMENTS)
    signal.signal(signal.SIGTERM, _interrupt)
    messages = Console(stderr=True, highlight=False)
    machine = this_machine()
    measurements: list[Measurement] = []
    failed = False
    with TemporaryDirectory(prefix="liushui-bench-") as folder:
        context = BenchContext(options, Path(folder), lambda text: messages.print(f"[dim]{text}[/]"))
        for name in names:
            begun = time.monotonic()
            try:
                measurement = MEASUREMENTS[name](context)
            except BenchError as error:
                messages.print(f"{name} failed: {error}", style="red", markup=False)
                failed = True
                continue
            measurement.seconds = time.monotonic() - begun
            measurements.append(measurement)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 160)
    report.show(console, machine, options, measurements)
    out: Path = asked.out or CACHE / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
    report.write(out, machine, options, measurements)
    messages.print(f"kept in {out}", soft_wrap=True)
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure liushui against peers, as ratios.")
    parser.add_argument("--only", action="append", choices=MEASUREMENTS, help="this one only; may be given again")
    parser.add_argument("--flows", type=_at_least(ROWS_MIN), default=200_000, help="flows of the account (200000)")
    parser.add_argument("--rounds", type=_at_least(1), default=3, help="how often each is measured (3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each server is asked a round (5)")
    parser.add_argument(
        "--memory-flows",
        type=_at_least(1),
        nargs=2,
        default=[100_000, 1_000_000],
        metavar=("SMALL", "LARGE"),
        help="the sizes at which memory is compared (100000 1000000)",
    )
    parser.add_argument(
        "--growth-flows",
        type=_at_least(ROWS_MIN),
        nargs="+",
        default=[30_000, 300_000],
        metavar="FLOWS",
        help="the sizes at which a sync of all providers is measured (30000 300000)",
    )
    parser.add_argument("--out", type=Path, help="where the JSON goes (.cache/bench/<date>.json)")
    parser.add_argument(
        "--install",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="install wrk and nginx with apt-get where they are missing and that can be done (yes)",
    )
    return parser


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text.replace("_", ""))
        if value < least:
            raise argparse.ArgumentTypeError(f"expected {least} or more, got {text}")
        return value

    return number


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
