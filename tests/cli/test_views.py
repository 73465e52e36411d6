"""liushui view, and liushui flows --view."""

import csv
import io
import json
from pathlib import Path

import pytest

from liushui.flow import Kind
from tests.cli.commands import run
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    ledger = new_ledger(tmp_path, "broker", "shop")
    rows = [
        make_row("one", 1, "-1.50", kind=Kind.FEE),
        make_row("two", 2, "9", kind=Kind.TRADE),
        make_row("three", 3, kind=Kind.FEE),
    ]
    commit_read(ledger, hours(0, 24), *rows, account="shop")
    ledger.close()
    return tmp_path / "ledger.db"


def test_flows_are_printed_as_a_view_has_them(ledger: Path) -> None:
    words = ("shop", "--kind", "fee", "--column", "time", "--column", "amount", "--oldest", "--zone", "Asia/Hong_Kong")
    saved = run(ledger, "view", "save", "Fees", *words, "--format", "json")
    assert saved.returncode == 0, saved.stderr
    assert json.loads(saved.stdout)["filter"] == {"kind": "fee"}
    rows = list(csv.reader(io.StringIO(run(ledger, "flows", "--view", "Fees", "--format", "csv").stdout)))
    assert rows[0] == ["at", "amount"]
    assert [row[1] for row in rows[1:]] == ["-1.50", "1.00"]
    table = run(ledger, "flows", "--view", "Fees").stdout
    assert "2024-03-01 09:00:00" in table  # in Hong Kong
    newest = run(ledger, "flows", "--view", "Fees", "--newest", "--kind", "trade", "--format", "jsonl").stdout
    assert [json.loads(line)["amount"] for line in newest.splitlines()] == ["9"]


def test_views_are_changed_listed_and_removed(ledger: Path) -> None:
    run(ledger, "view", "save", "Fees", "--kind", "fee", "--default")
    assert "there is a view named 'Fees' already" in run(ledger, "view", "save", "Fees").stderr
    assert run(ledger, "view", "save", "Fees", "--replace", "--text", "x").returncode == 0
    assert run(ledger, "view", "change", "Fees", "--name", "Charges", "--shared").returncode == 0
    (view,) = json.loads(run(ledger, "view", "list", "--format", "json").stdout)
    assert (view["name"], view["owner"], view["shared"], view["default"]) == ("Charges", "owner", True, True)
    assert view["filter"] == {"text": "x"}
    assert run(ledger, "view", "default").returncode == 0
    assert json.loads(run(ledger, "view", "show", "Charges", "--format", "json").stdout)["default"] is False
    assert run(ledger, "view", "remove", "Charges").returncode == 0
    for words, error in (
        (("view", "show", "Charges"), "view: there is none named 'Charges'"),
        (("view", "remove", "Charges"), "view: there is none named 'Charges'"),
        (("view", "change", "Charges"), "name: expected --name, --shared or --private"),
        (("flows", "--view", "Charges"), "view: there is none named 'Charges'"),
        (("view", "save", "x", "--column", "nope"), "columns: expected some of time,"),
    ):
        done = run(ledger, *words)
        assert (done.returncode, error in done.stderr) == (2, True), done.stderr
    entries = json.loads(run(ledger, "audit", "--format", "json").stdout)
    actions = {(entry["action"], entry["subject"]) for entry in entries if entry["outcome"] == "done"}
    assert actions == {
        ("view save", "Fees"),
        ("view change", "Fees"),
        ("view default", ""),
        ("view remove", "Charges"),
    }
