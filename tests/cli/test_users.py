"""liushui user and audit: people are added, changed and removed, and the log records what commands do."""

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from liushui.cli.app import program
from liushui.cli.audited import AUDITED
from tests.cli.commands import run
from tests.ledger.ledgers import new_ledger

PASSWORD = "correct horse battery"

NOT_AUDITED = {
    *("source list", "source test", "account list", "import list", "flows", "balances", "balance list", "summary"),
    *("export", "month-pack", "view list", "view show"),
    *("coverage", "status", "verify", "certificate key show", "certificate list", "certificate export"),
    *("certificate verify", "certificate rows", "certificate prove-row", "link list", "link show", "findings"),
    *("finding show", "breaks", "quarantine list", "quarantine show", "key list", "token list", "user list", "audit"),
    *("reconcile", "statement"),
    *("oidc show", "oidc test", "db backups", "mcp", "notify list", "notify test", "notify dead-letters"),
}
"""Commands that change nothing that counts."""
RUNNING = {"sync", "serve", "simulate", "demo"}
"""Commands whose work has records of its own: runs, and the entries of each request."""
OF_FILES = {"db upgrade", "db copy", "db backup", "db restore", "db compact"}
"""Commands that treat a ledger as a whole: the log itself is copied, restored or moved by them."""


def leaf_commands(command: click.Command, words: list[str], context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from leaf_commands(child, [*words, name], context)
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield " ".join(words)


def test_every_command_is_in_the_audit_log_or_is_known_not_to_be() -> None:
    commands = {name for name in leaf_commands(program, [], click.Context(program)) if name}
    known = AUDITED | NOT_AUDITED | RUNNING | OF_FILES
    assert commands == known
    assert not AUDITED & (NOT_AUDITED | RUNNING | OF_FILES)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    new_ledger(tmp_path, "broker", "shop").close()
    return tmp_path / "ledger.db"


def users(ledger: Path) -> list[dict[str, object]]:
    return list(json.loads(run(ledger, "user", "list", "--format", "json").stdout))


def actions(ledger: Path) -> list[tuple[str, str, str]]:
    entries = json.loads(run(ledger, "audit", "--format", "json").stdout)
    assert all(entry["through"] == "command line" for entry in entries)
    assert all(entry["who"].startswith("command line (") for entry in entries)
    return [(entry["action"], entry["subject"], entry["outcome"]) for entry in entries]


def test_a_user_is_added_changed_and_removed(ledger: Path) -> None:
    added = run(ledger, "user", "add", "wang", "--role", "accountant", "--account", "shop", stdin=f"{PASSWORD}\n")
    assert added.returncode == 0
    assert "accountant of shop" in added.stderr
    (wang,) = users(ledger)
    assert (wang["user"], wang["role"], wang["accounts"]) == ("wang", "accountant", ["shop"])
    assert run(ledger, "user", "role", "wang", "--role", "viewer").returncode == 0
    assert [(one["role"], one["accounts"]) for one in users(ledger)] == [("viewer", ["all"])]
    assert run(ledger, "user", "password", "wang", stdin="another long password\n").returncode == 0
    assert run(ledger, "user", "remove", "wang").returncode == 0
    assert users(ledger) == []
    assert actions(ledger) == [
        ("user remove", "wang", "done"),
        ("user password", "wang", "done"),
        ("user role", "wang", "done"),
        ("user add", "wang", "done"),
    ]


@pytest.mark.parametrize(
    ("words", "stdin", "error"),
    [
        (("add", "wang", "--role", "viewer"), "short\n", "password: expected 10 to 1000 characters, got 5"),
        (("add", "wang", "--role", "boss"), PASSWORD, "'boss' is not one of"),
        (
            ("add", "wang", "--role", "viewer", "--account", "nothing"),
            PASSWORD,
            "account: there is none named 'nothing'",
        ),
        (("add", "wang", "--role", "owner", "--account", "shop"), PASSWORD, "account: an owner has all accounts"),
        (("add", " ", "--role", "viewer"), PASSWORD, "user: expected 1 to 100 printable characters, got ' '"),
        (("role", "wang", "--role", "viewer"), "", "user: there is none named 'wang'"),
        (("password", "wang"), PASSWORD, "user: there is none named 'wang'"),
        (("remove", "wang"), "", "user: there is none named 'wang'"),
    ],
)
def test_wrong_input_is_named_and_changes_nothing(ledger: Path, words: tuple[str, ...], stdin: str, error: str) -> None:
    done = run(ledger, "user", *words, stdin=stdin)
    assert done.returncode == 2
    assert error in done.stderr
    assert users(ledger) == []


def test_a_name_is_given_once(ledger: Path) -> None:
    run(ledger, "user", "add", "wang", "--role", "viewer", stdin=f"{PASSWORD}\n")
    again = run(ledger, "user", "add", "wang", "--role", "owner", stdin=f"{PASSWORD}\n")
    assert again.returncode == 2
    assert "user: there is one named 'wang' already" in again.stderr
    assert [one["role"] for one in users(ledger)] == ["viewer"]
    assert [outcome for _, _, outcome in actions(ledger)] == ["failed (AlreadyExists)", "done"]


def test_a_user_with_an_address_needs_no_password_and_another_gets_an_identity(ledger: Path) -> None:
    added = run(ledger, "user", "add", "wang", "--role", "viewer", "--email", "Wang@Example.com")
    assert added.returncode == 0, added.stderr
    run(ledger, "user", "add", "li", "--role", "viewer", stdin=f"{PASSWORD}\n")
    ways = {user["user"]: (user["email"], user["logs_in_with"]) for user in users(ledger)}
    assert ways == {"wang": ("wang@example.com", ["oidc"]), "li": ("", ["password"])}
    taken = run(ledger, "user", "identity", "li", "--email", "wang@example.com")
    assert (taken.returncode, "email: wang@example.com is the address of the user 'wang'" in taken.stderr) == (2, True)
    for words, error in (
        (("li", "--email", "li"), "email: expected an address such as wang@example.com, got 'li'"),
        (("li", "--subject", "7f3a"), "subject: expected a provider first: `liushui oidc set`"),
        (("zhao", "--email", "z@example.com"), "user: there is none named 'zhao'"),
    ):
        refused = run(ledger, "user", "identity", *words)
        assert (refused.returncode, error in refused.stderr) == (2, True), refused.stderr
    assert "nobody at the provider" in run(ledger, "user", "identity", "wang").stderr
    assert users(ledger)[1]["logs_in_with"] == []


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("https://id.example", "--client-id", "c", "--grant", "a=owner"), 2, "grant: expected together with --role"),
        (
            ("https://id.example", "--client-id", "c", "--role-claim", "groups", "--grant", "a=boss"),
            2,
            "grant: expected VALUE=ROLE with one of viewer, accountant, operator, owner, got 'a=boss'",
        ),
        (("http://id.example", "--client-id", "c"), 2, "issuer: expected https://HOST/PATH"),
        (("https://id.example/?a=b", "--client-id", "c"), 2, "issuer: expected https://HOST/PATH"),
        (("https://id.example", "--client-id", "c", "--secret", "/nothing"), 2, "secret: /nothing cannot be read"),
        (("http://127.0.0.1:1", "--client-id", "c"), 1, "oidc: no answer from http://127.0.0.1:1"),
    ],
)
def test_a_wrong_provider_is_named_and_not_set(ledger: Path, words: tuple[str, ...], code: int, error: str) -> None:
    done = run(ledger, "oidc", "set", *words)
    assert (done.returncode, error in done.stderr) == (code, True), done.stderr
    for command in ("show", "test"):
        absent = run(ledger, "oidc", command)
        assert (absent.returncode, "oidc: there is no provider" in absent.stderr) == (2, True)
    assert run(ledger, "oidc", "remove").returncode == 2


