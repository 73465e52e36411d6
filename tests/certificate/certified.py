"""A ledger with a complete month to certify, its certificate in files, and the independent checker."""

import csv
import io
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from liushui.certificate.check import OpenCertificate, list_rows, open_certificate, prove_rows
from liushui.certificate.document import Document, to_bytes
from liushui.certificate.keys import create_signing_key, list_signing_keys, load_signing_key
from liushui.certificate.make import Stamp, make_certificate
from liushui.certificate.rows import COLUMNS, ID, CertifiedRow, canonical_row
from liushui.flow import Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.model import ReadModel
from liushui.provider import DecodedRow, Slice
from liushui.providers import ProviderRules, load_providers
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, hour, make_full_row, make_row, new_ledger

CHECKER: Final = Path(__file__).parents[2] / "tools" / "check_certificate.py"
NAME: Final = "example.com/ledger"
PERIOD: Final = "2024-03"
BEGIN: Final = datetime(2018, 1, 1, tzinfo=UTC)
"""Where the provider's history begins."""
END: Final = datetime(2024, 5, 1, tzinfo=UTC)

MARCH: Final = datetime(2024, 2, 29, 16, tzinfo=UTC), datetime(2024, 3, 31, 16, tzinfo=UTC)
"""The month in Hong Kong."""

STRANGE: Final = 'a "quoted", 註\n\t\\ \u2028\u2029\x7f\x1f=1 😀 é'
"""A text with what CSV and JSON have to escape, and what they must not."""


def march_rows(many: int = 20) -> list[DecodedRow]:
    """Rows of March in Hong Kong, with a row in February and one in April."""
    full = make_full_row("full", 30, label=STRANGE)
    rows = [
        make_row("before", datetime(2024, 2, 29, 15, 59, 59, tzinfo=UTC), "100.50"),
        make_row("after", MARCH[1], "-7"),
        full._replace(flow=full.flow._replace(balance_after=full.flow.amount)),  # the only one of its subaccount
        make_row("zero", 31, "-0.00", currency="HKD"),
        make_row("long", 32, "-0.000000000000000000000000000000000001", currency="HKD"),
    ]
    kinds = list(Kind)
    return rows + [
        make_row(f"row {n}", MARCH[0] if n == 0 else hour(n * 29 % 700), f"{n - 9}.{n:02}", kind=kinds[n % 5])
        for n in range(many)
    ]


def certifiable_ledger(where: LedgerStore | Path, *rows: DecodedRow) -> Ledger:
    """A ledger with an account `a` that is complete from the provider's beginning to the end of April."""
    ledger = new_ledger(where)
    add_source(ledger, account="a", base_url="http://x", credentials={}, since=BEGIN, paced=True)
    commit_read(ledger, Slice(BEGIN, END), *(rows or march_rows()))
    create_signing_key(ledger, NAME)
    return ledger


def certify(ledger: Ledger, period: str = PERIOD, account: str = "a", stamp: Stamp | None = None) -> Document:
    """Make a certificate, and return its document."""
    model = ReadModel(ledger, ProviderRules())
    return make_certificate(model, account, period, load_signing_key(ledger), load_providers(), stamp)[1]


@dataclass(frozen=True)
class Files:
    """A certificate and what belongs to it, in the files of a folder."""

    folder: Path
    key: str

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate"

    @property
    def rows(self) -> Path:
        return self.folder / "rows.csv"

    @property
    def lines(self) -> Path:
        return self.folder / "rows.jsonl"

    @property
    def proofs(self) -> Path:
        return self.folder / "proofs"

    def open(self, ledger: Ledger) -> OpenCertificate:
        """The certificate, its signature checked."""
        return open_certificate(self.certificate, [key.verifier for key in list_signing_keys(ledger)])

    def check(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run the checker as a stranger does, in the folder."""
        command = [sys.executable, "-I", CHECKER, "--key", self.key, self.certificate.name, *words]
        return subprocess.run(list(map(str, command)), cwd=self.folder, capture_output=True, text=True, check=False)

    def check_everything(self) -> subprocess.CompletedProcess[str]:
        """The checker on the certificate, its rows in CSV, and its proofs."""
        return self.check("--rows", self.rows.name, "--proof", self.proofs.name)


def export(ledger: Ledger, folder: Path, account: str = "a") -> Files:
    """Write the newest certificate of an account, its rows in both formats, and a proof of each row."""
    from liushui.certificate.store import load_certificate

    folder.mkdir(exist_ok=True)
    files = Files(folder, str(list_signing_keys(ledger)[0].verifier))
    files.certificate.write_bytes(load_certificate(ledger, account).note)
    opened = files.open(ledger)
    rows = list(list_rows(ledger, opened))
    files.rows.write_bytes(csv_bytes(rows))
    files.lines.write_bytes(b"".join(canonical_row(row) + b"\n" for row in rows))
    proofs = prove_rows(ledger, opened, [row[ID] for row in rows]) if rows else []
    files.proofs.write_bytes(b"".join(map(to_bytes, proofs)))
    return files


def csv_bytes(rows: list[CertifiedRow]) -> bytes:
    """Rows as `certificate rows --format csv` prints them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.values() for row in rows)
    return out.getvalue().encode()
