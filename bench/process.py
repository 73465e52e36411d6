"""Other processes: runs and measures commands, starts and stops servers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import msgspec

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".cache" / "bench"
"""Files that are kept between runs: results, compiled modules, and the environments of peers."""
PYTHON: Final = sys.executable
LIUSHUI: Final = (PYTHON, "-m", "liushui")
START_S: Final = 60
"""How long a server may take until it answers. Some load a million rows first."""
RUN_S: Final = 3_600


class BenchError(Exception):
    """A measurement failed."""


class Took(NamedTuple):
    """The cost of a command from its start to its end, including its child processes.

    `rss_bytes` is its peak as the system counts it, including the pages of mapped files. `private_bytes` is the sampled
    peak without those pages, or 0 if the system does not report it.
    """

    wall_s: float
    cpu_s: float
    rss_bytes: int
    private_bytes: int
    output: bytes


class _Usage(msgspec.Struct):
    wall_s: float
    cpu_s: float
    rss_bytes: int
    private_bytes: int


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    out: Path | None = None,
    codes: Collection[int] = (0,),
) -> Took:
    """Run a command in a separate process and measure it. Raises BenchError if its exit code is not in `codes`.

    Its output is returned, unless it goes to the file `out`.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="liushui-bench-run-"))
        target = subprocess.PIPE if out is None else stack.enter_context(out.open("wb"))
        file = Path(folder) / "took.json"
        wrapper = [PYTHON, "-I", "-S", str(ROOT / "bench" / "child.py"), str(file), *command]
        done = subprocess.run(
            wrapper,
            cwd=ROOT,
            env=_environment(env),
            stdout=target,
            stderr=subprocess.PIPE,
            timeout=RUN_S,
            check=False,
        )
        if done.returncode not in codes:
            told = (done.stderr.strip() or done.stdout or b"").decode(errors="replace")  # a sync tells it in its result
            raise BenchError(f"{_command_text(command)} failed with {done.returncode}: {told.strip()[-2_000:]}")
        usage = msgspec.json.decode(file.read_bytes(), type=_Usage)
    return Took(usage.wall_s, usage.cpu_s, usage.rss_bytes, usage.private_bytes, done.stdout or b"")


class Server(NamedTuple):
    """A server on the loopback address. `session`: the session id of its processes."""

    port: int
    session: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """The processor time of its processes so far. The value is 0 if the system does not report it."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:  # it has ended in the meantime
                continue
            if int(fields[_SESSION]) == self.session:
                ticks += int(fields[_USER]) + int(fields[_SYSTEM])
        return ticks / os.sysconf("SC_CLK_TCK")


_SESSION, _USER, _SYSTEM = 3, 11, 12
"""Indexes of fields in /proc/<pid>/stat, after the command's name."""


@contextmanager
def serving(
    command: Sequence[str], *, port: int, env: Mapping[str, str] | None = None, log: Path, path: str = "/"
) -> Iterator[Server]:
    """A server on a port, which answers HTTP at `path`, until the block ends. Its messages go to `log`."""
    with log.open("wb") as messages:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            start_new_session=True,
        )
        try:
            _wait_for(process, port, path, log)
            yield Server(port, process.pid)
        finally:
            stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a server that was started in its own session, and its workers."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", port: int, path: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
        except (OSError, HTTPException):
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    messages = log.read_text(encoding="utf-8", errors="replace").strip()[-2_000:]
    raise BenchError(f"a server did not start: {messages or 'it printed nothing'}")


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of a contestant. Its compiled modules are cached, so that only the first run compiles them."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ours = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONPYCACHEPREFIX": str(CACHE / "bytecode")}
    return {**kept, **ours, **(more or {})}


def _command_text(command: Sequence[str]) -> str:
    return " ".join(part if len(part) < 60 else part[:57] + "…" for part in command)
