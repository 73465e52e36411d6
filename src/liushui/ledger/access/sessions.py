"""Access to the page: login links that work once, one password, and the sessions of browsers.

Login codes and session names are random and stored as digests, so the content of the ledger does not allow a login.
"""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, PermissionDenied
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import from_row, login_codes, passwords, sessions, users

CODE_BYTES: Final = 24
SESSION_NAME_BYTES: Final = 32

CODE_LIFETIME: Final = timedelta(days=1)
SESSION_LIFETIME: Final = timedelta(days=30)
"""The longest duration of a session."""
IDLE_TIMEOUT: Final = timedelta(days=7)
"""The longest duration of an unused session."""
SEEN_PRECISION: Final = timedelta(minutes=10)
"""The precision of a session's last use, so that not every page writes to the ledger."""

PASSWORD_MIN, PASSWORD_MAX = 10, 1_000
"""Characters of a password."""

HASHER: Final = PasswordHasher()
"""Argon2id with the library's costs, which are those of RFC 9106 for machines with little memory."""

_PAGE: Final = "page"


class Session(NamedTuple):
    """A browser that logged in by `method`: link, password, token or user. `token`: the id of the token with its
    rights. None: all rights."""

    id: str
    method: str
    token: str | None
    begun_at: datetime
    seen_at: datetime
    expires_at: datetime
    agent: str
    """The browser's User-Agent."""


# ---------------------------------------------------------------- login links


def create_login_code(ledger: Ledger) -> str:
    """Return a code that logs one browser in, once, within CODE_LIFETIME."""
    code, now = secrets.token_urlsafe(CODE_BYTES), ledger.clock()
    with ledger.writing() as connection:
        connection.execute(login_codes.delete().where(login_codes.c.expires_at_us <= to_us(now)))
        connection.execute(login_codes.insert().values(digest=_digest(code), expires_at_us=to_us(now + CODE_LIFETIME)))
    return code


def redeem_login_code(ledger: Ledger, code: str) -> bool:
    """Whether the code is valid. One statement finds and deletes it, so only one caller in all processes gets True."""
    with ledger.writing() as connection:
        deleted = connection.execute(
            login_codes.delete().where(
                login_codes.c.digest == _digest(code), login_codes.c.expires_at_us > to_us(ledger.clock())
            )
        )
    return bool(deleted.rowcount)


# ---------------------------------------------------------------- password


def hash_password(password: str) -> str:
    """The Argon2id hash of a new password. Raises ConfigError if it is too short or too long."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise ConfigError(f"password: expected {PASSWORD_MIN} to {PASSWORD_MAX} characters, got {len(password)}")
    return HASHER.hash(password)


def matches(stored: str, password: str) -> bool:
    """Whether a password has this hash. Slow on purpose: the hash makes guessing expensive."""
    if len(password) > PASSWORD_MAX:
        return False
    try:
        return HASHER.verify(stored, password)
    except (Argon2Error, InvalidHashError):
        return False


def set_password(ledger: Ledger, password: str) -> None:
    """Set the owner's password of the page, and end every session.

    Raises ConfigError if it is too short or too long.
    """
    values = {"name": _PAGE, "hash": hash_password(password), "set_at_us": to_us(ledger.clock())}
    with ledger.writing() as connection:
        connection.execute(passwords.delete().where(passwords.c.name == _PAGE))
        connection.execute(passwords.insert().values(values))
        connection.execute(sessions.delete())  # a person who knew the old password may be logged in


def remove_password(ledger: Ledger) -> None:
    """Delete the password, and end every session. Raises ConfigError if there is none."""
    with ledger.writing() as connection:
        if not connection.execute(passwords.delete().where(passwords.c.name == _PAGE)).rowcount:
            raise ConfigError("password: there is none")
        connection.execute(sessions.delete())


def has_password(ledger: Ledger) -> bool:
    """Whether the page has a password."""
    with ledger.reading() as connection:
        return connection.scalar(sa.select(passwords.c.name).where(passwords.c.name == _PAGE)) is not None


class PasswordMatch(NamedTuple):
    """A successful password check: the hash that matched, and the user. `user` None: the owner."""

    user: str | None
    hash: str


def verify_password(ledger: Ledger, password: str) -> PasswordMatch | None:
    """Check the page's password. Slow, like `matches`. Returns None if it is wrong."""
    with ledger.reading() as connection:
        stored = connection.scalar(sa.select(passwords.c.hash).where(passwords.c.name == _PAGE))
    return PasswordMatch(None, stored) if stored is not None and matches(stored, password) else None


