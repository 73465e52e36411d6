"""Connections to PostgreSQL, made from a URL whose password no message shows, with the settings that a ledger needs."""

import re
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from liushui.errors import ConfigError, ConnectionLost, LedgerBusy, LedgerError
from liushui.ledger.engines.base import Cursor
from liushui.ledger.engines.sql_dialects import to_psycopg

CONNECT_TIMEOUT_S: Final = 10
BUSY_TIMEOUT_S: Final = 60
"""How long a writer waits for another one, in seconds."""

RECONNECT_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 3.2, 3.2)
"""Pauses between attempts to reach a server that was there before: about 13 s in all."""


class ServerCursor(psycopg.ServerCursor[Any]):
    """A cursor on the server. A cursor that is never closed does not leak, because the end of its transaction closes
    it."""

    def __del__(self, _warn: object = None) -> None:
        """Without psycopg's warning."""


class PostgresConnection(psycopg.Connection[Any]):
    """Closes itself when it is garbage-collected, for example when its thread ends."""

    has_citus: bool = False
    """Whether the database has the Citus extension."""

    def __del__(self, _warn: object = None) -> None:
        self.close()


def connect(url: str, *, read_only: bool = False) -> PostgresConnection:
    """Connect. A `read_only` connection runs each statement as its own transaction.

    Raises LedgerError, or LedgerBusy if a later attempt may succeed.
    """
    parameters = _DEFAULTS | _parse(url)
    try:
        # Settings made outside of a transaction stay when the first transaction is rolled back.
        driver = PostgresConnection.connect(**parameters, autocommit=True)
    except psycopg.OperationalError as error:
        raise connect_error(display_url(url), error) from None  # the cause's text may contain secrets
    driver.server_cursor_factory = ServerCursor
    # psycopg sends small numbers as smallint. Using one type for all numbers means one prepared statement and no
    # overflow.
    driver.adapters.register_dumper(int, Int8Dumper)
    driver.adapters.register_dumper(int, Int8BinaryDumper)
    row = driver.execute(_SETTINGS, [f"{BUSY_TIMEOUT_S}s", "on" if read_only else "off"]).fetchone()
    driver.has_citus = bool(row and row[-1])
    if driver.has_citus:  # lets SET LOCAL reach the nodes that a transaction uses
        driver.execute("SET citus.propagate_set_commands = 'local'")
    driver.autocommit = read_only
    return driver


