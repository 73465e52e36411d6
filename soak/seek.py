"""`python -m soak.seek`: finds the runs that fail when a step of the proof is left out.

Makes runs with every step and notes where each step makes a difference. Then makes those runs again without the step.
Prints the entries of FOUND_BY in tests/proof/mutating.py, and with `--deviations` those of FOUND_BY_DEVIATING. Both are
for the providers that are named there: give the same ones.
"""

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from liushui.providers import load_providers
from soak.mutations import STEPS
from soak.run import RunResult
from soak.run_pool import run_seeds
from soak.scenario import IN_REAL_TIME_ONE_IN

SEEDS_ENOUGH: Final = 2
"""Seeds to find for each step."""
CANDIDATES_MAX: Final = 60
"""The largest number of runs that are repeated without a step."""
ALSO_MET: Final = {"one_transaction": "killed at: statement", "failures_leave_gaps": "ended: incomplete"}
"""An event that a run must contain as well. Without it, these steps make a difference in many runs but change no
result."""
DEVIATIONS_OF: Final = {
    "ends_asked_beyond": ("start-exclusive", "end-exclusive"),
    "long_ranges_are_proven": ("newest-days-only",),
    "page_cap_is_found": ("page-cap-50", "page-cap-100"),
    "ignored_range_refused": ("ignores-time",),
    "total_equals_rows": ("total-of-page", "total-zero"),
    "pages_without_end": ("cursor-repeats", "cursor-repeats-empty"),
    "steps_beside_crowds": ("start-exclusive", "end-exclusive"),
}
"""The deviations that some steps are for. With `--deviations`, a run must contain one of them."""
AT_ONCE: Final = 4
RAISED: Final = " raised: "
"""A part of the text of every run that failed with an exception. Such a run says nothing about the invariant."""


def main(argv: Sequence[str] | None = None) -> None:
    """Find seeds and print them, step by step."""
    arguments = _parser().parse_args(argv)
    # Runs in real time do not repeat themselves.
    seeds = [seed for seed in range(arguments.first, arguments.first + arguments.runs) if seed % IN_REAL_TIME_ONE_IN]
    requests_and_seeds: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)

    def run(seeds: Sequence[int], without: str | None = None) -> Iterator[RunResult]:
        return run_seeds(
            seeds,
            jobs=arguments.jobs,
            without=without,
            deviations=arguments.deviations,
            providers=arguments.provider,
        )

    for result in run(seeds):
        if result.failures:
            sys.exit(f"seed {result.seed} fails with every step")
        for step in STEPS:
            if _may_fail(result.tally, step, deviations=arguments.deviations):
                requests_and_seeds[step].append((result.tally.get("request", 0), result.seed))
    for step in arguments.step or STEPS:
        candidates = [seed for _, seed in sorted(requests_and_seeds[step])]  # the cheapest runs first
        failing = _failing_seeds(step, candidates[:CANDIDATES_MAX], run)
        sys.stdout.write(f'    "{step}": {tuple(failing)},  # of {len(candidates)}\n')
        sys.stdout.flush()


def _may_fail(tally: Mapping[str, int], step: str, *, deviations: bool) -> bool:
    """Whether a run with that tally may fail without a step."""
    deviating = [f"deviation: {name}" for name in DEVIATIONS_OF.get(step, ())] if deviations else []
    if deviating and not any(name in tally for name in deviating):
        return False
    return f"step: {step}" in tally and ALSO_MET.get(step, f"step: {step}") in tally


def _failing_seeds(
    step: str, candidates: list[int], run: Callable[[Sequence[int], str | None], Iterator[RunResult]]
) -> list[int]:
    """The first seeds whose runs break the invariant without a step."""
    failing: list[int] = []
    for index in range(0, len(candidates), AT_ONCE):
        chunk = candidates[index : index + AT_ONCE]
        failing += [result.seed for result in run(chunk, step) if result.failures and RAISED not in result.failures[0]]
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
    parser.add_argument("--deviations", action="store_true", help="let services deviate from their documents as well")
    parser.add_argument(
        "--provider",
        nargs="+",
        default=[],
        choices=list(load_providers()),
        metavar="PROVIDER",
        help="choose from these",
    )
    parser.add_argument("--step", nargs="+", choices=STEPS, metavar="STEP", help="only these steps")
    return parser


if __name__ == "__main__":
    main()
