"""liushui import list and undo. `import FILE` still takes files, with options before and after them."""

import json
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
    third = json.loads(run(ledger, "import", *OPTIONS, str(ledger.with_name("page.json")), "--format", "json").stdout)
    assert third["id"] == result(ledger, "import", "list")[-1]["id"]


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


# ---------------------------------------------------------------- what later imports rest on


def import_rows(ledger: Path, account: str, name: str, *rows: dict[str, object], provider: str = "longbridge") -> str:
    """Import rows from a file of that name. Returns the id of the import."""
    file = ledger.with_name(name)
    file.write_text("\n".join(json.dumps(row) for row in rows))
    before = {known["id"] for known in result(ledger, "import", "list")}
    run(ledger, "import", str(file), "--provider", provider, "--account", account)
    (made,) = {known["id"] for known in result(ledger, "import", "list")} - before
    return str(made)


def undo(ledger: Path, *ids: str) -> list[int]:
    """Undo imports one after another. Returns the exit codes."""
    return [run(ledger, "import", "undo", id_, "--yes").returncode for id_ in ids]


def sum_of(ledger: Path, account: str) -> str:
    """The net change of an account of one currency."""
    (balance,) = result(ledger, "balances", account, returncode=3)
    return str(balance["amount"])


def stock_row(id_: int, amount: float) -> dict[str, object]:
    """A row of the HK and US broker's."""
    base = {"base_currency": "USD", "io_type": "in", "business_type": "other", "business_sub_type": "deposit"}
    return {"id": id_, "date": 1746748800 + id_, "amt": amount, "balance": None, "tran_type": "cash", **base}


def plain_row(second: int) -> dict[str, object]:
    """A row without an id: equal ones are told apart by their number only."""
    return {
        "transaction_flow_name": "Deposit",
        "direction": 2,
        "business_type": 1,
        "balance": "10.00",
        "currency": "USD",
        "business_time": str(1706750000 + second),
        "symbol": "",
        "description": "",
    }


def test_a_replaced_row_comes_back_in_the_one_order_in_which_it_can(ledger: Path) -> None:
    import_rows(ledger, "s", "first.jsonl", stock_row(1, 5), stock_row(2, 10), provider="hkus")
    corrected = import_rows(ledger, "s", "corrected.jsonl", stock_row(2, 15), provider="hkus")
    again = import_rows(ledger, "s", "again.jsonl", stock_row(2, 15), provider="hkus")
    assert sum_of(ledger, "s") == "20"
    refused = run(ledger, "import", "undo", corrected, "--yes")
    assert refused.returncode == 2
    assert f"undo those first, the newest at the beginning: `liushui import undo {again}`" in refused.stderr
    assert sum_of(ledger, "s") == "20", "nothing was undone"
    assert undo(ledger, again, corrected) == [0, 0]
    assert sum_of(ledger, "s") == "15"
    assert run(ledger, "verify").returncode == 0


@pytest.mark.parametrize("second", [(10, 10, 20), (0, 10, 10, 20)], ids=["edge", "overlap"])
def test_equal_rows_at_the_edges_of_pages_are_undone_in_order(ledger: Path, second: tuple[int, ...]) -> None:
    first = import_rows(ledger, "b", "first.jsonl", plain_row(0), plain_row(10))
    before = sum_of(ledger, "b")
    page = [plain_row(at) for at in second]
    other, same = import_rows(ledger, "b", "other.jsonl", *page), import_rows(ledger, "b", "same.jsonl", *page)
    both = sum_of(ledger, "b")
    for id_ in (first, other):
        if undo(ledger, id_) == [2]:
            assert sum_of(ledger, "b") == both
    assert undo(ledger, same) == [0]
    assert undo(ledger, other) in ([0], [2])
    import_rows(ledger, "b", "once-more.jsonl", *page)
    assert sum_of(ledger, "b") == both
    assert run(ledger, "verify").returncode == 0
    assert before == "20.00"


@pytest.mark.parametrize("name", ["../evil", "", "a b", "x/y", "line\nfeed", "x=y"])
def test_a_name_that_no_source_could_have_is_refused(ledger: Path, name: str) -> None:
    unused = ledger.with_name("unused.db")
    for path in (ledger, unused):
        done = run(path, "import", str(ledger.with_name("page.json")), "--provider", "longbridge", "--account", name)
        assert done.returncode == 2
        assert "name: expected 1 to 64 letters, digits or - _ . @" in done.stderr
    assert not unused.exists()
