"""liushui import list and undo; and that `import FILE` still takes files, with options before and after them."""

from pathlib import Path

import pytest

from tests.cli.commands import result, run
from tests.importing.inputs import envelope, row

OPTIONS = ("--provider", "longbridge", "--account", "a")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with one import of two rows, one of which cannot be read."""
    file = tmp_path / "page.json"
    file.write_bytes(envelope([row(3), row(2), b'{"direction":1}', row(1)]))
    done = run(tmp_path / "ledger.db", "import", str(file), *OPTIONS)
    assert done.returncode == 3, done.stderr
    return tmp_path / "ledger.db"


def test_an_import_is_listed_and_undone(ledger: Path) -> None:
    (known,) = result(ledger, "import", "list")
    assert (known["account"], known["files"], known["undone_at"]) == ("a", ["page.json"], None)
    assert [known[name] for name in ("rows", "added", "known", "differing", "rejected")] == [4, 3, 0, 0, 1]
    assert known["started_at"] <= known["ended_at"]
    undone = result(ledger, "import", "undo", known["id"], "--yes")
    assert (undone["withdrawn"], undone["kept"], undone["rejected"]) == (3, 0, 1)
    assert result(ledger, "flows", "a") == []
    assert result(ledger, "quarantine", "list") == []
    assert {one["ended_as"] for one in result(ledger, "flows", "--versions")} == {"undone"}
    assert result(ledger, "import", "list", "a")[0]["undone_at"] is not None
    assert run(ledger, "verify").returncode == 0
    again = run(ledger, "import", "undo", known["id"], "--yes")
    assert again.returncode == 2
    assert f"import: {known['id']} was undone before, at" in again.stderr


def test_the_result_of_an_import_names_its_id(ledger: Path) -> None:
    done = run(ledger, "import", *OPTIONS, str(ledger.with_name("page.json")))
    ids = [known["id"] for known in result(ledger, "import", "list")]
    assert f"this is import {ids[1]}: `liushui import undo {ids[1]}` undoes it" in done.stderr
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("undo", "nothing", "--yes"),
            "import: there is none with the id 'nothing' (`liushui import list` shows them)",
        ),
        (("undo",), "Missing argument 'ID'. (see `liushui import undo --help`)"),
        (("list", "nobody"), "account: expected one of a, got 'nobody'"),
        ((), "Missing argument 'FILE...'"),
        (("./list", *OPTIONS), "list: expected a file, but there is none"),
    ],
)
def test_what_cannot_be_used_is_named(ledger: Path, words: tuple[str, ...], message: str) -> None:
    done = run(ledger, "import", *words)
    assert done.returncode == 2
    assert message in done.stderr


def test_undoing_asks_first(ledger: Path) -> None:
    (known,) = result(ledger, "import", "list")
    done = run(ledger, "import", "undo", known["id"])
    assert (done.returncode, "yes: expected --yes, or a terminal to ask at" in done.stderr) == (2, True)
    done = run(ledger, "import", "undo", known["id"], stdin="n\n", terminal=True)
    assert "Withdraw the 3 flows that page.json added to a? [y/N]" in done.stderr
    assert (done.returncode, result(ledger, "import", "list")[0]["undone_at"]) == (0, None)
    assert run(ledger, "import", "undo", known["id"], stdin="y\n", terminal=True).returncode == 0
    assert result(ledger, "import", "list")[0]["undone_at"] is not None


def test_the_help_shows_files_and_commands(ledger: Path) -> None:
    done = run(ledger, "import", "--help")
    for text in ("liushui import [OPTIONS] FILE...", "--provider PROVIDER", "list", "undo", "./NAME"):
        assert text in done.stdout
