"""Open a ledger: find the engine that a URL names, and bring the schema up to this program's."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from liushui.errors import ConfigError, LedgerError, LedgerNotFound, short_repr
from liushui.instant import Clock, system_clock
from liushui.ledger.engines import sqlite
from liushui.ledger.engines.base import REVISION, UNFINISHED_COPY, Ledger, UpgradeResult, check_revision
from liushui.ledger.names import no_account

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

__all__ = [
    "UNFINISHED_COPY",
    "Ledger",
    "UpgradeResult",
    "account_names",
    "check_accounts",
    "file_of",
    "open_ledger",
    "upgrade_ledger",
]


SERVER_SCHEMES: Final = ("postgresql://", "postgres://")


def open_ledger(
    url: str, *, create: bool = False, clock: Clock = system_clock, allow_unfinished: bool = False
) -> Ledger:
    """Open the ledger at a path, a sqlite:/// or a postgresql:// URL. `create` makes a new ledger if there is none.

    An older schema is upgraded. Raises ConfigError for a URL that names no ledger. Raises LedgerError for a file or
    database that is damaged, not a ledger, not readable, or newer than this program; and for an unfinished copy, unless
    `allow_unfinished`. Nothing is written before any of these errors.
    """
    ledger = _ledger_at(url, create=create, clock=clock)
    try:
        revision = ledger.revision()
        if allow_unfinished and revision == UNFINISHED_COPY:
            return ledger
        check_revision(ledger.name, revision)
        if revision is None and not create:
            raise _no_ledger(ledger.name)
        if revision != REVISION:
            ledger.migrate(lambda connection: _migrate(connection, ledger.name))
    except BaseException:
        ledger.close()
        raise
    return ledger


def upgrade_ledger(url: str, *, citus: bool = False) -> UpgradeResult:
    """Upgrade the schema of the ledger at a path or URL; with `citus`, distribute its tables over the nodes.

    On a server, a ledger is created if there is none. Raises as `open_ledger` and `Ledger.distribute`.
    """
    ledger = _ledger_at(url, create=False, clock=system_clock)
    try:
        before = ledger.revision()
    finally:
        ledger.close()
    ledger = open_ledger(url, create=True)
    try:
        distributed = ledger.distribute() if citus else 0
    finally:
        ledger.close()
    return UpgradeResult(ledger.name, before, REVISION, distributed)


def file_of(url: str) -> Path | None:
    """Return the file that a ledger URL names, or None for a server's URL. Raises ConfigError."""
    if url.startswith(SERVER_SCHEMES):
        return None
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Path(url).expanduser().absolute()
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return Path(rest[1:]).expanduser().absolute()
    raise ConfigError(
        f"ledger: expected a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE, got {short_repr(scheme + '://…')}"
    )


def account_names(connection: "Connection") -> list[str]:
    """The name of every account, sorted."""
    return [str(name) for (name,) in connection.exec_driver_sql("SELECT account FROM accounts ORDER BY account")]


def check_accounts(connection: "Connection", names: Iterable[str]) -> None:
    """Raises AccountNotFound for the first name that no account has."""
    known = set(account_names(connection))
    for name in names:
        if name not in known:
            raise no_account(connection, name)


def _ledger_at(url: str, *, create: bool, clock: Clock) -> Ledger:
    """The ledger at a URL, its schema not looked at."""
    path = file_of(url)
    if path is None:
        # Imported here: SQLite users should not pay for importing psycopg.
        from liushui.ledger.engines.postgres import PostgresLedger

        return PostgresLedger(url, clock)
    if not sqlite.has_content(path):
        if not create:
            raise _no_ledger(str(path))
        sqlite.create_file(path)
    return sqlite.SQLiteLedger(path, clock)


def _no_ledger(name: str) -> LedgerNotFound:
    return LedgerNotFound(f"no ledger at {name}: `liushui serve`, `liushui source add` or `liushui import` makes one")


def _migrate(connection: "Connection", name: str) -> None:
    # Imported here: only needed when a schema is made or upgraded.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    from liushui.ledger.findings import recount

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise LedgerError(f"{name} has a schema that this liushui does not know: {error}") from error
    recount(connection)
