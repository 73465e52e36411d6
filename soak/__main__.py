"""`python -m soak`: many runs, or some again, and the tally of what they met."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from liushui.instant import system_clock
from liushui.providers import load_providers
from soak.drive import outcomes
from soak.mutations import STEPS
from soak.report import (
    COMMAND,
    RUNS,
    again,
    lines,
    progress,
    report_of,
    without,
    write_report,
)
from soak.run import RunResult
from soak.script import script_of
from soak.tally import Tally

SAID_EVERY_S: Final = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that are asked for. 0: all was right in all of them."""
    asked = _parser().parse_args(arguments)
    seeds: Sequence[int] = asked.seed or range(asked.first, asked.first + asked.runs)
    jobs = min(asked.jobs, len(seeds))
    began = said = time.monotonic()
    tally, failed = Tally(), []
    for done, outcome in enumerate(outcomes(seeds, jobs=jobs, without=asked.without), 1):
        tally.update(outcome.tally)
        if outcome.failures:
            failed.append(outcome.seed)
            _say(told(outcome, asked.without))
            if asked.stop:
                break
        if time.monotonic() - said >= SAID_EVERY_S:
            said = time.monotonic()
            _say(progress(done, len(seeds), len(failed), _seconds(began)))
    which = f"--seed {' '.join(map(str, seeds))}" if asked.seed else f"--first {asked.first} --runs {asked.runs}"
    command = f"{COMMAND} {which}{without(asked.without)}"
    report = report_of(tally, failed, command=command, jobs=jobs, seconds=_seconds(began), ended_at=system_clock())
    if asked.tally:
        write_report(report, asked.tally)
    _say("\n".join(lines(report, asked.without)))
    return 0 if report.is_right else 1


def told(outcome: RunResult, step: str | None) -> str:
    """A run that failed, for people: what was to happen in it, what was wrong, and how to see it again."""
    script = script_of(outcome.seed, dict(load_providers()))
    sessions = [f"  {number}. {session}" for number, session in enumerate(script.sessions)]
    seeded_random = "  (its workers are killed from outside, in real time: it may take several tries)"
    return "\n".join(
        [
            f"seed {outcome.seed} failed: {script}",
            *sessions,
            *outcome.failures,
            f"again: {again(outcome.seed, step)}",
            *([seeded_random] if script.side_by_side else []),
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the seed of the first one; the others follow it")
    parser.add_argument("--seed", type=int, nargs="+", help="only the runs of these seeds")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes that make runs")
    parser.add_argument("--stop", action="store_true", help="end with the first one that fails")
    parser.add_argument("--tally", type=Path, metavar="FILE", help="write what came of it to a file, as JSON")
    parser.add_argument("--without", choices=STEPS, metavar="STEP", help=f"leave out a step: {', '.join(STEPS)}")
    return parser


def _seconds(began: float) -> int:
    return int(time.monotonic() - began)


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
