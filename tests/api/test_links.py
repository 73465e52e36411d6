"""Links over HTTP: listed in pages, shown in full, and decided once, only by callers with the right."""

from typing import Any

import pytest

from liushui.flow import Kind
from liushui.ledger.access.tokens import Scope
from liushui.ledger.engine import Ledger
from liushui.ledger.write.commit import make_account
from tests.api.callers import Api, Caller
from tests.ledger.ledgers import commit_read, hour, hours, make_row


@pytest.fixture(autouse=True)
def filled(ledger: Ledger) -> None:
    """Three round sums that left `a`, each with two deposits in `b` that may be it."""
    outs = [make_row(f"o{n}", n, f"-{n}000", kind=Kind.WITHDRAWAL) for n in (1, 2, 3)]
    ins = [make_row(f"{name}{n}", n + 4 * copy, f"{n}000") for copy, name in enumerate("ij", 1) for n in (1, 2, 3)]
    commit_read(ledger, hours(0, 24), *outs)
    commit_read(ledger, hours(0, 24), *ins, account="b")


def pages(caller: Caller, **params: Any) -> list[list[dict[str, Any]]]:  # noqa: ANN401 - query parameters
    """The links of every page."""
    found = []
    cursor: str | None = None
    while True:
        page = caller.get("/links", **params, **({} if cursor is None else {"cursor": cursor}))
        found.append(page["links"])
        cursor = page["next"]
        if cursor is None:
            return found


def test_links_come_in_pages_and_in_order(caller: Caller) -> None:
    (every,) = pages(caller, limit=100)
    assert len(every) == 6
    assert [link["flows"][0]["id"] for link in every] == ["o1", "o1", "o2", "o2", "o3", "o3"]
    assert {(link["kind"], link["state"], link["basis"]) for link in every} == {("transfer", "candidate", "amount")}
    assert [link for page in pages(caller, limit=1) for link in page] == every
    flow = every[0]["flows"][0]
    assert caller.get(f"/flows/{flow['key']}")["flow"]["amount"] == flow["amount"] == "-1000"


def test_links_are_filtered(caller: Caller) -> None:
    since = hour(2).isoformat().replace("+00:00", "Z")
    assert len(pages(caller, since=since)[0]) == 4
    assert len(pages(caller, until=since)[0]) == 2
    assert len(pages(caller, account="b")[0]) == 6
    assert pages(caller, state="certain") == pages(caller, kind=["refund", "fee"]) == [[]]
    assert caller.ask("GET", "/links", params={"kind": "gift"}).status_code == 400
    assert caller.ask("GET", "/links", params={"since": since, "until": since}).status_code == 422


def test_a_link_is_decided_once(caller: Caller) -> None:
    link = pages(caller)[0][0]["id"]
    full = caller.get(f"/links/{link}")
    assert full["decisions"] == []
    assert [other["flows"][1]["id"] for other in full["alternatives"]] == ["j1"]
    path, confirmed = f"/links/{link}/decision", {"decision": "confirmed", "reason": "the slip"}
    answer = caller.ask("POST", path, json=confirmed)
    assert answer.status_code == 200, answer.text
    assert answer.json()["link"]["state"] == "confirmed"
    (decision,) = answer.json()["decisions"]
    assert decision["reason"] == "the slip"
    assert decision["decided_by"]
    again = caller.ask("POST", path, json=confirmed)
    assert again.status_code == 409
    assert "was confirmed by" in again.json()["detail"]
    replaced = caller.ask("POST", path, json={"decision": "rejected", "replace": True})
    assert [one["decision"] for one in replaced.json()["decisions"]] == ["confirmed", "rejected"]
    assert len(pages(caller)[0]) == 5, "a rejected link is not listed"
    assert [one["id"] for one in pages(caller, state="rejected")[0]] == [link]


def test_what_cannot_be_decided_is_refused_and_named(caller: Caller, ledger: Ledger) -> None:
    link = pages(caller)[0][0]["id"]
    for body, status in (({}, 400), ({"decision": "certain"}, 400), ({"decision": "confirmed", "reason": "\0"}, 422)):
        assert caller.ask("POST", f"/links/{link}/decision", json=body).status_code == status
    unknown = caller.ask("POST", "/links/20240301T010000-0123456789ab/decision", json={"decision": "confirmed"})
    assert unknown.status_code == 404
    assert "20240301T010000-0123456789ab" in unknown.json()["detail"]
    commit_read(ledger, hours(0, 24), read_at=hour(20_000))
    gone = caller.ask("POST", f"/links/{link}/decision", json={"decision": "confirmed"})
    assert gone.status_code == 404
    assert "is no longer there: flow o1 of a was withdrawn" in gone.json()["detail"]


def test_a_caller_who_sees_one_end_sees_no_link(api: Api) -> None:
    link = pages(api.caller())[0][0]["id"]
    for name in "ab":
        half = api.caller(name)
        assert pages(half) == [[]]
        for method, path in (("GET", f"/links/{link}"), ("POST", f"/links/{link}/decision")):
            answer = half.ask(method, path, **({"json": {"decision": "rejected"}} if method == "POST" else {}))
            assert answer.status_code == 404
            assert "none named" in answer.json()["detail"]
    reader = api.caller(scopes=[Scope.READ])
    assert reader.ask("POST", f"/links/{link}/decision", json={"decision": "rejected"}).status_code == 403


def test_a_hidden_account_is_not_named_when_its_flow_is_gone(api: Api, ledger: Ledger) -> None:
    link = pages(api.caller())[0][0]["id"]
    commit_read(ledger, hours(0, 24), account="b", read_at=hour(20_000))
    answer = api.caller("a").ask("GET", f"/links/{link}")
    assert "none named" in answer.json()["detail"]


def test_a_confirmed_link_with_a_hidden_account_is_not_named(api: Api, ledger: Ledger) -> None:
    make_account(ledger, "c", "longbridge", "Asia/Hong_Kong")
    commit_read(ledger, hours(0, 24), make_row("k1", 1.5, "1000", kind=Kind.DEPOSIT), account="c")
    everyone = api.caller()
    ids = {link["flows"][1]["id"]: link["id"] for link in pages(everyone)[0] if link["flows"][0]["id"] == "o1"}
    confirmed = {"decision": "confirmed"}
    assert everyone.ask("POST", f"/links/{ids['k1']}/decision", json=confirmed).status_code == 200
    visible = everyone.ask("POST", f"/links/{ids['i1']}/decision", json=confirmed)
    assert (visible.status_code, ids["k1"] in visible.text) in ((409, True), (404, False))
    refused = api.caller("a", "b").ask("POST", f"/links/{ids['i1']}/decision", json=confirmed)
    assert refused.status_code == visible.status_code
    assert ids["k1"] not in refused.text
    assert "k1" not in refused.text
