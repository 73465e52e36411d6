"""What PostgreSQL's errors mean, in one line that says what to do. None shows more than the server said."""

import re
from typing import Final

import psycopg

from liushui.errors import ConnectionLost, LedgerBusy, LedgerError

_NO_CONNECTION: Final = (
    ("password authentication failed", LedgerError, "{name}: the server refuses this password, or this user"),
    ("no password supplied", LedgerError, "{name}: the server asks for a password: put it in PGPASSWORD or ~/.pgpass"),
    ("authentication failed", LedgerError, "{name}: the server does not let this user in"),
    ("no pg_hba.conf entry", LedgerError, "{name}: the server does not let this user in from here (pg_hba.conf)"),
    ("does not exist", LedgerError, "{name}: {reason}"),
    ("is not permitted to log in", LedgerError, "{name}: {reason}"),
    ("permission denied", LedgerError, "{name}: {reason}"),
    ("too many", LedgerBusy, "{name}: the server has no connection to give now: try again"),
    ("remaining connection slots", LedgerBusy, "{name}: the server has no connection to give now: try again"),
    ("starting up", LedgerBusy, "{name}: the server is starting: try again"),
    ("shutting down", LedgerBusy, "{name}: the server is shutting down: try again"),
    ("recovery", LedgerBusy, "{name}: the server is recovering: try again"),
)
"""By what libpq says: of a connection that was not made it gives no SQLSTATE."""


def no_connection(name: str, error: psycopg.OperationalError) -> LedgerError:
    """Why there is no connection."""
    text = " ".join(str(error).split())
    for sign, raised, meaning in _NO_CONNECTION:
        if sign in text:
            return raised(meaning.format(name=name, reason=text.rpartition("FATAL: ")[2].strip()))
    return LedgerBusy(f"{name} cannot be reached: {text.removeprefix('connection failed: ')}")


_MEANINGS: Final[dict[str, tuple[type[LedgerError], str]]] = {
    "22003": (LedgerError, "{name}: a number is outside the range of its column: {reason}"),
    "22021": (LedgerError, "{name}: a text has a character that PostgreSQL cannot hold: {reason}"),
    "25006": (LedgerError, "{name} cannot be written: the server, or this user, may only read"),
    "40001": (LedgerBusy, "{name}: another process wrote the same at the same time: try again"),
    "40P01": (LedgerBusy, "{name}: another process wrote the same at the same time: try again"),
    "42501": (LedgerError, "{name}: this user may not do that: {reason}"),
    "53100": (LedgerError, "the disk of the server is full: nothing was written to {name}"),
    "53200": (LedgerError, "{name}: the server is out of memory: nothing was written"),
    "53300": (LedgerBusy, "{name}: the server has no connection to give now: try again"),
    "54000": (LedgerError, "{name}: a value is longer than PostgreSQL takes: {reason}"),
    "55P03": (LedgerBusy, "another process has been writing to {name} for too long: try again"),
    "57014": (LedgerBusy, "{name}: the server broke the statement off: {reason}"),
    "58030": (LedgerError, "{name} could not be read or written: the server's disk reports an error"),
    "XX001": (LedgerError, "{name} is damaged: {reason}; restore it from a backup"),
    "XX002": (LedgerError, "{name} is damaged: {reason}; restore it from a backup"),
}
"""By SQLSTATE."""

_GONE: Final = ("08", "57P")
"""How the states of a connection that is no more begin."""

_NODE: Final = re.compile(r"remote node (?:\S+@)?(\S+:\d+)")
"""Citus of a node that it cannot reach."""


def is_lost(error: BaseException | None) -> bool:
    """Whether an error says that a connection is no more."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate or ""
    return state.startswith(_GONE) or (isinstance(error, psycopg.OperationalError) and not state)


def in_plain_words(name: str, error: BaseException | None) -> LedgerError:
    """What went wrong with a statement."""
    if not isinstance(error, psycopg.Error):
        return LedgerError(f"{name}: {_first_line(error)}")
    known = _MEANINGS.get(error.sqlstate or "")
    if known is not None:
        raised, meaning = known
        return raised(meaning.format(name=name, reason=_first_line(error)))
    node = _NODE.search(str(error))
    if node is not None:
        return LedgerBusy(f"a node of {name} cannot be reached: {node[1]}; nothing was written, and nothing is shown")
    if is_lost(error):
        return ConnectionLost(
            f"the connection to {name} was lost: nothing of what was being written is kept; try again"
        )
    return LedgerError(f"{name}: {_first_line(error)}")


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [""])[0]
