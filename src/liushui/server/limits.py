"""Calls counted against a key's rate, in a window that slides, by all the processes that serve one ledger."""

import sqlite3
import threading
from pathlib import Path

from liushui.instant import Clock, to_us
from liushui.provider import Rate

_MICROSECOND_PER = 1_000_000
_FORGET = "DELETE FROM calls WHERE key = ? AND (at_us <= ? OR at_us > ?)"
"""Calls that are too old to count; and those of a clock that was set back since, or a key would be locked out."""


class SharedLimits:
    """Counts in a small SQLite file of its own. It holds nothing worth keeping: a crash may empty it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._local = threading.local()

    def admit(self, key: str, rate: Rate) -> bool:
        """Count one call. False, and not counted, where `rate.calls` were made within the last `rate.per`."""
        connection = self._connection()
        now_us = to_us(self._clock())
        oldest_us = now_us - int(rate.per.total_seconds() * _MICROSECOND_PER)
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(_FORGET, (key, oldest_us, now_us))
            (made,) = connection.execute("SELECT count(*) FROM calls WHERE key = ?", (key,)).fetchone()
            if made < rate.calls:
                connection.execute("INSERT INTO calls VALUES (?, ?)", (key, now_us))
        finally:
            connection.execute("COMMIT")
        return bool(made < rate.calls)

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("CREATE TABLE IF NOT EXISTS calls (key TEXT NOT NULL, at_us INTEGER NOT NULL) STRICT")
            connection.execute("CREATE INDEX IF NOT EXISTS calls_of_key ON calls (key, at_us)")
            self._local.connection = connection
        return connection
