"""The document of a certificate: its fields, its canonical bytes, and how to parse it. Pure.

docs/certificate.md specifies the format. Amounts are text, counts are whole numbers, times are text in UTC.
"""

from hashlib import sha256
from typing import Final, Literal, TypeVar

import msgspec
import rfc8785

from liushui.errors import CertificateError, short_repr

FORMAT: Final = "liushui certificate"
VERSION: Final = 1

PROOF_FORMAT: Final = "liushui row proof"
PROOF_VERSION: Final = 1

NOT_SAID: Final = (
    "that the provider told the truth",
    "that the account holder has no other account",
    "that rows were right before liushui received them",
)
"""Statements that no certificate makes."""

Status = Literal["pass", "fail", "could_not_check"]


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """Base of the parts of a document."""


class Period(Part):
    """A month of the account's zone, [since, until), as instants in UTC and as local times."""

    name: str
    since: str
    until: str
    since_local: str
    until_local: str


class Subject(Part):
    """The subject of the certificate. Subaccounts and currencies are those of the rows, sorted."""

    account: str
    provider: str
    zone: str
    period: Period
    subaccounts: list[str]
    currencies: list[str]


class Software(Part):
    """The software that made the certificate. `rules` is the digest of the provider's rules; empty if it is not
    installed."""

    liushui: str
    schema: str
    provider: str
    rules: str


class KindTotal(Part):
    """The rows of one subaccount, currency and kind, and their exact sums by sign: `money_out` is never positive."""

    subaccount: str
    currency: str
    kind: str
    rows: int
    money_in: str
    money_out: str


class Rejected(Part):
    """Rows that could not be read and may belong to the period. `digest`: over their sorted digests, one a line."""

    rows: int
    digest: str


class Population(Part):
    """The rows of the period. `ended`: the numbers of their versions that have ended since the previous certificate
    (number `since_certificate`), or since the beginning if there is none. They are grouped by the way in which they
    ended."""

    rows: int
    columns: list[str]
    totals: list[KindTotal]
    rejected: Rejected
    since_certificate: int | None
    ended: dict[str, int]


class ReadRange(Part):
    """A range that is complete, when it was last read, and the batch of that read."""

    since: str
    until: str
    checked_at: str
    batch: int


class MissingRange(Part):
    """A range that is not complete, and why. null: it has no beginning or no end."""

    since: str | None
    until: str | None
    cause: str
    reason: str


class ProviderFacts(Part):
    """Facts about the provider's API, in words: its paging, the unit of its times, its ranges and retention."""

    title: str
    paging: str
    clock: str
    ranges: str


class Basis(Part):
    """Why the population is complete, or why it is not. `provider` null: not installed."""

    status: str
    complete: bool
    complete_until: str | None
    read: list[ReadRange]
    missing: list[MissingRange]
    provider: ProviderFacts | None


class Figure(Part):
    """A balance. `amount` null: unknown, and `reason` says why. `complete`: whether all earlier flows are in the
    ledger."""

    amount: str | None
    complete: bool
    reason: str


class BalanceCheck(Part):
    """A closing balance and the balance that the provider or a person states. null: no balance is stated."""

    status: Status
    reason: str
    stated: str | None
    expected: str | None
    difference: str | None
    at: str | None
    origin: str | None
    id: str | None


class Line(Part):
    """The roll-forward of a subaccount and currency: closing = opening + money_in + money_out."""

    subaccount: str
    currency: str
    opening: Figure
    money_in: str
    money_out: str
    closing: Figure
    check: BalanceCheck


class Section(Part):
    """The items that were found in the rows by one check; each is an object of texts."""

    status: Status
    reason: str
    items: list[dict[str, str]]


class Integrity(Part):
    """The certificate's position in the account's chain. `genesis` is the account's initial link, `link` the link of
    batch `batch`.

    `root` is the root of the RFC 6962 tree of the rows. `previous` is the digest of the account's previous certificate;
    null: this is the first one.
    """

    genesis: str
    batch: int
    link: str
    root: str
    previous: str | None


class Document(Part):
    """A whole certificate."""

    format: str
    version: int
    number: int
    created_at: str
    subject: Subject
    software: Software
    population: Population
    completeness: Basis
    roll_forward: list[Line]
    order: Section
    breaks: Section
    open_items: Section
    integrity: Integrity
    does_not_say: list[str]


class RowProof(Part):
    """A proof that a row is number `index` of the `rows` rows of a certificate. `certificate` is its digest."""

    format: str
    version: int
    certificate: str
    index: int
    rows: int
    row: dict[str, str]
    path: list[str]


T = TypeVar("T", Document, RowProof)


class Header(msgspec.Struct):
    """The beginning of documents of every version."""

    format: str
    version: int


def to_bytes(document: Document | RowProof) -> bytes:
    """The canonical form of RFC 8785, and a line break."""
    return rfc8785.dumps(msgspec.to_builtins(document)) + b"\n"


def parse_document(text: bytes) -> Document:
    """Return the document in the text of a note. Raises CertificateError."""
    return _parse(text, Document, FORMAT, VERSION)


def parse_proof(text: bytes) -> RowProof:
    """The proof in a line. Raises CertificateError."""
    return _parse(text, RowProof, PROOF_FORMAT, PROOF_VERSION)


def digest_of(note: bytes) -> str:
    """The digest of a certificate: SHA-256 of the whole signed note, in hex."""
    return sha256(note).hexdigest()


def _parse(text: bytes, type_: type[T], format_: str, version: int) -> T:
    try:
        header = msgspec.json.decode(text, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CertificateError(f"it is not a {format_}: {error}") from error
    if header.format != format_:
        raise CertificateError(f"it is not a {format_}: its format is {short_repr(header.format)}")
    if header.version != version:
        raise CertificateError(
            f"it has version {header.version} of the format, and this liushui knows {version}: upgrade liushui"
        )
    try:
        document = msgspec.json.decode(text, type=type_)
    except msgspec.MsgspecError as error:
        raise CertificateError(f"it is not a {format_}: {error}") from error
    if to_bytes(document) != text:
        raise CertificateError(f"it is not a {format_}: its JSON is not in the canonical form of RFC 8785")
    return document
