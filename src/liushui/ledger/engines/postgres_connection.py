"""Connections to PostgreSQL, made from a URL whose password no message shows, with the settings that a ledger needs."""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from liushui.errors import ConfigError, LedgerBusy
from liushui.ledger.engines.base import Cursor
from liushui.ledger.engines.postgres_errors import connect_error
from liushui.ledger.engines.sql_dialects import to_psycopg

CONNECT_TIMEOUT_S: Final = 10
BUSY_TIMEOUT_S: Final = 60
"""How long a writer waits for another one."""

RECONNECT_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 3.2, 3.2)
"""Pauses between attempts to reach a server that was there before: about 13 s in all."""


class ServerCursor(psycopg.ServerCursor[Any]):
    """A cursor on the server. One that is never closed is no leak: the end of its transaction closes it."""

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

    Raises LedgerError, and LedgerBusy where it may work later.
    """
    parameters = _DEFAULTS | _parse(url)
    try:
        # Settings that are made outside a transaction stay when the first transaction is rolled back.
        driver = PostgresConnection.connect(**parameters, autocommit=True)
    except psycopg.OperationalError as error:
        raise connect_error(display_url(url), error) from None  # the cause's text may show more than we want to
    driver.server_cursor_factory = ServerCursor
    # psycopg sends small numbers as smallint. One type for all numbers means one prepared statement, and no overflow.
    driver.adapters.register_dumper(int, Int8Dumper)
    driver.adapters.register_dumper(int, Int8BinaryDumper)
    row = driver.execute(_SETTINGS, [f"{BUSY_TIMEOUT_S}s", "on" if read_only else "off"]).fetchone()
    driver.has_citus = bool(row and row[-1])
    if driver.has_citus:  # have SET LOCAL reach the nodes that a transaction uses
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
"""`lock_timeout` bounds how long a writer waits. The keepalives have both ends notice a cut network within a minute:
then the server rolls back, and frees the locks. A commit is on the server's disk, whatever its default is."""


class Connector:
    """Connects for a pool. Once it has worked it retries for some seconds, so that a restarted server is waited for."""

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
    """A RawConnection that prepares each statement once, and reconnects when its connection was lost."""

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
    except psycopg.Error:  # its message quotes what it could not read, which may be the password
        raise ConfigError(
            "ledger: expected postgresql://USER@HOST:PORT/DATABASE, got a URL that PostgreSQL cannot read"
        ) from None
