"""liushui export: CSV and JSON Lines, the statement of completeness in a file, and the refusals."""

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from liushui.export.account_map import propose_map, read_account_map
from liushui.export.formats import FORMATS, ExportOptions, export_parts
from liushui.export.rows import COLUMNS
from liushui.export.selection import ExportQuery, read_period, selecting
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import export_record, flow_record, list_flows
from liushui.output_text import csv_cell
from tests.cli.commands import Done, run
from tests.export.books import BROKER, MAP, SHOP, books, model_of, totals


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with books(tmp_path) as ledger:
        yield ledger


def export(folder: Path, *words: str) -> Done:
    return run(folder / "ledger.db", "export", *words)


# ---------------------------------------------------------------- rows


def test_csv_and_json_lines_have_every_field_of_every_flow(ledger: Ledger, tmp_path: Path) -> None:
    flows = list(list_flows(ledger, FlowFilter()))
    expected = [export_record(one) for one in flows]
    done = export(tmp_path, "jsonl")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [{**record, "completeness": "unknown"} for record in expected] == lines
    rows = list(csv.DictReader(io.StringIO(export(tmp_path, "csv").stdout, newline="")))
    cells = [{name: str(csv_cell(value)) for name, value in flow_record(one).items()} for one in flows]
    assert rows == [{**record, "completeness": "unknown"} for record in cells]
    assert tuple(rows[0]) == tuple(lines[0]) == COLUMNS
    assert sum(Decimal(row["amount"]) for row in rows if row["currency"] == "CNY") == totals(ledger)[f"{SHOP}/", "CNY"]


def test_the_columns_are_those_of_the_flows_command(ledger: Ledger, tmp_path: Path) -> None:
    ours = export(tmp_path, "csv", BROKER).stdout.splitlines()
    theirs = run(tmp_path / "ledger.db", "flows", BROKER, "--format", "csv").stdout.splitlines()
    assert ours[0] == f"{theirs[0]},completeness"
    assert ours[1] == f"{theirs[1]},complete"


def test_a_complete_range_is_complete_and_the_rest_says_why_not(ledger: Ledger, tmp_path: Path) -> None:
    complete = export(tmp_path, "jsonl", BROKER, "--period", "2025-10")
    assert (complete.returncode, complete.stderr) == (0, "")
    assert {json.loads(line)["completeness"] for line in complete.stdout.splitlines()} == {"complete"}
    later = export(tmp_path, "jsonl", BROKER, "--until", "2030-01-01")
    assert later.returncode == 3
    assert "not complete: flows may be missing" in later.stderr
    assert {json.loads(line)["completeness"] for line in later.stdout.splitlines()} == {"partial"}


def test_a_period_is_a_month_or_a_year_of_the_accounts_days(ledger: Ledger, tmp_path: Path) -> None:
    def dates(*words: str) -> set[str]:
        return {json.loads(line)["at"][:7] for line in export(tmp_path, "jsonl", BROKER, *words).stdout.splitlines()}

    assert dates("--period", "2025-10") == {"2025-10"}
    assert dates("--period", "2025-11") == {"2025-11"}
    assert dates("--period", "2025") == {"2025-10", "2025-11"}
    assert dates("--since", "2025-11-01", "--until", "2026-01-01") == {"2025-11"}
    assert [str(day) for day in read_period("2024-12")] == ["2024-12-01", "2025-01-01"]
    assert [str(day) for day in read_period("9999")] == ["9999-01-01", "9999-12-31"]


def test_an_export_as_of_a_recorded_time(ledger: Ledger, tmp_path: Path) -> None:
    before = export(tmp_path, "jsonl", BROKER, "--as-of", "2020-01-01")
    assert before.stdout == ""
    now = export(tmp_path, "jsonl", BROKER, "--as-of", "2100-01-01")
    assert now.stdout == export(tmp_path, "jsonl", BROKER).stdout


def test_a_byte_order_mark_and_a_data_package(ledger: Ledger, tmp_path: Path) -> None:
    output = tmp_path / "out" / "flows.csv"
    output.parent.mkdir()
    done = export(tmp_path, "csv", BROKER, "--output", str(output), "--bom", "--datapackage")
    assert (done.returncode, done.stdout) == (0, "")
    content = output.read_bytes()
    assert content.startswith(b"\xef\xbb\xbfaccount,at,amount")
    package = json.loads((output.parent / "datapackage.json").read_text(encoding="utf-8"))
    (resource,) = package["resources"]
    assert resource["path"] == "flows.csv"
    assert (resource["bytes"], resource["hash"]) == (len(content), f"sha256:{sha256(content).hexdigest()}")
    assert [field["name"] for field in resource["schema"]["fields"]] == list(COLUMNS)
    assert package["liushui:coverage"]["completeness"] == "complete"
    assert package["liushui:coverage"]["gaps"] == []
    assert sorted(path.name for path in output.parent.iterdir()) == ["datapackage.json", "flows.csv"]


