"""Tokens of our own API: the accounts that a program sees there, and its rights. Stored as digests."""

import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, InvalidField, NotFound, PermissionDenied, short_repr
from liushui.instant import to_us
from liushui.ledger.access.saved_views import remove_views_of
from liushui.ledger.engine import Ledger, check_accounts
from liushui.ledger.schema import from_row, keys, notifications, notify_alarms, notify_rules, tokens

PREFIX: Final = "lsk_"
"""Every token begins with this, so that scanners recognise a leaked token."""
NO_TEXT: Final = ""
"""The digest of a token that no program can send: no real digest is empty."""
SECRET_BYTES: Final = 32
ID_BYTES: Final = 6
NAME_MAX: Final = 100
CALLS_PER_MINUTE: Final = 1_200
CALLS_MAX: Final = 1_000_000

USE_PRECISION: Final = timedelta(minutes=1)
"""The precision of a token's last use, so that not every call writes to the ledger."""

_decode_accounts = msgspec.json.Decoder(list[str] | None).decode
_decode_scopes = msgspec.json.Decoder(list[str]).decode


class Scope(StrEnum):
    """The rights of a token on its accounts."""

    READ = "read"
    RECORD = "record"
    MANAGE = "manage"


class Token(NamedTuple):
    """A token without its text. `accounts` None means all accounts, including future ones."""

    id: str
    name: str
    accounts: frozenset[str] | None
    scopes: frozenset[Scope]
    calls_per_minute: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_by: str | None
    """The id of the token that created it. None: the owner did."""


class NewToken(NamedTuple):
    """A new token and its text, which is shown only once and not stored."""

    token: Token
    text: str


def create_token(
    ledger: Ledger,
    *,
    name: str = "",
    names: Collection[str] | None,
    scopes: Collection[Scope],
    expires_at: datetime | None = None,
    calls_per_minute: int = CALLS_PER_MINUTE,
    created_by: str | None = None,
) -> NewToken:
    """Make a token for these accounts; `names` None means all accounts.

    `created_by`: the id of the creating token. The new token is revoked with that token.

    Raises AccountNotFound, PermissionDenied if the token of `created_by` was revoked, and ConfigError for no scope, an
    expiry that has passed, and other invalid values.
    """
    now = ledger.clock()
    secret = secrets.token_urlsafe(SECRET_BYTES)
    with ledger.writing() as connection:
        check_creator(connection, created_by)
        token = insert_token(
            connection,
            now,
            secret,
            name=name,
            names=names,
            scopes=scopes,
            expires_at=expires_at,
            calls_per_minute=calls_per_minute,
            created_by=created_by,
        )
    return NewToken(token, _text(token.id, secret))


def insert_token(
    connection: Connection,
    now: datetime,
    secret: str | None,
    *,
    name: str,
    names: Collection[str] | None,
    scopes: Collection[Scope],
    expires_at: datetime | None = None,
    calls_per_minute: int = CALLS_PER_MINUTE,
    created_by: str | None = None,
) -> Token:
    """Store a token in the caller's transaction. `secret` None: no program can send it; it stands for the rights of a
    user.

    Raises AccountNotFound and ConfigError, as `create_token` does.
    """
    if not scopes:
        raise ConfigError(f"scope: expected one of {', '.join(Scope)}, got none")
    if names is not None and not names:
        raise ConfigError("account: expected at least one, got none")
    if len(name) > NAME_MAX or not name.isprintable():
        raise InvalidField("name", f"at most {NAME_MAX} printable characters", short_repr(name))
    if expires_at is not None and expires_at <= now:
        raise ConfigError(f"expires: expected a time in the future, got {short_repr(expires_at.isoformat())}")
    if not 1 <= calls_per_minute <= CALLS_MAX:
        raise InvalidField("calls_per_minute", f"1 to {CALLS_MAX}", str(calls_per_minute))
    id_ = secrets.token_hex(ID_BYTES)
    values = {
        "id": id_,
        "name": name,
        "digest": NO_TEXT if secret is None else _digest(_text(id_, secret)),
        "accounts": msgspec.json.encode(None if names is None else sorted(set(names))).decode(),
        "scopes": msgspec.json.encode(sorted(set(scopes))).decode(),
        "calls_per_minute": calls_per_minute,
        "created_at_us": to_us(now),
        "expires_at_us": None if expires_at is None else to_us(expires_at),
        "revoked_at_us": None,
        "last_used_at_us": None,
        "created_by": created_by,
    }
    check_accounts(connection, names or ())
    connection.execute(tokens.insert().values(values))
    return _token(values)


def find_token(ledger: Ledger, text: str) -> Token | None:
    """The token with that text, unless it was revoked or has expired."""
    id_, separator, _ = text.removeprefix(PREFIX).partition("_")
    if not text.startswith(PREFIX) or not separator:
        return None
    with ledger.reading() as connection:
        row = connection.execute(sa.select(tokens).where(tokens.c.id == id_)).mappings().first()
    digest = _digest(text)
    # The time is constant whether or not the id exists, so it reveals nothing about the digest.
    if not hmac.compare_digest(digest, str(row["digest"]) if row else "") or row is None:
        return None
    token = _token(row)
    has_expired = token.expires_at is not None and token.expires_at <= ledger.clock()
    return None if has_expired or token.revoked_at is not None else token


