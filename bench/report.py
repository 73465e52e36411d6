"""What a run found: ratios first, then the figures, on a terminal and as a JSON file."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench.machine import Machine
from bench.results import Outcome, Ratio, Series
from bench.setting import Options

VERDICTS = {True: "[green]met[/]", False: "[red]missed[/]", None: "–"}


def show(console: Console, machine: Machine, options: Options, outcomes: Sequence[Outcome]) -> None:
    """Print a run."""
    console.print(f"\n[bold]{machine.line()}[/]", soft_wrap=True)
    console.print(
        f"{options.flows:,} flows · {options.rounds} rounds, peers in turn · medians, and from the least to the most\n",
        soft_wrap=True,
    )
    ratios = Table("ratio", "ours", "peer", "ours ÷ peer", "spread", "bar", "", title="Ratios", title_justify="left")
    for ratio in (ratio for outcome in outcomes for ratio in outcome.ratios):
        bar = "–" if ratio.bar is None else f"{'≥' if ratio.sense == 'at least' else '≤'} {ratio.bar:g}"
        ours, peer = (f"{one.who}: {number(one.median)} {one.unit}" for one in (ratio.ours, ratio.peer))
        ratios.add_row(
            ratio.what, ours, peer, f"[bold]{number(ratio.median)}[/]", _spread(ratio.values), bar, VERDICTS[ratio.met]
        )
    console.print(ratios)
    figures = Table("figure", "of", "median", "spread", "unit", title="Figures", title_justify="left")
    for one in (one for outcome in outcomes for one in outcome.series()):
        figures.add_row(one.what, one.who, number(one.median), _spread(one.values), one.unit)
    console.print(figures)
    for note in (note for outcome in outcomes for note in outcome.notes):
        console.print(f"· {note}", soft_wrap=True)


def write(file: Path, machine: Machine, options: Options, outcomes: Sequence[Outcome]) -> None:
    """Keep a run as JSON. Each series has its value of every round."""
    document = {
        "machine": machine,
        "options": options,
        "ratios": [_ratio(outcome, ratio) for outcome in outcomes for ratio in outcome.ratios],
        "figures": [{"measurement": o.name, **_series(one)} for o in outcomes for one in o.series()],
        "notes": [note for outcome in outcomes for note in outcome.notes],
        "seconds": {outcome.name: round(outcome.seconds, 1) for outcome in outcomes},
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")


def _ratio(outcome: Outcome, ratio: Ratio) -> dict[str, object]:
    return {
        "measurement": outcome.name,
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
    """Three figures are all that such a measurement has."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