def _still_holds(connection: Connection, match: PasswordMatch) -> bool:
    """Whether the checked password is still set. Its row is locked, so a change has to wait."""
    query = sa.select(passwords.c.hash).where(passwords.c.name == _PAGE)
    if match.user is not None:
        query = sa.select(users.c.hash).where(users.c.name == match.user)
    return connection.scalar(query.with_for_update()) == match.hash


# ---------------------------------------------------------------- sessions


def begin_session(
    ledger: Ledger, method: str, *, agent: str = "", token: str | None = None, match: PasswordMatch | None = None
) -> str:
    """Begin a session. Returns its secret name, for the browser's cookie: only the digest is stored.

    `match`: the password check of the login. Raises PermissionDenied if the password was changed or removed in the
    meantime. That change ended all sessions, and no new session may begin with the old password.
    """
    name, now = secrets.token_urlsafe(SESSION_NAME_BYTES), ledger.clock()
    with ledger.writing() as connection:
        if match is not None and not _still_holds(connection, match):
            raise PermissionDenied("password: it was changed during the login")
        connection.execute(sessions.delete().where(_has_expired(now)))
        connection.execute(
            sessions.insert().values(
                digest=_digest(name),
                how=method,
                token=token,
                begun_at_us=to_us(now),
                seen_at_us=to_us(now),
                expires_at_us=to_us(now + SESSION_LIFETIME),
                agent=agent,
            )
        )
    return name


def find_session(ledger: Ledger, name: str) -> Session | None:
    """The session with this name, unless it has expired. It also stores the use."""
    now, digest = ledger.clock(), _digest(name)
    with ledger.reading() as connection:
        row = connection.execute(sa.select(sessions).where(sessions.c.digest == digest, ~_has_expired(now))).first()
    if row is None:
        return None
    if not row.seen_at_us <= to_us(now) < to_us(from_us(row.seen_at_us) + SEEN_PRECISION):
        with ledger.writing() as connection:
            connection.execute(sessions.update().where(sessions.c.digest == digest).values(seen_at_us=to_us(now)))
    return from_row(Session, row, id="digest", method="how")


def list_sessions(ledger: Ledger) -> list[Session]:
    """Return every session that has not expired, the last used one first."""
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(sessions).where(~_has_expired(ledger.clock()))).all()
    found = (from_row(Session, row, id="digest", method="how") for row in rows)
    return sorted(found, key=lambda session: session.seen_at, reverse=True)


def end_session(ledger: Ledger, id_: str) -> None:
    """End a session at once, in every process that serves. Does nothing if it has ended."""
    with ledger.writing() as connection:
        connection.execute(sessions.delete().where(sessions.c.digest == id_))


def end_sessions(ledger: Ledger, *, except_id: str | None = None) -> int:
    """End every session, or every one except this. Returns how many."""
    statement = sessions.delete()
    if except_id is not None:
        statement = statement.where(sessions.c.digest != except_id)
    with ledger.writing() as connection:
        return connection.execute(statement).rowcount


def _has_expired(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(sessions.c.expires_at_us <= to_us(now), sessions.c.seen_at_us <= to_us(now - IDLE_TIMEOUT))


def _digest(text: str) -> str:
    """A fast hash is sufficient, because the input is too random to be guessed."""
    return sha256(text.encode()).hexdigest()
