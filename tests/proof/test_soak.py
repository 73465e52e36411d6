"""The soak, as long as the other tests allow: a hundred seeds, with all that a provider can do to a reader."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from liushui.provider import Provider
from liushui.providers import providers
from liushui.testing.soak.script import KILLED_BY_PARENT_ONE_IN, KilledAt, script_of

RUNS: Final = 100
FIRST: Final = 1_000


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "liushui.testing.soak", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)
def test_no_sync_loses_or_doubles_a_row_whatever_happens() -> None:
    """Ends with 1 where a run fails."""
    done = soak("--runs", str(RUNS), "--first", str(FIRST))
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-3_000:]
    counted = {name: int(many.replace(",", "")) for name, many in re.findall(r"^(\S.*?) +([\d,]+)$", done.stdout, re.M)}
    assert counted["runs"] == RUNS
    for at in KilledAt:
        assert counted[f"killed at: {at.value}"] >= 3, at
    for ended_as in ("restated", "withdrawn"):
        assert counted[f"versions ended: {ended_as}"] >= 10, ended_as
    assert counted["gaps opened"] > counted["gaps left"]
    assert counted["quarantined, ever"] > counted["quarantined, at the end"] > 0


def test_one_command_repeats_a_run_to_the_last_count() -> None:
    seed = next(seed for seed in range(FIRST, FIRST + RUNS) if has_two_workers_that_take_turns(seed))
    first, again = (soak("--seed", str(seed)) for _ in range(2))
    assert first.returncode == again.returncode == 0
    assert without_seconds(first.stdout) == without_seconds(again.stdout)


def has_two_workers_that_take_turns(seed: int) -> bool:
    script = script_of(seed, dict(providers()))
    return not script.side_by_side and any(len(session.workers) > 1 for session in script.sessions)


def without_seconds(said: str) -> str:
    return re.sub(r" in \d+ s", "", said)


def test_a_seed_stands_for_the_same_run_each_time() -> None:
    every = dict(providers())
    assert [script_of(seed, every) for seed in range(50)] == [script_of(seed, every) for seed in range(50)]
    assert len({str(script_of(seed, every)) for seed in range(50)}) == 50


def test_the_runs_are_what_they_are_said_to_be() -> None:
    """All providers, one worker or two, killed in every way; each tenth run in real time."""
    every: dict[str, Provider] = dict(providers())
    scripts = [script_of(seed, every) for seed in range(FIRST, FIRST + RUNS)]
    assert {name for script in scripts for name in script.providers} == set(every)
    two = sum(len(script.sessions[0].workers) == 2 for script in scripts)
    assert RUNS * 2 // 5 < two < RUNS * 3 // 5
    kills = {worker.kill.at for script in scripts for one in script.sessions for worker in one.workers if worker.kill}
    assert kills == set(KilledAt)
    assert all(script.side_by_side == (script.seed % KILLED_BY_PARENT_ONE_IN == 0) for script in scripts)
    killed = sum(any(worker.kill for one in script.sessions for worker in one.workers) for script in scripts)
    assert killed > RUNS * 9 // 10


def test_a_run_leaves_nothing_behind() -> None:
    shared = Path("/dev/shm")  # noqa: S108 # where the runs keep their files
    before = set(shared.glob("soak-*"))
    assert soak("--seed", "3").returncode == 0
    assert set(shared.glob("soak-*")) <= before
