"""liushui account list and remove."""

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
