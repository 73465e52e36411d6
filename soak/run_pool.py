"""Many runs in several processes. A run that fails, raises or hangs does not stop the others."""

import gc
import os
import selectors
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from liushui.provider import Provider
from liushui.providers import load_providers
from soak.run import Run, RunResult
from soak.run_setup import RunFolder
from soak.scenario import Scenario, scenario_of

MEMORY: Final = Path("/dev/shm")  # noqa: S108 # folders are made in it under names of their own
"""Ledgers are kept in memory, because a soak does not have to survive a crash of the machine."""
PREFIX: Final = "soak-"
RUN_MAX_S: Final = 600
"""A run that takes longer than this is given up. The longest ones take a few seconds."""
COLLECT_EVERY: Final = 10
"""Garbage is collected after this number of runs. Collecting all the time takes a tenth of the total time."""
CHUNK: Final = 1 << 16
WARM_UP_SEED: Final = 0


def prefix_of(pid: int) -> str:
    """Return the prefix of the names of a process's run folders."""
    return f"{PREFIX}{pid}-"


_decode_result = msgspec.json.Decoder(RunResult).decode


class Hung(Exception):
    """A run did not end in time."""


def chosen_providers(names: Sequence[str]) -> dict[str, Provider]:
    """Return the providers that runs choose from: those with these names, or all if no name is given."""
    providers = load_providers()
    return {name: providers[name] for name in names} if names else dict(providers)


def run_seeds(
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    without: str | None = None,
    deviations: bool = False,
    providers: Sequence[str] = (),
) -> Iterator[RunResult]:
    """The result of each seed, in the order in which they end, from `jobs` processes.

    `without` names a step of the proof that is left out. `deviations` says whether services deviate from their
    documents. `providers` are the names to choose from; empty means all. A seed gives the same run for the same
    arguments. Raises RuntimeError if a process crashes.
    """
    pipes: list[int] = []
    for job in range(jobs):
        reader, writer = os.pipe()
        if not os.fork():
            for other in (*pipes, reader):
                os.close(other)
            _run_in_child(seeds[job::jobs], writer, without, deviations, providers)
        os.close(writer)
        pipes.append(reader)
    yield from _results_from(pipes)
    codes = [os.wait()[1] for _ in pipes]
    if any(codes):
        raise RuntimeError("a process that makes runs crashed: its traceback is printed above")


def _run_in_child(
    seeds: Sequence[int], writer: int, without: str | None, deviations: bool, names: Sequence[str]
) -> NoReturn:
    """Run the seeds one after the other, write each result, and end the process."""
    code = 1
    try:
        providers = chosen_providers(names)
        with tempfile.TemporaryDirectory(
            dir=MEMORY if MEMORY.is_dir() else None, prefix=prefix_of(os.getppid())
        ) as folder:
            run_folder = RunFolder(Path(folder), providers)
            Run(scenario_of(WARM_UP_SEED, providers), run_folder, without=None).warm_up()
            gc.freeze()
            gc.disable()
            signal.signal(signal.SIGALRM, _raise_hung)
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # this removes the folder
            for number, seed in enumerate(seeds, 1):
                scenario = scenario_of(seed, providers, deviations=deviations)
                _write(writer, msgspec.json.encode(_result_of(scenario, run_folder, without)) + b"\n")
                if number % COLLECT_EVERY == 0:
                    gc.collect()
        code = 0
    except (BrokenPipeError, KeyboardInterrupt):
        code = 0  # the parent has stopped reading
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _result_of(scenario: Scenario, run_folder: RunFolder, without: str | None) -> RunResult:
    """The result of a scenario. An exception is a failure of the run."""
    signal.alarm(RUN_MAX_S)
    try:
        return Run(scenario, run_folder, without=without).result()
    except Exception:
        return RunResult(scenario.seed, {"runs": 1}, [f"the run raised: {traceback.format_exc()}"])
    finally:
        signal.alarm(0)


def _raise_hung(_signal: int, _frame: object) -> None:
    raise Hung(f"it did not end within {RUN_MAX_S} s")


def _write(writer: int, line: bytes) -> None:
    while line:
        line = line[os.write(writer, line) :]


def _results_from(pipes: list[int]) -> Iterator[RunResult]:
    """The results that several pipes bring, until all of them end."""
    partial_lines = dict.fromkeys(pipes, b"")
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while partial_lines:
            for key, _ in selector.select():
                chunk = os.read(key.fd, CHUNK)
                if chunk:
                    *lines, partial_lines[key.fd] = (partial_lines[key.fd] + chunk).split(b"\n")
                    yield from map(_decode_result, lines)
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    del partial_lines[key.fd]
