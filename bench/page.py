"""`python -m bench.page FILE…`: writes docs/performance.md and its plots from saved results. Later files win.

The page names the machine's cores, memory, processor, and load before the run, because the figures of a busy machine
are noise.
"""

# matplotlib is only in the dependency group `bench`; without it, its names have no types:
# mypy: disable-error-code="import-not-found,import-untyped,unused-ignore"

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.process import ROOT
from bench.report import number

PAGE: Final = ROOT / "docs" / "performance.md"
PLOTS: Final = ROOT / "docs" / "performance"

SUBJECTS: Final[Mapping[str, str]] = {
    "ingest": "Rows to a durable commit",
    "postgres": "Rows to a durable commit on PostgreSQL",
    "import": "Importing a file, against a bare loop",
    "sync": "Collecting over HTTP, against a bare loop",
    "growth": "Collecting from every provider, small and large",
    "collect": "Collecting over HTTP, against dlt",
    "serve": "Serving pages",
    "dialects": "Serving pages in each dialect",
    "scale": "Pages of a small ledger and of a large one",
    "stall": "Small pages beside large ones",
    "flood": "Others beside a caller with 500 connections",
    "depth": "Deep pages",
    "totals": "Balances and monthly summaries",
    "memory": "Memory of sync and import",
    "export": "Memory of exports and copies",
    "export-speed": "Speed of exports",
    "overview": "The overview and pages of flows",
    "web": "Every page, at the server and in a browser",
    "reconcile": "Balance chains, certificates and transfers",
}
"""Every subject in the order of the page. Other subjects come last, under their own names."""

COMPARED: Final = ("collect", "serve", "totals")
"""Subjects with a plot: their contestants do the same work and are measured in the same unit."""


class Series(msgspec.Struct):
    """One figure of one contestant."""

    what: str
    who: str
    unit: str
    median: float
    rounds: list[float]


class Ratio(msgspec.Struct):
    """Our figure divided by the peer's."""

    measurement: str
    what: str
    median: float
    rounds: list[float]
    bar: float | None
    sense: str
    met: bool | None
    ours: Series
    peer: Series


class Figure(Series):
    """A figure with the name of its measurement."""

    measurement: str


class Machine(msgspec.Struct):
    """The machine and the date of a run."""

    date: str
    cores: int
    processor: str
    memory_gib: float
    python: str
    sqlite: str
    load: float


class Options(msgspec.Struct):
    """The sizes of a run."""

    flows: int
    rounds: int
    memory_flows: tuple[int, int]


class Run(msgspec.Struct):
    """A file of saved results."""

    machine: Machine
    options: Options
    ratios: list[Ratio]
    figures: list[Figure]
    notes: list[str]
    seconds: dict[str, float]


class Subject(msgspec.Struct):
    """The results of one run for one subject."""

    name: str
    run: Run

    @property
    def title(self) -> str:
        return SUBJECTS.get(self.name, self.name)

    @property
    def ratios(self) -> list[Ratio]:
        return [one for one in self.run.ratios if one.measurement == self.name]

    @property
    def figures(self) -> list[Figure]:
        return [one for one in self.run.figures if one.measurement == self.name]

    @property
    def notes(self) -> list[str]:
        said = f"{self.name}: "
        return [note.removeprefix(said) for note in self.run.notes if note.startswith(said)]


def subjects_of(files: Sequence[Path]) -> list[Subject]:
    """Every subject of some runs, in the order of the page. Later runs take precedence."""
    found: dict[str, Subject] = {}
    for file in files:
        run = msgspec.json.decode(file.read_bytes(), type=Run)
        found |= {name: Subject(name, run) for name in run.seconds}
    known = list(SUBJECTS)
    return sorted(
        found.values(), key=lambda one: (known.index(one.name) if one.name in known else len(known), one.name)
    )


def markdown(subjects: Sequence[Subject]) -> str:
    """The text of the page."""
    bars = [(subject, ratio) for subject in subjects for ratio in subject.ratios if ratio.bar is not None]
    met = sum(bool(ratio.met) for _, ratio in bars)
    parts = [
        "# Performance",
        "`make bench` and `make bench-full` measure, and `python -m bench.page FILE…` writes this page from the "
        "results. No figure is written by hand. Compare the ratios: both figures of a ratio were measured in turns, in "
        "one run on one machine. An absolute figure holds only for its machine and day. [What is measured, and "
        "how](../bench/README.md).",
        f"{met} of {len(bars)} bars were met.",
        "![every ratio as a multiple of its bar](performance/bars.svg)",
        _table(
            ("subject", "ratio", "ours", "peer", "ratio found", "spread", "bar", ""),
            [(subject.title, *_ratio_cells(ratio)) for subject, ratio in bars],
        ),
    ]
    for subject in subjects:
        parts += _section(subject)
    return "\n\n".join(parts) + "\n"


