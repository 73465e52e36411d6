"""The soak, as long as the other tests allow: hundreds of seeds, with all that a provider can do to a reader."""

from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from liushui.provider import Provider
from liushui.providers import load_providers
from soak.page import PAGE, page, section
from soak.report import RUNS as ENOUGH
from soak.report import progress, read_report, report_of, without
from soak.script import KILLED_BY_PARENT_ONE_IN, SIZES, KilledAt, Script, script_of
from soak.tally import FAULTS
from tests.proof.soaking import soak
from tests.sync.rows import NOW

RUNS: Final = 300
FIRST: Final = 1_000
HALF, TOLERANCE = RUNS // 2, RUNS // 10


@pytest.fixture(scope="module")
def scripts() -> list[Script]:
    every: dict[str, Provider] = dict(load_providers())
    return [script_of(seed, every) for seed in range(FIRST, FIRST + RUNS)]


@pytest.mark.timeout(1_200)
def test_no_sync_loses_or_doubles_a_row_whatever_happens(tmp_path: Path) -> None:
    """It ends with 1 where a run fails, and where a fault was never met."""
    soaked = soak(tmp_path, "--runs", RUNS, "--first", FIRST, "--jobs", 2)
    assert soaked.code == 0, soaked.said[-10_000:]
    counted = Counter(soaked.report.counts)
    assert counted["runs"] == RUNS >= ENOUGH
    assert [fault for fault in FAULTS if not counted[fault]] == []
    for at in KilledAt:
        assert counted[f"killed at: {at.value}"] >= 10, at
    for ended_as in ("restated", "withdrawn"):
        assert counted[f"versions ended: {ended_as}"] >= 10, ended_as
    assert counted["gaps opened"] > counted["gaps left"]
    assert counted["quarantined, ever"] > counted["quarantined, at the end"] > 0


def test_one_command_repeats_a_run_to_the_last_count(tmp_path: Path, scripts: list[Script]) -> None:
    seed = next(script.seed for script in scripts if not script.side_by_side and len(script.sessions[0].workers) > 1)
    first, again = (soak(tmp_path, "--seed", seed) for _ in range(2))
    assert first.code == again.code == 0
    assert first.report.counts == again.report.counts
    assert first.report.command == f"python -m soak --seed {seed}"


def test_a_seed_stands_for_the_same_run_each_time(scripts: list[Script]) -> None:
    every: dict[str, Provider] = dict(load_providers())
    assert [script_of(script.seed, every) for script in scripts] == scripts
    assert len({str(script) for script in scripts}) == RUNS


def test_every_seed_stands_for_a_run() -> None:
    every: dict[str, Provider] = dict(load_providers())
    for seed in range(3_000):
        script = script_of(seed, every)
        assert len(script.sizes) == len(script.providers)
        assert min(script.sizes) >= min(SIZES)


def test_the_runs_are_what_they_are_said_to_be(scripts: list[Script]) -> None:
    """All providers, one worker or two, killed in every way; each tenth run in real time."""
    assert {name for script in scripts for name in script.providers} == set(load_providers())
    two = sum(len(script.sessions[0].workers) == 2 for script in scripts)
    assert HALF - TOLERANCE < two < HALF + TOLERANCE
    kills = {worker.kill.at for script in scripts for one in script.sessions for worker in one.workers if worker.kill}
    assert kills == set(KilledAt)
    assert all(script.side_by_side == (script.seed % KILLED_BY_PARENT_ONE_IN == 0) for script in scripts)
    killed = sum(any(worker.kill for one in script.sessions for worker in one.workers) for script in scripts)
    assert killed > RUNS * 8 // 10


def test_a_soak_that_never_met_a_fault_is_not_right() -> None:
    """Where it was long enough to meet every one of them."""
    met = Counter(dict.fromkeys(FAULTS, 1)) + Counter(runs=ENOUGH)
    for tally, missed in ((met, []), (met - Counter([FAULTS[3]]), [FAULTS[3]]), (Counter(runs=ENOUGH - 1), [])):
        report = report_of(tally, [], command="", jobs=1, seconds=1, ended_at=NOW)
        assert report.never_met == missed
        assert report.is_right == (not missed)


def test_progress_is_a_rate_and_the_time_left() -> None:
    assert progress(500, 10_000, 2, 250) == "500 of 10000 runs, 2 failed, 250 s, 120 a minute, 1 h 19 min left"
    assert progress(9_990, 10_000, 0, 4_995) == "9990 of 10000 runs, 0 failed, 4995 s, 120 a minute, 5 s left"
    assert progress(1, 300, 0, 0).endswith("60 a minute, 4 min 59 s left")
    assert without(None) == ""


def test_a_run_leaves_nothing_behind(tmp_path: Path) -> None:
    shared = Path("/dev/shm")  # noqa: S108 # where the runs keep their files
    before = set(shared.glob("soak-*"))
    assert soak(tmp_path, "--seed", 3).code == 0
    assert set(shared.glob("soak-*")) <= before


def test_the_page_shows_the_soak_that_was_written_down() -> None:
    """`python -m soak.page docs/soak.json` makes it so."""
    text, report = PAGE.read_text(), read_report(PAGE.parent / "soak.json")
    assert page(text, report) == text
    assert f"{report.counts['runs']:,} runs" in section(report)
    assert report.is_right
    assert page(text, replace(report, failed=[7])) != text
