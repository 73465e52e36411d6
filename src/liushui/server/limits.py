"""Calls counted against a rate, in a window that slides, and sessions begun, by all processes that serve one ledger."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from liushui.instant import Clock, from_us, to_us
from liushui.ledger.engine import write_ahead
from liushui.provider import Tally
from liushui.rules import Rate

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

    def admit(self, name: str, rate: Rate) -> Tally:
        """Count one call. It is not admitted, and not counted, where `rate.calls` were within the last `rate.per`."""
        with self._writing() as connection:
            now_us = to_us(self._clock())  # not before: a call counted while we waited would be of the future
            oldest_us = now_us - rate.per // _MICROSECOND
            connection.execute(_FORGET, (name, oldest_us, now_us))
            (made,) = connection.execute("SELECT count(*) FROM calls WHERE key = ?", (name,)).fetchone()
            if made >= rate.calls:
                return Tally(admitted=False, used=made)
            connection.execute("INSERT INTO calls VALUES (?, ?)", (name, now_us))
            return Tally(admitted=True, used=made + 1)

    def session(self, name: str, life: timedelta) -> datetime:
        """When the session of that name began: the same instant for `life`, then a new one, now."""
        with self._writing() as connection:
            now_us = to_us(self._clock())
            found = connection.execute("SELECT began_us FROM sessions WHERE name = ?", (name,)).fetchone()
            if found is not None and found[0] <= now_us < found[0] + life // _MICROSECOND:
                return from_us(found[0])
            connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?)", (name, now_us))
            return from_us(now_us)

    def close(self) -> None:
        """Let the file go, in every thread. Counting again opens it again."""
        self._local = threading.local()
        while self._opened:
            self._opened.pop().close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

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
    connection.execute("CREATE TABLE IF NOT EXISTS sessions (name TEXT PRIMARY KEY, began_us INTEGER NOT NULL) STRICT")
    connection.execute("CREATE INDEX IF NOT EXISTS calls_of_key ON calls (key, at_us)")
    return connection
