"""A ledger in a PostgreSQL database, 15 or later: its connections, its transactions, and what its errors mean.

Rows come back as SQLite gives them: amounts as plain decimal text, numbers as int, texts sorted by their bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from platformdirs import user_config_path, user_state_path
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.exc import DBAPIError

from liushui.errors import ConfigError, LedgerBusy, LedgerError
from liushui.instant import Clock, to_us
from liushui.ledger.engines.base import Ledger, revision_in
from liushui.ledger.engines.serving import Bare, Cursor, State
from liushui.ledger.engines.statements import for_postgresql
from liushui.ledger.schema import APPLICATION_ID, REVISION
from liushui.ledger.vault import Vault

VERSION_MIN: Final = 15
BUSY_TIMEOUT_S: Final = 60
"""How long a writer waits for another one."""

CONNECT_TIMEOUT_S: Final = 10
CONNECTIONS_KEPT: Final = 4
CONNECTIONS_MAX: Final = 64
"""Connections of one process: as many as its threads read and write at once."""

MARK: Final = "liushui"
"""The table that marks a schema as a ledger, and holds its id."""


class PostgresLedger(Ledger):
    """A ledger in a database, or in one schema of it, that nothing else is in."""

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
            raise _in_plain_words(self.name, cause) from error

    def reading_driver(self) -> Bare:
        return ReadingDriver(self.url)

    def state(self, bare: Bare, accounts: Sequence[str] = ()) -> State:
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
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(?)", (APPLICATION_ID,))
            if revision_in(connection) != REVISION:
                connection.exec_driver_sql(_MAKE_MARK)
                made = (token_hex(16), to_us(self.clock()))
                connection.exec_driver_sql(_SET_MARK, made)
                migrations(connection)

    def own_check(self, connection: Connection) -> Iterator[str]:
        for (name,) in connection.exec_driver_sql(_BROKEN_INDEXES):
            yield f"the index {name} is not valid: REINDEX it"

    def is_spread(self, connection: Connection) -> bool:
        if connection.exec_driver_sql("SELECT to_regclass('pg_catalog.pg_dist_partition')").scalar() is None:
            return False
        return connection.exec_driver_sql(_SPREAD).first() is not None

    @contextmanager
    def lenient(self, connection: Connection) -> Iterator[None]:  # noqa: ARG002 - the server hands out no broken text
        yield

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

_SPREAD: Final = "SELECT 1 FROM pg_dist_partition WHERE logicalrelid = to_regclass('accounts')"
"""Answered where Citus distributes the accounts."""

_MAKE_MARK: Final = f"""
CREATE TABLE IF NOT EXISTS {MARK} (
  one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one), id TEXT NOT NULL, made_at_us BIGINT NOT NULL
)
"""
_SET_MARK: Final = f"INSERT INTO {MARK} (id, made_at_us) VALUES (?, ?) ON CONFLICT (one) DO NOTHING"


def shown_url(url: str) -> str:
    """A URL as messages show it: without a password, and without what stands behind its path. Raises ConfigError."""
    parts = _parts(url)
    host, user = str(parts.get("host") or ""), parts.get("user")
    host = f"[{host}]" if ":" in host else "" if host.startswith("/") else host
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{f'{user}@' if user else ''}{host}{port}/{parts.get('dbname') or ''}"


def _parts(url: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(url)
    except psycopg.Error:  # its message quotes what it could not read: that may be a password
        raise ConfigError(
            "ledger: expected postgresql://USER@HOST:PORT/DATABASE, got a URL that PostgreSQL cannot read"
        ) from None


def _engine(url: str) -> Engine:
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(url),
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
    """Statements that SQLAlchemy did not put together are ours."""
    if context is not None and context.compiled is None:
        return for_postgresql(statement), parameters
    return statement, parameters


class Driver(psycopg.Connection[Any]):
    """A connection that is let go in peace by who forgets it: a thread that ended, a ledger that nobody closed."""

    def __del__(self, _warn: object = None) -> None:
        self.close()


def connect(url: str, **settings: object) -> psycopg.Connection[Any]:
    """A connection of the driver. Numbers are sent with 64 bits. Raises LedgerError."""
    parts: dict[str, Any] = (
        {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "liushui"} | _parts(url) | settings
    )
    try:
        connection = Driver.connect(**parts)
    except psycopg.OperationalError as error:
        raise _no_connection(shown_url(url), error) from None  # its text may say more than is to be shown
    connection.adapters.register_dumper(int, Int8Dumper)
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    with connection.transaction():
        connection.execute(f"SET lock_timeout = '{BUSY_TIMEOUT_S}s'")
        connection.execute(_DURABLE)
    return connection


_DURABLE: Final = """
SELECT set_config('synchronous_commit', 'on', FALSE) WHERE current_setting('synchronous_commit') = 'off'
"""
"""What is committed is on the server's disk, whatever its settings are."""


