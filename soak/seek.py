"""`python -m soak.seek`: which runs fail without which step of the proof.

It makes runs once with every step, and counts where each step decides something; then those runs again without it.
What it prints is what `tests/proof/test_mutations.py` has.
"""

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from soak.drive import outcomes
from soak.mutations import STEPS
from soak.script import KILLED_BY_PARENT_ONE_IN

SOUGHT: Final = 2
"""Seeds of each step that are enough."""
TRIED_MAX: Final = 60
"""Runs that are made again without a step, at most."""
HINTS: Final = {"one_transaction": "killed at: statement", "failures_leave_gaps": "ended: incomplete"}
"""What a run has to have met as well, or a step that decides something in many of them changes nothing."""
NO_DELAY: Final = 4


def main(arguments: Sequence[str] | None = None) -> None:
    """Seek, and print what was found, step by step."""
    asked = _parser().parse_args(arguments)
    seeds = [seed for seed in range(asked.first, asked.first + asked.runs) if seed % KILLED_BY_PARENT_ONE_IN]
    decided: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for outcome in outcomes(seeds, jobs=asked.jobs):
        if outcome.failures:
            sys.exit(f"seed {outcome.seed} fails with every step")
        for step in STEPS:
            if f"step: {step}" in outcome.tally and HINTS.get(step, f"step: {step}") in outcome.tally:
                decided[step].append((outcome.tally.get("request", 0), outcome.seed))
    for step in asked.step or STEPS:
        candidates = [seed for _, seed in sorted(decided[step])]
        found = _found(step, candidates[:TRIED_MAX], asked.jobs)
        sys.stdout.write(f'    "{step}": {tuple(found)},  # of {len(candidates)}\n')
        sys.stdout.flush()


def _found(step: str, candidates: list[int], jobs: int) -> list[int]:
    """Seeds that fail without a step: the cheapest ones."""
    found: list[int] = []
    for place in range(0, len(candidates), NO_DELAY):
        some = candidates[place : place + NO_DELAY]
        found += [outcome.seed for outcome in outcomes(some, jobs=jobs, without=step) if outcome.failures]
        if len(found) >= SOUGHT:
            break
    return sorted(found[:SOUGHT])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m soak.seek", description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="how many are made with every step")
    parser.add_argument("--first", type=int, default=1, help="the seed of the first one")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes that make runs")
    parser.add_argument("--step", nargs="+", choices=STEPS, metavar="STEP", help="only these steps")
    return parser


if __name__ == "__main__":
    main()
