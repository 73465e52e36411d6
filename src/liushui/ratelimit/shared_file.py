"""A small SQLite file that processes share and that holds nothing worth keeping: a crash may empty it."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from liushui.ledger.engines.sqlite import write_ahead

WAIT_S: Final = 30
"""How long one waits for another who writes."""


class Scratch:
    """A file, made where it is not there, with the tables of `schema`. Every thread may use it."""

    def __init__(self, path: Path, schema: tuple[str, ...]) -> None:
        self.path = path
        self._schema = schema
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes beside. What is read in it is of now."""
        connection = self.connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    def connection(self) -> sqlite3.Connection:
        """This thread's connection: each of its statements is a transaction of its own."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._open()
            self._opened.append(connection)
        return connection

    def close(self) -> None:
        """Let the file go, in every thread. Using it again opens it again."""
        self._local = threading.local()
        while self._opened:
            self._opened.pop().close()

    def _open(self) -> sqlite3.Connection:
        """A connection. One thread has it, and another may close it."""
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=WAIT_S, check_same_thread=False)
        write_ahead(connection)
        connection.execute("PRAGMA synchronous = OFF")
        for statement in self._schema:
            connection.execute(statement)
        return connection