_DEFAULTS: Final[dict[str, Any]] = {
    "application_name": "liushui",
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_SETTINGS: Final = """
SELECT set_config('lock_timeout', %s, FALSE),
  set_config('tcp_keepalives_idle', '30', FALSE), set_config('tcp_keepalives_interval', '10', FALSE),
  set_config('tcp_keepalives_count', '3', FALSE),
  CASE %s WHEN 'on' THEN set_config('default_transaction_read_only', 'on', FALSE) END,
  CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', FALSE) END,
  EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')
"""
"""`lock_timeout` bounds how long a writer waits. With the keepalives, both ends notice a cut network within a minute;
then the server rolls back and releases the locks. A commit is on the server's disk, regardless of the server's
default."""


class Connector:
    """Connects for a pool. After the first success it retries for some seconds, so that a restarting server is waited
    for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._has_worked = False

    def __call__(self) -> PostgresConnection:
        """Raises as `connect`."""
        for pause_s in RECONNECT_PAUSES_S if self._has_worked else ():
            try:
                return connect(self._url)
            except LedgerBusy:
                time.sleep(pause_s)
        driver = connect(self._url)
        self._has_worked = True
        return driver


class RawPostgresConnection:
    """A RawConnection that prepares each statement once, and reconnects after its connection was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._driver = connect(url, read_only=True)

    def execute(self, statement: str, parameters: Sequence[object] = (), /) -> Cursor:
        """Run a statement; a second time on a new connection if the connection was lost, which is safe for a read."""
        try:
            return self._run(statement, parameters)
        except psycopg.OperationalError:
            if not self._driver.broken:
                raise
            self._driver.close()
            self._driver = connect(self._url, read_only=True)
            return self._run(statement, parameters)

    def close(self) -> None:
        self._driver.close()

    def _run(self, statement: str, parameters: Sequence[object]) -> Cursor:
        return self._driver.execute(_encoded(statement), parameters, prepare=True, binary=True)


@lru_cache(maxsize=2_000)
def _encoded(statement: str) -> bytes:
    return to_psycopg(statement).encode()


def display_url(url: str) -> str:
    """A URL for messages: without the password and the query. Raises ConfigError."""
    parts = _parse(url)
    host, user = str(parts.get("host") or ""), parts.get("user")
    host = f"[{host}]" if ":" in host else "" if host.startswith("/") else host
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{f'{user}@' if user else ''}{host}{port}/{parts.get('dbname') or ''}"


def _parse(url: str) -> dict[str, Any]:
    try:
        return conninfo_to_dict(url)
    except psycopg.Error:  # its message quotes the text that it could not parse, which may be the password
        raise ConfigError(
            "ledger: expected postgresql://USER@HOST:PORT/DATABASE, got a URL that PostgreSQL cannot read"
        ) from None


# ---------------------------------------------------------------- errors


_BY_CONNECT_TEXT: Final = (
    ("password authentication failed", LedgerError, "{name}: the server refuses this password, or this user"),
    ("no password supplied", LedgerError, "{name}: the server asks for a password: put it in PGPASSWORD or ~/.pgpass"),
    ("authentication failed", LedgerError, "{name}: the server does not admit this user"),
    (
        "no pg_hba.conf entry",
        LedgerError,
        "{name}: the server does not admit this user from this address (pg_hba.conf)",
    ),
    ("does not exist", LedgerError, "{name}: {reason}"),
    ("is not permitted to log in", LedgerError, "{name}: {reason}"),
    ("permission denied", LedgerError, "{name}: {reason}"),
    ("too many", LedgerBusy, "{name}: the server has no free connection: try again"),
    ("remaining connection slots", LedgerBusy, "{name}: the server has no free connection: try again"),
    ("starting up", LedgerBusy, "{name}: the server is starting: try again"),
    ("shutting down", LedgerBusy, "{name}: the server is shutting down: try again"),
    ("recovery", LedgerBusy, "{name}: the server is recovering: try again"),
)
"""Decided by the message, because libpq stores no SQLSTATE for a failed connection."""


def connect_error(name: str, error: psycopg.OperationalError) -> LedgerError:
    """Return why a connection failed. LedgerBusy if a later attempt may succeed."""
    text = " ".join(str(error).split())
    for part, raised, message in _BY_CONNECT_TEXT:
        if part in text:
            return raised(message.format(name=name, reason=text.rpartition("FATAL: ")[2].strip()))
    return LedgerBusy(f"{name} cannot be reached: {text.removeprefix('connection failed: ')}")


_BY_SQLSTATE: Final[dict[str, tuple[type[LedgerError], str]]] = {
    "22003": (LedgerError, "{name}: a number is outside the range of its column: {reason}"),
    "22021": (LedgerError, "{name}: a text has a character that PostgreSQL cannot store: {reason}"),
    "25006": (LedgerError, "{name} cannot be written: the server, or this user, may only read"),
    "40001": (LedgerBusy, "{name}: another process wrote the same at the same time: try again"),
    "40P01": (LedgerBusy, "{name}: another process wrote the same at the same time: try again"),
    "42501": (LedgerError, "{name}: this user may not do that: {reason}"),
    "53100": (LedgerError, "the disk of the server is full: nothing was written to {name}"),
    "53200": (LedgerError, "{name}: the server is out of memory: nothing was written"),
    "53300": (LedgerBusy, "{name}: the server has no free connection: try again"),
    "54000": (LedgerError, "{name}: a value is too long for PostgreSQL: {reason}"),
    "55P03": (LedgerBusy, "another process has been writing to {name} for too long: try again"),
    "57014": (LedgerBusy, "{name}: the server cancelled the statement: {reason}"),
    "58030": (LedgerError, "{name} could not be read or written: the server's disk reports an error"),
    "XX001": (LedgerError, "{name} is damaged: {reason}; restore it from a backup"),
    "XX002": (LedgerError, "{name} is damaged: {reason}; restore it from a backup"),
}

_CONNECTION_STATES: Final = ("08", "57P")
"""The classes of SQLSTATEs after which a connection is gone."""

_CITUS_NODE: Final = re.compile(r"remote node (?:\S+@)?(\S+:\d+)")
"""Citus reports a node that it cannot reach with the SQLSTATE of a lost connection, although ours, to the coordinator,
is fine. Only the message distinguishes the two."""


def is_connection_lost(error: BaseException | None) -> bool:
    """Whether an error means that the connection is gone."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate or ""
    return state.startswith(_CONNECTION_STATES) or (isinstance(error, psycopg.OperationalError) and not state)


def statement_error(name: str, error: BaseException | None) -> LedgerError:
    """Why a statement failed."""
    reason = (str(error).splitlines() or [""])[0]
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state in _BY_SQLSTATE:
        raised, message = _BY_SQLSTATE[state]
        return raised(message.format(name=name, reason=reason))
    if node := _CITUS_NODE.search(str(error)):
        return LedgerBusy(f"a node of {name} cannot be reached: {node[1]}; nothing was written, and nothing is shown")
    if is_connection_lost(error):
        return ConnectionLost(f"the connection to {name} was lost: nothing was written; try again")
    return LedgerError(f"{name}: {reason}")
