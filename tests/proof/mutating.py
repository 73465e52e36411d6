"""Makes runs of the soak with a step of the proof left out, in a separate process.

`python -m tests.proof.mutating` prints as JSON which seeds in FOUND_BY and FOUND_BY_DEVIATING failed without each step,
and why.
"""

import sys
from collections.abc import Mapping
from typing import Final

import msgspec

from soak.run_pool import run_seeds

PROVIDERS: Final = ("hkus", "longbridge", "longbridge_legacy", "wecom", "wooxpro")
"""The providers that the runs choose from. A seed is another run where there are others."""

FOUND_BY: Final[dict[str, tuple[int, ...]]] = {
    "parts_hold_the_full_pages": (107,),
    "unreadable_rows_are_kept": (1, 83),
    "newest_wait_until_settled": (78,),
    "newest_part_again": (66,),
    "older_parts_again": (1,),
    "equal_rows_are_numbered": (3, 7),
    "ended_versions_become_history": (77, 101),
    "totals_in_the_same_commit": (61, 66),
}
"""Seeds of runs that fail without a step, as `python -m soak.seek` found them."""

FOUND_BY_DEVIATING: Final[dict[str, tuple[int, ...]]] = {
    "cursor_followed_to_the_end": (3564,),
}
"""The same of runs with `--deviations`.

Only tests/sync/test_proof_steps.py covers the other steps: no simulated provider does what they are for, or too rarely,
or another step finds the same.
"""

JOBS: Final = 2

Failed = dict[str, dict[int, str]]
"""The first failure, by step and seed."""


def main() -> None:
    """Make the runs and print their failures: those of FOUND_BY, and those of FOUND_BY_DEVIATING."""
    failed = [_failures(FOUND_BY, deviations=False), _failures(FOUND_BY_DEVIATING, deviations=True)]
    sys.stdout.buffer.write(msgspec.json.encode(failed))


def _failures(seeds_of: Mapping[str, tuple[int, ...]], *, deviations: bool) -> Failed:
    return {
        step: {
            result.seed: result.failures[0].partition("\n")[0]
            for result in run_seeds(seeds, jobs=JOBS, without=step, deviations=deviations, providers=PROVIDERS)
            if result.failures
        }
        for step, seeds in seeds_of.items()
    }


if __name__ == "__main__":
    main()
