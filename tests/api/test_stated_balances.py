"""Stated balances over HTTP: callers with the right state, list and withdraw them."""

from typing import Any

import pytest

from liushui.ledger.access.tokens import Scope
from liushui.ledger.engine import Ledger
from tests.api.callers import Api, Caller
from tests.ledger.ledgers import assert_intact, import_page, make_row

BALANCE = {"account": "a", "currency": "usd", "amount": "110.00", "at": "2024-03-01T04:00:00Z", "note": "a letter"}


@pytest.fixture(autouse=True)
def filled(ledger: Ledger) -> None:
    """Two flows of `a`."""
    import_page(ledger, make_row("1", 3, "10.00"), make_row("2", 5, "-25.00"))


def listed(caller: Caller, **params: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - query parameters
    found: list[dict[str, Any]] = caller.get("/stated-balances", **params)["balances"]
    return found


def test_a_balance_is_stated_checked_and_withdrawn(caller: Caller, ledger: Ledger) -> None:
    first = caller.ask("POST", "/stated-balances", json=BALANCE)
    assert first.status_code == 201, first.text
    stated = first.json()
    assert (stated["currency"], stated["check"], stated["difference"]) == ("USD", "could_not_check", "0.00")
    again = caller.ask("POST", "/stated-balances", json=BALANCE)
    assert (again.status_code, again.json()) == (200, stated)
    wrong = caller.ask("POST", "/stated-balances", json={**BALANCE, "amount": "84.50", "at": "2024-03-02"})
    assert (wrong.json()["check"], wrong.json()["difference"]) == ("fail", "-0.50")
    assert "the flows come to 85.00" in wrong.json()["check_reason"]
    assert listed(caller) == listed(caller, account="a") == [stated, wrong.json()]
    (account,) = [one for one in caller.get("/accounts")["accounts"] if one["account"] == "a"]
    assert account["failed_checks"] == 1
    assert "balance" in {alarm["kind"] for alarm in account["alarms"]}
    path = f"/stated-balances/{wrong.json()['id']}/withdraw"
    gone = caller.ask("POST", path, json={"reason": "another account's"})
    assert gone.status_code == 200, gone.text
    assert (gone.json()["check"], gone.json()["withdrawn_reason"]) == (None, "another account's")
    assert listed(caller) == [stated]
    assert listed(caller, withdrawn="true") == [stated, gone.json()]
    twice = caller.ask("POST", path, json={"reason": "again"})
    assert twice.status_code == 409
    assert "was withdrawn before" in twice.json()["detail"]
    assert_intact(ledger)


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"currency": "EUR"}, 422, "currency: account a has USD only, got 'EUR'"),
        ({"currency": ""}, 400, "currency"),
        ({"at": "soon"}, 422, "at: expected a date or ISO 8601 time"),
        ({"at": "2999-01-01"}, 422, "at: expected a time before now"),
        ({"amount": "1e3"}, 400, "amount"),
        ({"amount": 1}, 400, "amount"),
        ({"subaccount": "x"}, 422, "subaccount: account a has flows of ''"),
        ({"note": "\0"}, 422, "U+0000"),
        ({"account": "nobody"}, 404, "account: there is none named 'nobody'"),
        ({"more": 1}, 400, "more"),
    ],
)
def test_a_balance_that_the_account_cannot_have_is_refused(
    caller: Caller, change: dict[str, object], status: int, detail: str
) -> None:
    answer = caller.ask("POST", "/stated-balances", json={**BALANCE, **change})
    assert answer.status_code == status, answer.text
    assert detail in answer.text
    assert listed(caller) == []


def test_another_balance_for_the_same_moment_is_a_conflict(caller: Caller) -> None:
    caller.ask("POST", "/stated-balances", json=BALANCE)
    answer = caller.ask("POST", "/stated-balances", json={**BALANCE, "amount": "1"})
    assert answer.status_code == 409
    assert "states 110.00 USD" in answer.json()["detail"]


def test_an_unknown_or_hidden_balance_is_not_there(api: Api, caller: Caller) -> None:
    id_ = caller.ask("POST", "/stated-balances", json=BALANCE).json()["id"]
    body = {"reason": "wrong"}
    details = {
        caller.ask("POST", f"/stated-balances/{unknown}/withdraw", json=body).json()["detail"]
        for unknown in ("a:99", "nobody:1", "a", ":")
    }
    other = api.caller("b", scopes=[Scope.READ, Scope.RECORD])
    hidden = other.ask("POST", f"/stated-balances/{id_}/withdraw", json=body)
    assert hidden.status_code == 404
    assert details == {hidden.json()["detail"]}
    assert listed(other) == []
    assert caller.ask("POST", f"/stated-balances/{id_}/withdraw", json={"reason": ""}).status_code == 400
    assert caller.ask("POST", f"/stated-balances/{id_}/withdraw", json={"reason": " "}).status_code == 422
