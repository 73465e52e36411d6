"""liushui certificate: signed statements about one month of an account, for people who do not have the ledger."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import click

from liushui.cli import EXIT_DAMAGED, EXIT_INCOMPLETE, options
from liushui.cli.options import Format, Settings
from liushui.cli.output import Record, emit, emit_one, messages
from liushui.errors import CertificateError, ConfigError

if TYPE_CHECKING:
    from liushui.certificate.check import OpenCertificate
    from liushui.certificate.document import Document, Status
    from liushui.certificate.keys import KnownKey
    from liushui.certificate.note import VerifierKey
    from liushui.certificate.store import StoredCertificate
    from liushui.ledger.engine import Ledger

KEY_COLUMNS: Final = ("name", "key_id", "verifier_key", "created_at")
LIST_COLUMNS: Final = ("account", "number", "period", "created_at", "batch", "link", "signer", "digest", "timestamped")
VERIFY_COLUMNS: Final = ("file", "account", "number", "period", "rows", "complete", "signer", "result")

VALID: Final = "valid"
ERASED: Final = "valid; the account was removed, so that its rows cannot be compared"

P = ParamSpec("P")
R = TypeVar("R")

file_argument = click.argument("file", type=click.Path(path_type=Path), metavar="FILE", help="The certificate.")
trusted_option = click.option(
    "--key",
    "trusted",
    multiple=True,
    metavar="VERIFIER_KEY",
    help="A key that you trust in addition to the ledger's own, as `certificate key show` prints it; repeatable.",
)


def out_options(function: Callable[P, R]) -> Callable[P, R]:
    """Add the options of a command that writes a certificate to a file."""
    force = click.option("--force", is_flag=True, help="Replace the file if it exists.")
    out = click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The file to write. (default: ACCOUNT-PERIOD.certificate in this folder)",
    )
    return out(force(function))


@click.group(cls=options.OrderedGroup, no_args_is_help=True)
def certificate() -> None:
    """Make and check signed certificates of a month of an account.

    A certificate says which rows an account had in a month, why they are complete or not, and what they add up to.
    tools/check_certificate.py checks one without liushui.
    """


# ---------------------------------------------------------------- keys


@certificate.group("key", cls=options.OrderedGroup, no_args_is_help=True)
def certificate_key() -> None:
    """Manage the keys that sign certificates."""


@certificate_key.command("create")
@click.argument("name", metavar="NAME", help="The key's name, best a URL without its scheme: example.com/ledger.")
@options.ledger_and_format
def key_create(settings: Settings, name: str) -> None:
    """Create a key. Give its verifier key to those who will check your certificates.

    The private part is stored in the ledger, encrypted like all credentials, and never shown.

    \b
    Example: liushui certificate key create example.com/ledger
    """
    from liushui.certificate.keys import create_signing_key

    ledger = settings.open_ledger()
    created = create_signing_key(ledger, name)
    emit_one(_key_record(created), settings.format)


@certificate_key.command("show")
@click.argument("name", required=False, metavar="[NAME]", help="The key. (default: all)")
@click.option("--pem", is_flag=True, help="Print the public key as `openssl` reads it.")
@options.ledger_and_format
def key_show(settings: Settings, name: str | None, pem: bool) -> None:
    """Print the public part of the keys, the newest first."""
    from liushui.certificate.keys import list_signing_keys

    known = [key for key in list_signing_keys(settings.open_ledger()) if name in (None, key.verifier.name)]
    if name is not None and not known:
        raise ConfigError(f"name: there is no signing key {name!r}")
    if pem:
        sys.stdout.write("".join(key.pem for key in known))
        return
    emit(map(_key_record, known), KEY_COLUMNS, settings.format)


def _key_record(key: "KnownKey") -> Record:
    verifier = key.verifier
    return dict(zip(KEY_COLUMNS, (verifier.name, verifier.id.hex(), str(verifier), key.created_at), strict=True))


# ---------------------------------------------------------------- certificates


@certificate.command("create")
@click.argument("account", metavar="ACCOUNT", help="The account.")
@click.option("--period", required=True, metavar="MONTH", help="A month of the account's zone that is over: 2026-10.")
@click.option("--sign-with", metavar="NAME", help="The key to sign with. (default: the newest)")
@click.option("--timestamp", metavar="URL", help="Have a time stamping authority (RFC 3161) stamp it, into FILE.tsr.")
@out_options
@options.ledger_and_format
def create(
    settings: Settings,
    account: str,
    period: str,
    sign_with: str | None,
    timestamp: str | None,
    out: Path | None,
    force: bool,
) -> None:
    """Certify a month of an account: sign what the ledger contains, and store the certificate in the ledger.

    If the month is not complete, the certificate says so, with the missing ranges and the reasons. It also names
    balances that differ from the stated ones. The command prints the verdicts: `complete`, and pass, fail or could not
    check for the closing balances, the balance chain and the outstanding items. The exit code is 3 if flows may be
    missing, a balance differs or a chain breaks.

    \b
    Example: liushui certificate create --period 2026-10 broker
    """
    from liushui.certificate.keys import load_signing_key
    from liushui.certificate.make import make_certificate
    from liushui.certificate.timestamp import request_timestamp
    from liushui.ledger.maintenance.backup import check_replaceable
    from liushui.providers import load_providers

    model = settings.open_read_model()
    path = out or Path(f"{account}-{period}.certificate")
    check_replaceable(path, force=force)
    key = load_signing_key(model.ledger, sign_with)
    stamp = None if timestamp is None else lambda note: request_timestamp(timestamp, note)
    made, document = make_certificate(model, account, period, key, load_providers(), stamp)
    _write(made, path, force=force)
    checks = _checks(document)
    record = _record(made) | {"rows": document.population.rows, "complete": document.completeness.complete}
    record |= {name: status for name, (status, _) in checks.items()} | {"path": str(path)}
    emit_one(record, settings.format)
    for missing in document.completeness.missing:
        since, until = missing.since or "the beginning", missing.until or "now"
        messages.warn(f"not complete: {missing.reason} ({since} to {until})")
    for name, (status, reasons) in checks.items():
        for reason in reasons:
            messages.warn(f"{name.replace('_', ' ')}: {status.replace('_', ' ')}: {reason}")
    is_missing = any(missing.cause != "no_source" for missing in document.completeness.missing)
    # An outstanding item is not a failure: its other side may still arrive, or may be outside of the ledger.
    if is_missing or "fail" in (checks["balances"][0], checks["breaks"][0]):
        sys.exit(EXIT_INCOMPLETE)


def _checks(document: "Document") -> dict[str, tuple["Status", list[str]]]:
    """Return the verdicts of a certificate besides its completeness, each with the reasons if it is not a pass."""
    by_status: dict[Status, list[str]] = {"fail": [], "could_not_check": [], "pass": []}
    unchecked: Status = "could_not_check"
    for line in document.roll_forward:
        reason = f"{' '.join(filter(None, (line.subaccount, line.currency)))}: {line.check.reason}"
        by_status[line.check.status].append(reason)
    worst = next((status for status, reasons in by_status.items() if reasons), unchecked)
    checks = {"balances": (worst, [] if worst == "pass" else by_status[worst])}
    for name, section in (("breaks", document.breaks), ("open_items", document.open_items)):
        checks[name] = section.status, [] if section.status == "pass" else [section.reason]
    return checks


@certificate.command("list")
@options.accounts
@click.option("--all", "with_removed", is_flag=True, help="Also list certificates of removed accounts.")
@options.ledger_and_format
def list_(settings: Settings, accounts: tuple[str, ...], with_removed: bool) -> None:
    """List the certificates of the accounts.

    Certificates of a removed account are left out, even if another account has its name now.
    """
    from liushui.certificate.store import current_certificates, list_certificates
    from liushui.errors import AccountNotFound
    from liushui.ledger.engine import account_names
    from liushui.ledger.tombstones import chain_names

    ledger = settings.open_ledger()
    with ledger.reading() as connection:
        known = chain_names(connection) if with_removed else account_names(connection)
    for name in accounts:
        if name not in known:
            raise AccountNotFound(name)
    listed = list_certificates(ledger, accounts) if with_removed else current_certificates(ledger, accounts)
    emit(map(_record, listed), LIST_COLUMNS, settings.format)


@certificate.command("export")
@click.argument("account", metavar="ACCOUNT", help="The account.")
@click.argument("number", type=int, required=False, metavar="[NUMBER]", help="Its number. (default: the newest)")
@out_options
@options.ledger_and_format
def export(settings: Settings, account: str, number: int | None, out: Path | None, force: bool) -> None:
    """Write a stored certificate to a file, and its time stamp to FILE.tsr."""
    from liushui.certificate.store import load_certificate

    stored = load_certificate(settings.open_ledger(), account, number)
    path = out or Path(f"{account}-{stored.period}.certificate")
    _write(stored, path, force=force)
    emit_one(_record(stored) | {"path": str(path)}, settings.format)


@certificate.command("verify")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...", help="The certificates."
)
@trusted_option
@options.ledger_and_format
def verify(settings: Settings, files: tuple[Path, ...], trusted: tuple[str, ...]) -> None:
    """Check the signatures of certificates, and compare their content with the ledger.

    The chain must still have the batch that a certificate names, and the rows as of that batch must have the
    certificate's root. The exit code is 4 if a certificate is not valid or the ledger differs. It is 3 if the account
    was removed, because its rows can no longer be compared.

    \b
    Example: liushui certificate verify broker-2026-10.certificate
    """
    from liushui.certificate.check import known_keys

    ledger = settings.open_ledger()
    keys = known_keys(ledger, trusted)
    records = [_verify_one(ledger, path, keys) for path in files]
    emit(records, VERIFY_COLUMNS, settings.format)
    results = {record["result"] for record in records}
    if results - {VALID, ERASED}:
        sys.exit(EXIT_DAMAGED)
    if ERASED in results:
        sys.exit(EXIT_INCOMPLETE)


def _verify_one(ledger: "Ledger", path: Path, keys: "list[VerifierKey]") -> Record:
    from liushui.certificate.check import compare_with_ledger, is_erased, open_certificate

    record: dict[str, object] = dict.fromkeys(VERIFY_COLUMNS) | {"file": str(path)}
    try:
        opened = open_certificate(path, keys)
        record |= _opened_record(opened)
        differences = compare_with_ledger(ledger, opened)
    except CertificateError as error:
        return record | {"result": f"not valid: {error}"}
    if differences:
        return record | {"result": f"the ledger differs: {'; '.join(differences)}"}
    return record | {"result": ERASED if is_erased(ledger, opened) else VALID}


@certificate.command("rows")
@file_argument
@trusted_option
@options.ledger_and_format
def rows(settings: Settings, file: Path, trusted: tuple[str, ...]) -> None:
    """Print the rows that a certificate covers, as JSON lines or CSV, to hand over with it.

    The rows are printed as they were when the certificate was created, in the form over which its Merkle tree was
    computed.

    \b
    Example: liushui certificate rows broker-2026-10.certificate --format csv > rows.csv
    """
    from liushui.certificate.check import known_keys, list_rows, open_certificate
    from liushui.certificate.rows import COLUMNS, canonical_row

    form = settings.chosen_format or Format.JSONL
    if form not in (Format.CSV, Format.JSONL):
        raise ConfigError(f"format: expected csv or jsonl, got {form.value}")
    ledger = settings.open_ledger()
    listed = list_rows(ledger, open_certificate(file, known_keys(ledger, trusted)))
    if form is Format.CSV:
        # Not by `emit`, because every text must stay unchanged: the certificate has its digest.
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row.values() for row in listed)
    else:
        for row in listed:
            sys.stdout.write(canonical_row(row).decode() + "\n")


@certificate.command("prove-row")
@file_argument
@click.argument(
    "ids", nargs=-1, required=True, metavar="ID...", help="The flow IDs, as `flows --format json` has them."
)
@trusted_option
@options.ledger_only
def prove_row(settings: Settings, file: Path, ids: tuple[str, ...], trusted: tuple[str, ...]) -> None:
    """Print a proof that a certificate covers a row, one JSON line for each row.

    The proof contains the row and about 15 digests for a month of 30,000 rows. It reveals no other row.

    \b
    Example: liushui certificate prove-row broker-2026-10.certificate 5a0c2f > row.proof
    """
    from liushui.certificate.check import known_keys, open_certificate, prove_rows
    from liushui.certificate.document import to_bytes

    ledger = settings.open_ledger()
    for proof in prove_rows(ledger, open_certificate(file, known_keys(ledger, trusted)), ids):
        sys.stdout.write(to_bytes(proof).decode())


# ---------------------------------------------------------------- records and files


def _record(stored: "StoredCertificate") -> dict[str, object]:
    record = stored._asdict()
    return {name: record[name] for name in LIST_COLUMNS[:-1]} | {"timestamped": stored.timestamp is not None}


def _opened_record(opened: "OpenCertificate") -> dict[str, object]:
    document = opened.document
    return {
        "account": document.subject.account,
        "number": document.number,
        "period": document.subject.period.name,
        "rows": document.population.rows,
        "complete": document.completeness.complete,
        "signer": opened.signer.label,
    }


def _write(stored: "StoredCertificate", path: Path, *, force: bool) -> None:
    """Write a certificate, and its time stamp beside it. Each file is either complete or absent."""
    from liushui.ledger.maintenance.backup import check_replaceable, publish, temporary_beside

    files = {path: stored.note}
    if stored.timestamp is not None:
        files[path.with_name(f"{path.name}.tsr")] = stored.timestamp
    for name in files:
        check_replaceable(name, force=force)
    for name, content in files.items():
        with temporary_beside(name) as temporary:
            temporary.write_bytes(content)
            publish(temporary, name, force=force)
