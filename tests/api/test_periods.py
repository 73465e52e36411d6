"""Months over HTTP: callers with the right reconcile, close and reopen them; and later changes are listed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from liushui.certificate.keys import create_signing_key
from liushui.ledger.access.tokens import Scope
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow, Slice
from tests.api.callers import Api, Caller
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, make_row, new_ledger

BEGIN = datetime(2010, 1, 1, tzinfo=UTC)
"""Before it the provider has nothing."""
MAY = datetime(2024, 4, 30, 16, tzinfo=UTC)


def at(month: int, day: int) -> datetime:
    return datetime(2024, month, day, 4, tzinfo=UTC)


FEBRUARY = make_row("one", at(2, 2), "10.00", balance="10.00")
MARCH = make_row("two", at(3, 9), "-2.00", balance="3.00")
"""Before it a payment of 5.00 is hidden."""


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """A shop that was read whole up to May, another account, and a key."""
    ledger = new_ledger(ledger_store, "other")
    make_account(ledger, "shop", "hkus", "Asia/Hong_Kong")
    add_source(ledger, account="shop", base_url="http://h", credentials={}, since=BEGIN, paced=True)
    read(ledger, FEBRUARY, MARCH)
    create_signing_key(ledger, "example.com/ledger")
    yield ledger
    ledger.close()


def read(ledger: Ledger, *rows: DecodedRow) -> None:
    commit_read(ledger, Slice(BEGIN, MAY), *rows, account="shop")


def close(caller: Caller, period: str, code: int = 201, **body: Any) -> Any:  # noqa: ANN401 - JSON
    """Close a month of the shop."""
    answer = caller.ask("POST", "/closed-months", json={"period": period, "accounts": ["shop"], **body})
    assert answer.status_code == code, answer.text
    return answer.json()


def test_a_month_is_proven_line_by_line(caller: Caller) -> None:
    (february,) = caller.get("/reconciliation", account="shop", period="2024-02")["months"]
    assert (february["check"], february["cause"], february["complete"]) == ("pass", None, True)
    assert (february["since"], february["until"]) == ("2024-01-31T16:00:00Z", "2024-02-29T16:00:00Z")
    (line,) = february["lines"]
    assert line["line"] == "shop:USD"
    assert line["stated"] == {"opening": "0.00", "money_in": "10.00", "money_out": "0", "closing": "10.00"}
    (march,) = caller.get("/reconciliation", account="shop", period="2024-03")["months"]
    (line,) = march["lines"]
    assert (march["check"], line["difference"]["money_out"], line["breaks"][0]["after"]) == ("fail", "-5.00", "two")
    assert [one["account"] for one in caller.get("/reconciliation")["months"]] == ["other", "shop"]


def test_many_months_have_a_verdict_each(caller: Caller) -> None:
    months = caller.get("/reconciliation/months", account="shop", first="2024-01", last="2024-04")["months"]
    assert [(one["period"], one["check"], one["closed"]) for one in months] == [
        ("2024-01", "pass", False),
        ("2024-02", "pass", False),
        ("2024-03", "fail", False),
        ("2024-04", "fail", False),
    ]
    assert [one["cause"] for one in months] == [None, None, "differs", "carried"]


def test_a_month_is_closed_explained_and_opened_again(caller: Caller, ledger: Ledger) -> None:
    (decision,) = close(caller, "2024-02")["decisions"]
    assert (decision["state"], decision["lines"][0]["closing"], decision["changed_after_close"]) == (
        "closed",
        "10.00",
        0,
    )
    assert "reopen it first" in close(caller, "2024-02", 409)["detail"]
    refused = close(caller, "2024-03", 409)
    assert refused["errors"][0]["expected"] == "shop:USD to pass or be explained"
    explained = close(caller, "2024-03", explanations=[{"line": "shop:USD", "reason": "a refund"}])["decisions"]
    assert explained[0]["reason"] == "a refund"
    read(ledger, make_row("one", at(2, 2), "11.00", balance="11.00"), MARCH)
    (change,) = caller.get("/closed-months/changes")["changes"]
    assert (change["period"], change["change"], change["flow"]["amount"], change["before"]["amount"]) == (
        *("2024-02", "changed"),
        *("11.00", "10.00"),
    )
    months = caller.get("/reconciliation/months", account="shop", first="2024-02", last="2024-02")["months"]
    assert (months[0]["closed"], months[0]["changed_after_close"]) == (True, 1)
    assert "changed_after_close" in {alarm["kind"] for alarm in caller.get("/accounts/shop")["alarms"]}
    body = {"period": "2024-02", "reason": "restated"}
    answer = caller.ask("POST", "/closed-months/reopen", json=body)
    assert (answer.status_code, answer.json()["decisions"][0]["state"]) == (200, "reopened")
    assert caller.ask("POST", "/closed-months/reopen", json=body).status_code == 404
    assert [one["state"] for one in caller.get("/closed-months")["decisions"]] == ["closed", "reopened", "closed"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"period": "2024-13"}, 422),
        ({"period": "2026-01"}, 422),
        ({"period": "2024-02", "accounts": ["nobody"]}, 404),
        ({"period": "2024-02", "explanations": [{"line": "shop:USD", "reason": "x"}]}, 422),
        ({"period": "2024-02", "explanations": [{"line": "shop:USD", "reason": ""}]}, 400),
        ({"period": "2024-02", "sign_with": "x"}, 404),
        ({"period": "2024-02", "by": "li"}, 400),
        ({}, 400),
    ],
)
def test_what_cannot_be_closed_is_refused(caller: Caller, body: dict[str, Any], code: int) -> None:
    answer = caller.ask("POST", "/closed-months", json={"accounts": ["shop"], **body})
    assert answer.status_code == code, answer.text
    assert caller.get("/closed-months")["decisions"] == []


def test_bad_questions_are_refused(caller: Caller) -> None:
    for path, params in (
        ("/reconciliation", {"period": "24"}),
        ("/reconciliation/months", {"first": "2024-03", "last": "2024-02"}),
        ("/reconciliation/months", {"first": "0001-01", "last": "9999-12"}),
    ):
        assert caller.ask("GET", path, params=params).status_code == 422
    assert caller.ask("GET", "/reconciliation", params={"account": "nobody"}).status_code == 404


def test_a_caller_closes_only_what_it_sees_and_may_record(api: Api) -> None:
    reader = api.caller("shop", scopes=[Scope.READ, Scope.MANAGE])
    assert reader.ask("POST", "/closed-months", json={"period": "2024-02"}).status_code == 403
    recorder = api.caller("shop", scopes=[Scope.READ, Scope.RECORD])
    answer = recorder.ask("POST", "/closed-months", json={"period": "2024-02"})
    assert (answer.status_code, [one["account"] for one in answer.json()["decisions"]]) == (201, ["shop"])
    stranger = api.caller("other")
    assert stranger.get("/closed-months")["decisions"] == []
    answer = stranger.ask("POST", "/closed-months/reopen", json={"period": "2024-02", "reason": "x"})
    assert (answer.status_code, "shop" in answer.text) == (404, False)
