"""`liushui demo` in a process of its own: five simulated providers, a ledger of their accounts, its pages."""

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
from liushui.testing.server import HOST, command_of, free_port, process_of

START_S: Final = 120
_LINK = re.compile(r"^http://\S+/login\?code=\S+$", re.MULTILINE)


class Demo(NamedTuple):
    """A demonstration that runs."""

    url: str
    link: str
    """What it printed last: the way into the page, for one browser, once."""
    ledger: Path
    said: str
    """All that it printed."""

    def new_link(self) -> str:
        """Another way in."""
        ledger = open_ledger(str(self.ledger))
        try:
            return login_link(self.url, create_login_code(ledger))
        finally:
            ledger.close()


@contextmanager
def demonstrating(folder: Path, *, flows: int = 300, accounts: int = 1) -> Iterator[Demo]:
    """A demonstration, until the block ends. Raises LiushuiError with what it said where it does not start."""
    path, port = folder / "ledger.db", free_port()
    words = ["demo", "--flows", str(flows), "--accounts", str(accounts), "--host", HOST, "--port", str(port)]
    with TemporaryFile("w+") as messages, process_of([*command_of(path), *words], messages) as process:
        said = _link_in(process, messages)
        yield Demo(f"http://{HOST}:{port}", _LINK.findall(said)[-1], path, said)


def _link_in(process: Popen[str], messages: IO[str]) -> str:
    """What it said until it was ready."""
    end_s = monotonic() + START_S
    while True:
        messages.seek(0)
        said = messages.read()
        if _LINK.search(said):
            return said
        if process.poll() is not None or monotonic() > end_s:
            raise LiushuiError(f"the demonstration did not start: {said.strip()}")
        sleep(0.05)
