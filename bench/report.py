"""The report of a run: the machine, the ratios, then every figure, on a terminal and as a JSON file."""

import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

import liushui
from bench.context import Options
from bench.results import Measurement, Ratio, Series


@dataclass(frozen=True)
class Machine:
    """Where and when a run was made. `load` is the load average before the run."""

    date: str
    cores: int
    processor: str
    memory_gib: float
    system: str
    python: str
    sqlite: str
    liushui: str
    load: float

    def line(self) -> str:
        """Everything in one line."""
        return (
            f"{self.date} · {self.cores} cores ({self.processor}) · {self.memory_gib:.1f} GiB · {self.system} · "
            f"Python {self.python} · SQLite {self.sqlite} · liushui {self.liushui} · load before {self.load:.2f}"
        )


def this_machine() -> Machine:
    """This machine, now."""
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        processor=_processor(),
        memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        liushui=liushui.__version__,
        load=os.getloadavg()[0],
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


VERDICTS = {True: "[green]met[/]", False: "[red]missed[/]", None: "–"}


def show(console: Console, machine: Machine, options: Options, measurements: Sequence[Measurement]) -> None:
    """Print the report of a run."""
    console.print(f"\n[bold]{machine.line()}[/]", soft_wrap=True)
    console.print(
        f"{options.flows:,} flows · {options.rounds} rounds, peers in turn · medians, and from the least to the most\n",
        soft_wrap=True,
    )
    ratios = Table("ratio", "ours", "peer", "ours ÷ peer", "spread", "bar", "", title="Ratios", title_justify="left")
    for ratio in (ratio for measurement in measurements for ratio in measurement.ratios):
        bar = "–" if ratio.bar is None else f"{'≥' if ratio.sense == 'at least' else '≤'} {ratio.bar:g}"
        ours, peer = (f"{one.who}: {number(one.median)} {one.unit}" for one in (ratio.ours, ratio.peer))
        ratios.add_row(
            ratio.what, ours, peer, f"[bold]{number(ratio.median)}[/]", _spread(ratio.values), bar, VERDICTS[ratio.met]
        )
    console.print(ratios)
    figures = Table("figure", "of", "median", "spread", "unit", title="Figures", title_justify="left")
    for one in (one for measurement in measurements for one in measurement.series()):
        figures.add_row(one.what, one.who, number(one.median), _spread(one.values), one.unit)
    console.print(figures)
    for note in (note for measurement in measurements for note in measurement.notes):
        console.print(f"· {note}", soft_wrap=True)


def write(file: Path, machine: Machine, options: Options, measurements: Sequence[Measurement]) -> None:
    """Save a run as JSON, with the value of every round."""
    document = {
        "machine": machine,
        "options": options,
        "ratios": [_ratio(measurement, ratio) for measurement in measurements for ratio in measurement.ratios],
        "figures": [{"measurement": o.name, **_series(one)} for o in measurements for one in o.series()],
        "notes": [note for measurement in measurements for note in measurement.notes],
        "seconds": {measurement.name: round(measurement.seconds, 1) for measurement in measurements},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")


def _ratio(measurement: Measurement, ratio: Ratio) -> dict[str, object]:
    return {
        "measurement": measurement.name,
        "what": ratio.what,
        "median": ratio.median,
        "rounds": ratio.values,
        "bar": ratio.bar,
        "sense": ratio.sense,
        "met": ratio.met,
        "ours": _series(ratio.ours),
        "peer": _series(ratio.peer),
    }


def _series(one: Series) -> dict[str, object]:
    return {"what": one.what, "who": one.who, "unit": one.unit, "median": one.median, "rounds": list(one.values)}


def _spread(values: Sequence[float]) -> str:
    return f"{number(min(values))} – {number(max(values))}" if len(values) > 1 else "–"


def number(value: float) -> str:
    """Return a value with three significant figures, because such measurements have no more."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
