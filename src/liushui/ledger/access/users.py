"""People who log in to the page, each with a role, and a password or an identity at an identity provider.

A user's rights are a row without text in the table of tokens. So everything that a user creates (keys, tokens,
sessions) ends with the user, as it does with a token.
"""

import secrets
from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfigError, InvalidField, NotFound, short_repr
from liushui.instant import from_us, to_us
from liushui.ledger.access.saved_views import remove_views_of
from liushui.ledger.access.sessions import PasswordMatch, hash_password, matches
from liushui.ledger.access.tokens import Revoked, Scope, Token, get_token, insert_token, revoke_in
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import identities, insert_new, sessions, users

NAME_MAX: Final = 100
EMAIL_MAX: Final = 254
NO_PASSWORD: Final = ""
"""The hash of a user who has no password. No password matches it."""


class Role(StrEnum):
    """The rights of a user on the accounts that they see."""

    VIEWER = "viewer"
    """Reads and exports."""
    ACCOUNTANT = "accountant"
    """Also decides: confirms links, states balances, explains findings, closes months, records flows."""
    OPERATOR = "operator"
    """Also runs: sources, syncs, keys and tokens. May not make decisions."""
    OWNER = "owner"
    """Everything, users included, of all accounts."""


SCOPES: Final = {
    Role.VIEWER: frozenset((Scope.READ,)),
    Role.ACCOUNTANT: frozenset((Scope.READ, Scope.RECORD)),
    Role.OPERATOR: frozenset((Scope.READ, Scope.MANAGE)),
    Role.OWNER: frozenset(Scope),
}
"""The scopes of each role."""


class EmailTaken(AlreadyExists):
    """Another user has this e-mail address."""


class User(NamedTuple):
    """A user. `accounts` None: all accounts, also those that are added later."""

    name: str
    role: Role
    accounts: frozenset[str] | None
    created_at: datetime
    token: str
    """The id of the token that defines the user's rights."""
    email: str
    """The address that the user proves to own by an identity provider. Empty: none."""
    has_password: bool


def is_name(text: str) -> bool:
    """Whether a text can be the name of a user."""
    return bool(text) and len(text) <= NAME_MAX and text.isprintable() and text == text.strip()


def add_user(
    ledger: Ledger,
    name: str,
    role: Role,
    accounts: Collection[str] | None = None,
    *,
    password: str | None = None,
    email: str = "",
) -> User:
    """Add a user, in one transaction. `accounts` None: all accounts. `password` None: the user has none.

    `email`: whoever proves to own this address by the identity provider logs in as the user. Raises AlreadyExists,
    AccountNotFound, InvalidField, and ConfigError for a password that is too short or too long.
    """
    hashed = NO_PASSWORD if password is None else hash_password(password)
    with ledger.writing() as connection:
        return insert_user(connection, ledger.clock(), name, role, accounts, hashed=hashed, email=email)


def insert_user(
    connection: Connection,
    now: datetime,
    name: str,
    role: Role,
    accounts: Collection[str] | None,
    *,
    hashed: str = NO_PASSWORD,
    email: str = "",
) -> User:
    """Add a user in the caller's transaction. Raises AlreadyExists, AccountNotFound, InvalidField, ConfigError."""
    if not is_name(name):
        raise InvalidField("user", f"1 to {NAME_MAX} printable characters", short_repr(name))
    _check_role(role, accounts)
    address = check_email(connection, email, name)
    token = _grant(connection, now, name, role, accounts)
    row = {
        "name": name,
        "role": role.value,
        "token": token.id,
        "hash": hashed,
        "created_at_us": to_us(now),
        "email": address or None,
    }
    # One statement finds out whether the name is free and takes it: others may add users at the same time.
    if not insert_new(connection, users, row):
        raise AlreadyExists(f"user: there is one named {short_repr(name)} already")
    return _user(row, token)


def check_email(connection: Connection, email: str, name: str) -> str:
    """Return an e-mail address in the stored form, in lower case. Raises InvalidField, and EmailTaken if a user other
    than `name` has it."""
    address = email.strip().lower()
    if not address:
        return ""
    local, at, domain = address.rpartition("@")
    if not (local and at and domain) or len(address) > EMAIL_MAX or not address.isprintable() or " " in address:
        raise InvalidField("email", "an address such as wang@example.com", short_repr(email))
    query = sa.select(users.c.name).where(users.c.email == address, users.c.name != name)
    if (other := connection.scalar(query)) is not None:
        raise EmailTaken(f"email: {address} is the address of the user {short_repr(other)} already")
    return address


def list_users(ledger: Ledger) -> list[User]:
    """Every user, by name."""
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(users).order_by(users.c.name)).mappings().all()
        return [_user(row, get_token(connection, row["token"])) for row in rows]


def has_users(ledger: Ledger) -> bool:
    """Whether there is a user."""
    with ledger.reading() as connection:
        return connection.execute(sa.select(users.c.name).limit(1)).first() is not None


