"""Where the ledgers of tests stand, on every engine: files in a folder, databases of a PostgreSQL of their own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Final, Protocol

import psycopg

from liushui.ledger.engine import open_ledger
from liushui.ledger.engines.postgres import MARK
from liushui.ledger.schema import REVISION, metadata
from liushui.ledger.unfinished import copying
from liushui.testing.postgres import Postgres, running

SQLITE, POSTGRESQL = "sqlite", "postgresql"
ENGINES: Final = (SQLITE, POSTGRESQL)


class Shelf(Protocol):
    """Where the ledgers of one test stand, each under a name."""

    engine: str

    def url(self, name: str = "ledger.db") -> str:
        """What opens the ledger of that name, whether it is there or not."""
        ...

    def fresh(self, name: str = "ledger.db") -> str:
        """What opens an empty ledger of that name. What was in it is gone; nobody may have it open."""
        ...


class Files:
    """A folder with an SQLite file a ledger."""

    engine = SQLITE

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, name: str = "ledger.db") -> str:
        """The path of a file."""
        return str(self.folder / name)

    def fresh(self, name: str = "ledger.db") -> str:
        """The path of a file with an empty ledger."""
        empty = self.folder / "empty"
        if not empty.exists():
            open_ledger(str(empty), create=True).close()
        for path in self.folder.glob(f"{name}*"):
            path.unlink()
        shutil.copyfile(empty, self.folder / name)
        return self.url(name)


class Pool:
    """A server's databases that hold an empty ledger: they are used again, for emptying one is quick."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self._template = server.new_database()
        open_ledger(self._template, create=True).close()
        self._free: list[str] = []

    def take(self) -> str:
        """The URL of a database with an empty ledger that is nobody else's."""
        return self._free.pop() if self._free else self.server.new_database(self._template.rpartition("/")[2])

    def give_back(self, url: str) -> None:
        """Whoever is connected to it, and whatever is in it: it becomes an empty ledger, another one than before."""
        self.server.cut(url)
        with psycopg.connect(url) as connection:
            for table in metadata.sorted_tables:
                connection.execute(f"DELETE FROM {table.name}".encode())
            connection.execute(f"DROP TABLE IF EXISTS {copying.name}".encode())
            connection.execute("UPDATE alembic_version SET version_num = %s", [REVISION])
            connection.execute(f"UPDATE {MARK} SET id = %s".encode(), [token_hex(16)])
        self._free.append(url)


class Databases:
    """Databases of a pool, until the test is over."""

    engine = POSTGRESQL

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._taken: dict[str, str] = {}

    def url(self, name: str = "ledger.db") -> str:
        """The URL of a database."""
        if name not in self._taken:
            self._taken[name] = self._pool.take()
        return self._taken[name]

    def fresh(self, name: str = "ledger.db") -> str:
        """The URL of a database with an empty ledger."""
        if name in self._taken:
            self._pool.give_back(self._taken.pop(name))
        return self.url(name)

    def give_back(self) -> None:
        """The test is over."""
        for url in self._taken.values():
            self._pool.give_back(url)


@contextmanager
def pooling() -> Iterator[Pool]:
    """A pool, on a server of its own."""
    with running() as server:
        yield Pool(server)


def keep_out_of_home(folder: Path) -> None:
    """What belongs to a ledger on a server, on this machine, is kept in a folder."""
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
