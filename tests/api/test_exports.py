"""Exports through the API: the same file as on the command line, with only the caller's accounts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from liushui.ledger.engine import Ledger
from tests.api.callers import Api, Caller, open_api
from tests.cli.commands import run
from tests.export.books import BROKER, SHOP, books


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with books(tmp_path) as ledger:
        yield ledger


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    with open_api(ledger) as api:
        yield api


@pytest.fixture
def caller(api: Api) -> Caller:
    return api.caller()


def test_a_file_is_that_of_the_command_line(caller: Caller, tmp_path: Path) -> None:
    answer = caller.ask("GET", "/export/csv", params={"account": BROKER, "period": "2025-10", "bom": "true"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="flows.csv"'
    output = tmp_path / "flows.csv"
    words = ("export", "csv", BROKER, "--period", "2025-10", "--bom", "--output", str(output))
    assert run(tmp_path / "ledger.db", *words).returncode == 0
    assert answer.content == output.read_bytes()
    whole = caller.ask("GET", "/export/jsonl", params={"as_of": "2100-01-01"})
    assert len(whole.text.splitlines()) == 13
    assert caller.ask("GET", "/export/jsonl", params={"since": "2090-01-01"}).text == ""
    days = caller.ask("GET", "/export/jsonl", params={"period": "2025-10-03..2025-10-03", "account": BROKER})
    assert len(days.text.splitlines()) == 2


def test_a_caller_gets_the_flows_of_its_own_accounts_alone(api: Api) -> None:
    caller = api.caller(SHOP)
    lines = caller.ask("GET", "/export/jsonl").text.splitlines()
    assert {json.loads(line)["account"] for line in lines} == {SHOP}
    assert caller.ask("GET", "/export/csv", params={"account": BROKER}).status_code == 404


REFUSED = [
    ("/export/svg", {}, 404, "format: there is none named 'svg'"),
    ("/export/csv", {"account": "nobody"}, 404, "account: there is none named 'nobody'"),
    ("/export/csv", {"period": "2025-13"}, 422, "period: expected a month such as 2026-10, a year"),
    ("/export/csv", {"period": "2025", "since": "2025-10-01"}, 422, "period: expected no since and no until"),
    ("/export/csv", {"since": "2025-10-02", "until": "2025-10-01"}, 422, "until: expected later than since"),
    ("/export/csv", {"sinse": "2025-10-02"}, 400, "sinse: expected a parameter that is known here"),
]


@pytest.mark.parametrize(("path", "params", "status", "detail"), REFUSED)
def test_what_cannot_be_exported(caller: Caller, path: str, params: dict[str, str], status: int, detail: str) -> None:
    answer = caller.ask("GET", path, params=params)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(detail)


def test_a_map_is_refused_where_there_is_no_double_entry(caller: Caller) -> None:
    answer = caller.ask("POST", "/export/csv", json={"map": ""})
    assert answer.status_code == 422
    assert "expected a format with double entry" in answer.json()["detail"]
