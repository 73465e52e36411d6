"""Calls counted against a key's rate, in a window that slides, by all the processes that serve one ledger."""

import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from typing import Final

from liushui.instant import Clock, to_us
from liushui.ledger.engine import write_ahead
from liushui.provider import Rate

WAIT_S: Final = 30
"""How long one waits for another who counts."""

_MICROSECOND = timedelta(microseconds=1)
_FORGET = "DELETE FROM calls WHERE key = ? AND (at_us <= ? OR at_us > ?)"
"""Calls that are too old to count; and those of a clock that was set back since, or a key would be locked out."""


class SharedLimits:
    """Counts in a small SQLite file of its own. It holds nothing worth keeping: a crash may empty it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    def admit(self, key: str, rate: Rate) -> bool:
        """Count one call. False, and not counted, where `rate.calls` were made within the last `rate.per`."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            now_us = to_us(self._clock())  # not before: a call counted while we waited would be of the future
            oldest_us = now_us - rate.per // _MICROSECOND
            connection.execute(_FORGET, (key, oldest_us, now_us))
            (made,) = connection.execute("SELECT count(*) FROM calls WHERE key = ?", (key,)).fetchone()
            if made < rate.calls:
                connection.execute("INSERT INTO calls VALUES (?, ?)", (key, now_us))
        finally:
            connection.execute("COMMIT")
        return bool(made < rate.calls)

    def close(self) -> None:
        """Let the file go, in every thread. Counting again opens it again."""
        self._local = threading.local()
        while self._opened:
            self._opened.pop().close()

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _opened(self._path)
            self._opened.append(connection)
        return connection


def _opened(path: Path) -> sqlite3.Connection:
    """The file, made where it is not there. A thread has a connection of its own, which another may close."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=WAIT_S, check_same_thread=False)
    write_ahead(connection)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE IF NOT EXISTS calls (key TEXT NOT NULL, at_us INTEGER NOT NULL) STRICT")
    connection.execute("CREATE INDEX IF NOT EXISTS calls_of_key ON calls (key, at_us)")
    return connection
