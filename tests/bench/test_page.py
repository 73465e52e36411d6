"""docs/performance.md is generated from results: it has every figure, and says which bars were missed."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import page
from bench.context import Options
from bench.report import Machine, write
from bench.results import Measurement, Ratio, Series

MACHINE = Machine("2026-01-02T03:04:05+00:00", 2, "a processor", 8.0, "Linux", "3.11", "3.40", "0.1", 0.1)
OPTIONS = Options(1_000, 2, 1.0, (100, 1_000), install=False)


def measurement(name: str, *ours: float, bar: float = 10) -> Measurement:
    ratio = Ratio(
        f"{name} ÷ peer",
        Series("pages", "liushui", "pages/s", ours),
        Series("pages", "peer", "pages/s", [100.0] * len(ours)),
        bar,
        "at least",
    )
    return Measurement(name, [ratio], [Series("p99", "liushui", "ms", ours)], [f"{name}: what must be known"], 1.0)


def saved(folder: Path, name: str, machine: Machine, *measurements: Measurement) -> Path:
    file = folder / name
    write(file, machine, OPTIONS, measurements)
    return file


def test_each_subject_has_its_ratios_its_figures_and_its_notes(tmp_path: Path) -> None:
    file = saved(tmp_path, "a.json", MACHINE, measurement("serve", 2_000, 2_200), measurement("new", 500, 700))
    text = page.markdown(page.subjects_of([file]))
    assert text.index("## Serving pages") < text.index("## new")
    assert "| serve ÷ peer | liushui: 2,100 pages/s | peer: 100 pages/s | **21** | 20 – 22 | ≥ 10 | met |" in text
    assert "| new ÷ peer | liushui: 600 pages/s | peer: 100 pages/s | **6** | 5 – 7 | ≥ 10 | **missed** |" in text
    assert "1 of 2 bars were met." in text
    assert "- what must be known" in text
    assert "The machine was idle before the run." in text


def test_the_last_run_of_a_subject_counts(tmp_path: Path) -> None:
    first = saved(tmp_path, "a.json", MACHINE, measurement("serve", 2_000), measurement("depth", 1_000))
    second = saved(tmp_path, "b.json", MACHINE, measurement("serve", 3_000))
    text = page.markdown(page.subjects_of([first, second]))
    assert "liushui: 3,000 pages/s" in text
    assert "liushui: 2,000 pages/s" not in text
    assert "liushui: 1,000 pages/s" in text


def test_the_page_says_that_the_machine_was_busy(tmp_path: Path) -> None:
    file = saved(tmp_path, "a.json", replace(MACHINE, load=7.5), measurement("serve", 2_000))
    assert "7.5 processes competed for its 2 cores" in page.markdown(page.subjects_of([file]))


def test_plots_are_the_same_for_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is in the dependency group of the benchmarks alone")
    subjects = page.subjects_of(
        [saved(tmp_path, "a.json", MACHINE, measurement("serve", 2_000), measurement("depth", 3.5))]
    )
    drawn = []
    for name in ("one", "two"):
        page.plots(subjects, tmp_path / name)
        drawn.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert set(drawn[0]) == {"bars.svg", "serve.svg"}
    assert drawn[0] == drawn[1]
