"""A short soak: hundreds of seeds, with every fault that a provider can have."""

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from liushui.provider import Provider
from liushui.providers import load_providers
from liushui.simulate.faults.deviations import DEVIATIONS
from soak.report import PAGE, markdown, options_of, progress, read_report, report_of, with_report
from soak.report import RUNS as ENOUGH
from soak.run_pool import MEMORY, prefix_of
from soak.scenario import IN_REAL_TIME_ONE_IN, SIZES, SOAKED_DEVIATIONS, KillPoint, Scenario, scenario_of
from soak.tally import FAULTS
from tests.proof.soaking import soak
from tests.sync.rows import NOW

RUNS: Final = 300
FIRST: Final = 1_000
HALF, TOLERANCE = RUNS // 2, RUNS // 10


@pytest.fixture(scope="module")
def scenarios() -> list[Scenario]:
    every: dict[str, Provider] = dict(load_providers())
    return [scenario_of(seed, every) for seed in range(FIRST, FIRST + RUNS)]


@pytest.mark.timeout(1_200)
def test_no_sync_loses_or_doubles_a_row_whatever_happens(tmp_path: Path) -> None:
    """The exit code is 1 where a run fails, and where a fault was never met."""
    soaked = soak(tmp_path, "--runs", RUNS, "--first", FIRST, "--jobs", 2)
    assert soaked.code == 0, soaked.output[-10_000:]
    counted = Counter(soaked.report.counts)
    assert counted["runs"] == RUNS >= ENOUGH
    assert [fault for fault in FAULTS if not counted[fault]] == []
    for at in KillPoint:
        assert counted[f"killed at: {at.value}"] >= 10, at
    for ended_as in ("restated", "withdrawn"):
        assert counted[f"versions ended: {ended_as}"] >= 10, ended_as
    assert counted["gaps opened"] > counted["gaps left"]
    assert counted["quarantined, ever"] > counted["quarantined, at the end"] > 0


def test_one_command_repeats_a_run_exactly(tmp_path: Path, scenarios: list[Scenario]) -> None:
    seed = next(
        scenario.seed for scenario in scenarios if not scenario.in_real_time and len(scenario.sessions[0].workers) > 1
    )
    first, again = (soak(tmp_path, "--seed", seed) for _ in range(2))
    assert first.code == again.code == 0
    assert first.report.counts == again.report.counts
    assert first.report.command == f"python -m soak --seed {seed}"


def test_a_seed_always_gives_the_same_scenario(scenarios: list[Scenario]) -> None:
    every: dict[str, Provider] = dict(load_providers())
    assert [scenario_of(scenario.seed, every) for scenario in scenarios] == scenarios
    assert len({str(scenario) for scenario in scenarios}) == RUNS


def test_every_seed_gives_a_scenario() -> None:
    every: dict[str, Provider] = dict(load_providers())
    for seed in range(3_000):
        scenario = scenario_of(seed, every)
        assert len(scenario.sizes) == len(scenario.providers)
        assert min(scenario.sizes) >= min(SIZES)


def test_the_scenarios_cover_every_provider_and_every_kill(scenarios: list[Scenario]) -> None:
    """All providers, one worker or two, killed in every way, and one run in ten in real time."""
    assert {name for scenario in scenarios for name in scenario.providers} == set(load_providers())
    two = sum(len(scenario.sessions[0].workers) == 2 for scenario in scenarios)
    assert HALF - TOLERANCE < two < HALF + TOLERANCE
    kills = {
        worker.kill.at for scenario in scenarios for one in scenario.sessions for worker in one.workers if worker.kill
    }
    assert kills == set(KillPoint)
    assert all(scenario.in_real_time == (scenario.seed % IN_REAL_TIME_ONE_IN == 0) for scenario in scenarios)
    killed = sum(any(worker.kill for one in scenario.sessions for worker in one.workers) for scenario in scenarios)
    assert killed > RUNS * 8 // 10


def test_a_long_soak_that_never_met_a_fault_fails() -> None:
    met = Counter(dict.fromkeys(FAULTS, 1)) + Counter(runs=ENOUGH)
    for tally, missed in ((met, []), (met - Counter([FAULTS[3]]), [FAULTS[3]]), (Counter(runs=ENOUGH - 1), [])):
        report = report_of(tally, [], command="", jobs=1, seconds=1, ended_at=NOW)
        assert report.never_met == missed
        assert report.is_right == (not missed)


def test_progress_shows_the_rate_and_the_time_left() -> None:
    assert progress(500, 10_000, 2, 250) == "500 of 10000 runs, 2 failed, 250 s, 120 a minute, 1 h 19 min left"
    assert progress(9_990, 10_000, 0, 4_995) == "9990 of 10000 runs, 0 failed, 4995 s, 120 a minute, 5 s left"
    assert progress(1, 300, 0, 0).endswith("60 a minute, 4 min 59 s left")


def test_a_command_has_the_options_of_its_soak() -> None:
    assert options_of() == ""
    assert options_of(without="one_transaction") == " --without one_transaction"
    assert options_of(without="one_transaction", deviations=True) == " --deviations --without one_transaction"


def test_services_deviate_only_where_that_is_wanted(scenarios: list[Scenario]) -> None:
    """All else stays as it is without deviations."""
    every: dict[str, Provider] = dict(load_providers())
    deviating = [scenario_of(scenario.seed, every, deviations=True) for scenario in scenarios]
    assert deviating == [scenario_of(scenario.seed, every, deviations=True) for scenario in scenarios]
    for session in (session for scenario in deviating for session in scenario.sessions):
        groups = [DEVIATIONS[name].group for name in session.deviations if DEVIATIONS[name].group]
        assert len(groups) == len(set(groups)), "two deviations contradict each other"
    names = {name for scenario in deviating for session in scenario.sessions for name in session.deviations}
    assert names == set(SOAKED_DEVIATIONS) <= set(DEVIATIONS)
    for scenario, other in zip(scenarios, deviating, strict=True):
        sessions = tuple(dataclasses.replace(session, deviations=()) for session in other.sessions)
        assert dataclasses.replace(other, sessions=sessions) == scenario


def test_a_soak_counts_the_deviations_it_met(tmp_path: Path) -> None:
    soaked = soak(tmp_path, "--deviations", "--seed", *range(1, 6))
    assert soaked.code == 0, soaked.output[-10_000:]
    assert {name for name in soaked.report.counts if name.startswith("deviation: ")}
    assert soaked.report.command == "python -m soak --seed 1 2 3 4 5 --deviations"


def test_a_run_removes_its_files(tmp_path: Path) -> None:
    soaked = soak(tmp_path, "--seed", 3)
    assert soaked.code == 0
    assert list(MEMORY.glob(f"{prefix_of(soaked.pid)}*")) == []


def test_the_page_shows_the_saved_soak() -> None:
    """If not, run `python -m soak.report docs/soak.json`."""
    text, report = PAGE.read_text(), read_report(PAGE.parent / "soak.json")
    assert with_report(text, report) == text
    assert f"{report.counts['runs']:,} runs" in markdown(report)
    assert report.is_right
    assert with_report(text, replace(report, failed=[7])) != text
