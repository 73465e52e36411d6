"""The keys of a ledger that sign certificates: the private part is encrypted like all secrets."""

import secrets
from base64 import b64encode
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from liushui.certificate.note import SigningKey, VerifierKey
from liushui.errors import AlreadyExists, ConfigError, NotFound, short_repr
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import signing_keys

_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""The DER bytes before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410)."""


class KnownKey(NamedTuple):
    """The public part of a signing key, and when it was created."""

    verifier: VerifierKey
    created_at: datetime

    @property
    def pem(self) -> str:
        """The public key as `openssl` reads it."""
        encoded = b64encode(_SPKI_PREFIX + self.verifier.public).decode()
        return f"-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n"


def create_signing_key(ledger: Ledger, name: str) -> KnownKey:
    """Create a key. Raises InvalidField for an invalid name, AlreadyExists for the name of an existing key."""
    key, now = SigningKey(name, secrets.token_bytes(32)), ledger.clock()
    encrypted = ledger.vault.encrypt({"seed": key.seed.hex()})
    values = {"name": name, "public": str(key.verifier), "private": encrypted, "created_at_us": to_us(now)}
    try:
        with ledger.writing() as connection:
            if connection.scalar(sa.select(signing_keys.c.name).where(signing_keys.c.name == name)) is not None:
                raise AlreadyExists(f"name: there is a signing key {short_repr(name)} already")
            connection.execute(signing_keys.insert().values(values))
    except IntegrityError as error:
        raise AlreadyExists(f"name: there is a signing key {short_repr(name)} already") from error
    return KnownKey(key.verifier, now)


def list_signing_keys(ledger: Ledger) -> list[KnownKey]:
    """The keys, the newest first."""
    k = signing_keys.c
    query = sa.select(k.public, k.created_at_us).order_by(k.created_at_us.desc(), k.name)
    with ledger.reading() as connection:
        return [KnownKey(VerifierKey.parse(public), from_us(at_us)) for public, at_us in connection.execute(query)]


def load_signing_key(ledger: Ledger, name: str | None = None) -> SigningKey:
    """The key with this name; without a name, the newest one. Raises NotFound, and LedgerError if it is unreadable."""
    known = list_signing_keys(ledger)
    if not known:
        raise ConfigError("the ledger has no key to sign with: `liushui certificate key create NAME` makes one")
    chosen = known[0].verifier.name if name is None else name
    with ledger.reading() as connection:
        encrypted = connection.scalar(sa.select(signing_keys.c.private).where(signing_keys.c.name == chosen))
    if encrypted is None:
        names = ", ".join(key.verifier.name for key in known)
        raise NotFound(f"key: expected one of {names}, got {short_repr(chosen)}")
    return SigningKey(chosen, bytes.fromhex(ledger.vault.decrypt(encrypted)["seed"]))
