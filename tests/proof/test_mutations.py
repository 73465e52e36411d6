"""Each step of the proof is needed: without it runs fail that are right with it, or a test of that very step does."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

from soak.mutations import STEPS
from soak.report import again
from tests.proof.mutating import FOUND_BY, Failed
from tests.proof.soaking import soak
from tests.sync.test_proofs import HELD_BY

SEEDS: Final = sorted({seed for seeds in FOUND_BY.values() for seed in seeds})


@pytest.fixture(scope="module")
def failed() -> Failed:
    command = [sys.executable, "-m", "tests.proof.mutating"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3_000:]
    return msgspec.json.decode(done.stdout, type=Failed)


def test_every_step_is_held_by_a_run_or_a_test() -> None:
    assert FOUND_BY.keys() | HELD_BY.keys() == set(STEPS)


@pytest.mark.timeout(900)
def test_with_every_step_the_runs_are_right(tmp_path: Path) -> None:
    soaked = soak(tmp_path, "--seed", *SEEDS)
    assert soaked.code == 0, soaked.said
    assert soaked.report.counts["runs"] == len(SEEDS)
    assert {step for step in FOUND_BY if f"step: {step}" in soaked.report.counts} == FOUND_BY.keys()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("step", FOUND_BY)
def test_without_a_step_each_of_its_runs_fails(failed: Failed, step: str) -> None:
    """Because the invariant does not hold, and not because the run itself could not be made."""
    assert sorted(failed[step]) == sorted(FOUND_BY[step])
    for seed, what in failed[step].items():
        assert what.startswith(("after session", "in the end", "trader-", "shop-")), f"{seed}: {what}"


@pytest.mark.timeout(900)
def test_a_run_that_fails_is_told_of_with_the_command_that_makes_it_again(tmp_path: Path) -> None:
    step = "equal_rows_are_numbered"
    first, *others = FOUND_BY[step]
    soaked = soak(tmp_path, "--without", step, "--seed", first, *others)
    assert soaked.code == 1
    assert soaked.report.failed == [first, *others]
    for seed in soaked.report.failed:
        assert f"seed {seed} failed: " in soaked.said
        assert f"again: {again(seed, step)}\n" in soaked.said
    assert again(first, step) == f"python -m soak --seed {first} --without {step}"


def test_the_page_names_the_test_and_the_runs_of_each_step() -> None:
    page = Path("docs/proof.md").read_text().splitlines()
    for step in STEPS:
        (line,) = (line for line in page if line.startswith(f"| `{step}` |"))
        seeds = ", ".join(map(str, FOUND_BY.get(step, ()))) or "none"
        assert line.endswith(f"| `{HELD_BY[step].__name__}` | {seeds} |"), line
