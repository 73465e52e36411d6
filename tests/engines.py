"""Ledgers for tests on every engine: files in a folder, databases of a temporary PostgreSQL, schemas on Citus."""

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Final, Protocol
from urllib.parse import quote

import psycopg
import pytest

from liushui.ledger.engine import open_ledger, upgrade_ledger
from liushui.ledger.engines.base import REVISION
from liushui.ledger.engines.postgres import MARKER_TABLE
from liushui.ledger.maintenance.copy_state import copying
from liushui.ledger.schema import metadata
from liushui.testing.empty_ledger import write_empty_file
from tests.compiled import compiling_once_for_server
from tests.postgres import Postgres, running

SQLITE, POSTGRESQL, CITUS = "sqlite", "postgresql", "citus"
CITUS_URL: Final = os.environ.get("LIUSHUI_TEST_CITUS_URL")
"""A Citus database in which tests may create schemas."""

ENGINES: Final = (SQLITE, POSTGRESQL, *([CITUS] if CITUS_URL else []))
SHARDS: Final = 4
_SHARD: Final = re.compile(r"(?<=[a-z])_\d{6,}\b")


class LedgerStore(Protocol):
    """The ledgers of one test, by name."""

    engine: str

    def url(self, name: str = "ledger.db") -> str:
        """The URL or path of the ledger with that name, whether it exists or not."""
        ...

    def fresh(self, name: str = "ledger.db") -> str:
        """The URL or path of an empty ledger with that name. It must not be open; its content is deleted."""
        ...


class SqliteFiles:
    """A folder with an SQLite file for each ledger."""

    engine = SQLITE

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, name: str = "ledger.db") -> str:
        """The path of a file."""
        return str(self.folder / name)

    def fresh(self, name: str = "ledger.db") -> str:
        """The path of a file with an empty ledger."""
        for path in self.folder.glob(f"{name}*"):
            path.unlink()
        write_empty_file(self.folder / name)
        return self.url(name)


class Pool:
    """Empty ledgers on a server. They are reused, because emptying one is faster than creating one."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self._free: list[str] = []
        self._connections: dict[str, psycopg.Connection] = {}
        """By ledger, to empty it: a connection that knows the tables already does that in a tenth of the time."""

    def take(self) -> str:
        """The URL of an empty ledger that nobody else uses."""
        return self._free.pop() if self._free else self.make()

    def make(self) -> str:
        """The URL of a new ledger."""
        raise NotImplementedError

    cutting: tuple[str, ...] = ()
    """Statements that end all other connections to the ledger of a connection."""

    def give_back(self, url: str) -> None:
        """Empty a ledger, whatever it holds and whoever is connected, and give it a new identity."""
        statements = (
            *self.cutting,
            *(f"DELETE FROM {table.name}" for table in metadata.sorted_tables),
            f"DROP TABLE IF EXISTS {copying.name}",
            f"UPDATE alembic_version SET version_num = '{REVISION}'",
            f"UPDATE {MARKER_TABLE} SET id = '{token_hex(16)}'",
        )
        script = "; ".join(statements).encode()
        try:
            self._connection(url).execute(script)
        except psycopg.OperationalError:  # a test restarted the server, or ended all connections
            self._connections.pop(url).close()
            self._connection(url).execute(script)
        self._free.append(url)

    def _connection(self, url: str) -> psycopg.Connection:
        if url not in self._connections:
            # One script is one transaction here too: a test may look at the other connections, and find them idle.
            self._connections[url] = psycopg.connect(url, autocommit=True)
        return self._connections[url]

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()


class DatabasePool(Pool):
    """Databases of a temporary server, copied from a template."""

    cutting = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )

    def __init__(self, server: Postgres) -> None:
        super().__init__(POSTGRESQL)
        self.server = server
        self._template = server.new_database()
        ledger = open_ledger(self._template, create=True)
        self.dialect = ledger.engine.dialect
        ledger.close()

    def make(self) -> str:
        return self.server.new_database(self._template.rpartition("/")[2])


class SchemaPool(Pool):
    """Schemas in a Citus database, each with distributed tables."""

    def __init__(self, url: str) -> None:
        super().__init__(CITUS)
        self._url = url
        self._made: list[str] = []

    def make(self) -> str:
        name = f"shelf_{token_hex(6)}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        self._made.append(name)
        settings = quote(f"-csearch_path={name} -ccitus.shard_count={SHARDS}")
        url = f"{self._url}{'&' if '?' in self._url else '?'}options={settings}"
        upgrade_ledger(url, citus=True)
        return url

    def close(self) -> None:
        """Drop the schemas."""
        super().close()
        with psycopg.connect(self._url, autocommit=True) as connection:
            for name in self._made:
                connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


class PooledLedgers:
    """Ledgers of a pool, for one test."""

    def __init__(self, pool: Pool) -> None:
        self.engine = pool.engine
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
        """Return the ledgers to the pool."""
        for url in self._taken.values():
            self._pool.give_back(url)


@contextmanager
def pooling() -> Iterator[DatabasePool]:
    """A pool of databases on a temporary server."""
    with running() as server:
        pool = DatabasePool(server)
        with closing(pool), compiling_once_for_server(pool.dialect, server.url("")):
            yield pool


@contextmanager
def pooling_schemas(url: str) -> Iterator[SchemaPool]:
    """A pool of schemas, which are dropped when the block ends."""
    pool = SchemaPool(url)
    try:
        yield pool
    finally:
        pool.close()


def store_of(request: pytest.FixtureRequest, folder: Path) -> Iterator[LedgerStore]:
    """A store on the engine that a fixture's parameter names."""
    if request.param == SQLITE:
        yield SqliteFiles(folder)
        return
    pool: Pool = request.getfixturevalue("pool" if request.param == POSTGRESQL else "schemas")
    databases = PooledLedgers(pool)
    yield databases
    databases.give_back()


def unspread(plan: str) -> str:
    """A query plan with the names of tables and indexes instead of Citus's shards."""
    return _SHARD.sub("", plan)


def keep_out_of_home(folder: Path) -> None:
    """Keep the local files of ledgers on servers in a folder, and not in the user's home."""
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