class ReadingDriver:
    """A connection to PostgreSQL that prepares each statement once, and connects again where it was cut."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = self._opened()

    def execute(self, statement: str, values: Sequence[object] = (), /) -> Cursor:
        """Run a statement. Where the connection was lost it is run once more on a new one, for it only reads."""
        try:
            return self._run(statement, values)
        except psycopg.OperationalError:
            if not self._connection.broken:
                raise
            self._connection.close()
            self._connection = self._opened()
            return self._run(statement, values)

    def close(self) -> None:
        """Let it go."""
        self._connection.close()

    def _run(self, statement: str, values: Sequence[object]) -> Cursor:
        return self._connection.execute(_bytes(statement), values, prepare=True, binary=True)

    def _opened(self) -> psycopg.Connection[Any]:
        connection = connect(self._url)
        connection.autocommit = True
        connection.execute("SET default_transaction_read_only = on")
        return connection


@lru_cache(maxsize=2_000)
def _bytes(statement: str) -> bytes:
    return for_postgresql(statement).encode()


# ---------------------------------------------------------------- errors


def _check_server(name: str, connection: Connection) -> None:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError("expected a connection of psycopg's")
    if driver.info.server_version < VERSION_MIN * 10_000:
        version = driver.info.parameter_status("server_version")
        raise LedgerError(f"{name}: expected PostgreSQL {VERSION_MIN} or later, the server is {version}")
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise LedgerError(f"{name}: expected a database with the encoding UTF8, got {encoding}")


_NO_CONNECTION: Final = (
    ("password authentication failed", LedgerError, "{name}: the server refuses this password, or this user"),
    ("no password supplied", LedgerError, "{name}: the server asks for a password: put it in PGPASSWORD or ~/.pgpass"),
    ("authentication failed", LedgerError, "{name}: the server does not let this user in"),
    ("no pg_hba.conf entry", LedgerError, "{name}: the server does not let this user in from here (pg_hba.conf)"),
    ("does not exist", LedgerError, "{name}: {reason}"),
    ("is not permitted to log in", LedgerError, "{name}: {reason}"),
    ("too many", LedgerBusy, "{name}: the server has no connection to give now: try again"),
    ("remaining connection slots", LedgerBusy, "{name}: the server has no connection to give now: try again"),
    ("starting up", LedgerBusy, "{name}: the server is starting: try again"),
    ("shutting down", LedgerBusy, "{name}: the server is shutting down: try again"),
    ("recovery", LedgerBusy, "{name}: the server is recovering: try again"),
)


def _no_connection(name: str, error: psycopg.OperationalError) -> LedgerError:
    text = " ".join(str(error).split())
    for sign, raised, meaning in _NO_CONNECTION:
        if sign in text:
            return raised(meaning.format(name=name, reason=text.rpartition("FATAL: ")[2].strip()))
    return LedgerBusy(f"{name} cannot be reached: {text.removeprefix('connection failed: ')}")


_MEANINGS: Final[dict[str, tuple[type[LedgerError], str]]] = {
    "22003": (LedgerError, "{name}: a number is outside the range of its column: {reason}"),
    "22021": (LedgerError, "{name}: a text has a character that PostgreSQL cannot hold: {reason}"),
    "25006": (LedgerError, "{name} cannot be written: the server, or this user, may only read"),
    "40001": (LedgerBusy, "{name}: another process wrote the same at the same time: try again"),
    "40P01": (LedgerBusy, "{name}: another process wrote the same at the same time: try again"),
    "42501": (LedgerError, "{name}: this user may not do that: {reason}"),
    "53100": (LedgerError, "the disk of the server is full: nothing was written to {name}"),
    "53200": (LedgerError, "{name}: the server is out of memory: nothing was written"),
    "53300": (LedgerBusy, "{name}: the server has no connection to give now: try again"),
    "54000": (LedgerError, "{name}: a value is longer than PostgreSQL takes: {reason}"),
    "55P03": (LedgerBusy, f"another process has been writing to {{name}} for over {BUSY_TIMEOUT_S} s: try again"),
    "57014": (LedgerBusy, "{name}: the server broke the statement off: {reason}"),
    "58030": (LedgerError, "{name} could not be read or written: the server's disk reports an error"),
    "XX001": (LedgerError, "{name} is damaged: {reason}; restore it from a backup"),
    "XX002": (LedgerError, "{name} is damaged: {reason}; restore it from a backup"),
}
"""By SQLSTATE."""

_GONE: Final = ("08", "57P")
"""How the states of a connection that is no more begin."""


def _in_plain_words(name: str, error: BaseException | None) -> LedgerError:
    if not isinstance(error, psycopg.Error):
        return LedgerError(f"{name}: {_first_line(error)}")
    state = error.sqlstate or ""
    raised, meaning = _MEANINGS.get(state, (None, None))
    if raised is not None and meaning is not None:
        return raised(meaning.format(name=name, reason=_first_line(error)))
    if state.startswith(_GONE) or (isinstance(error, psycopg.OperationalError) and not state):
        return LedgerBusy(f"the connection to {name} was lost: nothing of what was being written is kept; try again")
    return LedgerError(f"{name}: {_first_line(error)}")


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [""])[0]
