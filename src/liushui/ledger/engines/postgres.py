"""A ledger in a PostgreSQL database, 15 or later, which Citus may distribute over several nodes.

Rows have the same types as from SQLite: amounts as plain decimal text, numbers as int, texts sorted by their bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Final

import psycopg
import sqlalchemy as sa
from platformdirs import user_config_path, user_state_path
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, RootTransaction
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.exc import DBAPIError

from liushui.errors import CommitOutcomeUnknown, LedgerError
from liushui.instant import Clock, to_us
from liushui.ledger.access.vault import Vault
from liushui.ledger.engines import postgres_connection
from liushui.ledger.engines.base import APPLICATION_ID, REVISION, DataVersion, Ledger, RawConnection, read_revision
from liushui.ledger.engines.postgres_connection import (
    Connector,
    PostgresConnection,
    RawPostgresConnection,
    display_url,
    is_connection_lost,
    statement_error,
)
from liushui.ledger.engines.sql_dialects import POSTGRESQL, to_psycopg
from liushui.ledger.schema import metadata

VERSION_MIN: Final = 15
IDLE_CONNECTIONS_MAX: Final = 4
CONNECTIONS_MAX: Final = 64
"""The most connections of one process: the number of threads that read and write at the same time."""

MARKER_TABLE: Final = "liushui"
"""The table that marks a database schema as a ledger. It contains the ledger's id."""


class PostgresLedger(Ledger):
    """A ledger in a database of its own, or in one schema of a database."""

    sql = POSTGRESQL

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(display_url(url), url, clock)
        self._id: str | None = None

    def _make_engine(self) -> Engine:
        return _engine(self.url)

    @property
    def id(self) -> str:
        """A random id, which is the same for every URL of the ledger."""
        if self._id is None:
            with self.reading() as connection:
                self._id = str(connection.exec_driver_sql(f"SELECT id FROM {MARKER_TABLE}").scalar_one())
        return self._id

    @property
    def vault(self) -> Vault:
        return Vault(user_config_path("liushui") / f"{self.id}.key")

    def local_path(self, suffix: str) -> Path:
        folder = user_state_path("liushui")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.id}{suffix}"

    @contextmanager
    def translating_errors(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, psycopg.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise statement_error(self.name, cause) from error

    def raw_connection(self) -> RawConnection:
        return RawPostgresConnection(self.url)

    def data_version(self, connection: RawConnection, accounts: Sequence[str] = ()) -> DataVersion:
        """The last batch of each account. Keys belong to no account, so a change of a key is not visible here."""
        if not accounts:
            return None
        placeholders = ", ".join("?" * len(accounts))
        heads = f"SELECT account, head FROM accounts WHERE account IN ({placeholders}) ORDER BY account"
        return tuple(connection.execute(heads, accounts).fetchall())

    def revision(self) -> str | None:
        with self.reading() as connection:
            _check_server(self.name, connection)
            schema = connection.exec_driver_sql("SELECT current_schema()").scalar()
            if schema is None:
                raise LedgerError(f"{self.name}: the user's search_path names no existing schema: create one")
            tables = {str(row[0]) for row in connection.exec_driver_sql(_SELECT_TABLES)}
            if MARKER_TABLE in tables:
                return read_revision(connection)
        if tables:
            raise LedgerError(
                f"{self.name} contains tables of another program ({', '.join(sorted(tables)[:3])}): "
                "give the ledger a database, or a schema, of its own"
            )
        return None

    def migrate(self, migrations: Callable[[Connection], None]) -> None:
        with self.writing() as connection:
            # A schema that does not exist yet has no row to lock, so an advisory lock keeps out other processes.
            connection.exec_driver_sql(_LOCK_SCHEMA, (APPLICATION_ID,))
            if read_revision(connection) != REVISION:
                connection.exec_driver_sql(_CREATE_MARKER)
                connection.exec_driver_sql(_INSERT_MARKER, (token_hex(16), to_us(self.clock())))
                migrations(connection)
                if self.is_distributed(connection):
                    _distribute(connection)

    def distribute(self) -> int:
        with self.writing() as connection:
            if not _driver(connection).has_citus:
                raise LedgerError(
                    f"{self.name} has no Citus: `CREATE EXTENSION citus` on each of its nodes, then try again"
                )
            connection.exec_driver_sql(_LOCK_SCHEMA, (APPLICATION_ID,))
            return _distribute(connection)

    def integrity_errors(self, connection: Connection) -> Iterator[str]:
        for (name,) in connection.exec_driver_sql(_SELECT_INVALID_INDEXES):
            yield f"the index {name} is not valid: REINDEX it"

    def compact(self, tables: Sequence[str] = ()) -> str:
        # FULL writes each table into a new file. A VACUUM without it only marks the space of deleted rows as free.
        names = tables or [table.name for table in metadata.sorted_tables]
        with self.translating_errors(), self.engine.connect() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            for name in names:
                connection.exec_driver_sql(f"VACUUM (FULL) {name}")
        return "the server's write-ahead log, its replicas and its archives, until they are recycled"

    def is_distributed(self, connection: Connection) -> bool:
        return _driver(connection).has_citus and ROOT_TABLE in _distributed_tables(connection)

    @contextmanager
    def tolerating_damage(self, connection: Connection) -> Iterator[None]:  # noqa: ARG002
        yield  # the server itself raises for damaged text, and this cannot be turned off

    def _on_begin(self, connection: Connection) -> None:
        if _driver(connection).has_citus:
            # A session's settings do not reach the other nodes, but those of a transaction do.
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{postgres_connection.BUSY_TIMEOUT_S}s'")

    def _commit(self, transaction: RootTransaction) -> None:
        try:
            transaction.commit()
        except (DBAPIError, psycopg.Error) as error:
            if is_connection_lost(error.orig if isinstance(error, DBAPIError) else error):
                raise CommitOutcomeUnknown(
                    f"the connection to {self.name} was lost while a commit was under way: "
                    "check whether it is there before you try again"
                ) from error
            raise

    def _reading_options(self) -> dict[str, object]:
        # REPEATABLE READ takes one snapshot for the whole transaction; the default takes one for each statement.
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def _writing_options(self) -> dict[str, object]:
        # READ COMMITTED, the default: a writer that waited for an account's lock must see the changes that the other
        # writer committed.
        return {}


_SELECT_TABLES: Final = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
"""
"""Select the tables in the schema, except those of an extension."""

_SELECT_INVALID_INDEXES: Final = """
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND NOT i.indisvalid
"""

_LOCK_SCHEMA: Final = "SELECT pg_advisory_xact_lock(?)"
_CREATE_MARKER: Final = f"""
CREATE TABLE IF NOT EXISTS {MARKER_TABLE} (
  one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), id TEXT NOT NULL, made_at_us BIGINT NOT NULL
)
"""
_INSERT_MARKER: Final = f"INSERT INTO {MARKER_TABLE} (id, made_at_us) VALUES (?, ?) ON CONFLICT (one) DO NOTHING"


def _engine(url: str) -> Engine:
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=Connector(url),
        pool_pre_ping=True,  # a connection that was cut while it was idle is replaced without an error
        pool_size=IDLE_CONNECTIONS_MAX,
        max_overflow=CONNECTIONS_MAX - IDLE_CONNECTIONS_MAX,
        use_native_hstore=False,
    )
    event.listen(engine, "before_cursor_execute", _change_placeholders, retval=True)
    return engine


def _change_placeholders(
    _connection: Connection,
    _cursor: object,
    statement: str,
    parameters: object,
    context: ExecutionContext | None,
    _executemany: bool,
) -> tuple[str, object]:
    """For `exec_driver_sql`: statements compiled by SQLAlchemy already have psycopg's placeholders."""
    if context is not None and context.compiled is None:
        return to_psycopg(statement), parameters
    return statement, parameters


