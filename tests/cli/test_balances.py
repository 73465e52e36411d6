"""liushui balance, balances, breaks: balances that people state, and whether the flows agree with them."""

import json
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.cli.commands import run


def hkus_rows(*facts: tuple[str, str]) -> bytes:
    """An answer of the hkus API: rows of a minute each, with their amounts and balances."""
    rows = ",".join(
        f'{{"id":{number},"date":{1746775360 + 60 * number},"base_currency":"USD","amt":{amount},"balance":{balance},'
        '"io_type":"in","business_type":"other","business_sub_type":"deposit"}'
        for number, (amount, balance) in enumerate(facts, 1)
    )
    total = len(facts)
    return (f'{{"code":0,"data":{{"total_records":{total},"page":1,"page_size":20,"transactions":[{rows}]}}}}').encode()


JUMP: Final = (("10.00", "10.00"), ("10.00", "20.00"), ("10.00", "830.00"))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger whose rows' balances jump by 800.00."""
    file = tmp_path / "rows.json"
    file.write_bytes(hkus_rows(*JUMP))
    path = tmp_path / "ledger.db"
    assert run(path, "import", str(file), "--provider", "hkus", "--account", "a").returncode == 0
    return path


def test_a_balance_that_does_not_add_up_is_said_everywhere(ledger: Path) -> None:
    findings = run(ledger, "findings", "--format", "jsonl")
    assert [json.loads(line)["finding"] for line in findings.stdout.splitlines()] == ["break"]
    breaks = run(ledger, "breaks", "--format", "json")
    assert breaks.returncode == 3
    (one,) = json.loads(breaks.stdout)
    assert (one["difference"], one["cause"], one["expected"], one["stated"]) == ("800.00", "missing", "20.00", "820.00")
    balances = run(ledger, "balances", "--format", "json")
    assert balances.returncode == 3
    (row,) = json.loads(balances.stdout)
    assert (row["amount"], row["stated"], row["difference"], row["check"]) == ("30.00", "830.00", "800.00", "fail")
    assert "a USD: the provider states 830.00" in balances.stderr
    status = run(ledger, "status", "--format", "json")
    assert status.returncode == 3
    (account,) = json.loads(status.stdout)
    assert (account["breaks"], account["failed_checks"]) == (1, 1)
    assert {alarm["kind"] for alarm in account["alarms"]} == {"break", "balance"}
    assert ",fail," in run(ledger, "balances", "--format", "csv").stdout


def test_an_explained_break_is_not_an_alarm(ledger: Path) -> None:
    (break_,) = json.loads(run(ledger, "breaks", "--format", "json").stdout)
    words = ("finding", "explain", break_["finding_id"], "--by", "li", "--reason", "a deposit in cash")
    explained = run(ledger, *words)
    assert (explained.returncode, explained.stdout) == (0, "")
    assert f"{break_['finding_id']} was explained by li at " in explained.stderr
    exits = {command: run(ledger, command).returncode for command in ("breaks", "status", "balances")}
    assert exits == {"breaks": 0, "status": 0, "balances": 3}, "the sums of an imported account are never complete"
    (status,) = json.loads(run(ledger, "status", "--format", "json").stdout)
    assert (status["breaks"], status["failed_checks"], status["explained"], status["alarms"]) == (0, 0, 1, [])
    (again,) = json.loads(run(ledger, "breaks", "--format", "json").stdout)
    assert (again["state"], again["decided_by"], again["reason"]) == ("explained", "li", "a deposit in cash")
    assert run(ledger, "findings").stdout.count("break") == 0
    refused = run(ledger, *words)
    assert (refused.returncode, "was explained by li" in refused.stderr) == (2, True)
    withdrawn = run(ledger, "finding", "withdraw", break_["finding_id"], "--reason", "it was not", "--format", "json")
    assert json.loads(withdrawn.stdout)[0]["decision"] == "withdrawn"
    assert run(ledger, "breaks").returncode == 3


