"""Opening a ledger: what a URL names, its pragmas, transactions and schema, and errors in plain words."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from liushui.errors import ConfigError, LedgerBusy, LedgerError
from liushui.instant import Clock, system_clock
from liushui.ledger.schema import APPLICATION_ID, REVISION, accounts
from liushui.money import shown

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


@dataclass(frozen=True)
class Ledger:
    """An open ledger. All facts in it are changed by `liushui.ledger.commit` alone."""

    path: Path
    engine: Engine
    clock: Clock

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the ledger from its first statement to its end."""
        with plain_words(self.path), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its beginning. All of it is kept, or nothing."""
        with plain_words(self.path), self.engine.connect() as connection:
            connection = connection.execution_options(liushui_writes=True)
            with connection.begin():
                yield connection

    def reading_driver(self) -> sqlite3.Connection:
        """A bare connection of the driver that can only read, each statement of its own: for the serving path."""
        connection = _connect(self.path)
        _set_pragmas(connection)
        connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
        connection.execute("PRAGMA query_only = ON")
        return connection

    def close(self) -> None:
        """Let the connections go."""
        self.engine.dispose()


class Upgraded(NamedTuple):
    """A ledger's schema before it was opened, and now. `before` None: there was none yet."""

    path: Path
    before: str | None
    after: str


def upgrade_ledger(url: str) -> Upgraded:
    """Bring the ledger at a path or URL to the schema that this program knows. Raises as `open_ledger`, which does the
    same without a word."""
    path = path_of(url)
    before = None
    if _is_there(path):
        ledger = Ledger(path, _sqlite_engine(path), system_clock)
        try:
            before = _revision(ledger)
        finally:
            ledger.close()
    open_ledger(url).close()
    return Upgraded(path, before, REVISION)


def open_ledger(url: str, *, create: bool = False, clock: Clock = system_clock) -> Ledger:
    """Open the ledger at a path or sqlite:/// URL; make it where there is none and `create` says so.

    An older schema is upgraded. Raises ConfigError for a URL that names no ledger, LedgerError for a file that is
    corrupt, foreign, not ours to read, or newer than this program. In none of these is anything written.
    """
    path = path_of(url)
    if not _is_there(path):
        if not create:
            raise ConfigError(f"no ledger at {path}: `liushui source add` or `liushui import` makes one")
        _make_file(path)
    ledger = Ledger(path, _sqlite_engine(path), clock)
    try:
        _ensure_schema(ledger)
    except UnicodeDecodeError as error:  # the driver's, of a message that quotes broken bytes
        ledger.close()
        raise LedgerError(_DAMAGED.format(path=path)) from error
    except BaseException:
        ledger.close()
        raise
    return ledger


def path_of(url: str) -> Path:
    """The file that a ledger URL names. Raises ConfigError."""
    scheme, found, rest = url.partition("://")
    if not found:
        return Path(url).expanduser().absolute()
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return Path(rest[1:]).expanduser().absolute()
    raise ConfigError(f"ledger: expected a path or sqlite:///PATH, got {shown(scheme + '://…')}")


def _is_there(path: Path) -> bool:
    """Whether there is a file with something in it. Raises ConfigError where it is no file."""
    try:
        if not path.exists():
            return False
        if not path.is_file():
            raise ConfigError(f"ledger: expected a file, got {path}")
        return path.stat().st_size > 0
    except OSError as error:
        raise LedgerError(f"{path} cannot be opened: {error.strerror}") from error


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise LedgerError(f"cannot make a ledger at {path}: {error.strerror}") from error


def _sqlite_engine(path: Path) -> Engine:
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
    writes = connection.get_execution_options().get("liushui_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _ensure_schema(ledger: Ledger) -> None:
    revision = _revision(ledger)
    if revision == REVISION:
        return
    if revision is not None and revision > REVISION:
        raise LedgerError(
            f"{ledger.path} was written by a newer liushui (schema {revision}, "
            f"this one knows {REVISION}): upgrade liushui"
        )
    with plain_words(ledger.path), ledger.engine.connect() as connection:
        # The journal mode belongs to the file and cannot change inside a transaction.
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection):
            raise LedgerError("expected an SQLite connection")
        driver.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        write_ahead(driver)
    with ledger.writing() as connection:
        if _revision_in(connection) != REVISION:
            _migrate(connection, ledger.path)
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def _revision(ledger: Ledger) -> str | None:
    with ledger.reading() as connection:
        mark = connection.exec_driver_sql("PRAGMA application_id").scalar()
        holds = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
        if mark != APPLICATION_ID and (mark or holds):
            raise LedgerError(f"{ledger.path} is an SQLite file of another program, not a ledger")
        return _revision_in(connection)


def _revision_in(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(found) if found is not None else None


def _migrate(connection: Connection, path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    from liushui.ledger.findings import recount  # inside: needed when a schema is made or upgraded, and never else

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise LedgerError(f"{path} has a schema that this liushui does not know: {error}") from error
    recount(connection)


def account_names(connection: Connection) -> list[str]:
    """Every account, by name."""
    return list(connection.scalars(sa.select(accounts.c.account).order_by(accounts.c.account)))


_DAMAGED = "{path} is damaged: `liushui verify` tells where; restore it from a backup"
_MEANINGS = (
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


@contextmanager
def plain_words(path: Path) -> Iterator[None]:
    """Turn the database's errors into a LedgerError of one line."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = str(error.orig if isinstance(error, DBAPIError) else error)
        for sign, raised, meaning in _MEANINGS:
            if sign in cause:
                raise raised(meaning.format(path=path)) from error
        raise LedgerError(f"{path}: {cause}") from error
