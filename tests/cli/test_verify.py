"""`liushui verify`: its output, and the anchors that it compares a ledger with."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.commands import result, run

FORMS = ("table", "json", "jsonl", "csv")


def imported(ledger: Path, *amounts: str) -> None:
    """Import rows into the account `a`, one batch for each amount."""
    for number, amount in enumerate(amounts):
        row = {
            "transaction_flow_name": "現金股息", "direction": 2, "business_type": 1, "balance": amount,
            "currency": "USD", "business_time": str(1621507957 + number), "symbol": "AAPL.US", "description": "",
        }  # fmt: skip
        file = ledger.with_suffix(".json")
        file.write_text(json.dumps([row]))
        assert run(ledger, "import", str(file), "--provider", "longbridge", "--account", "a").returncode == 0


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    imported(path, "1.23", "4.56")
    return path


def put_back(ledger: Path, saved: Path) -> None:
    """Put an older copy of a ledger in its place, with SQLite instead of liushui."""
    with closing(sqlite3.connect(saved)) as source, closing(sqlite3.connect(ledger)) as target:
        source.backup(target)


@pytest.mark.parametrize("form", FORMS)
def test_links_are_printed_whole(ledger: Path, form: str) -> None:
    (verified,) = result(ledger, "verify")
    assert len(verified["link"]) == 64
    done = run(ledger, "verify", "--format", form)
    assert done.returncode == 0
    assert verified["link"] in done.stdout


def test_an_import_records_heads_and_verify_uses_them(ledger: Path, tmp_path: Path) -> None:
    (verified,) = result(ledger, "verify")
    assert (verified["batch"], verified["anchored"], verified["result"]) == (2, 2, "intact")
    saved = tmp_path / "saved.db"
    assert run(ledger, "db", "backup", str(saved)).returncode == 0
    imported(ledger, "7.89")
    put_back(ledger, saved)
    done = run(ledger, "verify", "--format", "json")
    assert done.returncode == 4
    (damage,) = json.loads(done.stdout)
    assert damage["result"].startswith(
        "damaged: batches are missing at its end: the account ends at batch 2, and ledger"
    )
    imported(ledger, "0.12")
    warned = run(ledger, "import", str(ledger.with_suffix(".json")), "--provider", "longbridge", "--account", "a")
    assert "account a does not continue from batch 3, which ledger.db.heads recorded" in warned.stderr
    assert run(ledger, "verify").returncode == 4
    Path(f"{ledger}.heads").unlink()
    (alone,) = result(ledger, "verify")
    assert (alone["anchored"], alone["result"]) == (None, "intact")


def last_recorded(ledger: Path) -> int:
    """The newest batch of the account `a` in the heads file."""
    lines = Path(f"{ledger}.heads").read_text().splitlines()
    return max(int(json.loads(line)["batch"]) for line in lines)


def test_every_command_that_adds_to_a_chain_records_its_head(ledger: Path) -> None:
    (row,) = json.loads(ledger.with_suffix(".json").read_text())
    (ledger.parent / "rejected.jsonl").write_text(json.dumps(row | {"balance": "x"}))
    rejecting = ["import", str(ledger.parent / "rejected.jsonl"), "--provider", "longbridge", "--account", "a"]
    assert run(ledger, *rejecting).returncode == 3
    (entry,) = result(ledger, "quarantine", "list", returncode=3)
    (first, *_) = result(ledger, "import", "list")
    state = ["balance", "state", "a", "--currency", "USD", "--amount", "1", "--at", "2022-01-01"]
    (stated,) = result(ledger, *state)
    assert last_recorded(ledger) == 4
    commands = [
        ["balance", "withdraw", stated["id"], "--reason", "wrong"],
        ["quarantine", "discard", entry["id"], "--reason", "wrong"],
        ["import", "undo", first["id"], "--yes"],
        ["account", "remove", "a", "--confirm", "a"],
    ]
    for batch, words in enumerate(commands, 5):
        done = run(ledger, *words)
        assert done.returncode == 0, done.stderr
        assert last_recorded(ledger) == batch, words
    before = Path(f"{ledger}.heads").read_bytes()
    assert run(ledger, "account", "list").returncode == 0
    assert run(ledger, "verify").returncode == 0
    assert Path(f"{ledger}.heads").read_bytes() == before, "a command that adds nothing"


def test_a_rehearsal_records_nothing(ledger: Path) -> None:
    before = Path(f"{ledger}.heads").read_bytes()
    row = json.loads(ledger.with_suffix(".json").read_text())[0] | {"business_time": "1621507990"}
    ledger.with_suffix(".json").write_text(json.dumps([row]))
    words = ["import", str(ledger.with_suffix(".json")), "--provider", "longbridge", "--account", "a", "--dry-run"]
    assert run(ledger, *words).returncode == 0
    assert Path(f"{ledger}.heads").read_bytes() == before


def test_an_expected_link(ledger: Path, tmp_path: Path) -> None:
    Path(f"{ledger}.heads").unlink()
    (verified,) = result(ledger, "verify")
    saved = tmp_path / "saved.db"
    assert run(ledger, "db", "backup", str(saved)).returncode == 0
    imported(ledger, "7.89")
    (later,) = result(ledger, "verify", "--expect", f"a={verified['link']}")
    assert later["link"] != verified["link"]
    put_back(ledger, saved)
    Path(f"{ledger}.heads").unlink()  # whoever can write the ledger may be able to write this file too
    assert result(ledger, "verify", "--expect", f"a={verified['link']}")[0]["anchored"] == 2
    done = run(ledger, "verify", "--format", "json", "--expect", f"a={later['link']}")
    assert done.returncode == 4
    assert json.loads(done.stdout)[0]["result"] == f"damaged: --expect names the link {later['link']}: no batch has it"


def test_an_expectation_that_is_invalid_is_wrong_usage(ledger: Path) -> None:
    done = run(ledger, "verify", "--expect", "a=5a0c")
    assert done.returncode == 2
    assert done.stderr == (
        "error: expect: expected ACCOUNT=LINK, with the 64 hexadecimal digits of a link that `liushui verify` printed, "
        "got 'a=5a0c'\n"
    )


def test_a_restore_is_said(ledger: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.db"
    assert run(ledger, "db", "backup", str(saved)).returncode == 0
    imported(ledger, "7.89")
    assert run(ledger, "db", "restore", str(saved), "--force").returncode == 0
    done = run(ledger, "verify", "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["anchored"] == 2
    assert f"restored from {saved} at " in done.stderr


def test_a_foreign_line_in_the_heads_file_is_damage(ledger: Path) -> None:
    with Path(f"{ledger}.heads").open("a") as file:
        file.write("{}\n")
    done = run(ledger, "verify", "--format", "json")
    assert done.returncode == 4
    assert json.loads(done.stdout)[0]["result"].startswith(
        "damaged: ledger.db.heads, line 3, is not one that liushui wrote"
    )
