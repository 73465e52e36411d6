"""Each step of the proof is necessary: without it, passing runs fail, or a test of that step fails."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec
import pytest

from soak.mutations import STEPS
from soak.report import command_for, options_of
from tests.proof.mutating import FOUND_BY, FOUND_BY_DEVIATING, PROVIDERS, Failed
from tests.proof.soaking import soak
from tests.sync.test_proof_steps import HELD_BY

BOTH: Final = (FOUND_BY, FOUND_BY_DEVIATING)


@pytest.fixture(scope="module")
def failed() -> list[Failed]:
    command = [sys.executable, "-m", "tests.proof.mutating"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3_000:]
    return msgspec.json.decode(done.stdout, type=list[Failed])


def test_every_step_is_covered_by_a_run_or_a_test() -> None:
    assert FOUND_BY.keys() | FOUND_BY_DEVIATING.keys() | HELD_BY.keys() == set(STEPS)
    assert not FOUND_BY.keys() & FOUND_BY_DEVIATING.keys()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("found_by", "options"), [(FOUND_BY, []), (FOUND_BY_DEVIATING, ["--deviations"])])
def test_the_runs_pass_with_every_step(
    tmp_path: Path, found_by: dict[str, tuple[int, ...]], options: list[str]
) -> None:
    seeds = sorted({seed for seeds in found_by.values() for seed in seeds})
    soaked = soak(tmp_path, "--provider", *PROVIDERS, *options, "--seed", *seeds)
    assert soaked.code == 0, soaked.output
    assert soaked.report.counts["runs"] == len(seeds)
    assert {step for step in found_by if f"step: {step}" in soaked.report.counts} == found_by.keys()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("index", "step"), [(index, step) for index, steps in enumerate(BOTH) for step in steps])
def test_each_run_fails_without_its_step(failed: list[Failed], index: int, step: str) -> None:
    """It fails because the invariant is broken, not because the run raised an exception."""
    assert sorted(failed[index][step]) == sorted(BOTH[index][step])
    for seed, what in failed[index][step].items():
        assert what.startswith(("after session", "in the end", "trader-", "shop-")), f"{seed}: {what}"


@pytest.mark.timeout(900)
def test_a_failure_is_reported_with_the_command_that_repeats_it(tmp_path: Path) -> None:
    step = "equal_rows_are_numbered"
    first, *others = FOUND_BY[step]
    soaked = soak(tmp_path, "--provider", *PROVIDERS, "--without", step, "--seed", first, *others)
    assert soaked.code == 1
    assert soaked.report.failed == [first, *others]
    for seed in soaked.report.failed:
        assert f"seed {seed} failed: " in soaked.output
        assert f"again: {command_for(seed, options_of(without=step, providers=PROVIDERS))}\n" in soaked.output
    assert command_for(first, options_of(without=step, providers=("wecom", "hkus"))) == (
        f"python -m soak --seed {first} --provider wecom hkus --without {step}"
    )


def test_docs_name_the_test_and_the_runs_of_each_step() -> None:
    page = Path("docs/proof.md").read_text().splitlines()
    for step in STEPS:
        (line,) = (line for line in page if line.startswith(f"| `{step}` |"))
        deviating = FOUND_BY_DEVIATING.get(step, ())
        seeds = ", ".join(map(str, FOUND_BY.get(step, deviating))) or "none"
        seeds += " with `--deviations`" if deviating else ""
        assert line.endswith(f"| `{HELD_BY[step].__name__}` | {seeds} |"), line
