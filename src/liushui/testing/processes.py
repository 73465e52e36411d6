"""liushui's commands in separate processes, as a user runs them: `liushui serve`, `liushui simulate` and others."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, Final, NamedTuple

import msgspec

from liushui.errors import LiushuiError
from liushui.simulate.serve import SimulatorInfo

HOST: Final = "127.0.0.1"
START_S: Final = 60.0
"""The longest time that a server may need to open its ports, on a busy machine."""
STOP_S: Final = 15.0

PORTS: Final = range(10_240, 32_000)
PORT_TRIES: Final = 100


@dataclass(frozen=True)
class Running:
    """A server in another process."""

    url: str
    socket_url: str
    pid: int


def run(
    *arguments: str,
    ledger: Path | str | None = None,
    given: str | None = None,
    codes: Container[int] = (0,),
    timeout_s: float = 120.0,
) -> str:
    """Run a liushui command to its end and return what it printed.

    `given` is its standard input. Raises LiushuiError with the command's messages if its exit code is not in `codes`.
    """
    command = [*command_of(ledger), *arguments]
    done = subprocess.run(  # noqa: S603 - our own program
        command, input=given, capture_output=True, text=True, timeout=timeout_s, env=_environment(), check=False
    )
    if done.returncode not in codes:
        raise LiushuiError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Measured(NamedTuple):
    """How a command ended, and the time and memory that it took."""

    code: int
    output: str
    messages: str
    peak_bytes: int
    """The largest amount of memory that it had at any time."""
    time_s: float


_MEASURE: Final = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL).returncode
with open(sys.argv[1], "w") as file:
    json.dump([code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss], file)
"""
"""Run the command from a small process: Linux counts a process's memory into the peak of its children."""


def measure(*arguments: str, ledger: Path | str | None = None, timeout_s: float = 120.0) -> Measured:
    """Run a liushui command to its end, with any exit code. Raises LiushuiError if it takes too long."""
    begun_s = time.monotonic()
    with NamedTemporaryFile() as used, TemporaryFile("w+") as output, TemporaryFile("w+") as messages:
        command = [sys.executable, "-I", "-S", "-c", _MEASURE, used.name, *command_of(ledger), *arguments]
        with process_of(command, messages, stdout=output.fileno()) as process:
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired as error:
                os.killpg(process.pid, signal.SIGKILL)
                raise LiushuiError(f"{' '.join(arguments)} did not end in {timeout_s:g} s") from error
        time_s = time.monotonic() - begun_s
        code, peak = msgspec.json.decode(used.read(), type=tuple[int, int])
        unit = 1 if sys.platform == "darwin" else 1_024
        return Measured(code, _text_of(output), _text_of(messages), peak * unit, time_s)


@contextmanager
def serving(ledger: Path | str, *options: str, workers: int = 1) -> Iterator[Running]:
    """Serve a ledger on free ports until the block ends. `options` are further options of `liushui serve`."""
    ports = free_port(), free_port()
    command = [*command_of(ledger), "serve", "--workers", str(workers), *_ports(ports), *options]
    with TemporaryFile("w+") as messages, process_of(command, messages) as process:
        _wait_for(process, ports, messages)
        yield Running(f"http://{HOST}:{ports[0]}", f"ws://{HOST}:{ports[1]}", process.pid)


@contextmanager
def simulating(
    *,
    accounts: int = 1,
    flows: int = 1_000,
    seed: int = 1,
    providers: Sequence[str] = ("longbridge",),
    rate_limit: bool = False,
    live: bool = False,
    begin: date | None = None,
    end: date | None = None,
    faults: str = "none",
    fault_seed: int = 1,
) -> Iterator[SimulatorInfo]:
    """Simulate a world on free ports until the block ends. Yields its URLs and credentials.

    Without `providers` every provider is simulated. Flows are in [begin, end); None means the days of `Parameters`.
    Flows in the future appear when their time comes. `faults` names a fault profile.
    """
    ports = free_port(), free_port()
    command = [*command_of(None), "simulate", "--format", "json", *_ports(ports)]
    command += ["--accounts", str(accounts), "--flows", str(flows), "--seed", str(seed)]
    command += [word for name in providers for word in ("--provider", name)]
    command += [word for name, day in (("--begin", begin), ("--end", end)) if day for word in (name, day.isoformat())]
    command += ["--faults", faults, "--fault-seed", str(fault_seed)] if faults != "none" else []
    command += ["--rate-limit" if rate_limit else "--no-rate-limit", "--live" if live else "--no-live"]
    with TemporaryFile("w+") as messages, process_of(command, messages, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise LiushuiError(f"the simulator did not start: {_text_of(messages)}")
        _wait_for(process, ports, messages)
        yield msgspec.json.decode(line, type=SimulatorInfo)


def free_port() -> int:
    """Return a port that is not in use. Outgoing connections use higher ports, so they cannot take it in the
    meantime."""
    for _ in range(PORT_TRIES):
        port = secrets.choice(PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port
    raise LiushuiError(f"no free port was found from {PORTS.start} to {PORTS.stop - 1}")


def is_open(port: int) -> bool:
    """Whether a process listens on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def command_of(ledger: Path | str | None) -> list[str]:
    """The command line that runs liushui with a ledger."""
    return [sys.executable, "-m", "liushui", *(["--ledger", str(ledger)] if ledger else [])]


def _ports(ports: tuple[int, int]) -> list[str]:
    return ["--host", HOST, "--port", str(ports[0]), "--socket-port", str(ports[1])]


def _environment() -> Mapping[str, str]:
    """Return this process's environment without liushui's settings, in UTC."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LIUSHUI_")} | {"TZ": "UTC"}


@contextmanager
def process_of(command: list[str], messages: IO[str], *, stdout: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a process. When the block ends, the process and its workers are ended."""
    process = subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.DEVNULL,
        stdout=messages if stdout is None else stdout,
        stderr=messages,
        text=True,
        env=_environment(),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout:
            process.stdout.close()


def _wait_for(process: subprocess.Popen[str], ports: tuple[int, int], messages: IO[str]) -> None:
    """Return when the server answers on the first port and the second port is open. For the first port, it is not
    enough to be open: it is open before a worker runs.

    Raises LiushuiError with the process's messages if this takes too long.
    """
    end_s = time.monotonic() + START_S
    while not (is_open(ports[1]) and _answers(ports[0], end_s)):
        if process.poll() is not None:
            raise LiushuiError(f"the server ended with {process.returncode}: {_text_of(messages)}")
        if time.monotonic() > end_s:
            raise LiushuiError(f"the server did not answer in {START_S} s: {_text_of(messages)}")
        time.sleep(0.02)


def _answers(port: int, end_s: float) -> bool:
    """Whether a server answers on a port, before a point in time."""
    connection = HTTPConnection(HOST, port, timeout=max(1.0, end_s - time.monotonic()))
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def _text_of(messages: IO[str]) -> str:
    messages.seek(0)
    return messages.read().strip()
