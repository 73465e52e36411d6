"""A process that runs beside a server and ends with it, however that one ends; begun again where it ends by itself."""

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

AGAIN_S: Final = 5
"""How long a process that ended by itself is left alone."""
STOP_S: Final = 10


class Command(NamedTuple):
    """What runs beside a server. It is to end when its standard input does; what is secret is in its environment."""

    words: Sequence[str]
    environment: Mapping[str, str]
    quiet: bool = False
    """Whether what it says goes nowhere."""


class ChildProcess:
    """Runs a command. Use it as a context."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, name="beside", daemon=True)

    def __enter__(self) -> "ChildProcess":
        self._process = self._begin()
        self._keeper.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        process = self._process
        if process is not None:
            _end(process)
        self._keeper.join()

    def _begin(self) -> subprocess.Popen[bytes]:
        """A session of its own: an interrupt from the terminal is the server's, which ends this one."""
        return subprocess.Popen(  # noqa: S603 - our own program
            self._command.words,
            env={**os.environ, **self._command.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if self._command.quiet else None,
            start_new_session=True,
        )

    def _keep(self) -> None:
        while self._process is not None:
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            if self._over.wait(AGAIN_S):
                return
            self._process = self._begin()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
