"""Keys: credentials that clients of our provider APIs use, each for one dialect and some accounts."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError, NotFound, short_repr
from liushui.instant import to_us
from liushui.ledger.access.tokens import check_creator
from liushui.ledger.engine import Ledger, check_accounts
from liushui.ledger.schema import from_row, keys
from liushui.provider import NO_VALUES, Dialect, issue

_decode_accounts = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_restrictions = msgspec.json.Decoder(dict[str, str]).decode


class KeyInfo(NamedTuple):
    """A key without its secrets."""

    public: str
    dialect: str
    accounts: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    paced: bool
    restrictions: Mapping[str, str]
    created_by: str | None
    """The id of the token that created it. None: the owner did."""


def create_key(
    ledger: Ledger,
    dialect: Dialect,
    names: list[str],
    *,
    expires_at: datetime | None = None,
    paced: bool = True,
    restrictions: Mapping[str, str] = NO_VALUES,
    created_by: str | None = None,
) -> dict[str, str]:
    """Make a key that reads these accounts through a dialect's API. Returns its credentials, which must be shown only
    once.

    The server's part is stored, encrypted. The client's private key is not stored.

    `created_by`: the id of the creating token. The key is revoked with that token.

    Raises AccountNotFound, PermissionDenied if the token of `created_by` was revoked, and ConfigError for a restriction
    that the dialect does not have.
    """
    known = [restriction.name for restriction in dialect.restrictions]
    for name in restrictions:
        if name not in known:
            raise ConfigError(
                f"restrict: expected {' or '.join(known) or 'none'} for {dialect.name}, got {short_repr(name)}"
            )
    given, kept = issue(dialect, dialect.new_credentials(secrets.token_bytes))
    encrypted = ledger.vault.encrypt(kept)
    with ledger.writing() as connection:
        check_creator(connection, created_by)
        check_accounts(connection, names)
        connection.execute(
            keys.insert().values(
                dialect=dialect.name,
                public=dialect.key_name(given),
                accounts=msgspec.json.encode(names).decode(),
                credentials=encrypted,
                paced=paced,
                created_at_us=to_us(ledger.clock()),
                expires_at_us=None if expires_at is None else to_us(expires_at),
                restrictions=msgspec.json.encode(dict(restrictions)).decode(),
                created_by=created_by,
            )
        )
    return given


def list_keys(ledger: Ledger) -> list[KeyInfo]:
    """Return every key, including revoked ones, newest last."""
    with ledger.reading() as connection:
        rows = connection.execute(sa.select(keys).order_by(keys.c.created_at_us, keys.c.public)).all()
    return [
        from_row(KeyInfo, row)._replace(
            accounts=_decode_accounts(row.accounts), restrictions=_decode_restrictions(row.restrictions)
        )
        for row in rows
    ]


def revoke_key(ledger: Ledger, public: str) -> None:
    """Revoke a key at once, in every process that serves. Raises NotFound if no valid key has that name."""
    with ledger.writing() as connection:
        revoked = connection.execute(
            keys.update()
            .where(keys.c.public == public, keys.c.revoked_at_us.is_(None))
            .values(revoked_at_us=to_us(ledger.clock()))
        )
        if not revoked.rowcount:
            raise NotFound(f"key: there is no valid one named {short_repr(public)}")


def replace_credentials(
    ledger: Ledger, dialect: str, public: str, replace: Callable[[Mapping[str, str]], Mapping[str, str] | None]
) -> bool:
    """Replace the credentials of a valid key with the result of `replace`; None: leave them unchanged.

    Returns whether they were replaced. If several callers compete, in any process, one of them replaces the
    credentials.
    """
    is_this = sa.and_(keys.c.dialect == dialect, keys.c.public == public, keys.c.revoked_at_us.is_(None))
    with ledger.writing() as connection:
        row = connection.execute(sa.select(keys.c.credentials, keys.c.expires_at_us).where(is_this)).one_or_none()
        if row is None or (row.expires_at_us is not None and row.expires_at_us <= to_us(ledger.clock())):
            return False
        credentials = replace(ledger.vault.decrypt(row.credentials))
        if credentials is None:
            return False
        # Encrypted texts are never equal, so if the text is unchanged, no other caller was faster.
        is_unchanged = sa.and_(is_this, keys.c.credentials == row.credentials)
        changed = connection.execute(
            keys.update().where(is_unchanged).values(credentials=ledger.vault.encrypt(dict(credentials)))
        )
        return bool(changed.rowcount)


def drop_account_from_keys(connection: Connection, account: str, now: datetime) -> int:
    """Remove an account from all keys, in the caller's transaction. Keys without another account are revoked. Returns
    their number."""
    revoked = 0
    for row in connection.execute(
        sa.select(keys.c.dialect, keys.c.public, keys.c.accounts, keys.c.revoked_at_us)
    ).all():
        names = _decode_accounts(row.accounts)
        if account in names:
            left = [name for name in names if name != account]
            values: dict[str, object] = {"accounts": msgspec.json.encode(left).decode()}
            if not left and row.revoked_at_us is None:
                values["revoked_at_us"] = to_us(now)
                revoked += 1
            is_this = sa.and_(keys.c.dialect == row.dialect, keys.c.public == row.public)
            connection.execute(keys.update().where(is_this).values(values))
    return revoked
