"""The month-end pack: the content of the zip, the checker's verdict on its certificate, and the refusals."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch
from zipfile import ZipFile

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.write.commit import make_account
from liushui.server.downloads import file_name
from liushui.server.month_pack import CHECKER
from tests.certificate.certified import CHECKER as OURS
from tests.certificate.certified import PERIOD, certifiable_ledger, certify
from tests.cli.commands import run
from tests.ledger.ledgers import import_page, make_row
from tests.web.visitor import visiting

SHOP = "店铺 : 1"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger with a certified March of `a`, and a shop that has no source."""
    ledger = certifiable_ledger(tmp_path)
    certify(ledger)
    make_account(ledger, SHOP, "wecom", "Asia/Shanghai")
    import_page(ledger, make_row("one", 5, "1.00", currency="CNY"), account=SHOP)
    yield ledger
    ledger.close()


def test_a_pack_has_everything_of_the_month_and_can_be_checked(ledger: Ledger, tmp_path: Path) -> None:
    output = tmp_path / "march.zip"
    done = run(tmp_path / "ledger.db", "month-pack", "--period", PERIOD, "--output", str(output))
    assert done.returncode == 3  # nothing is stated of these accounts
    assert f"a USD {PERIOD}: could not check" in done.stderr
    folder = tmp_path / "unpacked"
    with ZipFile(output) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    statements = {name for name in names if "/statement." in name}
    assert len(statements) == 2
    files = ("README.txt", "datapackage.json", "flows.csv", "proof-of-cash.xlsx")
    certified = ("certificate-1.certificate", "certificate-1.rows.csv")
    shop = file_name(SHOP)
    assert shop == "店铺 _ 1"
    assert names - statements == {
        "check_certificate.py",
        *(f"a/{name}" for name in (*files, *certified)),
        *(f"{shop}/{name}" for name in files),
    }
    readme = (folder / "a" / "README.txt").read_text(encoding="utf-8")
    assert "completeness: complete\n" in readme
    assert "gap: no source to check it against" in (folder / shop / "README.txt").read_text(encoding="utf-8")
    listed = dict(reversed(line.split("  ", 1)) for line in re.findall(r"^[0-9a-f]{64}  .*$", readme, re.MULTILINE))
    assert set(listed) == {path.name for path in (folder / "a").iterdir()} - {"README.txt"}
    for name, digest in listed.items():
        assert sha256((folder / "a" / name).read_bytes()).hexdigest() == digest
    rows = list(csv.DictReader(io.StringIO((folder / "a" / "flows.csv").read_text(encoding="utf-8-sig"))))
    package = json.loads((folder / "a" / "datapackage.json").read_text(encoding="utf-8"))
    assert len(rows) == 23
    assert package["resources"][0]["hash"] == f"sha256:{listed['flows.csv']}"
    (command,) = re.findall(r"^  python3 -I (.*)$", readme, re.MULTILINE)
    words = [word.strip("'") for word in command.split(" ")]
    checked = subprocess.run(
        [sys.executable, "-I", *words], cwd=folder / "a", capture_output=True, text=True, check=False
    )
    assert checked.stdout == f"valid: a, {PERIOD}, 23 rows, complete\n", checked.stderr


def test_the_workbook_has_the_figures_of_reconcile(ledger: Ledger, tmp_path: Path) -> None:
    output = tmp_path / "march.zip"
    run(tmp_path / "ledger.db", "month-pack", "a", "--period", PERIOD, "--output", str(output))
    proofs = json.loads(run(tmp_path / "ledger.db", "reconcile", "a", "--period", PERIOD, "--format", "json").stdout)
    with ZipFile(output) as archive, ZipFile(io.BytesIO(archive.read("a/proof-of-cash.xlsx"))) as book:
        texts = book.read("xl/sharedStrings.xml").decode()
        workbook = book.read("xl/workbook.xml").decode()
    for sheet in ("About", "Proof of cash 收支余额核对", "银行存款余额调节表", "Outstanding 未达账项"):
        assert f'name="{sheet}"' in workbook
    for proof in proofs:
        for figure in ("opening", "money_in", "money_out", "closing"):
            assert f"<t>{proof[figure]}</t>" in texts
    assert "企业账面余额" in texts
    assert "<t>could not check</t>" in texts


def test_a_ledger_that_changes_meanwhile_is_noticed(ledger: Ledger, tmp_path: Path) -> None:
    output = tmp_path / "march.zip"
    heads = iter(({"a": 1}, {"a": 2}))
    with patch("liushui.server.month_pack.read_heads", lambda _ledger, _names: next(heads)):
        done = run(tmp_path / "ledger.db", "month-pack", "a", "--period", PERIOD, "--output", str(output))
    assert done.returncode == 2
    assert "the ledger changed while the pack was written: write it again" in done.stderr
    assert not output.exists()


def test_the_page_has_the_pack_of_a_month(ledger: Ledger) -> None:
    with visiting(ledger) as visitor:
        visitor.log_in()
        assert f'href="/reconcile/a/{PERIOD}/pack.zip"' in visitor.get(f"/reconcile/a/{PERIOD}").text
        answer = visitor.get(f"/reconcile/a/{PERIOD}/pack.zip")
        assert answer.headers["content-type"].startswith("application/zip")
        assert "a-2024-03.zip" in answer.headers["content-disposition"]
        with ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            assert "a/proof-of-cash.xlsx" in archive.namelist()
        for path in ("/reconcile/nobody/2024-03/pack.zip", "/reconcile/a/2024-13/pack.zip"):
            assert visitor.get(path).status_code == 404


def test_the_checker_of_a_pack_is_that_of_the_project() -> None:
    assert CHECKER.read_bytes() == OURS.read_bytes()
