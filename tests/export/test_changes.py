"""Exports of changes since the previous export: reversals, corrections and new flows."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import list_flows
from liushui.ledger.write.commit import make_account
from liushui.provider import Slice
from liushui.providers.longbridge.rules import RULES
from liushui.testing.clock import NOON
from tests.cli.commands import Done, run
from tests.export.books import BEGIN, BROKER, MAP, ROWS, books, flow_row
from tests.export.test_journals import read_by_beancount
from tests.ledger.ledgers import commit_read, import_page, state

WHOLE = Slice(RULES.history_start, NOON)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with books(tmp_path) as ledger:
        (tmp_path / "map.toml").write_text(MAP, encoding="utf-8")
        yield ledger


def export(folder: Path, form: str, *words: str, account: str = BROKER) -> Done:
    return run(folder / "ledger.db", "export", form, account, "--incremental", str(folder / "state.json"), *words)


def lines(done: Done) -> list[dict[str, Any]]:
    assert done.returncode in (0, 3), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def restate(ledger: Ledger) -> None:
    """One flow has another amount, one another time, one is withdrawn and one is new."""
    changed = list(ROWS)
    changed[1] = flow_row(1, "-13.5", "USD")
    moved = BEGIN + timedelta(days=3)
    changed[2] = flow_row(2, "100", "700.HK", at=moved)
    changed[3] = flow_row(90, "7.00", "USD")
    commit_read(ledger, WHOLE, *changed, account=BROKER, read_at=NOON)


def test_the_increments_add_up_to_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    first = lines(export(tmp_path, "jsonl"))
    assert {line["change"] for line in first} == {"added"}
    assert [line["id"] for line in first] == [one.id for one in list_flows(ledger, FlowFilter(accounts=(BROKER,)))]
    assert lines(export(tmp_path, "jsonl")) == []
    restate(ledger)
    second = lines(export(tmp_path, "jsonl"))
    assert [(line["change"], line["id"], line["amount"]) for line in second] == [
        ("reversed", "r0001#-1", "12.5"),
        ("reversed", "r0002#-1", "-100"),
        ("reversed", "r0003#-1", "-51"),
        ("corrected", "r0001#2", "-13.5"),
        ("corrected", "r0002#2", "100"),
        ("added", "r0090", "7.00"),
    ]
    commit_read(ledger, WHOLE, *ROWS, account=BROKER, read_at=NOON)
    third = lines(export(tmp_path, "jsonl"))
    assert lines(export(tmp_path, "jsonl")) == []
    every = [*first, *second, *third]
    assert len({line["id"] for line in every}) == len(every)
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in every:
        sums[line["currency"]] += Decimal(line["amount"])
    expected: defaultdict[str, Decimal] = defaultdict(Decimal)
    for one in list_flows(ledger, FlowFilter(accounts=(BROKER,))):
        expected[one.flow.currency] += one.flow.amount
    assert sums == expected
    whole = {line["id"] for line in lines(run(tmp_path / "ledger.db", "export", "jsonl", BROKER))}
    assert whole == {one.id for one in list_flows(ledger, FlowFilter(accounts=(BROKER,)))}


def test_increments_of_a_journal_fit_into_one_book(ledger: Ledger, tmp_path: Path) -> None:
    book = tmp_path / "book.beancount"
    words = ("--map", str(tmp_path / "map.toml"))
    texts = [export(tmp_path, "beancount", *words).stdout]
    restate(ledger)
    texts.append(export(tmp_path, "beancount", *words).stdout)
    assert '2026-01-02 * "Reversal: ' in texts[1]  # the day on which the ledger recorded it
    assert '2026-01-02 * "Correction: ' in texts[1]
    assert " balance Assets:" not in texts[1]
    book.write_text("".join(texts), encoding="utf-8")
    (found,) = read_by_beancount(book)
    assert found["errors"] == []
    assert Decimal(found["balances"]["Assets:Broker USD"]) == sum(
        one.flow.amount
        for one in list_flows(ledger, FlowFilter(accounts=(BROKER,), currency="USD"))
        if not one.flow.subaccount
    )
    assert len(set(found["links"])) == len(found["links"])


def test_an_account_that_comes_later_begins_with_its_opening_balance(ledger: Ledger, tmp_path: Path) -> None:
    words = ("export", "hledger", "--map", str(tmp_path / "map.toml"), "--incremental", str(tmp_path / "state.json"))
    first = run(tmp_path / "ledger.db", *words)
    assert "Assets:WeCom:微信支付  1000.00 CNY" in first.stdout
    make_account(ledger, "later", "wecom", "UTC")
    import_page(ledger, flow_row(1, "5.00", "CNY"), account="later")
    state(ledger, "20.00", BEGIN - timedelta(days=1), account="later", currency="CNY")
    map_file = tmp_path / "map.toml"
    map_file.write_text(
        MAP.replace("[[counter]]", '[[asset]]\naccount = "later"\ntarget = "Assets:Later"\n[[counter]]', 1)
    )
    second = run(tmp_path / "ledger.db", *words)
    assert second.stdout.count("Opening balance") == 1
    assert "    Assets:Later  20.00 CNY\n    Equity:Opening-Balances  -20.00 CNY\n" in second.stdout
    assert "微信支付" not in second.stdout


def test_csv_has_two_more_columns(ledger: Ledger, tmp_path: Path) -> None:
    rows = export(tmp_path, "csv").stdout.splitlines()
    assert rows[0].endswith(",completeness,change,recorded_at")
    assert rows[1].endswith(",complete,added,2026-01-02T12:00:00Z")


def test_a_state_of_other_options_or_another_ledger_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert export(tmp_path, "jsonl").returncode == 0
    before = path.read_bytes()
    other = export(tmp_path, "jsonl", "--currency", "USD")
    assert (other.returncode, other.stdout) == (2, "")
    assert "incremental: expected the options of the exports before, got another currency" in other.stderr
    assert "got another format" in export(tmp_path, "csv").stderr
    document = json.loads(before)
    document["accounts"][BROKER]["link"] = "00"
    path.write_text(json.dumps(document), encoding="utf-8")
    assert "no longer has account broker as it was exported" in export(tmp_path, "jsonl").stderr
    path.write_text("{}", encoding="utf-8")
    assert "incremental: expected the state file of an export" in export(tmp_path, "jsonl").stderr
    path.write_bytes(before)
    assert "expected csv, jsonl or a journal" in export(tmp_path, "xlsx").stderr
    assert "expected csv, jsonl or a journal" in export(tmp_path, "jsonl", "--as-of", "2025-01-01").stderr
    assert path.read_bytes() == before


def test_the_state_stays_as_it_is_if_the_file_cannot_be_written(ledger: Ledger, tmp_path: Path) -> None:
    done = export(tmp_path, "jsonl", "--output", str(tmp_path / "no" / "x.jsonl"))
    assert done.returncode == 2
    assert not (tmp_path / "state.json").exists()
