"""liushui account list, rename and remove."""

from pathlib import Path

import pytest

from tests.cli.commands import result, run
from tests.importing.inputs import envelope, row


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with the accounts `a` and `b`, a key and a token."""
    file = tmp_path / "page.json"
    file.write_bytes(envelope([row(3), row(2), row(1)]))
    for account in ("a", "b"):
        words = ("import", str(file), "--provider", "longbridge", "--account", account)
        assert run(tmp_path / "ledger.db", *words).returncode == 0
    assert run(tmp_path / "ledger.db", "key", "create", "--dialect", "longbridge", "--account", "a").returncode == 0
    return tmp_path / "ledger.db"


def test_an_account_is_removed_and_its_name_used_again(ledger: Path) -> None:
    first, second = result(ledger, "account", "list")
    assert (first["account"], first["provider"], first["flows"], first["keys"]) == ("a", "longbridge", 3, 1)
    assert second["account"] == "b"
    removed = result(ledger, "account", "remove", "a", "--confirm", "a")
    assert (removed["flows"], removed["keys_revoked"]) == (3, 1)
    assert [known["account"] for known in result(ledger, "account", "list")] == ["b"]
    gone, _ = result(ledger, "account", "list", "--all")
    assert (gone["account"], gone["removed_at"] is None) == ("a", False)
    assert {flow["account"] for flow in result(ledger, "flows")} == {"b"}
    assert result(ledger, "key", "list")[0]["revoked_at"] is not None
    assert run(ledger, "verify").returncode == 0
    words = ("import", str(ledger.with_name("page.json")), "--provider", "longbridge", "--account", "a")
    assert run(ledger, *words).returncode == 0
    assert len(result(ledger, "flows", "a")) == 3
    assert run(ledger, "verify").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a",), "confirm: expected --confirm a, or a terminal to ask at"),
        (("a", "--confirm", "b"), "confirm: expected the name a, got 'b': nothing was erased"),
        (("nobody", "--confirm", "nobody"), "account: there is none named 'nobody'"),
    ],
)
def test_removing_is_confirmed_by_the_name(ledger: Path, words: tuple[str, ...], message: str) -> None:
    done = run(ledger, "account", "remove", *words)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert len(result(ledger, "account", "list")) == 2


@pytest.mark.parametrize(("typed", "code"), [("a", 0), ("b", 2), ("", 2)])
def test_the_name_is_typed_at_a_terminal(ledger: Path, typed: str, code: int) -> None:
    done = run(ledger, "account", "remove", "a", stdin=f"{typed}\n", terminal=True)
    assert (done.returncode, "Erase the account a for good? Type its name" in done.stderr) == (code, True)
    assert len(result(ledger, "account", "list")) == (1 if code == 0 else 2)


# ---------------------------------------------------------------- renaming


def test_an_account_is_renamed(ledger: Path) -> None:
    link = result(ledger, "verify")[0]["link"]
    before = result(ledger, "flows", "a")
    renamed = result(ledger, "account", "rename", "a", "broker", "--confirm", "a")
    assert (renamed["account"], renamed["before"], renamed["keys"], renamed["tokens"]) == ("broker", "a", 1, 0)
    assert [known["account"] for known in result(ledger, "account", "list")] == ["b", "broker"]
    after = result(ledger, "flows", "broker")
    assert [row | {"account": "a"} for row in after] == before
    assert result(ledger, "key", "list")[0]["accounts"] == ["broker"]
    assert run(ledger, "verify", "--expect", f"a={link}", "--expect", f"broker={renamed['link']}").returncode == 0
    assert {head["account"] for head in result(ledger, "verify")} == {"b", "broker"}
    done = run(ledger, "flows", "a")
    assert (done.returncode, "account: 'a' was renamed to 'broker': use that name" in done.stderr) == (2, True)
    words = ("import", str(ledger.with_name("page.json")), "--provider", "longbridge", "--account")
    for dry in ([], ["--dry-run"]):
        done = run(ledger, *words, "a", *dry)
        assert done.returncode == 2
        assert "'a' is the earlier name of 'broker'" in done.stderr
    assert run(ledger, *words, "broker").returncode == 0
    assert len(result(ledger, "flows", "broker")) == 3
    result(ledger, "account", "rename", "broker", "a", "--confirm", "broker")
    assert run(ledger, "verify").returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "c"), "confirm: expected --confirm a, or a terminal to ask at"),
        (("a", "c", "--confirm", "c"), "confirm: expected the name a, got 'c': nothing was renamed"),
        (("nobody", "c", "--confirm", "nobody"), "account: there is none named 'nobody'"),
        (("a", "a", "--confirm", "a"), "name: expected another name than the present one, got 'a'"),
        (("a", "b", "--confirm", "a"), "name: there is an account named 'b' already: choose another name"),
        (("a", "b c", "--confirm", "a"), "name: expected 1 to 64 letters, digits or - _ . @, got 'b c'"),
    ],
)
def test_a_rename_is_confirmed_and_checked(ledger: Path, words: tuple[str, ...], message: str) -> None:
    done = run(ledger, "account", "rename", *words)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert [known["account"] for known in result(ledger, "account", "list")] == ["a", "b"]


@pytest.mark.parametrize(("typed", "code"), [("a", 0), ("c", 2), ("", 2)])
def test_the_name_to_rename_is_typed_at_a_terminal(ledger: Path, typed: str, code: int) -> None:
    done = run(ledger, "account", "rename", "a", "c", stdin=f"{typed}\n", terminal=True)
    assert (done.returncode, "Rename the account a to c? Type its name" in done.stderr) == (code, True)
    assert result(ledger, "account", "list")[-1]["account"] == ("c" if code == 0 else "b")
