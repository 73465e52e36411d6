"""Programs in which users open exports: polars, Frictionless, Fava and LibreOffice read the ledger's figures."""

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import export_record, list_flows
from tests.cli.commands import run
from tests.export.books import MAP, books
from tests.export.test_journals import expected_balances
from tests.export.test_tables import plain_totals, run_program
from tests.system import require

NAMES: Final = {"700.HK": "X700.HK", "1INCH": "X1INCH", "点券": "POINTS"}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with books(tmp_path) as ledger:
        yield ledger


def export(folder: Path, form: str, name: str, *words: str) -> Path:
    output = folder / name
    assert run(folder / "ledger.db", "export", form, *words, "--output", str(output)).returncode in (0, 3)
    return output


def test_frictionless_validates_the_data_package(ledger: Ledger, tmp_path: Path) -> None:
    export(tmp_path, "csv", "flows.csv", "--datapackage")
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / "datapackage.json").write_bytes((tmp_path / "datapackage.json").read_bytes())
    (changed / "flows.csv").write_bytes((tmp_path / "flows.csv").read_bytes().replace(b"88.80", b"88.81", 1))
    packages = [str(folder / "datapackage.json") for folder in (tmp_path, changed)]
    whole, damaged = run_program("read_datapackage.py", "frictionless.txt", *packages)
    assert whole == {"valid": True, "errors": [], "rows": [len(list(list_flows(ledger, FlowFilter())))]}
    assert not damaged["valid"], "the digest is compared"


def test_fava_opens_the_journal_without_an_error(ledger: Ledger, tmp_path: Path) -> None:
    map_file = tmp_path / "map.toml"
    map_file.write_text(MAP, "utf-8")
    book = export(tmp_path, "beancount", "books.beancount", "--map", str(map_file))
    found = run_program("read_fava.py", "fava.txt", str(book))
    assert (found["errors"], found["status"]) == ([], [200, 200, 200])
    for (account, currency), amount in expected_balances(ledger).items():
        assert Decimal(found["totals"][account][NAMES.get(currency, currency)]) == amount, (account, currency)


def test_libreoffice_opens_the_workbook_with_equal_sums_and_exact_texts(ledger: Ledger, tmp_path: Path) -> None:
    """It is of 300 MB with what it needs, so it is installed only if LIUSHUI_LIBREOFFICE is set."""
    office = shutil.which("soffice")
    if office is None and not os.environ.get("LIUSHUI_LIBREOFFICE"):
        pytest.skip("soffice is missing: LIUSHUI_LIBREOFFICE=1 installs libreoffice-calc for this test")
    office = office or require("soffice", "libreoffice-calc")
    book = export(tmp_path, "xlsx", "flows.xlsx")
    home = (tmp_path / "home").as_uri()
    # Filter 44,34,76,...,-1: CSV with commas and quotes in UTF-8, a file for each sheet, cells as they are shown.
    command = [office, f"-env:UserInstallation={home}", "--headless", "--convert-to"]
    command += ["csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"]
    command += ["--outdir", str(tmp_path), str(book)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO((tmp_path / "flows-Flows.csv").read_text("utf-8"))))
    records = [export_record(one) for one in list_flows(ledger, FlowFilter())]
    for row, record in zip(rows, records, strict=True):
        assert (row["amount"], row["id"], row["label"]) == (record["amount"], record["id"], record["label"])
        assert Decimal(row["amount (number)"]) == pytest.approx(Decimal(record["amount"]), abs=Decimal("1e-9"))
    totals = list(csv.DictReader(io.StringIO((tmp_path / "flows-Totals.csv").read_text("utf-8"))))
    sums = {f"{row['account']}/{row['subaccount']} {row['currency']}": row["sum"] for row in totals}
    assert {key: format(Decimal(text).normalize(), "f") for key, text in sums.items()} == plain_totals(ledger)
    assert date.fromisoformat(rows[0]["local_time"][:10]) == date(2025, 10, 3)