def _driver(connection: Connection) -> PostgresConnection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, PostgresConnection):
        raise TypeError("expected a connection of our own")
    return driver


def _check_server(name: str, connection: Connection) -> None:
    info = _driver(connection).info
    if info.server_version < VERSION_MIN * 10_000:
        version = info.parameter_status("server_version")
        raise LedgerError(f"{name}: expected PostgreSQL {VERSION_MIN} or later, the server is {version}")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise LedgerError(f"{name}: expected a database with the encoding UTF8, got {encoding}")


# ---------------------------------------------------------------- Citus

ROOT_TABLE: Final = "accounts"
"""The table that the other tables of accounts are colocated with."""


def _distributed_tables(connection: Connection) -> set[str]:
    return {str(row[0]) for row in connection.exec_driver_sql(_SELECT_DISTRIBUTED)}


def _distribute(connection: Connection) -> int:
    """Distribute the tables that are not distributed yet, in the caller's transaction. Returns their number.

    A table with the account in its key is distributed by account, colocated with the others. All rows of an account are
    then on one node, and a commit is a transaction of that node. The other tables are small, and copied to all.
    """
    distributed = _distributed_tables(connection)
    new = [table for table in metadata.sorted_tables if table.name not in distributed]
    by_account = [table.name for table in new if "account" in table.primary_key.columns]
    for name in sorted(by_account, key=lambda name: name != ROOT_TABLE):  # the root first, because colocation needs it
        colocation = "" if name == ROOT_TABLE else f", colocate_with => '{ROOT_TABLE}'"
        connection.exec_driver_sql(f"SELECT create_distributed_table(?, 'account'{colocation})", (name,))
    for table in new:
        if table.name not in by_account:
            connection.exec_driver_sql("SELECT create_reference_table(?)", (table.name,))
    return len(new)


_SELECT_DISTRIBUTED: Final = """
SELECT c.relname FROM pg_dist_partition AS p JOIN pg_class AS c ON c.oid = p.logicalrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = current_schema()
"""