def get_user(ledger: Ledger, name: str) -> User:
    """The user with this name. Raises NotFound."""
    with ledger.reading() as connection:
        return user_in(connection, name)


def find_user_of(ledger: Ledger, token: str) -> tuple[User, Token] | None:
    """The user whose rights a token has, and that token. None: no user has this token, or it was revoked."""
    with ledger.reading() as connection:
        row = connection.execute(sa.select(users).where(users.c.token == token)).mappings().first()
        granted = None if row is None else get_token(connection, token)
    return None if row is None or granted is None else (_user(row, granted), granted)


def check_login(ledger: Ledger, name: str, password: str) -> tuple[User, PasswordMatch] | None:
    """The user with that name and password, if they still see an account. Slow on purpose, for any name."""
    with ledger.reading() as connection:
        row = _row(connection, name)
        token = None if row is None else get_token(connection, row["token"])
    has_password = row is not None and row["hash"] != NO_PASSWORD
    is_right = matches(row["hash"] if row is not None and has_password else _decoy_hash(), password)
    if row is None or token is None or not has_password or not is_right:
        return None
    return _user(row, token), PasswordMatch(name, row["hash"])


def change_role(ledger: Ledger, name: str, role: Role, accounts: Collection[str] | None = None) -> Revoked:
    """Give a user another role and other accounts. Ends the user's sessions, and revokes everything that the user
    created.

    From then on, claims of an identity provider do not change the user's role. Returns how much was revoked. Raises
    NotFound, AccountNotFound, ConfigError.
    """
    _check_role(role, accounts)
    with ledger.writing() as connection:
        revoked = replace_role(connection, ledger.clock(), name, role, accounts)
        connection.execute(identities.update().where(identities.c.user_name == name).values(provisioned=False))
    return revoked


def replace_role(
    connection: Connection, now: datetime, name: str, role: Role, accounts: Collection[str] | None
) -> Revoked:
    """Do what `change_role` does in the caller's transaction. Claims go on to change the role."""
    revoked = _revoke(connection, _existing(connection, name)["token"], now)
    token = _grant(connection, now, name, role, accounts)
    connection.execute(users.update().where(users.c.name == name).values(role=role.value, token=token.id))
    return revoked


def set_user_password(ledger: Ledger, name: str, password: str) -> None:
    """Give a user another password, and end the user's sessions. Raises NotFound and ConfigError."""
    hashed = hash_password(password)
    with ledger.writing() as connection:
        row = _existing(connection, name)
        connection.execute(users.update().where(users.c.name == name).values(hash=hashed))
        connection.execute(sessions.delete().where(sessions.c.token == row["token"]))


def remove_user(ledger: Ledger, name: str) -> Revoked:
    """Remove a user and their views, end the user's sessions, and revoke everything that the user created. Raises
    NotFound."""
    with ledger.writing() as connection:
        revoked = _revoke(connection, _existing(connection, name)["token"], ledger.clock())
        connection.execute(identities.delete().where(identities.c.user_name == name))
        remove_views_of(connection, [f"user {name}"])
        connection.execute(users.delete().where(users.c.name == name))
    return revoked


def _check_role(role: Role, accounts: Collection[str] | None) -> None:
    if accounts is not None and not accounts:
        raise ConfigError("account: expected at least one, got none")
    if role is Role.OWNER and accounts is not None:
        raise ConfigError("account: an owner has all accounts; give another role, or name none")


def _grant(connection: Connection, now: datetime, name: str, role: Role, accounts: Collection[str] | None) -> Token:
    return insert_token(connection, now, None, name=name, names=accounts, scopes=SCOPES[role])


def _revoke(connection: Connection, token: str, now: datetime) -> Revoked:
    connection.execute(sessions.delete().where(sessions.c.token == token))
    if get_token(connection, token) is None:  # all of its accounts were removed
        return Revoked(0, 0)
    return revoke_in(connection, token, now)


@cache
def _decoy_hash() -> str:
    """The hash to compare with if there is no user of a name, so that the time does not reveal which names exist."""
    return hash_password(secrets.token_urlsafe())


def user_in(connection: Connection, name: str) -> User:
    """The user with this name, in the caller's transaction. Raises NotFound."""
    row = _existing(connection, name)
    return _user(row, get_token(connection, row["token"]))


def _user(row: Mapping[Any, Any], token: Token | None) -> User:
    """The user in a row. `token` None: it was revoked, because none of its accounts is left."""
    return User(
        row["name"],
        Role(row["role"]),
        frozenset() if token is None else token.accounts,
        from_us(row["created_at_us"]),
        row["token"],
        row["email"] or "",
        row["hash"] != NO_PASSWORD,
    )


def _existing(connection: Connection, name: str) -> sa.RowMapping:
    row = _row(connection, name)
    if row is None:
        raise NotFound(f"user: there is none named {short_repr(name)}")
    return row


def _row(connection: Connection, name: str) -> sa.RowMapping | None:
    return connection.execute(sa.select(users).where(users.c.name == name)).mappings().first()