def test_a_finding_leads_to_its_flows(ledger: Path) -> None:
    (found,) = json.loads(run(ledger, "findings", "--format", "json").stdout)
    ids = [row["id"] for row in json.loads(run(ledger, "flows", "--break", "--format", "json").stdout)]
    for words in (("--finding", "break"), ("--finding", found["finding_id"])):
        rows = json.loads(run(ledger, "flows", *words, "--format", "json").stdout)
        assert [row["id"] for row in rows] == ids == [found["others"][0], found["id"]]
    shown = json.loads(run(ledger, "finding", "show", found["finding_id"], "--format", "json").stdout)
    assert [flow["id"] for flow in shown["flows"]] == [found["id"], *found["others"]]
    assert (shown["state"], shown["about"], shown["decisions"]) == ("open", "800 USD", [])
    assert found["finding_id"] in run(ledger, "finding", "show", found["finding_id"]).stdout
    refusals: list[tuple[tuple[str, ...], str]] = [
        (("flows", "--finding", "odd"), "finding: expected one of side, same_id, break"),
        (("flows", "--break", "--finding", "side"), "break: expected without --finding"),
        (("flows", "--finding", "20250509T010000-000000000000"), "finding: there is none with the id"),
        (("finding", "show", "odd"), "finding: there is none with the id 'odd'"),
        (("finding", "explain", found["finding_id"], "--reason", " "), "reason: expected why"),
    ]
    for command, message in refusals:
        refused = run(ledger, *command)
        assert (refused.returncode, message in refused.stderr) == (2, True), refused.stderr


def test_a_balance_is_stated_listed_and_withdrawn(ledger: Path) -> None:
    words = ("balance", "state", "a", "--currency", "usd", "--amount", "0", "--at", "2025-05-09")
    stated = run(ledger, *words, "--note", "the bank", "--format", "json")
    assert stated.returncode == 0, stated.stderr
    (row,) = json.loads(stated.stdout)
    assert (row["id"], row["check"], row["at"]) == ("a:2", "pass", "2025-05-08T16:00:00Z")
    assert "states this balance already" in run(ledger, *words).stderr
    wrong = run(ledger, *words[:6], "5", *words[7:])
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: amount: a:2 states 0 USD")
    assert run(ledger, "balance", "withdraw", "a:2", "--reason", "typing error").returncode == 0
    assert run(ledger, "balance", "withdraw", "a:2", "--reason", "again").returncode == 2
    assert msgspec.json.decode(run(ledger, "balance", "list", "--format", "json").stdout) == []
    (old,) = json.loads(run(ledger, "balance", "list", "--all", "--format", "json").stdout)
    assert (old["withdrawn_reason"], old["check"]) == ("typing error", None)
    assert run(ledger, "verify").returncode == 0


def test_a_stated_balance_that_differs_is_recorded_and_ends_with_code_3(ledger: Path) -> None:
    words = ("balance", "state", "a", "--currency", "USD", "--at", "2025-05-09")
    stated = run(ledger, *words, "--amount", "-7", "--format", "json")
    assert stated.returncode == 3, stated.stderr
    assert "a USD: statement a:2 states -7 at 2025-05-08T16:00:00Z, the flows come to 0" in stated.stderr
    assert [row["check"] for row in json.loads(stated.stdout)] == ["fail"]
    assert run(ledger, *words, "--amount", "-7").returncode == 3, "as when it was stated first"
    table = run(ledger, "balances").stdout
    assert "stated at" in table
    assert "2025-05-09T07:25:40Z" in table, "when the provider stated the balance of its newest row"


def test_a_balance_of_minus_zero_is_zero(ledger: Path) -> None:
    words = ("balance", "state", "a", "--currency", "USD", "--at", "2025-05-09", "--format", "json")
    (row,) = json.loads(run(ledger, *words, "--amount", "-0.00").stdout)
    assert (row["amount"], row["check"]) == ("0.00", "pass")
    assert run(ledger, *words, "--amount", "0").returncode == 0, "it is the same balance"


def test_a_balance_in_a_currency_that_the_account_never_had_is_refused(ledger: Path) -> None:
    done = run(ledger, "balance", "state", "a", "--currency", "EUR", "--amount", "1", "--at", "2025-05-09")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: currency: account a has ")
    assert "got 'EUR'" in done.stderr


@pytest.mark.parametrize("amount", ["1,000", "1e3", "", "x", "+5", "NaN"])
def test_an_amount_that_is_invalid_is_refused(ledger: Path, amount: str) -> None:
    done = run(ledger, "balance", "state", "a", "--currency", "USD", "--amount", amount, "--at", "2025-05-09")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: amount: expected decimal text such as -248.60")
