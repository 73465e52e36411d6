"""Opening a ledger: which engine a URL names, and a schema that is brought up to this program's."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError, short_repr
from liushui.instant import Clock, system_clock
from liushui.ledger.engines import sqlite
from liushui.ledger.engines.base import UNFINISHED, Ledger, Upgraded, check_revision
from liushui.ledger.schema import REVISION, accounts

__all__ = ["UNFINISHED", "Ledger", "Upgraded", "account_names", "file_of", "open_ledger", "path_of", "upgrade_ledger"]


ON_SERVERS: Final = ("postgresql://", "postgres://")
"""How the URLs of ledgers begin that are in no file."""


def open_ledger(url: str, *, create: bool = False, clock: Clock = system_clock, unfinished: bool = False) -> Ledger:
    """Open the ledger at a path, a sqlite:/// or a postgresql:// URL; make it where there is none and `create` says so.

    An older schema is upgraded. Raises ConfigError for a URL that names no ledger, LedgerError for a file or database
    that is corrupt, foreign, not ours to read, newer than this program, or, unless it may be `unfinished`, a copy that
    is not complete. In none of these is anything written.
    """
    ledger = _ledger_at(url, create=create, clock=clock)
    try:
        revision = ledger.revision()
        if unfinished and revision == UNFINISHED:
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


def upgrade_ledger(url: str, *, citus: bool = False) -> Upgraded:
    """Bring the ledger at a path or URL to the schema that this program knows, and with `citus` spread it over nodes.

    On a server it makes one where there is none yet. Raises as `open_ledger`, which does the same without a word.
    """
    ledger = _ledger_at(url, create=False, clock=system_clock)
    try:
        before = ledger.revision()
    finally:
        ledger.close()
    ledger = open_ledger(url, create=True)
    try:
        spread = ledger.distribute() if citus else 0
    finally:
        ledger.close()
    return Upgraded(ledger.name, before, REVISION, spread)


def path_of(url: str) -> Path:
    """The file that a ledger URL names. Raises ConfigError."""
    scheme, found, rest = url.partition("://")
    if not found:
        return Path(url).expanduser().absolute()
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return Path(rest[1:]).expanduser().absolute()
    raise ConfigError(
        f"ledger: expected a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE, got {short_repr(scheme + '://…')}"
    )


def file_of(url: str) -> Path | None:
    """The file that a ledger URL names; None: it is on a server. Raises ConfigError."""
    return None if url.startswith(ON_SERVERS) else path_of(url)


def account_names(connection: Connection) -> list[str]:
    """Every account, by name."""
    return list(connection.scalars(sa.select(accounts.c.account).order_by(accounts.c.account)))


def _ledger_at(url: str, *, create: bool, clock: Clock) -> Ledger:
    """The ledger that a URL names, its schema as it is. Raises ConfigError where there is none and none is to be."""
    if url.startswith(ON_SERVERS):
        from liushui.ledger.engines.postgres import PostgresLedger  # inside: who has a file does not wait for it

        return PostgresLedger(url, clock)
    path = path_of(url)
    if not sqlite.is_there(path):
        if not create:
            raise _no_ledger(str(path))
        sqlite.make_file(path)
    return sqlite.SQLiteLedger(path, clock)


def _no_ledger(name: str) -> ConfigError:
    return ConfigError(f"no ledger at {name}: `liushui source add` or `liushui import` makes one")


def _migrate(connection: Connection, name: str) -> None:
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
        raise LedgerError(f"{name} has a schema that this liushui does not know: {error}") from error
    recount(connection)
