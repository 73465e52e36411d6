"""Who may see the page: links that work once, one password, and the sessions of browsers that came in.

Codes and session names are random and kept as digests: whoever reads the ledger cannot come in with them.
"""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from liushui.errors import ConfigError
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import login_codes, passwords, sessions

CODE_BYTES: Final = 24
NAME_BYTES: Final = 32

CODE_LIFE: Final = timedelta(days=1)
SESSION_LIFE: Final = timedelta(days=30)
"""How long a session lasts at most, however much it is used."""
IDLE_LIFE: Final = timedelta(days=7)
"""How long one lasts that nobody uses."""
SEEN_EVERY: Final = timedelta(minutes=10)
"""How exactly it is kept when a session was used last."""

PASSWORD_MIN, PASSWORD_MAX = 10, 1_000
"""Characters of a password."""

_PAGE: Final = "page"


class Session(NamedTuple):
    """A browser that came in. `how`: link, password or token; `token`: the id of the token it came in with."""

    id: str
    how: str
    token: str | None
    begun_at: datetime
    seen_at: datetime
    expires_at: datetime
    agent: str
    """What the browser calls itself."""


# ---------------------------------------------------------------- links


def new_code(ledger: Ledger) -> str:
    """A code that lets one browser in, once, for CODE_LIFE."""
    code, now = secrets.token_urlsafe(CODE_BYTES), ledger.clock()
    with ledger.writing() as connection:
        connection.execute(login_codes.delete().where(login_codes.c.expires_at_us <= to_us(now)))
        connection.execute(login_codes.insert().values(digest=_digest(code), expires_at_us=to_us(now + CODE_LIFE)))
    return code


def take_code(ledger: Ledger, code: str) -> bool:
    """Whether the code lets somebody in. It does so once, whichever process is asked."""
    with ledger.writing() as connection:
        taken = connection.execute(
            login_codes.delete().where(
                login_codes.c.digest == _digest(code), login_codes.c.expires_at_us > to_us(ledger.clock())
            )
        )
    return bool(taken.rowcount)


# ---------------------------------------------------------------- the password


def set_password(ledger: Ledger, password: str) -> None:
    """Keep the password of the page, in place of the one before it, and end every session.

    Raises ConfigError for one that is too short or too long.
    """
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise ConfigError(f"password: expected {PASSWORD_MIN} to {PASSWORD_MAX} characters, got {len(password)}")
    values = {"name": _PAGE, "hash": PasswordHasher().hash(password), "set_at_us": to_us(ledger.clock())}
    with ledger.writing() as connection:
        connection.execute(passwords.delete().where(passwords.c.name == _PAGE))
        connection.execute(passwords.insert().values(values))
        connection.execute(sessions.delete())


def remove_password(ledger: Ledger) -> None:
    """Forget the password and end every session. Raises ConfigError where there is none."""
    with ledger.writing() as connection:
        if not connection.execute(passwords.delete().where(passwords.c.name == _PAGE)).rowcount:
            raise ConfigError("password: there is none")
        connection.execute(sessions.delete())


def has_password(ledger: Ledger) -> bool:
    """Whether the page has a password."""
    with ledger.reading() as connection:
        return connection.scalar(sa.select(passwords.c.name).where(passwords.c.name == _PAGE)) is not None


def is_password(ledger: Ledger, password: str) -> bool:
    """Whether it is the page's password. Takes as long as its hash is made to take."""
    with ledger.reading() as connection:
        kept = connection.scalar(sa.select(passwords.c.hash).where(passwords.c.name == _PAGE))
    if kept is None or len(password) > PASSWORD_MAX:
        return False
    try:
        return PasswordHasher().verify(kept, password)
    except (Argon2Error, InvalidHashError):
        return False


# ---------------------------------------------------------------- sessions


def begin_session(ledger: Ledger, how: str, *, agent: str = "", token: str | None = None) -> str:
    """Begin a session. What is returned is all that a browser needs to be known again: it is kept nowhere."""
    name, now = secrets.token_urlsafe(NAME_BYTES), ledger.clock()
    with ledger.writing() as connection:
        connection.execute(sessions.delete().where(_is_over(now)))
        connection.execute(
            sessions.insert().values(
                digest=_digest(name),
                how=how,
                token=token,
                begun_at_us=to_us(now),
                seen_at_us=to_us(now),
                expires_at_us=to_us(now + SESSION_LIFE),
                agent=agent,
            )
        )
    return name


def find_session(ledger: Ledger, name: str) -> Session | None:
    """The session of that name, unless it is over."""
    now, digest = ledger.clock(), _digest(name)
    with ledger.reading() as connection:
        row = connection.execute(sa.select(sessions).where(sessions.c.digest == digest, ~_is_over(now))).first()
    if row is None:
        return None
    if not row.seen_at_us <= to_us(now) < to_us(from_us(row.seen_at_us) + SEEN_EVERY):
        with ledger.writing() as connection:
            connection.execute(sessions.update().where(sessions.c.digest == digest).values(seen_at_us=to_us(now)))
    return _session(row)


def list_sessions(ledger: Ledger) -> list[Session]:
    """Every session that is not over, the one that was used last first."""
    with ledger.reading() as connection:
        found = connection.execute(sa.select(sessions).where(~_is_over(ledger.clock()))).all()
    return sorted(map(_session, found), key=lambda session: session.seen_at, reverse=True)


def end_session(ledger: Ledger, id_: str) -> None:
    """End a session at once, in every process that serves. Nothing happens where it is over."""
    with ledger.writing() as connection:
        connection.execute(sessions.delete().where(sessions.c.digest == id_))


def end_sessions(ledger: Ledger, *, but: str | None = None) -> int:
    """End every session but one. How many that were."""
    with ledger.writing() as connection:
        statement = sessions.delete()
        return connection.execute(statement if but is None else statement.where(sessions.c.digest != but)).rowcount


def _is_over(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(sessions.c.expires_at_us <= to_us(now), sessions.c.seen_at_us <= to_us(now - IDLE_LIFE))


def _session(row: sa.Row[tuple[object, ...]]) -> Session:
    return Session(
        id=row.digest,
        how=row.how,
        token=row.token,
        begun_at=from_us(row.begun_at_us),
        seen_at=from_us(row.seen_at_us),
        expires_at=from_us(row.expires_at_us),
        agent=row.agent,
    )


def _digest(text: str) -> str:
    """What is random enough needs no slow hash: nobody guesses what a plain digest is of."""
    return sha256(text.encode()).hexdigest()
