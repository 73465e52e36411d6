"""What a user does wrong is said in one clear line, with an exit code, and writes nothing."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import run

GOOD = {
    "transaction_flow_name": "x",
    "direction": 1,
    "business_type": 1,
    "balance": "-1.00",
    "currency": "USD",
    "business_time": "1621507957",
    "symbol": "",
    "description": "",
}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["balances"], "no ledger at"),
        (["sync"], "no ledger at"),
        (["verify"], "no ledger at"),
        (["source", "add", "bank", "a"], "wooxpro, got 'bank'"),
        (["source", "add", "hkus", "a"], "base-url: expected the address of your"),
        (["source", "add", "wooxpro", "a", "--base-url", "http://api.example.com"], "LIUSHUI_API_KEY"),
        (["source", "add", "longbridge", "a b"], "name: expected 1 to 64 letters"),
        (["source", "add", "longbridge", "a", "--base-url", "ftp://x"], "base-url: expected http://"),
        (["source", "add", "longbridge", "a", "--zone", "Mars"], "zone: expected an IANA time zone"),
        (["source", "add", "longbridge", "a", "--since", "soon"], "since: expected a date"),
        (["source", "add", "longbridge", "a", "--credentials", "missing.toml"], "missing.toml cannot be read"),
        (["source", "add", "longbridge", "a"], "app_key: expected in LIUSHUI_APP_KEY"),
        (
            ["import", "missing.json", "--provider", "longbridge", "--account", "a"],
            "expected a file, but there is none",
        ),
        (["--ledger", "mysql://h/d", "balances"], "ledger: expected a path, sqlite:///PATH or postgresql://"),
        (["simulate", "--flows", "999999999999"], "flows: expected 0 to"),
    ],
)
def test_one_clear_line(tmp_path: Path, words: list[str], said: str) -> None:
    done = run(tmp_path / "ledger.db", *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize(
    "words", [["nonsense"], ["sync", "--every", "0"], ["flows", "--kind", "gift"], ["key", "create"]]
)
def test_wrong_usage(tmp_path: Path, words: list[str]) -> None:
    assert run(tmp_path / "ledger.db", *words).returncode == 2


def test_credentials_that_lack_a_field_are_named_and_never_printed(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    given = json.dumps({"app_key": "k", "app_secret": "very-secret"})
    done = run(ledger, "source", "add", "longbridge", "a", "--credentials", "-", stdin=given)
    assert done.returncode == 1
    assert "access_token: expected in -, but missing" in done.stderr
    assert "very-secret" not in done.stdout + done.stderr
    done = run(ledger, "source", "add", "longbridge", "a", "--credentials", "-", stdin="{nonsense very-secret")
    assert "neither TOML nor JSON" in done.stderr
    assert "very-secret" not in done.stdout + done.stderr


def test_bad_rows_go_to_quarantine_and_the_rest_comes_in(tmp_path: Path) -> None:
    rows = [
        json.dumps(GOOD),
        json.dumps(GOOD | {"direction": 3}),
        json.dumps({name: value for name, value in GOOD.items() if name != "currency"}),
        '{"transaction_flow_name": "cut of',
        json.dumps(GOOD | {"balance": -1.0}),
        json.dumps(GOOD | {"balance": "-2.00"}),
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(rows))
    ledger = tmp_path / "ledger.db"
    words = ("import", str(file), "--provider", "longbridge", "--account", "a")
    done = run(ledger, *words, "--format", "json")
    assert done.returncode == 3
    assert json.loads(done.stdout) | {"withdrawn": 0} == {
        "account": "a", "files": 1, "rows": 6, "added": 2, "known": 0, "withdrawn": 0, "rejected": 4, "quarantined": 4,
    }  # fmt: skip
    for reason in (
        "direction: expected 1 or 2, got 3",
        "currency: expected, but missing",
        "balance: expected text, got -1.0",
        "row: expected a JSON object",
    ):
        assert reason in done.stderr
    again = run(ledger, *words, "--format", "json")
    assert again.returncode == 3
    assert json.loads(again.stdout)["quarantined"] == 0
    assert run(ledger, "status").returncode == 3
    assert run(ledger, "verify").returncode == 0


def test_an_error_answer_is_no_input(tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    file.write_text('{"code": 401003, "message": "token expired"}')
    done = run(tmp_path / "ledger.db", "import", str(file), "--provider", "longbridge", "--account", "a")
    assert done.returncode == 1
    assert "this is an error answer of the provider: token expired (code 401003)" in done.stderr


def test_an_account_belongs_to_one_provider_and_a_name_to_one_source(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    given = json.dumps({"app_key": "k", "app_secret": "s", "access_token": "t"})
    words = ("source", "add", "longbridge", "a", "--credentials", "-")
    assert run(ledger, *words, stdin=given).returncode == 0
    done = run(ledger, *words, stdin=given)
    assert done.returncode == 1
    assert "there is one named 'a' already" in done.stderr
    assert run(ledger, "source", "remove", "b").returncode == 1
    assert run(ledger, "key", "create", "--dialect", "longbridge", "--account", "b").returncode == 1
    assert run(ledger, "sync", "b").returncode == 1
    assert run(ledger, "sync", "--page-size", "10001").returncode == 1


def test_a_provider_that_cannot_be_reached_leaves_an_open_gap(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    given = json.dumps({"app_key": "k", "app_secret": "s", "access_token": "t"})
    add = ("source", "add", "longbridge", "a", "--base-url", "http://127.0.0.1:9", "--credentials", "-")
    assert run(ledger, *add, stdin=given).returncode == 0
    assert run(ledger, "source", "test").returncode == 1
    done = run(ledger, "sync", "--attempts", "1")
    assert done.returncode == 1
    assert "no answer from http://127.0.0.1:9" in done.stderr
    assert run(ledger, "coverage").returncode == 3
