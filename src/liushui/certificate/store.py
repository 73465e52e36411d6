"""The certificates of a ledger, as they were signed.

They are stored in the ledger and not in separate files. So its backups, copies and restores contain them, and a
certificate and its number are stored in one transaction. If a certificate is removed, a copy that is kept elsewhere
reveals it.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from liushui.errors import LedgerBusy, NotFound
from liushui.instant import from_us, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.schema import certificates
from liushui.ledger.tombstones import list_tombstones
from liushui.ledger.write.batch_writer import lock_account


class StoredCertificate(NamedTuple):
    """A certificate: number `number` of its account, made after `batch`, whose link is `link`.

    `signer` is the verifier key of its signer, and `digest` the digest of the signed note. `timestamp` is the answer of
    a time stamping authority in DER; None: no time stamp.
    """

    account: str
    number: int
    period: str
    created_at: datetime
    batch: int
    link: str
    signer: str
    digest: str
    note: bytes
    timestamp: bytes | None


def insert_certificate(ledger: Ledger, certificate: StoredCertificate) -> None:
    """Store a certificate. Raises LedgerBusy if another process has stored one of the account meanwhile."""
    try:
        with ledger.writing() as connection:
            lock_account(connection, certificate.account)
            insert_into(connection, certificate)
    except IntegrityError as error:
        raise _busy(certificate) from error


def insert_into(connection: Connection, certificate: StoredCertificate) -> None:
    """Store a certificate in the caller's transaction, which has locked the account. Raises LedgerBusy as above."""
    before = last_certificate(connection, certificate.account)
    if (0 if before is None else before.number) != certificate.number - 1:
        raise _busy(certificate)
    record = certificate._asdict()
    record["created_at_us"] = to_us(record.pop("created_at"))
    record["note"] = certificate.note.decode()
    record["timestamp"] = None if certificate.timestamp is None else b64encode(certificate.timestamp).decode()
    connection.execute(certificates.insert().values(record))


def last_certificate(connection: Connection, account: str) -> StoredCertificate | None:
    """The newest certificate of an account; None if it has none."""
    c = certificates.c
    query = sa.select(*certificates.columns).where(c.account == account).order_by(c.number.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _stored(row)


def current_certificates(ledger: Ledger, names: Sequence[str] = ()) -> list[StoredCertificate]:
    """The certificates of these accounts, or of all if no name is given, by account and number.

    Without certificates of removed accounts, even if another account now has the name.
    """
    with ledger.reading() as connection:
        erased = {tombstone.account: tombstone.head for tombstone in list_tombstones(connection)}
    return [one for one in list_certificates(ledger, names) if one.batch > erased.get(one.account, 0)]


def list_certificates(ledger: Ledger, names: Sequence[str] = ()) -> list[StoredCertificate]:
    """Return the same, including certificates of removed accounts."""
    c = certificates.c
    query = sa.select(*certificates.columns).order_by(c.account, c.number)
    if names:
        query = query.where(c.account.in_(names))
    with ledger.reading() as connection:
        return [_stored(row) for row in connection.execute(query)]


def find_certificate(connection: Connection, account: str, number: int) -> StoredCertificate | None:
    """The certificate of an account with that number; None if there is none."""
    c = certificates.c
    query = sa.select(*certificates.columns).where(c.account == account, c.number == number)
    row = connection.execute(query).first()
    return None if row is None else _stored(row)


def load_certificate(ledger: Ledger, account: str, number: int | None = None) -> StoredCertificate:
    """Return the account's certificate with this number; without a number, the newest. Raises NotFound."""
    with ledger.reading() as connection:
        if number is None:
            found = last_certificate(connection, account)
        else:
            found = find_certificate(connection, account, number)
    if found is None:
        which = "no certificate" if number is None else f"no certificate {number}"
        raise NotFound(f"certificate: account {account} has {which}: `liushui certificate list` lists those there are")
    return found


def _stored(row: "sa.Row[tuple[object, ...]]") -> StoredCertificate:
    fields = dict(row._mapping)
    created_at_us, note, timestamp = (fields.pop(name) for name in ("created_at_us", "note", "timestamp"))
    return StoredCertificate(
        **fields,
        created_at=from_us(created_at_us),
        note=str(note).encode(),
        timestamp=None if timestamp is None else b64decode(str(timestamp)),
    )


def _busy(certificate: StoredCertificate) -> LedgerBusy:
    return LedgerBusy(f"another process has made a certificate of account {certificate.account}: try again")
