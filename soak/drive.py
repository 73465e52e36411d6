"""Many runs in several processes, told of as they are done. A run that fails, falls over or hangs stops no other."""

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
from soak.script import script_of
from soak.stage import Shelf

MEMORY: Final = Path("/dev/shm")  # noqa: S108 # folders are made in it under names of their own
"""Where files are kept in memory: nothing here has to outlast the machine."""
PREFIX: Final = "soak-"
RUN_MAX_S: Final = 600
"""Seconds after which a run is given up: hundreds of times as long as the longest ones take."""
COLLECTED_EVERY: Final = 10
"""Runs after which what they left is collected: looking for it all the time takes a tenth of the time."""
CHUNK: Final = 1 << 16
REHEARSED: Final = 0
"""The seed of what is rehearsed."""

_outcome_of = msgspec.json.Decoder(RunResult).decode


class Hung(Exception):
    """A run did not come to its end."""


def outcomes(seeds: Sequence[int], *, jobs: int = 1, without: str | None = None) -> Iterator[RunResult]:
    """What came of each seed, as they are done, in so many processes. `without`: a step of the proof that is left out.

    Raises RuntimeError where a process that makes runs falls over itself.
    """
    pipes: list[int] = []
    for job in range(jobs):
        reader, writer = os.pipe()
        if not os.fork():
            for other in (*pipes, reader):
                os.close(other)
            _drive(seeds[job::jobs], writer, without)
        os.close(writer)
        pipes.append(reader)
    yield from _told(pipes)
    codes = [os.wait()[1] for _ in pipes]
    if any(codes):
        raise RuntimeError("a process that makes runs fell over: what it says stands above")


def _drive(seeds: Sequence[int], writer: int, without: str | None) -> NoReturn:
    """Make runs one after the other, tell of each, and end the process."""
    code = 1
    try:
        every = dict(load_providers())
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix=PREFIX) as made:
            shelf = Shelf(Path(made), every)
            Run(script_of(REHEARSED, every), shelf, without=None).rehearse()
            gc.freeze()
            gc.disable()
            signal.signal(signal.SIGALRM, _give_up)
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it leaves no folder behind
            for number, seed in enumerate(seeds, 1):
                _write(writer, msgspec.json.encode(_outcome(seed, every, shelf, without)) + b"\n")
                if number % COLLECTED_EVERY == 0:
                    gc.collect()
        code = 0
    except (BrokenPipeError, KeyboardInterrupt):
        code = 0  # nobody wants to know any more
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _outcome(seed: int, every: dict[str, Provider], shelf: Shelf, without: str | None) -> RunResult:
    """What came of a seed, whatever that was."""
    signal.alarm(RUN_MAX_S)
    try:
        return Run(script_of(seed, every), shelf, without=without).outcome()
    except Exception:
        return RunResult(seed, {"runs": 1}, [f"the run fell over: {traceback.format_exc()}"])
    finally:
        signal.alarm(0)


def _give_up(_signal: int, _frame: object) -> None:
    raise Hung(f"it was not over after {RUN_MAX_S} s")


def _write(writer: int, line: bytes) -> None:
    while line:
        line = line[os.write(writer, line) :]


def _told(pipes: list[int]) -> Iterator[RunResult]:
    """The lines of several pipes, until all of them end."""
    begun = dict.fromkeys(pipes, b"")
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while begun:
            for key, _ in selector.select():
                found = os.read(key.fd, CHUNK)
                if found:
                    *lines, begun[key.fd] = (begun[key.fd] + found).split(b"\n")
                    yield from map(_outcome_of, lines)
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    del begun[key.fd]
