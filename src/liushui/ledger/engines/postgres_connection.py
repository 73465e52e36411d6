"""Connections to PostgreSQL: made from a URL whose password no message shows, with the settings that a ledger wants."""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from liushui.errors import ConfigError, LedgerBusy
from liushui.ledger.engines.base import Cursor
from liushui.ledger.engines.postgres_errors import no_connection
from liushui.ledger.engines.sql_dialects import to_psycopg

CONNECT_TIMEOUT_S: Final = 10
BUSY_TIMEOUT_S: Final = 60
"""How long a writer waits for another one."""

RECONNECT_PAUSES_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 3.2, 3.2)
"""Between tries to reach a server that was there before: some 13 s in all."""


class Rows(psycopg.ServerCursor[Any]):
    """Rows on the server. Who forgets them leaves nothing there: they end with their transaction."""

    def __del__(self, _warn: object = None) -> None:
        pass


class Driver(psycopg.Connection[Any]):
    """A connection that is let go in peace by who forgets it: a thread that ended, a ledger that nobody closed."""

    has_citus: bool = False
    """Whether the database's tables may be spread over the nodes of Citus."""

    def __del__(self, _warn: object = None) -> None:
        self.close()


def connect(url: str, *, only_reads: bool = False) -> Driver:
    """A connection. Numbers are sent with 64 bits. Where it `only_reads`, each statement is a transaction of its own.

    Raises LedgerError; LedgerBusy where it may be another time.
    """
    parts = _DEFAULTS | _parts(url)
    try:
        driver = Driver.connect(**parts, autocommit=True)
    except psycopg.OperationalError as error:
        raise no_connection(shown_url(url), error) from None  # its text may say more than is to be shown
    driver.server_cursor_factory = Rows
    driver.adapters.register_dumper(int, Int8Dumper)
    driver.adapters.register_dumper(int, Int8BinaryDumper)
    found = driver.execute(_SETTINGS, [f"{BUSY_TIMEOUT_S}s", "on" if only_reads else "off"]).fetchone()
    driver.has_citus = bool(found and found[-1])
    if driver.has_citus:
        driver.execute("SET citus.propagate_set_commands = 'local'")
    driver.autocommit = only_reads
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
"""A writer waits no longer than we say. Where the network is cut both ends notice within a minute, and what was locked
is free. What is committed is on the server's disk, whatever its settings are."""


class Connector:
    """Connects, and once that has worked is patient: a server that is started again is soon back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._has_worked = False

    def __call__(self) -> Driver:
        """A connection. Raises as `connect`."""
        for pause_s in RECONNECT_PAUSES_S if self._has_worked else ():
            try:
                return connect(self._url)
            except LedgerBusy:
                time.sleep(pause_s)
        driver = connect(self._url)
        self._has_worked = True
        return driver


class ReadingDriver:
    """A connection for the serving path: it prepares each statement once, and connects again where it was cut."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._driver = connect(url, only_reads=True)

    def execute(self, statement: str, values: Sequence[object] = (), /) -> Cursor:
        """Run a statement. Where the connection was lost it is run once more on a new one, for it only reads."""
        try:
            return self._run(statement, values)
        except psycopg.OperationalError:
            if not self._driver.broken:
                raise
            self._driver.close()
            self._driver = connect(self._url, only_reads=True)
            return self._run(statement, values)

    def close(self) -> None:
        """Let it go."""
        self._driver.close()

    def _run(self, statement: str, values: Sequence[object]) -> Cursor:
        return self._driver.execute(_bytes(statement), values, prepare=True, binary=True)


@lru_cache(maxsize=2_000)
def _bytes(statement: str) -> bytes:
    return to_psycopg(statement).encode()


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
