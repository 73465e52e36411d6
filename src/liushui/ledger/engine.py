"""Opening a ledger: which engine a URL names, and a schema that is brought up to this program's."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, LedgerError
from liushui.instant import Clock, system_clock
from liushui.ledger.engines import sqlite
from liushui.ledger.engines.base import Ledger, Upgraded, check_revision
from liushui.ledger.schema import REVISION, accounts
from liushui.money import shown

__all__ = ["Ledger", "Upgraded", "account_names", "open_ledger", "path_of", "upgrade_ledger"]


def open_ledger(url: str, *, create: bool = False, clock: Clock = system_clock) -> Ledger:
    """Open the ledger at a path or sqlite:/// URL; make it where there is none and `create` says so.

    An older schema is upgraded. Raises ConfigError for a URL that names no ledger, LedgerError for a file that is
    corrupt, foreign, not ours to read, or newer than this program. In none of these is anything written.
    """
    ledger = sqlite.open_file(path_of(url), create=create, clock=clock)
    _ensure_schema(ledger)
    return ledger


def upgrade_ledger(url: str) -> Upgraded:
    """Bring the ledger at a path or URL to the schema that this program knows. Raises as `open_ledger`, which does the
    same without a word."""
    path = path_of(url)
    before = None
    if sqlite.is_there(path):
        ledger = sqlite.open_file(path, create=False, clock=system_clock)
        try:
            before = ledger.revision()
        finally:
            ledger.close()
    open_ledger(url).close()
    return Upgraded(path, before, REVISION)


def path_of(url: str) -> Path:
    """The file that a ledger URL names. Raises ConfigError."""
    scheme, found, rest = url.partition("://")
    if not found:
        return Path(url).expanduser().absolute()
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return Path(rest[1:]).expanduser().absolute()
    raise ConfigError(f"ledger: expected a path or sqlite:///PATH, got {shown(scheme + '://…')}")


def account_names(connection: Connection) -> list[str]:
    """Every account, by name."""
    return list(connection.scalars(sa.select(accounts.c.account).order_by(accounts.c.account)))


def _ensure_schema(ledger: Ledger) -> None:
    """Bring the schema up to date. Closes the ledger where it cannot be."""
    try:
        revision = ledger.revision()
        check_revision(ledger.name, revision)
        if revision != REVISION:
            ledger.migrate(lambda connection: _migrate(connection, ledger.name))
    except BaseException:
        ledger.close()
        raise


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
