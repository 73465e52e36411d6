"""A ledger in one SQLite file: its pragmas, its transactions, and the meaning of its errors."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from liushui.errors import ConfigError, LedgerBusy, LedgerError
from liushui.instant import Clock
from liushui.ledger.access.vault import Vault, vault_beside
from liushui.ledger.engines.base import (
    APPLICATION_ID,
    REVISION,
    DataVersion,
    Ledger,
    Queries,
    RawConnection,
    read_revision,
)
from liushui.ledger.engines.sql_dialects import FOLD_FUNCTION, SQLITE, fold

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

BUSY_TIMEOUT_S: Final = 60
"""How long a writer waits for another one."""

_CHECKPOINT_TIMEOUT_S: Final = 10
"""How long a compaction waits for processes that read older pages in the write-ahead log."""

_WAL_ATTEMPTS: Final = 100
_WAL_PAUSE_S: Final = 0.02

PAGE_BYTES: Final = 16 * 1024
"""SQLite's page size: about 40 flows. In measurements, four times the default was faster for writing and reading ranges
of flows."""

CACHE_PAGES: Final = 1_000
"""Pages that a connection caches: 16 MiB. SQLite computes this from a number of bytes before it knows the file's page
size."""

MAPPED_BYTES: Final = 1 << 30
"""How much of the file a raw connection maps. Writing connections map nothing, so their memory does not grow."""

WAL_PAGES: Final = 2_000
"""Pages in the write-ahead log before they are moved into the file: 32 MiB."""


class SQLiteLedger(Ledger):
    """A ledger in a file of its own."""

    sql = SQLITE

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(str(path), str(path), clock)
        self._path = path

    def _make_engine(self) -> "Engine":
        return sqlite_engine(self._path)

    @property
    def path(self) -> Path:
        return self._path

    @property
    def vault(self) -> Vault:
        return vault_beside(self.path)

    def local_path(self, suffix: str) -> Path:
        return Path(f"{self.path}{suffix}")

    @contextmanager
    def translating_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # SQLAlchemy's errors have the driver's error in `orig`. SQLAlchemy itself may not be imported.
            cause = getattr(error, "orig", error)
            if not isinstance(cause, sqlite3.Error):
                raise
            raise _ledger_error(cause, self.path) from error

    @contextmanager
    def querying(self) -> Iterator[Queries]:
        if "engine" in self.__dict__:  # then the pool already has an open connection
            with super().querying() as queries:
                yield queries
            return
        with self.translating_errors(), closing(_connect(self.path)) as connection:
            _set_pragmas(connection)
            connection.execute("BEGIN")
            yield Queries(self.sql, connection.execute)

    @contextmanager
    def rehearsing(self, account: str) -> Iterator[Self]:
        # SQLite has one write lock for the whole file, and an import may take minutes. So it is rehearsed on temporary
        # tables, which take that lock neither when they are made nor when they are written.
        with self.translating_errors(), self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                _shadow_tables(sqlite_connection(connection), account)
                yield self._on(connection)
            finally:
                transaction.rollback()
                connection.invalidate()  # closed, with its temporary tables, instead of returned to the pool

    def raw_connection(self) -> sqlite3.Connection:
        connection = _connect(self.path)
        _set_pragmas(connection)
        connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
        connection.execute("PRAGMA query_only = ON")
        return connection

    def data_version(self, connection: RawConnection, accounts: Sequence[str] = ()) -> DataVersion:  # noqa: ARG002
        """Changes whenever another connection commits: SQLite counts the commits to the file."""
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def revision(self) -> str | None:
        try:
            with self.querying() as queries:
                application_id = queries.value("PRAGMA application_id")
                tables = {name for (name,) in queries.rows("SELECT name FROM sqlite_master")}
                if application_id != APPLICATION_ID and (application_id or tables):
                    raise LedgerError(f"{self.path} is an SQLite file of another program, not a ledger")
                if "alembic_version" not in tables:
                    return None
                revision: str | None = queries.value("SELECT version_num FROM alembic_version")
                return revision
        except UnicodeDecodeError as error:  # the driver raises it for a message that quotes damaged bytes
            raise LedgerError(_DAMAGED.format(path=self.path)) from error

    def migrate(self, migrations: "Callable[[Connection], None]") -> None:
        with self.translating_errors(), self.engine.connect() as connection:
            # The journal mode belongs to the file and cannot change inside a transaction.
            driver = sqlite_connection(connection)
            driver.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            enable_wal(driver)
        with self.writing() as connection:
            # Another process may have migrated while this one waited for the lock.
            if read_revision(connection) != REVISION:
                migrations(connection)
                connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")

    def integrity_errors(self, connection: "Connection") -> Iterator[str]:
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check(20)"):
            if line != "ok":
                yield line

    def compact(self, tables: Sequence[str] = ()) -> str:  # noqa: ARG002 - a file is rewritten as a whole
        with self.translating_errors(), closing(_connect(self.path)) as connection:
            _set_pragmas(connection)
            connection.execute("VACUUM")
            # The log still has earlier pages. It can be emptied when no other process reads an older state.
            connection.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_TIMEOUT_S * 1000}")
            is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            return f"{self.path}-wal, because another process reads the ledger: `liushui db compact` empties it later"
        return ""

    @contextmanager
    def tolerating_damage(self, connection: "Connection") -> Iterator[None]:
        driver = sqlite_connection(connection)
        usual = driver.text_factory
        driver.text_factory = lambda value: value.decode(errors="backslashreplace")
        try:
            yield
        finally:
            driver.text_factory = usual

    def _reading_options(self) -> dict[str, object]:
        return {}

    def _writing_options(self) -> dict[str, object]:
        return {"liushui_writes": True}


def has_content(path: Path) -> bool:
    """Whether a file exists and is not empty. Raises ConfigError if the path is something else, and LedgerError."""
    try:
        if not path.exists():
            return False
        if not path.is_file():
            raise ConfigError(f"ledger: expected a file, got {path}")
        return path.stat().st_size > 0
    except OSError as error:
        raise LedgerError(f"{path} cannot be opened: {error.strerror}") from error


def create_file(path: Path) -> None:
    """Create an empty file that only its owner can read, and its folder. Raises LedgerError."""
    create_folder(path)
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise LedgerError(f"cannot create a ledger at {path}: {error.strerror}") from error


def create_folder(path: Path) -> None:
    """Create the folder of a ledger's file. Raises LedgerError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"cannot create a ledger at {path}: {error.strerror}") from error


