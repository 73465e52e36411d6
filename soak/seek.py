"""`python -m soak.seek`: finds the runs that fail when a step of the proof is left out.

Makes runs with every step and notes where each step makes a difference. Then makes those runs again without the step.
Prints the entries of FOUND_BY in tests/proof/mutating.py.
"""

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from soak.mutations import STEPS
from soak.run_pool import run_seeds
from soak.scenario import IN_REAL_TIME_ONE_IN

SEEDS_ENOUGH: Final = 2
"""Seeds to find for each step."""
CANDIDATES_MAX: Final = 60
"""The most runs that are made again without a step."""
ALSO_MET: Final = {"one_transaction": "killed at: statement", "failures_leave_gaps": "ended: incomplete"}
"""What a run must have met as well. Without it, these steps make a difference in many runs and change no result."""
AT_ONCE: Final = 4


def main(argv: Sequence[str] | None = None) -> None:
    """Find seeds and print them, step by step."""
    arguments = _parser().parse_args(argv)
    # Runs in real time do not repeat themselves.
    seeds = [seed for seed in range(arguments.first, arguments.first + arguments.runs) if seed % IN_REAL_TIME_ONE_IN]
    requests_and_seeds: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for result in run_seeds(seeds, jobs=arguments.jobs):
        if result.failures:
            sys.exit(f"seed {result.seed} fails with every step")
        for step in STEPS:
            if f"step: {step}" in result.tally and ALSO_MET.get(step, f"step: {step}") in result.tally:
                requests_and_seeds[step].append((result.tally.get("request", 0), result.seed))
    for step in arguments.step or STEPS:
        candidates = [seed for _, seed in sorted(requests_and_seeds[step])]  # the cheapest runs first
        failing = _failing_seeds(step, candidates[:CANDIDATES_MAX], arguments.jobs)
        sys.stdout.write(f'    "{step}": {tuple(failing)},  # of {len(candidates)}\n')
        sys.stdout.flush()


def _failing_seeds(step: str, candidates: list[int], jobs: int) -> list[int]:
    """The first seeds that fail without a step."""
    failing: list[int] = []
    for index in range(0, len(candidates), AT_ONCE):
        chunk = candidates[index : index + AT_ONCE]
        failing += [result.seed for result in run_seeds(chunk, jobs=jobs, without=step) if result.failures]
        if len(failing) >= SEEDS_ENOUGH:
            break
    return sorted(failing[:SEEDS_ENOUGH])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m soak.seek", description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="the number of runs with every step (default: 400)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: one a core)"
    )
    parser.add_argument("--step", nargs="+", choices=STEPS, metavar="STEP", help="only these steps")
    return parser


if __name__ == "__main__":
    main()
