"""What every engine gives: an open ledger with transactions, a bare connection, and places beside it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError

from liushui.errors import ConfigError, LedgerError
from liushui.instant import Clock
from liushui.ledger.access.vault import Vault
from liushui.ledger.engines.sql_dialects import SQLDialect
from liushui.ledger.schema import REVISION

UNFINISHED: Final = f"unfinished copy, {REVISION}"
"""Stands where a ledger's schema has its number while another ledger is being copied into it. Every program refuses it,
older ones too."""


class Cursor(Protocol):
    """The rows of a statement."""

    def fetchone(self) -> Any: ...  # noqa: ANN401 - a row has the columns that its statement names
    def fetchall(self) -> list[Any]: ...


class RawConnection(Protocol):
    """A read-only connection of the driver's own, without SQLAlchemy. Not for two threads at once."""

    def execute(self, statement: str, parameters: Sequence[object] = ..., /) -> Cursor:
        """Run a statement whose placeholders are `?`."""
        ...

    def close(self) -> None: ...


State = Hashable | None
"""What a connection knows is true for as long as two of these are equal. None: nobody can tell, it is to be asked."""


class Ledger(ABC):
    """An open ledger. All facts in it are changed by `liushui.ledger.write.commit` alone."""

    name: str
    """What messages call it: a path, or a URL without its password."""
    url: str
    """What opens it again. It may have a password in it, and is never shown."""
    engine: Engine
    sql: SQLDialect
    """The SQL in which its engine differs from the other one."""
    clock: Clock

    def __init__(self, name: str, url: str, engine: Engine, clock: Clock) -> None:
        self.name, self.url, self.engine, self.clock = name, url, engine, clock

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the ledger from its first statement to its end."""
        with self.plain_words(), self.engine.connect() as connection:
            connection = connection.execution_options(**self._reading_options())
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is kept whole, or not at all.

        On SQLite nobody writes beside it. On PostgreSQL it holds what it has locked: `batches.load_account` locks the
        account, so that commits to one account come one after another, and those to others go on beside them. Raises
        Lost, and Uncertain, where the connection was lost before, and in, the commit.
        """
        with self.plain_words(), self.engine.connect() as connection:
            connection = connection.execution_options(**self._writing_options())
            transaction = connection.begin()
            try:
                self._begun(connection)
                yield connection
            except BaseException:
                with suppress(DBAPIError):  # of a connection that was lost: the server does it by itself
                    transaction.rollback()
                raise
            if transaction.is_active:  # else whoever was given it has ended it
                self._commit(transaction)

    @property
    def path(self) -> Path:
        """The file that it is in. Raises ConfigError where it is in none."""
        raise ConfigError(f"{self.name} is on a server, and in no file")

    @abstractmethod
    def reading_driver(self) -> RawConnection:
        """A bare connection of the driver that can only read, each statement of its own: for the serving path."""

    @abstractmethod
    def state(self, bare: RawConnection, accounts: Sequence[str] = ()) -> State:
        """What tells whether a key may have changed since, or, of accounts, any fact of theirs."""

    @property
    @abstractmethod
    def vault(self) -> Vault:
        """Where its secrets are sealed."""

    @abstractmethod
    def beside(self, suffix: str) -> Path:
        """A file of this machine that belongs to the ledger."""

    @abstractmethod
    def plain_words(self) -> AbstractContextManager[None]:
        """Turns the database's errors into a LedgerError of one line."""

    @abstractmethod
    def revision(self) -> str | None:
        """The schema that it has; None: none yet. Raises LedgerError where it is another program's database."""

    @abstractmethod
    def migrate(self, migrations: Callable[[Connection], None]) -> None:
        """Bring the schema up to date, in one transaction that no other process does the same beside."""

    def distribute(self) -> int:
        """Spread the tables over the nodes of Citus. How many were not before. Raises ConfigError, LedgerError."""
        raise ConfigError(f"{self.name} is in a file: only a ledger on PostgreSQL with Citus is spread over nodes")

    @abstractmethod
    def own_check(self, connection: Connection) -> Iterator[str]:
        """What the database's own check finds wrong with itself."""

    @abstractmethod
    def lenient(self, connection: Connection) -> AbstractContextManager[None]:
        """Has a connection read what is damaged as far as it can, rather than stop."""

    def is_spread(self, connection: Connection) -> bool:  # noqa: ARG002 - others have to ask
        """Whether accounts lie on several nodes: what one transaction reads of two of them may be of two moments."""
        return False

    def with_clock(self, clock: Clock) -> Self:
        """The same ledger, and the same connections, under another clock."""
        other = copy(self)
        other.clock = clock
        return other

    def close(self) -> None:
        """Let the connections go."""
        self.engine.dispose()

    def _begun(self, connection: Connection) -> None:  # noqa: B027 - most begin with nothing
        """What a writing transaction begins with."""

    def _commit(self, transaction: RootTransaction) -> None:
        """Keep it. Raises Uncertain where nobody can tell whether it was."""
        transaction.commit()

    @abstractmethod
    def _reading_options(self) -> dict[str, object]:
        """Execution options of a connection that only reads."""

    @abstractmethod
    def _writing_options(self) -> dict[str, object]:
        """Execution options of a connection that writes."""


STREAMED: Final[Mapping[str, object]] = {"stream_results": True, "max_row_buffer": 1_000}
"""Execution options of a statement whose rows are read a thousand at a time, however many there are."""


class Upgraded(NamedTuple):
    """What became of a ledger's schema. `before` None: there was none yet."""

    ledger: str
    before: str | None
    after: str
    spread: int = 0
    """Tables that were spread over the nodes of Citus now."""


def revision_in(connection: Connection) -> str | None:
    """The newest migration that a database has had; None: none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(found) if found is not None else None


def check_revision(name: str, revision: str | None) -> None:
    """Raises LedgerError where a schema is newer than this program, or a copy is not complete."""
    if revision is not None and revision.startswith(UNFINISHED.partition(",")[0]):
        raise LedgerError(
            f"{name} is an unfinished copy of another ledger: `liushui db copy` from that one finishes it "
            "(where it cannot, delete it and copy again)"
        )
    if revision is not None and revision > REVISION:
        raise LedgerError(
            f"{name} was written by a newer liushui (schema {revision}, this one knows {REVISION}): upgrade liushui"
        )
