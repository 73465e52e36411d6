"""`liushui certificate`: all steps from a key to a proof of one row, and their errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from liushui.ledger.engine import open_ledger
from liushui.ledger.write.commit import make_account
from tests.certificate.certified import CHECKER, NAME, PERIOD, certifiable_ledger
from tests.cli.commands import result, run

FORMS = ("table", "json", "jsonl", "csv")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger with a key, in the current folder."""
    monkeypatch.chdir(tmp_path)
    made = certifiable_ledger(tmp_path)
    made.close()
    return made.path


def created(ledger: Path) -> str:
    """Make the certificate of March. Returns the verifier key."""
    assert run(ledger, "certificate", "create", "--period", PERIOD, "a").returncode == 0
    (key,) = result(ledger, "certificate", "key", "show")
    return str(key["verifier_key"])


def checker(key: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(CHECKER), "--key", key, f"a-{PERIOD}.certificate", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_whole_way(ledger: Path, tmp_path: Path) -> None:
    record = result(ledger, "certificate", "create", "--period", PERIOD, "a")
    assert (record["number"], record["rows"], record["complete"]) == (1, 23, True)
    assert record["path"] == f"a-{PERIOD}.certificate"
    (key,) = result(ledger, "certificate", "key", "show")
    assert (key["name"], key["verifier_key"].split("+")[1]) == (NAME, key["key_id"])
    (listed,) = result(ledger, "certificate", "list")
    assert listed["digest"] == record["digest"]
    (verified,) = result(ledger, "certificate", "verify", record["path"])
    assert (verified["result"], verified["rows"]) == ("valid", 23)
    (anchored,) = result(ledger, "verify", "--against", record["path"])
    assert anchored["anchored"] == 1
    for form in ("csv", "jsonl"):
        done = run(ledger, "certificate", "rows", record["path"], "--format", form)
        Path(f"rows.{form}").write_bytes(done.stdout.encode())
    proof = run(ledger, "certificate", "prove-row", record["path"], "row 3", "full")
    Path("proof").write_text(proof.stdout, encoding="utf-8")
    assert len(proof.stdout.split("\n")) == 3
    for rows in ("rows.csv", "rows.jsonl"):
        checked = checker(key["verifier_key"], "--rows", rows, "--proof", "proof")
        assert checked.stdout == f"valid: a, {PERIOD}, 23 rows, complete\n"
    assert result(ledger, "certificate", "export", "a", "1", "--out", "again")["digest"] == record["digest"]
    assert Path("again").read_bytes() == Path(record["path"]).read_bytes()
    pem = run(ledger, "certificate", "key", "show", "--pem").stdout
    Path("key.pem").write_text(pem)
    assert subprocess.run(["openssl", "pkey", "-pubin", "-in", "key.pem", "-noout"], check=False).returncode == 0


@pytest.mark.parametrize("form", FORMS)
def test_every_format(ledger: Path, form: str) -> None:
    created(ledger)
    for words in (
        ["key", "show"],
        ["key", "create", "example.com/second"],
        ["list"],
        ["verify", f"a-{PERIOD}.certificate"],
        ["export", "a", "--force"],
        ["create", "--period", "2024-02", "a"],
    ):
        done = run(ledger, "certificate", *words, "--format", form)
        assert done.returncode == 0, done.stderr
        if form == "json":
            json.loads(done.stdout)


def test_a_key_is_printed_whole(ledger: Path) -> None:
    done = run(ledger, "certificate", "key", "create", "example.com/a/rather/long/name/of/a/key")
    shown = "".join(done.stdout.split())
    assert result(ledger, "certificate", "key", "show", "example.com/a/rather/long/name/of/a/key")[0][
        "verifier_key"
    ] in (shown)


def test_a_month_that_is_not_complete_has_exit_code_3(ledger: Path) -> None:
    done = run(ledger, "certificate", "create", "--period", "2024-05", "a")
    assert done.returncode == 3
    assert "not complete: not read yet (2024-05-01T00:00:00Z to 2024-05-31T16:00:00Z)" in done.stderr


def test_verdicts_are_printed(ledger: Path) -> None:
    done = run(ledger, "certificate", "create", "--period", PERIOD, "a", "--format", "json")
    record = json.loads(done.stdout)
    assert (done.returncode, record["complete"]) == (0, True)
    verdicts = record["balances"], record["breaks"], record["open_items"]
    assert verdicts == ("could_not_check", "pass", "fail")
    assert "balances: could not check: HKD: no balance is stated" in done.stderr
    assert "open items: fail: transfers, refunds and fees whose other side is not known" in done.stderr


def test_a_balance_that_differs_has_exit_code_3(ledger: Path) -> None:
    words = ["--currency", "USD", "--amount", "1", "--at", "2024-03-20"]
    assert run(ledger, "balance", "state", "a", *words).returncode == 3
    done = run(ledger, "certificate", "create", "--period", PERIOD, "a", "--format", "json")
    assert (done.returncode, json.loads(done.stdout)["balances"]) == (3, "fail")
    assert "balances: fail: USD: statement a:" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["create", "--period", "2024-03", "b"], 2, "account: expected one of a, got 'b'"),
        (["create", "--period", "2024-3", "a"], 2, "period: expected a month such as 2026-10, got '2024-3'"),
        (["create", "--period", "2024-03", "a", "--sign-with", "x"], 2, "key: expected one of example.com/ledger, got"),
        (["create", "--period", "2024-03", "a", "--out", "ledger.db"], 2, "is there already: --force replaces it"),
        (["create", "--period", "2024-03", "a", "--timestamp", "x"], 2, "timestamp: expected http:// or https://"),
        (["key", "create", NAME], 2, "name: there is a signing key 'example.com/ledger' already"),
        (["key", "create", "a b"], 2, "name: expected a name without spaces and plus signs"),
        (["key", "show", "x"], 2, "name: there is no signing key 'x'"),
        (["list", "b"], 2, "account: there is none named 'b'"),
        (["export", "a"], 2, "certificate: account a has no certificate"),
        (["verify", "missing"], 2, "missing cannot be read: No such file or directory"),
        (["rows", "ledger.db"], 1, "ledger.db: it is not a signed note"),
    ],
)
def test_an_error_is_one_line(ledger: Path, words: list[str], code: int, message: str) -> None:
    done = run(ledger, "certificate", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert result(ledger, "certificate", "list") == []


def test_certificates_of_a_removed_account_are_listed_when_asked_for(ledger: Path) -> None:
    created(ledger)
    assert run(ledger, "account", "remove", "a", "--confirm", "a").returncode == 0
    assert result(ledger, "certificate", "list") == []
    assert [one["number"] for one in result(ledger, "certificate", "list", "--all", "a")] == [1]
    assert run(ledger, "certificate", "list", "a").returncode == 2
    reused = open_ledger(str(ledger))
    make_account(reused, "a", "longbridge", "Asia/Hong_Kong")
    reused.close()
    assert result(ledger, "certificate", "list", "a") == []
    assert [one["number"] for one in result(ledger, "certificate", "list", "a", "--all")] == [1]


def test_errors_of_a_certificate(ledger: Path, tmp_path: Path) -> None:
    key, path = created(ledger), Path(f"a-{PERIOD}.certificate")
    for words, message in [
        (["rows", str(path), "--format", "json"], "format: expected csv or jsonl, got json"),
        (["prove-row", str(path), "x"], "row: the certificate of 2024-03 has no row with the id 'x'"),
        (["verify", str(path), "--key", "x"], "key: expected a verifier key such as"),
        (["create", "--period", PERIOD, "a"], f"{path} is there already: --force replaces it"),
    ]:
        done = run(ledger, "certificate", *words)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
    content = path.read_bytes()
    path.write_bytes(content.replace(b"complete", b"completE", 1))
    done = run(ledger, "certificate", "verify", str(path), "--format", "json")
    assert done.returncode == 4
    assert "not valid: " in json.loads(done.stdout)[0]["result"]
    refused = run(ledger, "verify", "--against", str(path), "--format", "json")
    assert refused.returncode == 4, "as `certificate verify`"
    invalid, verified = json.loads(refused.stdout)
    assert invalid["result"].startswith(f"damaged: certificate {path}: it was changed after example.com/ledger")
    assert (verified["account"], verified["result"]) == ("a", "intact")

    path.write_bytes(content)
    (tmp_path / "other").mkdir()
    other = certifiable_ledger(tmp_path / "other", *()).path
    done = run(other, "certificate", "verify", str(path), "--format", "json")
    assert "not valid: " in json.loads(done.stdout)[0]["result"]
    assert "it is signed by example.com/ledger" in json.loads(done.stdout)[0]["result"]
    foreign = run(other, "verify", "--against", str(path), "--format", "json")
    assert foreign.returncode == 4
    assert "it is signed by example.com/ledger" in json.loads(foreign.stdout)[0]["result"]
    (verified,) = json.loads(run(other, "certificate", "verify", str(path), "--key", key, "--format", "json").stdout)
    assert verified["result"].startswith("the ledger differs: the ledger has no certificate 1")