def test_a_command_that_fails_is_in_the_log_without_its_text(ledger: Path) -> None:
    assert run(ledger, "key", "revoke", "none").returncode == 2
    assert actions(ledger) == [("key revoke", "none", "failed (NotFound)")]


def test_a_user_without_a_name_is_a_number(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def has_no_name(uid: int) -> None:
        raise KeyError(uid)

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", has_no_name)
    assert run(ledger, "key", "revoke", "none").returncode == 2
    (entry,) = json.loads(run(ledger, "audit", "--format", "json").stdout)
    assert entry["who"] == f"command line (uid {os.getuid()})"
    undecided = run(ledger, "close", "2024-01", "shop")
    assert "no key to sign with" in undecided.stderr, "the name of who decides is found, too"


def test_the_log_is_filtered(ledger: Path) -> None:
    run(ledger, "key", "revoke", "one")
    run(ledger, "key", "revoke", "two")
    entries = json.loads(run(ledger, "audit", "--limit", "1", "--format", "json").stdout)
    assert [entry["subject"] for entry in entries] == ["two"]
    assert json.loads(run(ledger, "audit", "--since", "2100-01-01", "--format", "json").stdout) == []
    assert json.loads(run(ledger, "audit", "--who", "user wang", "--format", "json").stdout) == []
