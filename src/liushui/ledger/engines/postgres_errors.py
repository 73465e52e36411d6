"""PostgreSQL's errors as LedgerErrors of one line that say what to do. None shows more than the server said."""

import re
from typing import Final

import psycopg

from liushui.errors import ConnectionLost, LedgerBusy, LedgerError

_BY_CONNECT_TEXT: Final = (
    ("password authentication failed", LedgerError, "{name}: the server refuses this password, or this user"),
    ("no password supplied", LedgerError, "{name}: the server asks for a password: put it in PGPASSWORD or ~/.pgpass"),
    ("authentication failed", LedgerError, "{name}: the server does not admit this user"),
    (
        "no pg_hba.conf entry",
        LedgerError,
        "{name}: the server does not admit this user from this address (pg_hba.conf)",
    ),
    ("does not exist", LedgerError, "{name}: {reason}"),
    ("is not permitted to log in", LedgerError, "{name}: {reason}"),
    ("permission denied", LedgerError, "{name}: {reason}"),
    ("too many", LedgerBusy, "{name}: the server has no free connection: try again"),
    ("remaining connection slots", LedgerBusy, "{name}: the server has no free connection: try again"),
    ("starting up", LedgerBusy, "{name}: the server is starting: try again"),
    ("shutting down", LedgerBusy, "{name}: the server is shutting down: try again"),
    ("recovery", LedgerBusy, "{name}: the server is recovering: try again"),
)
"""By what the message contains: libpq keeps no SQLSTATE of a connection that failed, so there is nothing else."""


def connect_error(name: str, error: psycopg.OperationalError) -> LedgerError:
    """Why a connection could not be made. LedgerBusy where it may work later."""
    text = " ".join(str(error).split())
    for part, raised, message in _BY_CONNECT_TEXT:
        if part in text:
            return raised(message.format(name=name, reason=text.rpartition("FATAL: ")[2].strip()))
    return LedgerBusy(f"{name} cannot be reached: {text.removeprefix('connection failed: ')}")


_BY_SQLSTATE: Final[dict[str, tuple[type[LedgerError], str]]] = {
    "22003": (LedgerError, "{name}: a number is outside the range of its column: {reason}"),
    "22021": (LedgerError, "{name}: a text has a character that PostgreSQL cannot store: {reason}"),
    "25006": (LedgerError, "{name} cannot be written: the server, or this user, may only read"),
    "40001": (LedgerBusy, "{name}: another process wrote the same at the same time: try again"),
    "40P01": (LedgerBusy, "{name}: another process wrote the same at the same time: try again"),
    "42501": (LedgerError, "{name}: this user may not do that: {reason}"),
    "53100": (LedgerError, "the disk of the server is full: nothing was written to {name}"),
    "53200": (LedgerError, "{name}: the server is out of memory: nothing was written"),
    "53300": (LedgerBusy, "{name}: the server has no free connection: try again"),
    "54000": (LedgerError, "{name}: a value is too long for PostgreSQL: {reason}"),
    "55P03": (LedgerBusy, "another process has been writing to {name} for too long: try again"),
    "57014": (LedgerBusy, "{name}: the server cancelled the statement: {reason}"),
    "58030": (LedgerError, "{name} could not be read or written: the server's disk reports an error"),
    "XX001": (LedgerError, "{name} is damaged: {reason}; restore it from a backup"),
    "XX002": (LedgerError, "{name} is damaged: {reason}; restore it from a backup"),
}

_CONNECTION_STATES: Final = ("08", "57P")
"""The classes of SQLSTATEs after which a connection is gone."""

_CITUS_NODE: Final = re.compile(r"remote node (?:\S+@)?(\S+:\d+)")
"""Citus reports a node that it cannot reach with the SQLSTATE of a lost connection, although ours, to the coordinator,
is fine. Only the message tells them apart."""


def is_connection_lost(error: BaseException | None) -> bool:
    """Whether an error means that the connection is gone."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate or ""
    return state.startswith(_CONNECTION_STATES) or (isinstance(error, psycopg.OperationalError) and not state)


def statement_error(name: str, error: BaseException | None) -> LedgerError:
    """Why a statement failed."""
    reason = (str(error).splitlines() or [""])[0]
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if state in _BY_SQLSTATE:
        raised, message = _BY_SQLSTATE[state]
        return raised(message.format(name=name, reason=reason))
    if node := _CITUS_NODE.search(str(error)):
        return LedgerBusy(f"a node of {name} cannot be reached: {node[1]}; nothing was written, and nothing is shown")
    if is_connection_lost(error):
        return ConnectionLost(f"the connection to {name} was lost: nothing was written; try again")
    return LedgerError(f"{name}: {reason}")
