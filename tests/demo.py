"""`liushui demo` in a separate process: simulated providers, a ledger of their accounts, and its pages."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryFile
from time import monotonic, sleep
from typing import IO, Final, NamedTuple

from liushui.errors import LiushuiError
from liushui.ledger.access.sessions import create_login_code
from liushui.ledger.engine import open_ledger
from liushui.services.access import login_link
from liushui.testing.processes import HOST, command_of, free_port, process_of

START_S: Final = 180
LINK: Final = re.compile(r"^(?:open )?(http://\S+/login\?code=\S+)$", re.MULTILINE)


class Demo(NamedTuple):
    """A running demo."""

    url: str
    link: str
    """The login link that it printed. It works once."""
    ledger: Path
    said: str
    """Everything that it printed."""

    def new_link(self) -> str:
        """Another login link."""
        ledger = open_ledger(str(self.ledger))
        try:
            return login_link(self.url, create_login_code(ledger))
        finally:
            ledger.close()


@contextmanager
def running_demo(folder: Path, *, flows: int = 300, accounts: int = 1) -> Iterator[Demo]:
    """A demo, until the block ends. Raises LiushuiError with its messages where it does not start."""
    path, port = folder / "ledger.db", free_port()
    words = ["demo", "--flows", str(flows), "--accounts", str(accounts), "--host", HOST, "--port", str(port)]
    with TemporaryFile("w+") as messages, process_of([*command_of(path), *words], messages) as process:
        said = wait_for_link(process, messages)
        yield Demo(f"http://{HOST}:{port}", LINK.findall(said)[-1], path, said)


def wait_for_link(process: Popen[str], messages: IO[str]) -> str:
    """What a demo or a server printed until it was ready. Raises LiushuiError where it does not get there."""
    end_s = monotonic() + START_S
    while True:
        messages.seek(0)
        said = messages.read()
        if LINK.search(said):
            return said
        if process.poll() is not None or monotonic() > end_s:
            raise LiushuiError(f"it did not start: {said.strip()}")
        sleep(0.05)
