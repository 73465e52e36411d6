"""`python -m soak`: many seeded runs, or some of them again, and the tally of what they met."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from liushui.instant import system_clock
from liushui.provider import Provider
from liushui.providers import load_providers
from soak.mutations import STEPS
from soak.report import COMMAND, RUNS, command_for, options_of, progress, report_of, text_lines, write_report
from soak.run import RunResult
from soak.run_pool import chosen_providers, run_seeds
from soak.scenario import scenario_of
from soak.tally import Tally

PROGRESS_EVERY_S: Final = 30


def main(argv: Sequence[str] | None = None) -> int:
    """Run the seeds that the arguments name. Returns 0 if no run failed and every fault occurred."""
    arguments = _parser().parse_args(argv)
    seeds: Sequence[int] = arguments.seed or range(arguments.first, arguments.first + arguments.runs)
    jobs = min(arguments.jobs, len(seeds))
    began = printed = time.monotonic()
    tally, failed = Tally(), []
    options = options_of(without=arguments.without, deviations=arguments.deviations, providers=arguments.provider)
    results = run_seeds(
        seeds,
        jobs=jobs,
        without=arguments.without,
        deviations=arguments.deviations,
        providers=arguments.provider,
    )
    for done, result in enumerate(results, 1):
        tally.update(result.tally)
        if result.failures:
            failed.append(result.seed)
            _print(
                describe_failure(result, options, chosen_providers(arguments.provider), deviations=arguments.deviations)
            )
            if arguments.stop:
                break
        if time.monotonic() - printed >= PROGRESS_EVERY_S:
            printed = time.monotonic()
            _print(progress(done, len(seeds), len(failed), _seconds_since(began)))
    chosen = f"--seed {' '.join(map(str, seeds))}"
    if not arguments.seed:
        chosen = f"--first {arguments.first} --runs {arguments.runs}"
    report = report_of(
        tally,
        failed,
        command=f"{COMMAND} {chosen}{options}",
        jobs=jobs,
        seconds=_seconds_since(began),
        ended_at=system_clock(),
    )
    if arguments.tally:
        write_report(report, arguments.tally)
    _print("\n".join(text_lines(report, options)))
    return 0 if report.is_right else 1


def describe_failure(result: RunResult, options: str, providers: dict[str, Provider], *, deviations: bool) -> str:
    """A failed run as text: its scenario, what was wrong, and the command that repeats it."""
    scenario = scenario_of(result.seed, providers, deviations=deviations)
    sessions = [f"  {number}. {session}" for number, session in enumerate(scenario.sessions)]
    hint = "  (its parent kills its workers in real time: repeating the failure may take several tries)"
    return "\n".join(
        [
            f"seed {result.seed} failed: {scenario}",
            *sessions,
            *result.failures,
            f"again: {command_for(result.seed, options)}",
            *([hint] if scenario.in_real_time else []),
        ]
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"the number of runs (default: {RUNS})")
    parser.add_argument("--first", type=int, default=1, help="the first seed; the others follow it (default: 1)")
    parser.add_argument("--seed", type=int, nargs="+", help="run only these seeds")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes (default: one a core)"
    )
    parser.add_argument("--stop", action="store_true", help="stop after the first run that fails")
    parser.add_argument("--tally", type=Path, metavar="FILE", help="save the result to a file, as JSON")
    parser.add_argument("--deviations", action="store_true", help="let services deviate from their documents as well")
    parser.add_argument(
        "--provider",
        nargs="+",
        default=[],
        choices=list(load_providers()),
        metavar="PROVIDER",
        help="choose from these providers only (default: all); a seed is another run with other ones",
    )
    parser.add_argument("--without", choices=STEPS, metavar="STEP", help=f"leave out a step: {', '.join(STEPS)}")
    return parser


def _seconds_since(began: float) -> int:
    return int(time.monotonic() - began)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
