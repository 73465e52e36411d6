"""Running the command line as a user does: in a process of its own."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from liushui.cli import main

LIUSHUI = [sys.executable, "-m", "liushui"]


def environment(ledger: Path) -> dict[str, str]:
    """This environment, with the ledger named and no terminal's width."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIUSHUI_")}
    return kept | {"LIUSHUI_LEDGER": str(ledger), "TZ": "UTC", "COLUMNS": "200"}


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


def run(ledger: Path, *words: str, stdin: str = "", terminal: bool = False) -> Done:
    """Run a command to its end, through the program's own entry, in this process: starting one costs a second."""
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
        except SystemExit as ended:
            code = ended.code or 0
    done = Done(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())
    assert "Traceback" not in done.stderr, done.stderr
    return done


def result(ledger: Path, *words: str) -> Any:  # noqa: ANN401 - JSON
    """What a command that succeeds prints as JSON."""
    done = run(ledger, *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def start(ledger: Path, *words: str) -> subprocess.Popen[str]:
    """Begin a command that a signal will end. It takes interrupts even where this process ignores them."""
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


@contextmanager
def simulator(folder: Path, *words: str) -> Iterator[dict[str, Any]]:
    """A simulator on a free port: what it printed, with each account's credentials in a file of its name."""
    process = start(folder / "none.db", "simulate", "--format", "json", "--port", "0", "--socket-port", "0", *words)
    try:
        assert process.stdout is not None
        found: dict[str, Any] = json.loads(process.stdout.readline())
        for account in found["accounts"]:
            (folder / f"{account['name']}.json").write_text(json.dumps(account["credentials"]))
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
