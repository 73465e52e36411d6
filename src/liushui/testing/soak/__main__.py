"""`python -m liushui.testing.soak`: many runs, or one again, and the tally of what they met."""

import argparse
import gc
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

import msgspec

from liushui.provider import Provider
from liushui.providers import providers
from liushui.sync.proofs import Proofs
from liushui.testing.soak.run import Outcome, Run
from liushui.testing.soak.script import script_of
from liushui.testing.soak.stage import Shelf
from liushui.testing.soak.tally import Tally, lines, never_met

RUNS: Final = 300
MEMORY: Final = Path("/dev/shm")  # noqa: S108 # folders are made in it under names of their own
"""Where files are kept in memory: nothing here has to outlast the machine."""
SAID_EVERY: Final = 500

_outcome_of = msgspec.json.Decoder(Outcome).decode


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that are asked for. 0: all was right in all of them."""
    asked = _parser().parse_args(arguments)
    seeds = range(asked.first, asked.first + asked.runs) if asked.seed is None else range(asked.seed, asked.seed + 1)
    began = time.monotonic()
    tally, failed = Tally(), []
    for done, outcome in enumerate(outcomes(seeds, jobs=asked.jobs, without=asked.without), 1):
        tally.update(outcome.tally)
        if outcome.failures:
            failed.append(outcome.seed)
            _say(told(outcome, without=asked.without))
            if asked.stop:
                break
        if done % SAID_EVERY == 0:
            _say(f"{done} runs of {len(seeds)}, {len(failed)} failed, {_seconds(began)} s")
    _say("\n".join(lines(tally)))
    _say(f"{tally['runs']} runs in {_seconds(began)} s; failed: {', '.join(map(str, sorted(failed))) or 'none'}")
    missed = never_met(tally) if len(seeds) >= RUNS else []
    if missed:
        _say(f"never met: {', '.join(missed)}")
    return 1 if failed or missed else 0


def outcomes(seeds: Sequence[int], *, jobs: int = 1, without: str | None = None) -> Iterator[Outcome]:
    """What came of each seed, as they are done, in so many processes."""
    readers = []
    for job in range(jobs):
        reader, writer = os.pipe()
        if not os.fork():
            os.close(reader)
            _drive(seeds[job::jobs], writer, without)
        os.close(writer)
        readers.append(reader)
    yield from _told(readers)
    codes = [os.wait()[1] for _ in readers]
    if any(codes):
        raise RuntimeError("a process that makes runs fell over: what it says stands above")


def told(outcome: Outcome, *, without: str | None) -> str:
    """A run that failed, for people: what was to happen in it, what was wrong, and how to see it again."""
    script = script_of(outcome.seed, dict(providers()))
    again = f"python -m liushui.testing.soak --seed {outcome.seed}" + (f" --without {without}" if without else "")
    sessions = [f"  {number}. {session}" for number, session in enumerate(script.sessions)]
    chance = "  (its workers are killed from outside, in real time: it may take several tries)"
    return "\n".join(
        [
            f"seed {outcome.seed} failed: {script}",
            *sessions,
            *outcome.failures,
            f"again: {again}",
            *([chance] if script.side_by_side else []),
        ]
    )


def _drive(seeds: Sequence[int], writer: int, without: str | None) -> None:
    """Make runs, and tell of each. Ends the process."""
    code = 1
    try:
        every: dict[str, Provider] = dict(providers())
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="soak-") as made:
            shelf = Shelf(Path(made), every)
            Run(script_of(0, every), shelf, without=None).rehearse()
            gc.freeze()
            for seed in seeds:
                outcome = Run(script_of(seed, every), shelf, without=without).outcome()
                _write(writer, msgspec.json.encode(outcome) + b"\n")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _write(writer: int, line: bytes) -> None:
    while line:
        line = line[os.write(writer, line) :]


def _told(readers: list[int]) -> Iterator[Outcome]:
    """The lines of several pipes, until all of them end."""
    import selectors

    left = dict.fromkeys(readers, b"")
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader, selectors.EVENT_READ)
        while left:
            for key, _ in selector.select():
                found = os.read(key.fd, 1 << 16)
                if not found:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    del left[key.fd]
                    continue
                *whole, left[key.fd] = (left[key.fd] + found).split(b"\n")
                yield from map(_outcome_of, whole)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m liushui.testing.soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the seed of the first one; the others follow it")
    parser.add_argument("--seed", type=int, help="only the run of this seed")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes that make runs")
    parser.add_argument("--stop", action="store_true", help="end with the first one that fails")
    steps = [step.name for step in fields(Proofs)]
    parser.add_argument("--without", choices=steps, metavar="STEP", help=f"leave out a proof: {', '.join(steps)}")
    return parser


def _seconds(began: float) -> int:
    return int(time.monotonic() - began)


def _say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
