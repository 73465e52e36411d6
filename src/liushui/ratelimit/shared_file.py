"""What processes of one machine share about calls, in a small SQLite file. Nothing in it has to survive a crash."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from liushui.instant import Clock, to_us
from liushui.ratelimit.pacing import next_call
from liushui.rules import Rate

LOCK_TIMEOUT_S: Final = 30
MICROSECOND: Final = timedelta(microseconds=1)

_CALLS: Final = (
    "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, key TEXT NOT NULL, end_us INTEGER NOT NULL, "
    "under_way INTEGER NOT NULL) STRICT",
    "CREATE INDEX IF NOT EXISTS calls_of_key ON calls (key, end_us, under_way)",
)


class Window(NamedTuple):
    """The calls of a key that count now, and when the next one may begin."""

    calls: int
    next_us: int
    is_one_under_way: bool


class SharedCalls:
    """Calls by key and time, in a file that any thread of any process may use. It is made when it is first used.

    A subclass adds its own tables. Using it after `close` opens it again.
    """

    tables: Sequence[str] = ()
    """Statements that make a subclass's own tables where they are not there yet."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self._clock = path, clock
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    def close(self) -> None:
        """Close the connections of every thread."""
        self._local = threading.local()
        while self._opened:
            self._opened.pop().close()

    @contextmanager
    def _writing(self) -> Iterator[tuple[sqlite3.Connection, int]]:
        """A transaction that nobody else writes beside, and the time in it, in microseconds."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            # The clock is read after the wait for the lock. A call that was counted meanwhile would else lie in the
            # future, and be taken for one of a clock that was set back.
            yield connection, to_us(self._clock())
        finally:
            connection.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection. Outside `_writing` each of its statements is a transaction of its own."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
            self._opened.append(connection)
        return connection

    def _open(self) -> sqlite3.Connection:
        # Imported here: whoever needs only the name of a class does not wait for SQLAlchemy.
        from liushui.ledger.engines.sqlite import enable_wal

        connection = sqlite3.connect(self.path, isolation_level=None, timeout=LOCK_TIMEOUT_S, check_same_thread=False)
        enable_wal(connection)
        connection.execute("PRAGMA synchronous = OFF")
        for statement in (*_CALLS, *self.tables):
            connection.execute(statement)
        return connection

    @staticmethod
    def _window(
        connection: sqlite3.Connection,
        key: str,
        now_us: int,
        rate: Rate,
        *,
        call_max: timedelta = timedelta(0),
        spacing: timedelta = timedelta(0),
    ) -> Window:
        """The calls of a key in the window that ends now, after older ones have been forgotten."""
        per_us, spacing_us = rate.per // MICROSECOND, spacing // MICROSECOND
        # A call that ends later than any call of now can is of a clock that was set back. It would lock the key out.
        newest_us = now_us + call_max // MICROSECOND
        connection.execute(
            "DELETE FROM calls WHERE key = ? AND (end_us <= ? OR end_us > ?)",
            (key, now_us - max(per_us, spacing_us), newest_us),
        )
        calls, last_us, under_way, nth_last_us = connection.execute(
            "SELECT count(*), max(end_us), max(under_way), "
            "(SELECT end_us FROM calls WHERE key = ?1 ORDER BY end_us DESC LIMIT 1 OFFSET ?2) "
            "FROM calls WHERE key = ?1",
            (key, rate.calls - 1),
        ).fetchone()
        next_us = next_call(now_us, nth_last=nth_last_us, last=last_us, per=per_us, spacing=spacing_us)
        return Window(calls, next_us, bool(under_way))
