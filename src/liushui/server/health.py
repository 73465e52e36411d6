"""Health checks of a server: whether the process answers (/healthz), and whether it can work (/readyz)."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from liushui.errors import LedgerError, LiushuiError
from liushui.ledger.engine import Ledger, file_of
from liushui.ledger.engines.base import REVISION

HEALTH_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"

READY_TIMEOUT_S: Final = 5
"""How long the ledger may take to answer before the server counts as not ready."""

HEADERS: Final = [
    ("content-type", "application/json"),
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
]

_log = logging.getLogger(__name__)


class Health:
    """Answers the health checks of one server process. They need no credentials, and say nothing about the ledger.

    `check` raises LiushuiError if the server cannot work. It runs in a thread, at most once at a time; other health
    checks wait for its result.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._running: asyncio.Task[str] | None = None

    async def answer(self, path: str) -> tuple[int, bytes] | None:
        """The status and the JSON body for a path. None: the path is not a health check."""
        if path == HEALTH_PATH:
            return 200, _ALIVE
        if path != READY_PATH:
            return None
        reason = await self._reason()
        return (503, msgspec.json.encode({"status": "not ready", "reason": reason})) if reason else (200, _READY)

    async def _reason(self) -> str:
        """Return why the server is not ready; empty if it is."""
        if self._running is None:
            self._running = asyncio.create_task(asyncio.to_thread(self._run))
            self._running.add_done_callback(self._forget)
        try:
            # Shielded: one caller's timeout or disconnect must not end the check that others wait for.
            return await asyncio.wait_for(asyncio.shield(self._running), READY_TIMEOUT_S)
        except TimeoutError:
            return f"the ledger did not answer within {READY_TIMEOUT_S:g} s"

    def _forget(self, _task: object) -> None:
        self._running = None

    def _run(self) -> str:
        try:
            self._check()
        except LiushuiError as error:
            # The log has the details. Anybody can read the answer, and an error may name files and hosts.
            _log.warning("not ready: %s", error)
            return "the ledger cannot be used: see the server's log"
        return ""


_ALIVE: Final = b'{"status":"alive"}'
_READY: Final = b'{"status":"ready"}'


def check_ledger(ledger: Ledger) -> None:
    """Raise LedgerError unless the ledger can be read and has the schema of this version."""
    path = file_of(ledger.url)
    if path is not None and not path.exists():  # open connections still read a file that was deleted or moved away
        raise LedgerError(f"{path} is not there any more")
    revision = ledger.revision()
    if revision != REVISION:
        raise LedgerError(f"{ledger.name} has the schema {revision}, and this liushui works with {REVISION}")
