"""The interface of an open ledger, independent of its database."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

from liushui.errors import ConfigError, LedgerError
from liushui.instant import Clock
from liushui.ledger.access.vault import Vault
from liushui.ledger.engines.sql_dialects import SQLDialect, dialect_of

if TYPE_CHECKING:
    # Imported on demand: a command that only reads a file's totals does not need SQLAlchemy, whose import takes several
    # times as long as its queries.
    from sqlalchemy.engine import Connection, Engine, RootTransaction

REVISION: Final = "0029"
"""The newest migration: the schema that this program reads and writes."""

APPLICATION_ID: Final = 0x6C697573
"""Marks an SQLite file as a liushui ledger (PRAGMA application_id)."""

UNFINISHED_COPY: Final = f"unfinished copy, {REVISION}"
"""The revision of a ledger while another one is copied into it. Every release refuses to open it, including older
ones."""


class Cursor(Protocol):
    """The rows of a statement."""

    def fetchone(self) -> Any: ...  # noqa: ANN401 - a row has the columns that its statement names
    def fetchall(self) -> list[Any]: ...


class RawConnection(Protocol):
    """A read-only connection of the driver, without SQLAlchemy. Not thread-safe."""

    def execute(self, statement: str, parameters: Sequence[object] = ..., /) -> Cursor:
        """Run a statement whose placeholders are `?`."""
        ...

    def close(self) -> None: ...


Execute = Callable[[str, Sequence[object]], Cursor]
"""Runs a statement with `?` as placeholders."""


class Queries(NamedTuple):
    """SQL text with `?` as placeholders, in one read transaction."""

    sql: SQLDialect
    execute: Execute

    def rows(self, statement: str, *parameters: object) -> list[Any]:
        """Every row of a statement."""
        return self.execute(statement, parameters).fetchall()

    def value(self, statement: str, *parameters: object) -> Any:  # noqa: ANN401 - a column has its own type
        """Return the first column of the first row; None if there are no rows."""
        row = self.execute(statement, parameters).fetchone()
        return None if row is None else row[0]


def queries_of(connection: "Connection") -> Queries:
    """Return queries of SQL text in the transaction of a SQLAlchemy connection."""

    def execute(statement: str, parameters: Sequence[object]) -> Cursor:
        found: Any = connection.exec_driver_sql(statement, tuple(parameters))  # SQLAlchemy calls its list a Sequence
        cursor: Cursor = found
        return cursor

    return Queries(dialect_of(connection), execute)


DataVersion = Hashable | None
"""As long as this value stays equal, everything that was read with it is still valid. None: the engine cannot tell, so
read again."""


class Ledger(ABC):
    """An open ledger. Only `liushui.ledger.write` changes the facts in it."""

    name: str
    """The ledger's name in messages: a path, or a URL without its password."""
    url: str
    """Opens the ledger again. It may contain a password: never show it."""
    sql: SQLDialect
    """The SQL that differs between the engines."""
    clock: Clock

    def __init__(self, name: str, url: str, clock: Clock) -> None:
        self.name, self.url, self.clock = name, url, clock
        self._rehearsal: Connection | None = None
        self.has_appended = False
        """Whether a chain grew through this object since its heads were last recorded: see maintenance.heads_file."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @cached_property
    def engine(self) -> "Engine":
        """SQLAlchemy's engine, with a pool of connections."""
        return self._make_engine()

    @abstractmethod
    def _make_engine(self) -> "Engine":
        """Called once, when the engine is first needed."""

    @contextmanager
    def querying(self) -> Iterator[Queries]:
        """Open a read transaction for SQL text: all statements see the same state of the ledger."""
        with self.reading() as connection:
            yield queries_of(connection)

    @contextmanager
    def reading(self) -> Iterator["Connection"]:
        """Open a read transaction: all statements see the same state of the ledger."""
        if self._rehearsal is not None:
            yield self._rehearsal
            return
        with self.translating_errors(), self.engine.connect() as connection:
            connection = connection.execution_options(**self._reading_options())
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator["Connection"]:
        """Open a write transaction: it commits at the end of the block, and rolls back if the block raises.

        On SQLite it excludes every other writer. On PostgreSQL it holds only the rows that it locks.
        `batch_writer.lock_account` locks the account, so commits to one account wait for each other, and commits to
        other accounts do not. Raises ConnectionLost if the connection was lost before the commit, and
        CommitOutcomeUnknown if it was lost during the commit.
        """
        if self._rehearsal is not None:
            with self.translating_errors(), self._rehearsal.begin_nested():
                yield self._rehearsal
            return
        from sqlalchemy.exc import DBAPIError

        with self.translating_errors(), self.engine.connect() as connection:
            connection = connection.execution_options(**self._writing_options())
            transaction = connection.begin()
            try:
                self._on_begin(connection)
                yield connection
            except BaseException:
                with suppress(DBAPIError):  # if the connection was lost, the server rolls back by itself
                    transaction.rollback()
                raise
            if transaction.is_active:  # the block may already have ended the transaction
                self._commit(transaction)

    @contextmanager
    def rehearsing(self, account: str) -> Iterator[Self]:  # noqa: ARG002 - SQLite copies the account's rows
        """Yield the same ledger in one transaction that is rolled back. Everything that is written to it can be read
        until the end.

        Only `account`, which need not exist, may be read and written. Other processes go on writing; on a server those
        that write to that account wait. Not for two threads at once.
        """
        from sqlalchemy.exc import DBAPIError

        with self.translating_errors(), self.engine.connect() as connection:
            connection = connection.execution_options(**self._writing_options())
            transaction = connection.begin()
            try:
                self._on_begin(connection)
                yield self._on(connection)
            finally:
                with suppress(DBAPIError):  # if the connection was lost, the server rolls back by itself
                    transaction.rollback()

    def _on(self, connection: "Connection") -> Self:
        """The same ledger, reading and writing in a transaction that is open."""
        rehearsed = copy(self)
        rehearsed._rehearsal = connection
        return rehearsed

    @property
    def path(self) -> Path:
        """Return the file with the ledger. Raises ConfigError if it is on a server."""
        raise ConfigError(f"{self.name} is on a server, not in a file")

    @abstractmethod
    def raw_connection(self) -> RawConnection:
        """A read-only connection without SQLAlchemy, for serving pages. Each statement is its own transaction."""

    @abstractmethod
    def data_version(self, connection: RawConnection, accounts: Sequence[str] = ()) -> DataVersion:
        """Changes when a fact of the accounts changes; without accounts, when anything changes that keys depend on."""

    @property
    @abstractmethod
    def vault(self) -> Vault:
        """Encrypts the secrets in this ledger."""

    @abstractmethod
    def local_path(self, suffix: str) -> Path:
        """A file on this machine that belongs to the ledger."""

    @abstractmethod
    def translating_errors(self) -> AbstractContextManager[None]:
        """Turn the database's errors into a LedgerError of one line that says what to do."""

    @abstractmethod
    def revision(self) -> str | None:
        """Return the schema revision; None if there is no schema yet. Raises LedgerError for another program's
        database."""

    @abstractmethod
    def migrate(self, migrations: "Callable[[Connection], None]") -> None:
        """Upgrade the schema in one transaction. Other migrating processes wait for it."""

    def distribute(self) -> int:
        """Distribute the tables over the nodes of Citus. Returns the number of newly distributed tables.

        Raises ConfigError for a ledger in a file, LedgerError for a server without Citus.
        """
        raise ConfigError(f"{self.name} is a file: only a ledger on PostgreSQL with Citus can be distributed")

    @abstractmethod
    def integrity_errors(self, connection: "Connection") -> Iterator[str]:
        """Return the faults that the database's own integrity check finds."""

    @abstractmethod
    def tolerating_damage(self, connection: "Connection") -> AbstractContextManager[None]:
        """Let a connection read damaged text as far as possible, instead of raising."""

    @abstractmethod
    def compact(self, tables: Sequence[str] = ()) -> str:
        """Rewrite tables (all if none is named), so that no remains of deleted rows are left in them.

        Returns where remains may still exist; empty if nowhere. Raises LedgerError. It may take minutes, and needs as
        much free space as the tables occupy.
        """

    def is_distributed(self, connection: "Connection") -> bool:  # noqa: ARG002 - only a server has to ask
        """Whether accounts are on several nodes. Then one transaction may see two accounts at different moments."""
        return False

    def with_clock(self, clock: Clock) -> Self:
        """Return the same ledger with another clock; both share their connections."""
        self.engine  # noqa: B018 - made before the copy, so that both have one
        other = copy(self)
        other.clock = clock
        return other

    def close(self) -> None:
        """Close its connections."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    def _on_begin(self, connection: "Connection") -> None:  # noqa: B027 - most engines need nothing here
        """Runs first in every write transaction."""

    def _commit(self, transaction: "RootTransaction") -> None:
        """Raise CommitOutcomeUnknown if the engine cannot tell whether the commit happened."""
        transaction.commit()

    @abstractmethod
    def _reading_options(self) -> dict[str, object]:
        """SQLAlchemy's execution options of a read transaction."""

    @abstractmethod
    def _writing_options(self) -> dict[str, object]:
        """SQLAlchemy's execution options of a write transaction."""


STREAMED: Final[Mapping[str, object]] = {"stream_results": True, "max_row_buffer": 1_000}
"""Execution options for statements with many rows: at most a thousand rows are in memory."""


class UpgradeResult(NamedTuple):
    """The result of an upgrade. `before` is None if the ledger had no schema yet."""

    ledger: str
    before: str | None
    after: str
    distributed_tables: int = 0
    """The number of tables that were distributed over the nodes of Citus."""


def read_revision(connection: "Connection") -> str | None:
    """Return the newest migration of a database; None if it has none."""
    import sqlalchemy as sa

    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(revision) if revision is not None else None


def check_revision(name: str, revision: str | None) -> None:
    """Raises LedgerError if a schema is newer than this program, or the ledger is an unfinished copy."""
    if revision is not None and revision.startswith(UNFINISHED_COPY.partition(",")[0]):
        raise LedgerError(
            f"{name} is an unfinished copy of another ledger: `liushui db copy` from that one finishes it "
            "(where it cannot, delete it and copy again)"
        )
    if revision is not None and revision > REVISION:
        raise LedgerError(
            f"{name} was written by a newer liushui (schema {revision}, this one knows {REVISION}): upgrade liushui"
        )
