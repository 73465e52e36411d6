"""The benchmarks run at a tiny size, and save their results."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.__main__ import MEASUREMENTS
from bench.context import PROVIDERS
from bench.imports import BARE_ROWS
from bench.page import SUBJECTS, markdown, subjects_of
from bench.peers import written
from liushui.ledger.read.flows import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
PEERS = {"collect", "totals", "postgres"}
"""Measurements that are skipped where their peers are not installed: a test installs none."""
TESTED_ELSEWHERE: set[str] = set()
"""Measurements that have a test of their own."""
SIZE = ["--flows", "600", "--rounds", "1", "--seconds", "0.5", "--no-install"]
SIZE += ["--memory-flows", "300", "600", "--growth-flows", "300", "600"]


class SavedRatio(msgspec.Struct):
    measurement: str
    what: str
    median: float
    rounds: list[float]
    bar: float | None
    met: bool | None


class SavedFigure(msgspec.Struct):
    measurement: str
    what: str
    unit: str
    rounds: list[float]


class SavedMachine(msgspec.Struct):
    date: str
    cores: int
    memory_gib: float
    python: str
    sqlite: str


class SavedResults(msgspec.Struct):
    """What a benchmark saves, as far as this test needs it."""

    machine: SavedMachine
    ratios: list[SavedRatio]
    figures: list[SavedFigure]
    notes: list[str]


GROUPS: dict[tuple[str, ...], set[tuple[str, str]]] = {
    ("ingest", "postgres", "sync", "collect"): {
        ("ingest", "ingest"),
        ("sync", "sync, simulator"),
        ("sync", "sync, stub"),
    },
    ("serve", "dialects", "stall", "depth"): {
        ("stall", "p99 of small pages beside large ones ÷ alone"),
        ("depth", "page 12 ÷ page 1"),
    },
    ("growth", "overview", "web", "flood"): {("flood", "/healthz under load ÷ idle")},
    ("reconcile",): {
        ("reconcile", "check after a day ÷ check of all"),
        ("reconcile", "proof of cash of a month ÷ its summary"),
        ("reconcile", "certificate of a month ÷ reading its rows"),
        ("reconcile", "match transfers ÷ check of all"),
    },
    ("import",): {("import", f"import, {name}") for name in BARE_ROWS},
    ("scale", "totals", "memory", "export", "export-speed"): {
        ("scale", "p99 of a page: 600 ÷ 300 flows"),
        ("memory", "memory, sync"),
        ("memory", "memory, import"),
        ("export", "memory, export as jsonl"),
        ("export", "memory, export as csv"),
        ("export", "memory, db copy"),
        ("export-speed", "csv ÷ bare loop"),
        ("export-speed", "beancount ÷ csv"),
        ("export-speed", "hledger ÷ csv"),
        ("export-speed", "xlsx ÷ bare xlsxwriter"),
    },
}
"""Measurements that run together, and the ratios that they give on every machine."""


def test_the_bare_loops_write_the_columns_of_exports() -> None:
    assert written.COLUMNS == COLUMNS


def test_each_measurement_is_run() -> None:
    assert sorted(name for names in GROUPS for name in names) == sorted(set(MEASUREMENTS) - TESTED_ELSEWHERE)
    assert set(MEASUREMENTS) <= set(SUBJECTS)


@pytest.mark.parametrize("names", GROUPS, ids=" ".join)
def test_a_measurement_gives_ratios_and_figures(tmp_path: Path, names: tuple[str, ...]) -> None:
    file = tmp_path / "new folder" / "results.json"
    only = [word for name in names for word in ("--only", name)]
    command = [sys.executable, "-m", "bench", *SIZE, *only, "--out", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("Ratios") < done.stdout.index("Figures")

    results = msgspec.json.decode(file.read_bytes(), type=SavedResults)
    assert results.machine.cores
    assert results.machine.memory_gib
    assert results.machine.sqlite in done.stdout
    ratios = {(ratio.measurement, ratio.what) for ratio in results.ratios}
    assert ratios >= GROUPS[names]
    if "dialects" in names:
        named = {ratio.what.partition(" ÷ ")[0] for ratio in results.ratios if ratio.measurement == "dialects"}
        named |= {"wechatpay"}  # its documents are measured against nginx, where that is installed
        assert len(named & set(PROVIDERS)) == len(PROVIDERS) - 1, "all but the fastest"
    for ratio in results.ratios:
        assert ratio.median > 0
        assert ratio.rounds == [ratio.median]
        assert (ratio.met is None) == (ratio.bar is None)
    measured = {figure.measurement for figure in results.figures}
    assert measured | PEERS >= set(names)
    assert measured <= set(names)
    assert all(value > 0 for figure in results.figures for value in figure.rounds)

    page = markdown(subjects_of([file]))
    assert all(ratio.what in page for ratio in results.ratios)
    assert all(figure.what in page for figure in results.figures)