def test_an_export_of_everything_in_the_order_of_time(ledger: Ledger) -> None:
    query = ExportQuery(FlowFilter(newest_first=True), by_time=True)
    parts = export_parts(model_of(ledger), FORMATS["jsonl"], query, ExportOptions())
    times = [json.loads(line)["at"] for line in b"".join(parts).splitlines()]
    assert times == sorted(times, reverse=True)
    assert len(times) == len(list(list_flows(ledger, FlowFilter())))


# ---------------------------------------------------------------- what is refused

REFUSED = [
    (("svg",), "format: expected one of csv, jsonl"),
    (("csv", "nobody"), "account: expected one of"),
    (("csv", "--period", "2025-13"), "period: expected a month such as 2026-10, a year"),
    (("csv", "--period", "2025-10", "--since", "2025-10-01"), "period: expected without --since and --until"),
    (("csv", "--since", "2025-10-02", "--until", "2025-10-01"), "until: expected later than since"),
    (("jsonl", "--bom"), "bom: expected with csv only"),
    (("csv", "--datapackage"), "datapackage: expected with csv or jsonl, and with --output"),
    (("csv", "--output", "no/such/folder/x.csv"), "output: no/such/folder/x.csv cannot be written"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_cannot_be_exported_is_said_in_one_line(
    ledger: Ledger, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = export(tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


# ---------------------------------------------------------------- the account map


def test_the_rule_that_names_most_decides() -> None:
    account_map = read_account_map(MAP)
    assert account_map.asset(BROKER, "", "USD") == "Assets:Broker"
    assert account_map.asset(BROKER, "futures", "BTC") == "Assets:Broker:Futures"
    assert account_map.asset("other", "", "USD") == ""
    assert account_map.counter(BROKER, "", "USD", "dividend") == "Income:Dividends"
    assert account_map.counter(SHOP, "", "CNY", "dividend") == "Equity:Clearing"
    assert account_map.counter(SHOP, "", "CNY", "fee") == "Expenses:Fees"
    assert account_map.opening == "Equity:Opening-Balances"


BAD_MAPS = [
    ("x = 1", "map: x: expected one of opening, asset, counter, commodity"),
    ("[[asset]", "map: expected TOML, got"),
    ("[[asset]]\naccount = 'a'", "map: asset 1: expected a target, got none"),
    ("[[asset]]\nkind = 'fee'\ntarget = 'x'", "map: asset 1: expected account, subaccount, currency and target"),
    ("[[counter]]\nkind = 'gift'\ntarget = 'x'", "map: counter 1: kind: expected one of deposit"),
    ("[[counter]]\nkind = 1\ntarget = 'x'", "map: counter 1: kind: expected text, got 1"),
    ("asset = 1", "map: asset: expected tables such as [[asset]], got 1"),
    ("commodity = 'x'", "map: commodity: expected a table"),
    ("[commodity]\nUSD = 1", "map: commodity.USD: expected text, got 1"),
    ("opening = 1", "map: opening: expected text, got 1"),
]


@pytest.mark.parametrize(("text", "message"), BAD_MAPS)
def test_a_map_that_is_wrong_is_refused(text: str, message: str) -> None:
    with pytest.raises(Exception, match=r"^map: ") as raised:
        read_account_map(text)
    assert str(raised.value).startswith(message)


def test_a_proposed_map_covers_everything_but_what_a_person_must_say(ledger: Ledger, tmp_path: Path) -> None:
    proposed = tmp_path / "map.toml"
    assert export(tmp_path, "csv", "--propose-map", "--output", str(proposed)).returncode == 0
    account_map = read_account_map(proposed.read_text(encoding="utf-8"))
    assert account_map.asset(BROKER, "futures", "BTC") == "Assets:Longbridge:Broker:Futures"
    assert account_map.asset(SHOP, "", "CNY") == "Assets:Wecom:微信-小店"
    with selecting(model_of(ledger), ExportQuery(FlowFilter())) as selection:
        keys = [(part.account.name.account, *key) for part in selection.parts for key in selection.sums(part)]
    with pytest.raises(Exception, match=r"1 target missing: \[\[counter\]\] .*kind=\"other\""):
        account_map.check(keys, opening=True)
    assert propose_map([], {}) == 'opening = "Equity:Opening-Balances"\n'
