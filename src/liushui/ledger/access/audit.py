"""The audit log: who did what, through the page, the API or the command line. Entries are added, never changed.

An entry is stored before its action begins, so that nothing is done without an entry. Its outcome is stored once, when
the action has ended. An entry without an outcome means that the process ended before the action did.
"""

import secrets
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

import sqlalchemy as sa

from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import audit_log, from_row

ID_BYTES: Final = 8
TEXT_MAX: Final = 500
"""Characters of a subject or outcome. Longer ones are cut."""


class Face(StrEnum):
    """The face through which an action was done."""

    PAGE = "page"
    API = "api"
    COMMAND_LINE = "command line"


class AuditEntry(NamedTuple):
    """An action. `who`: the user, token or login. `subject`: the object of the action. `outcome`: empty while it
    runs."""

    at: datetime
    id: str
    who: str
    through: Face
    action: str
    subject: str
    outcome: str


class Action(NamedTuple):
    """An action that was logged and has not ended."""

    at_us: int
    id: str


def begin_action(
    ledger: Ledger, *, who: str, through: Face, action: str, subject: str = "", outcome: str = ""
) -> Action:
    """Log an action that is about to begin. With an `outcome`, log an action that has ended."""
    begun = Action(to_us(ledger.clock()), secrets.token_hex(ID_BYTES))
    values = {"who": who[:TEXT_MAX], "through": through.value, "action": action, "subject": subject[:TEXT_MAX]}
    with ledger.writing() as connection:
        connection.execute(audit_log.insert().values(**begun._asdict(), **values, outcome=outcome[:TEXT_MAX]))
    return begun


def end_action(ledger: Ledger, action: Action, outcome: str) -> None:
    """Log the outcome of an action. Does nothing if the action has an outcome."""
    log = audit_log.c
    is_open = sa.and_(log.at_us == action.at_us, log.id == action.id, log.outcome == "")
    with ledger.writing() as connection:
        connection.execute(audit_log.update().where(is_open).values(outcome=outcome[:TEXT_MAX]))


def list_actions(
    ledger: Ledger,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    who: str | None = None,
    limit: int | None = None,
) -> list[AuditEntry]:
    """Return the entries of [since, until), of one actor if `who` is given, newest first."""
    log = audit_log.c
    query = sa.select(audit_log).order_by(log.at_us.desc(), log.id)
    if since is not None:
        query = query.where(log.at_us >= to_us(since))
    if until is not None:
        query = query.where(log.at_us < to_us(until))
    if who is not None:
        query = query.where(log.who == who)
    if limit is not None:
        query = query.limit(limit)
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    return [from_row(AuditEntry, row)._replace(through=Face(row.through)) for row in rows]
