"""A ledger in a PostgreSQL database, 15 or later: its connections, its transactions, and what its errors mean.

Rows come back as SQLite gives them: amounts as plain decimal text, numbers as int, texts sorted by their bytes.
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
from liushui.ledger.engines import citus, postgres_connection
from liushui.ledger.engines.base import Ledger, RawConnection, State, revision_in
from liushui.ledger.engines.postgres_connection import Connector, Driver, ReadingDriver, shown_url
from liushui.ledger.engines.postgres_errors import in_plain_words, is_lost
from liushui.ledger.engines.sql_dialects import POSTGRESQL, to_psycopg
from liushui.ledger.schema import APPLICATION_ID, REVISION

VERSION_MIN: Final = 15
CONNECTIONS_KEPT: Final = 4
CONNECTIONS_MAX: Final = 64
"""Connections of one process: as many as its threads read and write at once."""

MARK: Final = "liushui"
"""The table that marks a schema as a ledger, and holds its id."""


class PostgresLedger(Ledger):
    """A ledger in a database, or in one schema of it, that nothing else is in."""

    sql = POSTGRESQL

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(shown_url(url), url, _engine(url), clock)
        self._id: str | None = None

    @property
    def id(self) -> str:
        """What tells this ledger from every other one, wherever it is reached from."""
        if self._id is None:
            with self.reading() as connection:
                self._id = str(connection.exec_driver_sql(f"SELECT id FROM {MARK}").scalar_one())
        return self._id

    @property
    def vault(self) -> Vault:
        return Vault(user_config_path("liushui") / f"{self.id}.key")

    def beside(self, suffix: str) -> Path:
        folder = user_state_path("liushui")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.id}{suffix}"

    @contextmanager
    def plain_words(self) -> Iterator[None]:
        """Turn the database's errors into a LedgerError of one line."""
        try:
            yield
        except (DBAPIError, psycopg.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise in_plain_words(self.name, cause) from error

    def reading_driver(self) -> RawConnection:
        return ReadingDriver(self.url)

    def state(self, bare: RawConnection, accounts: Sequence[str] = ()) -> State:
        """Where the accounts' chains have come to. Of keys there is nothing to tell it by: each is asked for."""
        if not accounts:
            return None
        heads = f"{_HEADS} ({', '.join('?' * len(accounts))}) ORDER BY account"
        return tuple(bare.execute(heads, accounts).fetchall())

    def revision(self) -> str | None:
        with self.reading() as connection:
            _check_server(self.name, connection)
            schema = connection.exec_driver_sql("SELECT current_schema()").scalar()
            if schema is None:
                raise LedgerError(f"{self.name}: the user's search_path names no schema that is there: make one")
            tables = {str(row[0]) for row in connection.exec_driver_sql(_TABLES)}
            if MARK in tables:
                return revision_in(connection)
        if tables:
            raise LedgerError(
                f"{self.name} holds tables of another program ({', '.join(sorted(tables)[:3])}): "
                "give the ledger a database, or a schema, of its own"
            )
        return None

    def migrate(self, migrations: Callable[[Connection], None]) -> None:
        with self.writing() as connection:
            connection.exec_driver_sql(_LOCK_SCHEMA, (APPLICATION_ID,))
            if revision_in(connection) != REVISION:
                connection.exec_driver_sql(_MAKE_MARK)
                made = (token_hex(16), to_us(self.clock()))
                connection.exec_driver_sql(_SET_MARK, made)
                migrations(connection)
                if self.is_spread(connection):
                    citus.distribute(connection)

    def distribute(self) -> int:
        """Spread the tables over the nodes of Citus, those of an account together. How many were not spread before.

        Raises LedgerError where the database has no Citus.
        """
        with self.writing() as connection:
            if not _driver(connection).has_citus:
                raise LedgerError(
                    f"{self.name} has no Citus: `CREATE EXTENSION citus` on each of its nodes, then do this again"
                )
            connection.exec_driver_sql(_LOCK_SCHEMA, (APPLICATION_ID,))
            return citus.distribute(connection)

    def own_check(self, connection: Connection) -> Iterator[str]:
        for (name,) in connection.exec_driver_sql(_BROKEN_INDEXES):
            yield f"the index {name} is not valid: REINDEX it"

    def is_spread(self, connection: Connection) -> bool:
        return _driver(connection).has_citus and citus.FIRST in citus.distributed(connection)

    @contextmanager
    def lenient(self, connection: Connection) -> Iterator[None]:  # noqa: ARG002 - the server hands out no broken text
        yield

    def _begun(self, connection: Connection) -> None:
        if _driver(connection).has_citus:  # what a session sets does not reach its nodes; what a transaction sets does
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{postgres_connection.BUSY_TIMEOUT_S}s'")

    def _commit(self, transaction: RootTransaction) -> None:
        try:
            transaction.commit()
        except (DBAPIError, psycopg.Error) as error:
            if is_lost(error.orig if isinstance(error, DBAPIError) else error):
                raise CommitOutcomeUnknown(
                    f"the connection to {self.name} was lost while a commit was under way: "
                    "look whether it is there before you do the same again"
                ) from error
            raise

    def _reading_options(self) -> dict[str, object]:
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def _writing_options(self) -> dict[str, object]:
        return {}


_HEADS: Final = "SELECT account, head FROM accounts WHERE account IN"
_TABLES: Final = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
"""
"""What is in the schema, but for what an extension put there."""

_BROKEN_INDEXES: Final = """
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND NOT i.indisvalid
"""

_LOCK_SCHEMA: Final = "SELECT pg_advisory_xact_lock(?)"
_MAKE_MARK: Final = f"""
CREATE TABLE IF NOT EXISTS {MARK} (
  one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), id TEXT NOT NULL, made_at_us BIGINT NOT NULL
)
"""
_SET_MARK: Final = f"INSERT INTO {MARK} (id, made_at_us) VALUES (?, ?) ON CONFLICT (one) DO NOTHING"


def _engine(url: str) -> Engine:
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=Connector(url),
        pool_pre_ping=True,
        pool_size=CONNECTIONS_KEPT,
        max_overflow=CONNECTIONS_MAX - CONNECTIONS_KEPT,
        use_native_hstore=False,
    )
    event.listen(engine, "before_cursor_execute", _translate, retval=True)
    return engine


def _translate(
    _connection: Connection,
    _cursor: object,
    statement: str,
    parameters: object,
    context: ExecutionContext | None,
    _executemany: bool,
) -> tuple[str, object]:
    """Change the placeholders of statements that SQLAlchemy did not compile: those are ours."""
    if context is not None and context.compiled is None:
        return to_psycopg(statement), parameters
    return statement, parameters


def _driver(connection: Connection) -> Driver:
    found = connection.connection.driver_connection
    if not isinstance(found, Driver):
        raise TypeError("expected a connection of our own")
    return found


def _check_server(name: str, connection: Connection) -> None:
    info = _driver(connection).info
    if info.server_version < VERSION_MIN * 10_000:
        version = info.parameter_status("server_version")
        raise LedgerError(f"{name}: expected PostgreSQL {VERSION_MIN} or later, the server is {version}")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise LedgerError(f"{name}: expected a database with the encoding UTF8, got {encoding}")
