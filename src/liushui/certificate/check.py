"""Checks certificates: the signature, the document, and its agreement with a ledger. Makes proofs of rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from liushui.certificate import document as doc
from liushui.certificate.keys import list_signing_keys
from liushui.certificate.merkle import Tree, TreeHasher, leaf_hash
from liushui.certificate.note import VerifierKey, open_note
from liushui.certificate.rows import ID, CertifiedRow, canonical_row, certified_rows
from liushui.certificate.store import find_certificate
from liushui.errors import CertificateError, ConfigError, NotFound, short_repr
from liushui.instant import parse_instant, to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.maintenance.anchors import Anchor
from liushui.ledger.names import current_name
from liushui.ledger.schema import batches
from liushui.ledger.tombstones import chain_beginning, erased_until

BYTES_MAX: Final = 64 * 1024 * 1024


class OpenCertificate(NamedTuple):
    """A certificate whose signature was checked."""

    path: Path
    document: doc.Document
    signer: VerifierKey
    digest: str

    @property
    def range_us(self) -> tuple[int, int]:
        """The period, in microseconds."""
        period = self.document.subject.period
        return to_us(parse_instant("since", period.since)), to_us(parse_instant("until", period.until))

    @property
    def anchor(self) -> Anchor:
        """The certificate's link in the account's chain."""
        integrity = self.document.integrity
        created_at = parse_instant("created_at", self.document.created_at)
        return Anchor(self.document.subject.account, integrity.batch, integrity.link, str(self.path), created_at)


def known_keys(ledger: Ledger, named: Sequence[str] = ()) -> list[VerifierKey]:
    """Return the keys whose signatures are accepted: those named by the user, and those of the ledger. Raises
    InvalidField."""
    return [*map(VerifierKey.parse, named), *(key.verifier for key in list_signing_keys(ledger))]


def open_certificate(path: Path, keys: Sequence[VerifierKey]) -> OpenCertificate:
    """Read a certificate, and check that one of the keys signed it. Raises ConfigError, and CertificateError."""
    note = _read(path)
    try:
        text, signer = open_note(note, keys)
        return OpenCertificate(path, doc.parse_document(text), signer, doc.digest_of(note))
    except CertificateError as error:
        raise CertificateError(f"{path}: {error}") from error


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > BYTES_MAX:
            raise CertificateError(f"{path} is not a certificate: expected at most {BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


# ---------------------------------------------------------------- against a ledger


def compare_with_ledger(ledger: Ledger, certificate: OpenCertificate) -> list[str]:
    """Return the differences between a ledger and a certificate, as sentences. Empty: they agree.

    If the account was removed, only its chain is compared, not its rows: see `is_erased`. Raises CertificateError for a
    certificate of another ledger.
    """
    with ledger.reading() as connection:
        _check_account(connection, certificate)
        integrity = certificate.document.integrity
        link = _link_at(connection, certificate)
        if link != integrity.link:
            had = "the ledger ends before it" if link is None else f"the ledger has {link}"
            return [f"batch {integrity.batch} had the link {integrity.link}, and {had}: `liushui verify` tells more"]
        differences = [] if _is_erased(connection, certificate) else _row_differences(connection, certificate)
        stored = find_certificate(connection, _account_of(connection, certificate), certificate.document.number)
        if stored is None:
            differences.append(
                f"the ledger has no certificate {certificate.document.number} of the account: it was removed, or the "
                "ledger is an older copy"
            )
        elif stored.digest != certificate.digest:
            differences.append(f"the ledger has another certificate {certificate.document.number} of the account")
    return differences


def _row_differences(connection: Connection, certificate: OpenCertificate) -> list[str]:
    tree = TreeHasher()
    for row in _rows(connection, certificate):
        tree.add(canonical_row(row))
    expected = certificate.document.population.rows, certificate.document.integrity.root
    actual = tree.size, tree.root().hex()
    if actual == expected:
        return []
    (rows, root), (known, known_root) = expected, actual
    return [f"it is about {rows} rows with the root {root}, and the ledger has {known} with the root {known_root}"]


def is_erased(ledger: Ledger, certificate: OpenCertificate) -> bool:
    """Whether the rows of a certificate were erased, because its account was removed after it was made."""
    with ledger.reading() as connection:
        return _is_erased(connection, certificate)


def _is_erased(connection: Connection, certificate: OpenCertificate) -> bool:
    removed_at_batch = erased_until(connection, _account_of(connection, certificate))
    return removed_at_batch > 0 and certificate.document.integrity.batch <= removed_at_batch


def _account_of(connection: Connection, certificate: OpenCertificate) -> str:
    """Return the current name of the account that a certificate is about."""
    return current_name(connection, certificate.document.subject.account)


def _check_account(connection: Connection, certificate: OpenCertificate) -> None:
    """Raises CertificateError if the ledger does not have the account that a certificate is about."""
    name = certificate.document.subject.account
    first_link = chain_beginning(connection, _account_of(connection, certificate))
    if first_link is None:
        raise CertificateError(f"{certificate.path} is of another ledger: this one has no account {short_repr(name)}")
    if first_link != certificate.document.integrity.genesis:
        raise CertificateError(
            f"{certificate.path} is of another ledger: its account {short_repr(name)} was created at another time"
        )


def _link_at(connection: Connection, certificate: OpenCertificate) -> str | None:
    """Return the ledger's link for the certificate's batch; None if the chain ends before it."""
    integrity, name = certificate.document.integrity, _account_of(connection, certificate)
    if integrity.batch == 0:
        return integrity.genesis
    query = sa.select(batches.c.link).where(batches.c.account == name, batches.c.seq == integrity.batch)
    return connection.scalar(query)


def _rows(connection: Connection, certificate: OpenCertificate) -> Iterator[CertifiedRow]:
    account, batch = _account_of(connection, certificate), certificate.document.integrity.batch
    return certified_rows(connection, account, *certificate.range_us, batch)


# ---------------------------------------------------------------- rows


def list_rows(ledger: Ledger, certificate: OpenCertificate) -> Iterator[CertifiedRow]:
    """Stream the rows that a certificate certifies. Raises CertificateError for a certificate of another ledger."""
    with ledger.reading() as connection:
        _check_account(connection, certificate)
        if _is_erased(connection, certificate):
            name = certificate.document.subject.account
            raise CertificateError(f"{certificate.path}: account {name} was removed, and its rows were erased")
        yield from _rows(connection, certificate)


def prove_rows(ledger: Ledger, certificate: OpenCertificate, ids: Sequence[str]) -> list[doc.RowProof]:
    """A proof for each row with one of these ids. Raises NotFound, and CertificateError if the ledger differs."""
    hashes: list[bytes] = []
    chosen: list[tuple[int, CertifiedRow]] = []
    wanted = set(ids)
    for index, row in enumerate(list_rows(ledger, certificate)):
        hashes.append(leaf_hash(canonical_row(row)))
        if row[ID] in wanted:
            chosen.append((index, row))
    period = certificate.document.subject.period.name
    for id_ in sorted(wanted.difference(row[ID] for _, row in chosen)):
        raise NotFound(f"row: the certificate of {period} has no row with the id {short_repr(id_)}")
    tree = Tree(hashes)
    if tree.root().hex() != certificate.document.integrity.root:
        raise CertificateError(f"{certificate.path}: the ledger's rows are not those that it is about: verify both")
    return [
        doc.RowProof(
            doc.PROOF_FORMAT,
            doc.PROOF_VERSION,
            certificate.digest,
            index,
            tree.size,
            row,
            [node.hex() for node in tree.path(index)],
        )
        for index, row in chosen
    ]
