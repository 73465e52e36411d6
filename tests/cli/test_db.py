"""`liushui db`: copies, backups and restores, on the command line."""

import io
import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from liushui.cli import progress
from liushui.cli.output import messages
from tests.cli.commands import LIUSHUI, environment, result, run
from tests.ledger.copies import prepare_to_copy
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger

FORMS = ("table", "json", "jsonl", "csv")


@pytest.fixture(scope="module")
def full_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with rows in every table, and with secrets. No test changes it."""
    folder = tmp_path_factory.mktemp("full")
    prepare_to_copy(folder)
    return folder / "ledger.db"


def test_copy(full_ledger: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    found = result(full_ledger, "db", "copy", str(full_ledger), str(copy))
    assert [(one["account"], one["result"]) for one in found] == [
        *(("a", "equal"), ("b", "equal"), ("gone", "equal"), ("toy", "equal")),
    ]
    assert list(found[0]) == ["account", "batches", "flows", "versions", "coverage", "quarantine", "link", "result"]
    for words in (["flows"], ["balances"], ["coverage"], ["findings"], ["key", "list"], ["source", "list"]):
        assert run(copy, *words, "--format", "json") == run(full_ledger, *words, "--format", "json")
    assert run(copy, "verify").returncode == 0


@pytest.mark.parametrize("form", FORMS)
def test_every_format(full_ledger: Path, tmp_path: Path, form: str) -> None:
    copy, saved, new = (str(tmp_path / name) for name in ("copy.db", "saved.db", "new.db"))
    for words, said in [
        (("copy", str(full_ledger), copy), "toy"),
        (("backup", saved), "saved.db"),
        (("restore", saved, "--to", new), "new.db"),
    ]:
        done = run(full_ledger, "db", *words, "--format", form)
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
        if form == "json":
            json.loads(done.stdout)


def test_backup_and_restore(full_ledger: Path, tmp_path: Path) -> None:
    saved, new = tmp_path / "saved.db", tmp_path / "new.db"
    done = run(full_ledger, "db", "backup", str(saved))
    assert done.returncode == 0
    assert "the key is not in it" in done.stderr
    again = run(full_ledger, "db", "backup", str(saved))
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == f"error: {saved} is there already: --force replaces it\n"
    found = result(full_ledger, "db", "backup", str(saved), "--force", "--with-secrets")
    assert found["key"] == f"{saved}.key"
    assert run(full_ledger, "db", "backup", str(saved), "--force", "--with-secrets").stderr == ""
    restored = result(new, "db", "restore", str(saved))
    assert restored == {"ledger": str(new), "accounts": 3, "flows": found["flows"], "secrets": "readable"}
    assert result(new, "flows", returncode=3) == result(full_ledger, "flows", returncode=3)
    refused = run(new, "db", "restore", str(saved))
    assert refused.stderr == f"error: {new} contains a ledger already: --force replaces it by the backup\n"
    assert run(new, "db", "restore", str(saved), "--force").returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["copy", "missing.db", "copy.db"], 2, "no ledger at"),
        (["copy", "mysql://h/d", "copy.db"], 2, "ledger: expected a path"),
        (["copy", "full", "mysql://u:geheim@h/d"], 2, "ledger: expected a path"),
        (["copy", "full", "full"], 2, "both ledgers are"),
        (["backup", "no/such/folder/saved.db"], 1, "cannot be written: No such file or directory"),
        (["restore", "missing.db"], 2, "no backup at"),
        (["restore", "full", "--to", "full"], 2, "is the ledger itself"),
    ],
)
def test_an_error_is_one_line(full_ledger: Path, tmp_path: Path, words: list[str], code: int, message: str) -> None:
    place = {"full": str(full_ledger), "copy.db": str(tmp_path / "copy.db")}
    done = run(full_ledger, "db", *[place.get(word, word) for word in words])
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "geheim" not in done.stderr
    assert not (tmp_path / "copy.db").exists()


def test_a_copy_that_differs_has_exit_code_4_and_stays_unfinished(full_ledger: Path, tmp_path: Path) -> None:
    saved, copy = tmp_path / "saved.db", tmp_path / "copy.db"
    assert run(full_ledger, "db", "backup", str(saved)).returncode == 0
    with closing(sqlite3.connect(saved, isolation_level=None)) as file:
        file.execute("UPDATE flows SET amount = '9.99' WHERE account = 'b'")
    done = run(full_ledger, "db", "copy", str(saved), str(copy), "--without-secrets", "--format", "json")
    assert done.returncode == 4
    assert [one["result"].partition(":")[0] for one in json.loads(done.stdout)] == [
        "equal",
        "differs",
        "equal",
        "equal",
    ]
    assert "stays unfinished" in done.stderr
    for words in (["flows"], ["verify"], ["db", "backup", str(tmp_path / "x.db")]):
        refused = run(copy, *words)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"error: {copy} is an unfinished copy of another ledger")


def test_a_copy_that_is_killed_again_and_again_goes_on_to_its_end(tmp_path: Path) -> None:
    ledger, copy = new_ledger(tmp_path), tmp_path / "copy.db"
    for day in range(30):
        commit_read(ledger, hours(day, day + 1), *[make_row(f"{day} {at}", day + at / 1000) for at in range(300)])
    ledger.close()
    words = [*LIUSHUI, "db", "copy", str(ledger.path), str(copy), "--format", "json"]
    kills = 0
    for _ in range(100):
        process = subprocess.Popen(words, env=environment(ledger.path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        seen = rows_in(copy)
        while process.poll() is None and rows_in(copy) == seen:
            os.sched_yield()
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        out, _ = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        assert "is an unfinished copy" in run(copy, "flows").stderr
    (found,) = json.loads(out)
    assert (found["flows"], found["result"]) == (9_000, "equal")
    assert kills >= 2
    assert result(copy, "flows", "--limit", "0") == result(ledger.path, "flows", "--limit", "0")


def rows_in(path: Path) -> int:
    """The number of flows in a ledger that another process writes; 0 before it is a ledger."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
            return int(file.execute("SELECT count(*) FROM flows").fetchone()[0])
    except sqlite3.Error:
        return 0


def test_the_bar_shows_the_step_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(messages, "console", Console(file=screen, force_terminal=True, width=150))
    with progress.work_bar() as bar:
        for done in range(0, 10_001, 100):
            bar.show("copying a", done, 20_000)
        bar.show("verifying a", 0, 7)
    shown = screen.getvalue()
    assert "copying a" in shown or "verifying a" in shown
    assert "left" in shown


def test_there_is_no_bar_without_a_terminal(full_ledger: Path, tmp_path: Path) -> None:
    assert run(full_ledger, "db", "copy", str(full_ledger), str(tmp_path / "copy.db")).stderr == ""
