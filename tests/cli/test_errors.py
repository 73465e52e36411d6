"""Errors of a user: each is one line on standard error, has an exit code, and changes nothing."""

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


CREDENTIALS = json.dumps({"app_key": "k", "app_secret": "s", "access_token": "t"})
"""Longbridge's, as they are given to --credentials."""


@pytest.mark.parametrize(
    ("words", "message"),
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
def test_an_error_is_one_line_and_creates_no_ledger(tmp_path: Path, words: list[str], message: str) -> None:
    done = run(tmp_path / "ledger.db", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["flow"], "No such command 'flow'. Did you mean 'flows'?"),
        (["source", "lis"], "No such command 'lis'. Did you mean 'list'?"),
        (["flows", "--nonsense"], "No such option '--nonsense'."),
        (["--nonsense", "flows"], "No such option '--nonsense'."),
        (["flows", "--since"], "Option '--since' requires an argument."),
        (["source", "remove"], "Missing argument 'NAME'."),
        (["source", "remove", "a", "b"], "Got unexpected extra argument (b)"),
        (["import", "--provider", "longbridge", "--account", "a"], "Missing argument 'FILE...'."),
        (["import", "no/such.csv"], "no/such.csv: expected a file, but there is none"),
        (["key", "create"], "Missing option '--dialect'."),
        (["key", "create", "--dialect", "bank", "--account", "a"], "hkus, longbridge, longbridge_legacy"),
        (["key", "create", "--dialect", "wecom", "--account", "a", "--restrict", "x"], "restrict: expected NAME=VALUE"),
        (["key", "create", "--dialect", "wecom", "--account", "nobody"], "account: there is none named 'nobody'"),
        (["key", "revoke", "nobody"], "key: there is no valid one named 'nobody'"),
        (["token", "create", "--scope", "all", "--all-accounts"], "'all' is not one of 'read'"),
        (["token", "create", "--scope", "read"], "account: expected --account, once or more, or --all-accounts"),
        (["token", "create", "--scope", "read", "--account", "nobody"], "account: there is none named 'nobody'"),
        (["token", "create", "--scope", "read", "--all-accounts", "--days", "0"], "0 is not in the range x>=1"),
        (["token", "revoke", "nobody"], "token: there is no valid one with the id 'nobody'"),
        (["password", "remove"], "password: there is none"),
        (["flows", "--kind", "gift"], "'gift' is not one of 'deposit'"),
        (["flows", "--since", "soon"], "since: expected a date or ISO 8601 time"),
        (["summary", "--until", "0001-01-01"], "until: expected a day after 0001-01-01"),
        (["flows", "--until", "2024-13-01"], "until: expected a date or ISO 8601 time"),
        (["flows", "--limit", "few"], "'few' is not a valid integer"),
        (["flows", "--limit", "-1"], "-1 is not in the range x>=0"),
        (["flows", "--versions", "--as-of", "2024-01-01"], "as-of: expected without --versions"),
        (["flows", "nobody"], "account: expected one of a, got 'nobody'"),
        (["balances", "nobody"], "account: expected one of a, got 'nobody'"),
        (["balances", "--at", "soon"], "at: expected a date or ISO 8601 time"),
        (["balances", "--format", "JSON"], "'JSON' is not one of 'table'"),
        (["summary", "nobody"], "account: expected one of a, got 'nobody'"),
        (["summary", "--by", "hour"], "'hour' is not one of 'day'"),
        (["coverage", "nobody"], "account: expected one of a, got 'nobody'"),
        (["status", "nobody"], "account: expected one of a, got 'nobody'"),
        (["status", "--max-age", "0"], "0 is not in the range x>=1"),
        (["findings", "nobody"], "account: expected one of a, got 'nobody'"),
        (["findings", "--only", "odd"], "'odd' is not one of 'side'"),
        (["quarantine", "list", "nobody"], "account: expected one of a, got 'nobody'"),
        (["quarantine", "show", "a", "none"], "id: there is no entry named 'none'"),
        (["quarantine", "retry", "nobody"], "account: expected one of a, got 'nobody'"),
        (["rebuild", "nobody"], "account: expected one of a, got 'nobody'"),
        (["sync", "nobody"], "source: expected one of a, got 'nobody'"),
        (["sync", "--watch", "nobody"], "source: expected one of a, got 'nobody'"),
        (["sync", "--every", "0"], "0.0 is not in the range x>=1"),
        (["sync", "--page-size", "10001"], "page-size: expected at most"),
        (["sync", "--since", "2024-02-01", "--until", "2024-01-01"], "until: expected later than since 2024-02-01"),
        (["sync", "--metrics-port", "0"], "metrics-port: expected with --watch only"),
        (["sync", "--metrics-port", "65536"], "65536 is not in the range 0<=x<=65535"),
        (["source", "add", "longbridge", "a", "--credentials", "-"], "source: there is one named 'a' already"),
        (["source", "test", "nobody"], "source: expected one of a, got 'nobody'"),
        (["source", "remove", "nobody"], "source: there is none named 'nobody'"),
        (["source", "pause", "nobody"], "source: there is none named 'nobody'"),
        (["db", "restore", "missing.db"], "no backup at"),
        (["db", "upgrade", "--citus"], "only a ledger on PostgreSQL with Citus"),
        (["login", "--url", "nowhere"], "base-url: expected http://"),
        (["serve", "--host", "0.0.0.0", "--port", "0"], "host: expected a loopback address"),  # noqa: S104 - refused
        (["serve", "--port", "70000"], "70000 is not in the range 0<=x<=65535"),
        (["simulate", "--provider", "bank"], "hkus, longbridge, longbridge_legacy"),
        (["simulate", "--faults", "weather", "--flows", "1", "--port", "0"], "faults: expected none or network"),
        (["simulate", "--begin", "2024-01-01", "--end", "2023-01-01"], "end: expected a day after"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_have_exit_code_2_and_one_line(ledger_with_source: Path, words: list[str], message: str) -> None:
    before = ledger_with_source.read_bytes()
    done = run(ledger_with_source, *words, stdin=CREDENTIALS)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert ledger_with_source.read_bytes() == before


@pytest.fixture(scope="module")
def ledger_with_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with the account and source `a`, of Longbridge. No test changes it."""
    ledger = tmp_path_factory.mktemp("usage") / "ledger.db"
    done = run(ledger, "source", "add", "longbridge", "a", "--credentials", "-", stdin=CREDENTIALS)
    assert done.returncode == 0, done.stderr
    return ledger


@pytest.mark.parametrize("words", [[], ["source"], ["key"], ["db"]], ids=lambda words: " ".join(words) or "liushui")
def test_a_group_without_a_command_prints_its_help(tmp_path: Path, words: list[str]) -> None:
    done = run(tmp_path / "ledger.db", *words)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == run(tmp_path / "ledger.db", *words, "--help").stdout
    assert done.stdout == run(tmp_path / "ledger.db", *words, "-h").stdout


def test_credentials_that_lack_a_field_are_named_and_never_printed(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    given = json.dumps({"app_key": "k", "app_secret": "very-secret"})
    done = run(ledger, "source", "add", "longbridge", "a", "--credentials", "-", stdin=given)
    assert done.returncode == 2
    assert "access_token: expected in -, but missing" in done.stderr
    assert "very-secret" not in done.stdout + done.stderr
    done = run(ledger, "source", "add", "longbridge", "a", "--credentials", "-", stdin="{nonsense very-secret")
    assert "neither TOML nor JSON" in done.stderr
    assert "very-secret" not in done.stdout + done.stderr


def test_rows_that_cannot_be_read_are_quarantined_and_the_others_imported(tmp_path: Path) -> None:
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
    assert json.loads(done.stdout) | {"id": "", "withdrawn": 0} == {
        "account": "a", "id": "",
        "files": 1, "rows": 6, "added": 2, "known": 0, "differs": 0, "restated": 0, "withdrawn": 0,
        "rejected": 4, "quarantined": 4, "dry_run": False, "differences": [],
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


def test_a_saved_error_answer_cannot_be_imported(tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    file.write_text('{"code": 401003, "message": "token expired"}')
    done = run(tmp_path / "ledger.db", "import", str(file), "--provider", "longbridge", "--account", "a")
    assert done.returncode == 2
    assert "this is an error answer of the provider: token expired (code 401003)" in done.stderr


def test_an_account_belongs_to_one_provider_and_a_name_to_one_source(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    words = ("source", "add", "longbridge", "a", "--credentials", "-")
    assert run(ledger, *words, stdin=CREDENTIALS).returncode == 0
    done = run(ledger, *words, stdin=CREDENTIALS)
    assert done.returncode == 2
    assert "there is one named 'a' already" in done.stderr
    assert run(ledger, "source", "remove", "b").returncode == 2
    assert run(ledger, "key", "create", "--dialect", "longbridge", "--account", "b").returncode == 2
    assert run(ledger, "sync", "b").returncode == 2
    assert run(ledger, "sync", "--page-size", "10001").returncode == 2


def test_a_provider_that_cannot_be_reached_leaves_an_open_gap(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    add = ("source", "add", "longbridge", "a", "--base-url", "http://127.0.0.1:9", "--credentials", "-")
    assert run(ledger, *add, stdin=CREDENTIALS).returncode == 0
    assert run(ledger, "source", "test").returncode == 1
    done = run(ledger, "sync", "--attempts", "1")
    assert done.returncode == 1
    assert "no answer from http://127.0.0.1:9" in done.stdout
    assert run(ledger, "coverage").returncode == 3