def sqlite_engine(path: Path) -> "Engine":
    """SQLAlchemy's engine for a file. Its connections have our pragmas and our transactions."""
    import sqlalchemy as sa
    from sqlalchemy import event

    engine = sa.create_engine("sqlite+pysqlite://", creator=lambda: _connect(path), poolclass=sa.QueuePool)
    event.listen(engine, "connect", lambda connection, _entry: _set_pragmas(connection))
    event.listen(engine, "begin", _begin)
    return engine


def enable_wal(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging. Other processes may do the same; SQLite's busy timeout does not apply to this
    change."""
    for _ in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if _primary_code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            time.sleep(_WAL_PAUSE_S)
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        isolation_level=None,  # the driver itself begins no transaction: `_begin` does
        timeout=BUSY_TIMEOUT_S,
        check_same_thread=False,
        cached_statements=512,
    )
    connection.create_function(FOLD_FUNCTION, 1, fold, deterministic=True)
    return connection


def _set_pragmas(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut, which WAL with NORMAL may not
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute(f"PRAGMA cache_size = {CACHE_PAGES}")
    connection.execute("PRAGMA trusted_schema = OFF")  # a ledger from elsewhere may have a malicious schema


def _begin(connection: "Connection") -> None:
    if connection.get_execution_options().get("liushui_writes"):
        begin_writing(connection)
    else:
        sqlite_connection(connection).execute("BEGIN")


def begin_writing(connection: "Connection") -> None:
    # IMMEDIATE takes the write lock now. A deferred transaction would take it at its first write, and fail if another
    # process had written after its first read. It uses the driver, because executing text through SQLAlchemy takes much
    # longer than this statement.
    sqlite_connection(connection).execute("BEGIN IMMEDIATE")


_TABLES: Final = (
    "SELECT name, sql FROM main.sqlite_master AS known WHERE type = 'table' "
    "AND EXISTS (SELECT 1 FROM pragma_table_info(known.name, 'main') WHERE name = 'account') "
    "AND name <> 'account_names'"
)
"""The tables with rows of accounts. The table of earlier names is not among them: an import reads those of all accounts
and changes none."""
_INDEXES: Final = "SELECT name, sql FROM main.sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL"


def _shadow_tables(connection: sqlite3.Connection, account: str) -> None:
    """Put a temporary table in front of each table with accounts, with the rows of one account.

    SQLite looks for the name of a table among the temporary ones first.
    """
    connection.execute(f"PRAGMA temp.cache_size = {CACHE_PAGES}")
    for table, sql in connection.execute(_TABLES).fetchall():
        connection.execute(sql.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
        connection.execute(
            f'INSERT INTO temp."{table}" SELECT * FROM main."{table}" WHERE account = ?',
            (account,),
        )
        for index, index_sql in connection.execute(_INDEXES, (table,)).fetchall():
            connection.execute(index_sql.replace(f"INDEX {index}", f"INDEX temp.{index}", 1))


def sqlite_connection(connection: "Connection") -> sqlite3.Connection:
    """The driver's own connection in one of SQLAlchemy's."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError("expected an SQLite connection")
    return driver


# ---------------------------------------------------------------- errors

_DAMAGED: Final = "{path} is damaged: `liushui verify` tells where; restore it from a backup"
_NOT_A_LEDGER: Final = "{path} is not a ledger: it is not an SQLite file"
_BY_CODE: Final[dict[int, tuple[type[LedgerError], str]]] = {
    sqlite3.SQLITE_BUSY: (
        LedgerBusy,
        f"another process has been writing to {{path}} for over {BUSY_TIMEOUT_S} s: try again",
    ),
    sqlite3.SQLITE_FULL: (LedgerError, "the disk is full: nothing was written to {path}"),
    sqlite3.SQLITE_READONLY: (LedgerError, "{path} cannot be written: check its permissions and its folder's"),
    sqlite3.SQLITE_CANTOPEN: (
        LedgerError,
        "{path} cannot be opened: check that you can read and write it and its folder",
    ),
    sqlite3.SQLITE_NOTADB: (LedgerError, _NOT_A_LEDGER),
    sqlite3.SQLITE_CORRUPT: (LedgerError, _DAMAGED),
    sqlite3.SQLITE_IOERR: (LedgerError, "{path} could not be read or written: the disk reports an error"),
}
"""The meaning of SQLite's primary result codes, https://sqlite.org/rescode.html."""


def _ledger_error(error: BaseException | None, path: Path) -> LedgerError:
    code = _primary_code(error)
    if code is None and isinstance(error, sqlite3.OperationalError):
        # Python itself raises this error, without a code of SQLite, for text that is not UTF-8.
        return LedgerError(_DAMAGED.format(path=path))
    if code not in _BY_CODE:
        return LedgerError(f"{path}: {error}")
    raised, message = _BY_CODE[code]
    return raised(message.format(path=path))


def _primary_code(error: BaseException | None) -> int | None:
    """Return SQLite's primary result code. None: the error is not from SQLite."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
