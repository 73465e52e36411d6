"""Run commands as a user does: in this process through the program's entry, or in a separate process."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final
from unittest.mock import patch

from liushui.cli import main
from tests.demo import wait_for_link

LIUSHUI = [sys.executable, "-m", "liushui"]


def environment(ledger: Path) -> dict[str, str]:
    """The environment of a command: this process's, with the ledger named and a wide terminal."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("LIUSHUI_")}
    return variables | {"LIUSHUI_LEDGER": str(ledger), "TZ": "UTC", "COLUMNS": "200"}


def newcomers_environment(home: Path) -> dict[str, str]:
    """The environment of a user with an empty home folder, who has named no ledger.

    Other tests' servers are not seen: their temporary files are elsewhere.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("LIUSHUI_", "XDG_"))}
    own = {"HOME": home, "XDG_DATA_HOME": home / "data", "TMPDIR": home}
    return variables | {name: str(path) for name, path in own.items()} | {"TZ": "UTC", "COLUMNS": "200"}


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


class Terminal(io.StringIO):
    """Standard input at a terminal, with what the user types."""

    def isatty(self) -> bool:
        return True


def run(ledger: Path, *words: str, stdin: str = "", terminal: bool = False) -> Done:
    """Run a command in this process, which saves the second that a new process takes to start."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["liushui", *words]),
        patch.object(sys, "stdin", (Terminal if terminal else io.StringIO)(stdin)),
        patch.dict(os.environ, environment(ledger), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code: object = 0
        except SystemExit as exit_:
            code = exit_.code or 0
    done = Done(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())
    assert "Traceback" not in done.stderr, done.stderr
    return done


def result(ledger: Path, *words: str, returncode: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Run a command that must end with that code (3: its result is not complete), and return the JSON it prints."""
    done = run(ledger, *words, "--format", "json")
    assert done.returncode == returncode, done.stderr
    return json.loads(done.stdout)


def start(ledger: Path, *words: str) -> subprocess.Popen[str]:
    """Start a command in a process of its own. It takes SIGINT even where this process ignores it."""
    return subprocess.Popen(
        [*LIUSHUI, *words],
        env=environment(ledger),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


STOP_S: Final = 60


@contextmanager
def starting(
    command: list[str], environment: dict[str, str], *, before: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """A demo or a server that ends with Ctrl-C after the block. Yields what it printed, once that has its link.

    `before` is called in the new process, before the command.
    """

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        before()

    with TemporaryFile("w+") as messages:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            text=True,
            start_new_session=True,
            preexec_fn=prepare,
        )
        try:
            yield wait_for_link(process, messages)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_S)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def simulator(folder: Path, *words: str) -> Iterator[dict[str, Any]]:
    """Run a simulator on a free port. Yields what it prints; each account's credentials are in `folder`/NAME.json."""
    ports = "--port", "0", "--socket-port", "0"
    process = start(folder / "none.db", "simulate", "--format", "json", "--no-live", *ports, *words)
    try:
        assert process.stdout is not None
        announced: dict[str, Any] = json.loads(process.stdout.readline())
        for account in announced["accounts"]:
            (folder / f"{account['name']}.json").write_text(json.dumps(account["credentials"]))
        yield announced
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
