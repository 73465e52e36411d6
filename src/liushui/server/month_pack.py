"""The month-end pack: one zip with everything that an accountant or auditor needs for a month of some accounts."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from liushui.certificate.rows import certified_csv
from liushui.certificate.store import StoredCertificate, current_certificates
from liushui.errors import ConfigError
from liushui.export.formats import FORMATS, ExportOptions
from liushui.export.proof_workbook import about_lines, proof_workbook
from liushui.export.rows import PackageBuilder
from liushui.export.selection import ExportQuery, selecting
from liushui.instant import to_iso
from liushui.ledger.read.accounts import AccountName, read_heads
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.month_calendar import next_month
from liushui.ledger.read.proof_lines import AccountMonth
from liushui.ledger.read.proof_of_cash import reconcile_month
from liushui.ledger.read.statement import read_statement
from liushui.provider import Provider
from liushui.server.downloads import file_name
from liushui.server.web.i18n import Language
from liushui.server.web.statement_pdf import statement_pdf
from liushui.server.web.statement_texts import write_statement
from liushui.server.web.statements import newest_certificate, statement_html

CHECKER: Final = Path(__file__).parents[1] / "certificate" / "check_certificate.txt"
"""The program that checks a certificate without liushui, in the pack as check_certificate.py."""

PIECE: Final = 64 * 1024
"""The bytes of a piece of the pack, about."""

Pieces = Iterator[bytes]


class _Sink:
    """A write-only file from which the written bytes can be taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0
        """The bytes that were not taken yet."""

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        part = bytes(data)
        self._parts.append(part)
        self.size += len(part)
        return len(part)

    def flush(self) -> None:
        """Nothing is buffered."""

    def take(self) -> bytes:
        """Return what was written since the last call."""
        parts, self._parts, self.size = self._parts, [], 0
        return b"".join(parts)


def month_proofs(model: ReadModel, names: Sequence[str], first: date | None) -> dict[AccountName, AccountMonth]:
    """The proof of cash of the month of each account, by account. `first` None: the last month that has ended."""
    with model.reading(names) as reading:
        return {account.name: reconcile_month(reading, account, first) for account in reading.accounts.values()}


def pack_parts(
    model: ReadModel, proofs: Mapping[AccountName, AccountMonth], providers: Mapping[str, Provider], language: Language
) -> Generator[bytes]:
    """Yield the pack of the months of some accounts, in pieces.

    Each account has a folder. It contains the proof of cash and the bank reconciliation statement (xlsx), the statement
    (PDF, or HTML if Typst or a font is missing), the flows (CSV with a data package), the certificates of the month
    with their rows, and a README that lists the files with their digests. All files come from one state of the ledger.
    Raises ConfigError if an account changes in the meantime.
    """
    names = [account.account for account in proofs]
    heads = read_heads(model.ledger, names)
    sink = _Sink()
    has_certificates, folders = False, set[str]()
    with ZipFile(sink, "w", ZIP_DEFLATED) as archive:  # type: ignore[call-overload] # it needs no more of a file
        for account, proof in proofs.items():
            folder, digests = file_name(account.account), dict[str, str]()
            while folder in folders:  # two names may differ only in characters that file names cannot have
                folder += "_"
            folders.add(folder)
            certificates = [
                one for one in current_certificates(model.ledger, (account.account,)) if one.period == proof.month.name
            ]
            has_certificates |= bool(certificates)
            for name, pieces in _files(model, account, proof, providers, language, certificates):
                digest = sha256()
                with closing(archive.open(_info(f"{folder}/{name}", model), "w", force_zip64=True)) as member:
                    for piece in pieces:
                        digest.update(piece)
                        member.write(piece)
                        if sink.size >= PIECE:
                            yield sink.take()
                digests[name] = digest.hexdigest()
            readme = "\n".join([*_readme(proof, heads[account.account], certificates), *_listing(digests), ""])
            archive.writestr(_info(f"{folder}/README.txt", model), readme.encode())
        if has_certificates:
            archive.writestr(_info("check_certificate.py", model), CHECKER.read_bytes())
        if read_heads(model.ledger, names) != heads:
            raise ConfigError("account: the ledger changed while the pack was written: write it again")
    yield sink.take()


def _files(
    model: ReadModel,
    account: AccountName,
    proof: AccountMonth,
    providers: Mapping[str, Provider],
    language: Language,
    certificates: Sequence[StoredCertificate],
) -> Iterator[tuple[str, Pieces]]:
    """Yield the files of an account, each with its pieces, which have to be read before the next file."""
    with model.reading((account.account,)) as reading:
        workbook = proof_workbook(reading, model.rules, reading.accounts[account.account], proof)
    yield "proof-of-cash.xlsx", iter((workbook,))
    yield _statement(model, account, proof, providers, language)
    package = PackageBuilder()
    month = FlowFilter(accounts=(account.account,), since=proof.month.first, until=next_month(proof.month.first))
    with selecting(model, ExportQuery(month)) as selection:
        parts = FORMATS["csv"].write(selection, ExportOptions(bom=True))
        yield "flows.csv", _counted(parts, package)
        yield "datapackage.json", iter((package.package(selection, FORMATS["csv"], "flows.csv"),))
    for one in certificates:
        yield f"certificate-{one.number}.certificate", iter((one.note,))
        if one.timestamp is not None:
            yield f"certificate-{one.number}.certificate.tsr", iter((one.timestamp,))
        yield f"certificate-{one.number}.rows.csv", certified_csv(model.ledger, account, one.period, one.batch)


def _counted(parts: Pieces, package: PackageBuilder) -> Pieces:
    for part in parts:
        package.add(part)
        yield part


def _statement(
    model: ReadModel,
    account: AccountName,
    proof: AccountMonth,
    providers: Mapping[str, Provider],
    language: Language,
) -> tuple[str, Pieces]:
    provider = providers.get(account.provider)
    texts = write_statement(
        read_statement(model, account.account, proof.month.name),
        newest_certificate(model.ledger, account.account, proof.month.name),
        account.provider if provider is None else provider.title,
        account.zone,
        language,
    )
    try:
        return "statement.pdf", iter((statement_pdf(texts),))
    except ConfigError:  # Typst or a font is missing: HTML needs neither
        return "statement.html", iter((statement_html(texts).encode(),))


def _readme(proof: AccountMonth, head: int, certificates: Sequence[StoredCertificate]) -> Iterator[str]:
    yield "Month-end pack, written by liushui."
    yield from about_lines(proof)
    yield f"batch: {head}"
    for one in certificates:
        yield f"certificate {one.number}: signed by {one.signer} at {to_iso(one.created_at)}; check it with"
        name = f"certificate-{one.number}"
        command = f"python3 -I ../check_certificate.py --key '{one.signer}' {name}.certificate --rows {name}.rows.csv"
        yield f"  {command}"


def _listing(digests: Mapping[str, str]) -> Iterator[str]:
    yield ""
    yield "SHA-256 of the files:"
    yield from (f"{digest}  {name}" for name, digest in digests.items())


def _info(name: str, model: ReadModel) -> ZipInfo:
    now = model.ledger.clock()
    info = ZipInfo(name, (max(now.year, 1980), now.month, now.day, now.hour, now.minute, now.second))
    info.compress_type = ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info