def _section(subject: Subject) -> list[str]:
    options, machine = subject.run.options, subject.run.machine
    small, large = options.memory_flows
    parts = [
        f"## {subject.title}",
        f"{machine.date[:10]}, {machine.cores} cores ({machine.processor}), {machine.memory_gib:.0f} GiB; Python "
        f"{machine.python}, SQLite {machine.sqlite}; {options.flows:,} flows, or {small:,} and {large:,} "
        f"where two sizes are compared; {options.rounds} rounds. {_noise(machine)}",
    ]
    if subject.name in COMPARED:
        parts.append(f"![{subject.title}](performance/{subject.name}.svg)")
    if subject.ratios:
        heads = ("ratio", "ours", "peer", "ratio found", "spread", "bar", "")
        parts.append(_table(heads, [_ratio_cells(ratio) for ratio in subject.ratios]))
    if figures := subject.figures:
        rows = [(one.what, one.who, f"{number(one.median)} {one.unit}", _spread(one.rounds)) for one in figures]
        parts.append(_table(("figure", "of", "median", "spread"), rows))
    if subject.notes:
        parts.append("\n".join(f"- {note}" for note in subject.notes))
    return parts


def _noise(machine: Machine) -> str:
    each = machine.load / machine.cores
    if each < 0.2:
        return "The machine was idle before the run."
    return (
        f"The machine was busy: {machine.load:.1f} processes competed for its {machine.cores} cores before the run. "
        "So rates are too low, latencies too high, and ratios rough."
    )


def _ratio_cells(ratio: Ratio) -> tuple[str, ...]:
    bar = "–" if ratio.bar is None else f"{'≥' if ratio.sense == 'at least' else '≤'} {ratio.bar:g}"
    verdict = {True: "met", False: "**missed**", None: ""}[ratio.met]
    ours, peer = (f"{one.who}: {number(one.median)} {one.unit}" for one in (ratio.ours, ratio.peer))
    return ratio.what, ours, peer, f"**{number(ratio.median)}**", _spread(ratio.rounds), bar, verdict


def _spread(values: Sequence[float]) -> str:
    return f"{number(min(values))} – {number(max(values))}" if len(values) > 1 else "one run"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---------------------------------------------------------------- plots


def plots(subjects: Sequence[Subject], folder: Path) -> None:
    """Draw every plot of the page. The same results give the same bytes."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "liushui", "svg.fonttype": "none", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    _draw_bars(
        [ratio for subject in subjects for ratio in subject.ratios if ratio.bar is not None], folder / "bars.svg"
    )
    for subject in subjects:
        if subject.name in COMPARED:
            _draw_compared(subject, folder / f"{subject.name}.svg")


def _draw_bars(ratios: Sequence[Ratio], file: Path) -> None:
    """Each ratio as a multiple of its bar. To the right of 1 the bar is met, for both directions of a bar."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(8, 0.8 + 0.32 * len(ratios)))
    axes = drawing.add_subplot()
    shown = list(reversed(ratios))
    times = [one.median / one.bar if one.sense == "at least" else one.bar / one.median for one in shown if one.bar]
    axes.barh([one.what for one in shown], times, color=["#2b7a4b" if one.met else "#b3402a" for one in shown])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("times the bar (right of 1: met)")
    drawing.savefig(file, bbox_inches="tight", metadata={"Date": None})


def _draw_compared(subject: Subject, file: Path) -> None:
    """The figures of all contestants for the same work, side by side."""
    from matplotlib.figure import Figure as Drawing

    first = subject.ratios[0].ours.unit if subject.ratios else ""
    of_whom: dict[str, float] = {}
    for ratio in subject.ratios:
        for one in (ratio.ours, ratio.peer):
            if one.unit == first:
                of_whom[one.who if subject.name != "totals" else f"{one.who}: {one.what}"] = one.median
    drawing = Drawing(figsize=(8, 0.8 + 0.32 * len(of_whom)))
    axes = drawing.add_subplot()
    names = list(reversed(of_whom))
    axes.barh(names, [of_whom[name] for name in names], color="#3a6ea5")
    axes.set_xscale("log")
    axes.set_xlabel(first)
    drawing.savefig(file, bbox_inches="tight", metadata={"Date": None})


def main(files: Sequence[str]) -> int:
    """Write the page and its plots."""
    if not files:
        sys.stderr.write("expected the JSON files of one run or more: python -m bench.page FILE…\n")
        return 2
    subjects = subjects_of([Path(file) for file in files])
    plots(subjects, PLOTS)
    PAGE.write_text(markdown(subjects), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