def list_tokens(ledger: Ledger) -> list[Token]:
    """Every token that a program can send, revoked ones too, the newest last."""
    query = sa.select(tokens).where(tokens.c.digest != NO_TEXT).order_by(tokens.c.created_at_us, tokens.c.id)
    with ledger.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return [_token(row) for row in rows]


def get_token(connection: Connection, id_: str) -> Token | None:
    """The token with that id, unless it was revoked. It may have expired."""
    query = sa.select(tokens).where(tokens.c.id == id_, tokens.c.revoked_at_us.is_(None))
    row = connection.execute(query).mappings().first()
    return None if row is None else _token(row)


def check_creator(connection: Connection, id_: str | None) -> None:
    """Check that the creating token was not revoked since its request began. None: the owner creates it.

    The token cannot be revoked before the caller's transaction ends. So everything that a token creates is revoked with
    it. Raises PermissionDenied.
    """
    if id_ is not None:
        valid = sa.select(tokens.c.id).where(tokens.c.id == id_, tokens.c.revoked_at_us.is_(None))
        if connection.execute(valid.with_for_update()).first() is None:
            raise PermissionDenied("the token that creates this was revoked")


class Revoked(NamedTuple):
    """The tokens, keys and notification rules that ended together with a token, because the token or its tokens had
    created them."""

    tokens: int
    keys: int
    rules: int = 0


def revoke_token(ledger: Ledger, id_: str) -> Revoked:
    """Revoke a token and everything that it created, at once, in every process that serves.

    Raises NotFound if no valid token has that id.
    """
    with ledger.writing() as connection:
        return revoke_in(connection, id_, ledger.clock())


def revoke_in(connection: Connection, id_: str, now: datetime) -> Revoked:
    """`revoke_token` in the caller's transaction."""
    revoked_at = {"revoked_at_us": to_us(now)}
    revoked = connection.execute(
        tokens.update().where(tokens.c.id == id_, tokens.c.revoked_at_us.is_(None)).values(revoked_at)
    )
    if not revoked.rowcount:
        raise NotFound(f"token: there is no valid one with the id {short_repr(id_)}")
    created = sa.select(tokens.c.id).where(tokens.c.id == id_).cte("created", recursive=True)
    created = created.union(sa.select(tokens.c.id).where(tokens.c.created_by == created.c.id))
    makers = [row.id for row in connection.execute(sa.select(created.c.id))]
    many = [
        connection.execute(
            table.update().where(table.c.created_by.in_(makers), table.c.revoked_at_us.is_(None)).values(revoked_at)
        ).rowcount
        for table in (tokens, keys)
    ]
    remove_views_of(connection, [f"token {maker}" for maker in makers])
    names = connection.execute(sa.select(notify_rules.c.name).where(notify_rules.c.created_by.in_(makers))).scalars()
    return Revoked(many[0], many[1], delete_rules(connection, list(names)))


def delete_rules(connection: Connection, names: Sequence[str]) -> int:
    """Delete notification rules, with their state and messages. Returns the number of messages."""
    if not names:
        return 0
    connection.execute(notify_alarms.delete().where(notify_alarms.c.rule.in_(names)))
    connection.execute(notifications.delete().where(notifications.c.rule.in_(names)))
    return connection.execute(notify_rules.delete().where(notify_rules.c.name.in_(names))).rowcount


def drop_account_from_tokens(connection: Connection, account: str, now: datetime) -> int:
    """Remove an account from all tokens, in the caller's transaction. Tokens without another account are revoked.
    Returns their number.

    Tokens of all accounts stay as they are.
    """
    revoked = 0
    for row in connection.execute(sa.select(tokens.c.id, tokens.c.accounts, tokens.c.revoked_at_us)).all():
        names = _decode_accounts(row.accounts)
        if names is not None and account in names:
            left = [name for name in names if name != account]
            values: dict[str, object] = {"accounts": msgspec.json.encode(left).decode()}
            if not left and row.revoked_at_us is None:
                values["revoked_at_us"] = to_us(now)
                remove_views_of(connection, [f"token {row.id}"])
                revoked += 1
            connection.execute(tokens.update().where(tokens.c.id == row.id).values(values))
    return revoked


def should_store_use(token: Token, now: datetime) -> bool:
    """Whether the stored last use is too old."""
    return token.last_used_at is None or not token.last_used_at <= now < token.last_used_at + USE_PRECISION


def store_use(ledger: Ledger, id_: str) -> None:
    """Store that a token was used now."""
    with ledger.writing() as connection:
        connection.execute(tokens.update().where(tokens.c.id == id_).values(last_used_at_us=to_us(ledger.clock())))


def _token(row: Mapping[Any, Any]) -> Token:
    names = _decode_accounts(row["accounts"])
    return from_row(Token, row)._replace(
        accounts=None if names is None else frozenset(names),
        scopes=frozenset(Scope(scope) for scope in _decode_scopes(row["scopes"])),
    )


def _text(id_: str, secret: str) -> str:
    return f"{PREFIX}{id_}_{secret}"


def _digest(text: str) -> str:
    """A fast hash is enough: nobody can guess 256 random bits."""
    return sha256(text.encode()).hexdigest()
