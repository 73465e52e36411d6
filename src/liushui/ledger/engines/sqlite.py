"""A ledger in one SQLite file: its pragmas, its transactions, and what its errors mean."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from liushui.errors import ConfigError, LedgerBusy, LedgerError
from liushui.instant import Clock
from liushui.ledger.access.vault import Vault, vault_beside
from liushui.ledger.engines.base import Ledger, RawConnection, State, revision_in
from liushui.ledger.engines.sql_dialects import SQLITE
from liushui.ledger.schema import APPLICATION_ID, REVISION

BUSY_TIMEOUT_S: Final = 60
"""How long a writer waits for another one."""

_WRITE_AHEAD_TRIES: Final = 100
_WRITE_AHEAD_PAUSE_S: Final = 0.02

PAGE_BYTES: Final = 16 * 1024
"""A page of SQLite's: some 40 flows. Measured, four times its default writes and reads ranges of them faster."""

CACHE_PAGES: Final = 1_000
"""Pages that a connection may hold: 16 MiB. A number of bytes would be turned into pages before their size is known."""

MAPPED_BYTES: Final = 1 << 30
"""How much of the file a serving connection maps. One that writes maps nothing: its memory is flat."""

WAL_PAGES: Final = 2_000
"""Pages that are written ahead before they are moved into the file: 32 MiB."""


class SQLiteLedger(Ledger):
    """A ledger in a file of its own."""

    sql = SQLITE

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(str(path), str(path), sqlite_engine(path), clock)
        self._path = path

    @property
    def path(self) -> Path:
        return self._path

    @property
    def vault(self) -> Vault:
        return vault_beside(self.path)

    def beside(self, suffix: str) -> Path:
        return Path(f"{self.path}{suffix}")

    @contextmanager
    def plain_words(self) -> Iterator[None]:
        """Turn the database's errors into a LedgerError of one line."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            cause = str(error.orig if isinstance(error, DBAPIError) else error)
            for sign, raised, meaning in _MEANINGS:
                if sign in cause:
                    raise raised(meaning.format(path=self.path)) from error
            raise LedgerError(f"{self.path}: {cause}") from error

    def reading_driver(self) -> sqlite3.Connection:
        """A bare connection of the driver that can only read, each statement of its own: for the serving path."""
        connection = _connect(self.path)
        _set_pragmas(connection)
        connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
        connection.execute("PRAGMA query_only = ON")
        return connection

    def state(self, bare: RawConnection, accounts: Sequence[str] = ()) -> State:  # noqa: ARG002 - of all that is in the file
        """Equal ones mean that no other connection has written anything."""
        (version,) = bare.execute("PRAGMA data_version").fetchone()
        return int(version)

    def revision(self) -> str | None:
        try:
            with self.reading() as connection:
                mark = connection.exec_driver_sql("PRAGMA application_id").scalar()
                holds = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
                if mark != APPLICATION_ID and (mark or holds):
                    raise LedgerError(f"{self.path} is an SQLite file of another program, not a ledger")
                return revision_in(connection)
        except UnicodeDecodeError as error:  # the driver's, of a message that quotes broken bytes
            raise LedgerError(_DAMAGED.format(path=self.path)) from error

    def migrate(self, migrations: Callable[[Connection], None]) -> None:
        with self.plain_words(), self.engine.connect() as connection:
            # The journal mode belongs to the file and cannot change inside a transaction.
            driver = connection.connection.driver_connection
            if not isinstance(driver, sqlite3.Connection):
                raise LedgerError("expected an SQLite connection")
            driver.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            write_ahead(driver)
        with self.writing() as connection:
            if revision_in(connection) != REVISION:
                migrations(connection)
                connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")

    def own_check(self, connection: Connection) -> Iterator[str]:
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield line

    @contextmanager
    def lenient(self, connection: Connection) -> Iterator[None]:
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise TypeError("expected an SQLite connection")
        usual = driver.text_factory
        driver.text_factory = _lenient_text
        try:
            yield
        finally:
            driver.text_factory = usual

    def _reading_options(self) -> dict[str, object]:
        return {}

    def _writing_options(self) -> dict[str, object]:
        return {"liushui_writes": True}


def _lenient_text(value: bytes) -> str:
    """Text that is no UTF-8 any more is damage to report, not a reason to stop."""
    return value.decode(errors="backslashreplace")


def is_there(path: Path) -> bool:
    """Whether there is a file with something in it. Raises ConfigError where it is no file."""
    try:
        if not path.exists():
            return False
        if not path.is_file():
            raise ConfigError(f"ledger: expected a file, got {path}")
        return path.stat().st_size > 0
    except OSError as error:
        raise LedgerError(f"{path} cannot be opened: {error.strerror}") from error


def make_file(path: Path) -> None:
    """Make an empty file, readable by its owner alone. Raises LedgerError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise LedgerError(f"cannot make a ledger at {path}: {error.strerror}") from error


def sqlite_engine(path: Path) -> Engine:
    """Connections to a file, with their pragmas set."""
    engine = sa.create_engine("sqlite+pysqlite://", creator=lambda: _connect(path), poolclass=sa.QueuePool)
    event.listen(engine, "connect", lambda connection, _entry: _set_pragmas(connection))
    event.listen(engine, "begin", _begin)
    return engine


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        check_same_thread=False,
        cached_statements=512,
    )


def _set_pragmas(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute(f"PRAGMA cache_size = {CACHE_PAGES}")
    connection.execute("PRAGMA trusted_schema = OFF")


def write_ahead(connection: sqlite3.Connection) -> None:
    """Have a file write ahead, while others may be doing the same: for this change alone SQLite does not wait."""
    for _ in range(_WRITE_AHEAD_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(_WRITE_AHEAD_PAUSE_S)
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("liushui_writes"):
        begin_writing(connection)
    else:
        connection.exec_driver_sql("BEGIN")


def begin_writing(connection: Connection) -> None:
    # IMMEDIATE takes the write lock now. A deferred transaction would take it at its first write, and fail there if
    # another process wrote after its first read.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_DAMAGED: Final = "{path} is damaged: `liushui verify` tells where; restore it from a backup"
_MEANINGS: Final = (
    (
        "database is locked",
        LedgerBusy,
        f"another process has been writing to {{path}} for over {BUSY_TIMEOUT_S} s: try again",
    ),
    ("disk is full", LedgerError, "the disk is full: nothing was written to {path}"),
    ("readonly database", LedgerError, "{path} cannot be written: check its permissions and its folder's"),
    (
        "unable to open",
        LedgerError,
        "{path} cannot be opened: check that it may be read and written, and its folder too",
    ),
    ("file is not a database", LedgerError, "{path} is not a ledger: it is no SQLite file"),
    ("malformed", LedgerError, _DAMAGED),
    ("Could not decode to UTF-8", LedgerError, _DAMAGED),
    ("disk I/O error", LedgerError, "{path} could not be read or written: the disk reports an error"),
    ("file is encrypted", LedgerError, "{path} is not a ledger: it is no SQLite file"),
)
