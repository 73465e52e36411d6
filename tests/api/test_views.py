"""Saved views through the API and the client."""

from liushui.ledger.access.tokens import Scope
from tests.api.callers import Api

FEES = {"filter": {"kind": "fee", "since": "2025-01-01"}, "accounts": ["a"], "columns": ["time", "amount"]}


def test_a_view_is_saved_listed_overwritten_and_removed(api: Api) -> None:
    caller = api.caller()
    made = caller.ask("PUT", "/views/Fees of a", json={**FEES, "zone": "UTC", "order": "oldest", "default": True})
    assert made.status_code == 201, made.text
    view = made.json()
    assert view["owner"].startswith("token ")
    wanted = {"name": "Fees of a", "shared": False, "default": True, "zone": "UTC", "order": "oldest", **FEES}
    assert {name: view[name] for name in wanted} == wanted
    assert caller.get("/views") == {"views": [view]}
    assert caller.get("/views/Fees of a") == view
    again = caller.ask("PUT", "/views/Fees of a", json={})
    assert again.status_code == 200
    assert (again.json()["filter"], again.json()["columns"][-1], again.json()["default"]) == ({}, "balance", True)
    assert caller.ask("PUT", "/views/Fees of a", json={"default": False}).json()["default"] is False
    assert caller.ask("DELETE", "/views/Fees of a").status_code == 204
    assert caller.ask("DELETE", "/views/Fees of a").status_code == 404
    assert caller.ask("GET", "/views/Fees of a").status_code == 404


def test_views_of_another_are_not_there_unless_they_are_shared(api: Api) -> None:
    one, other = api.caller(), api.caller("a", scopes=[Scope.READ])
    one.ask("PUT", "/views/private", json={})
    one.ask("PUT", "/views/shared", json={"shared": True})
    one.ask("PUT", "/views/of b", json={"shared": True, "accounts": ["b"]})
    assert [view["name"] for view in other.get("/views")["views"]] == ["shared"]
    assert other.ask("GET", "/views/private").status_code == 404
    assert other.ask("GET", "/views/of b").status_code == 404
    assert other.ask("DELETE", "/views/shared").status_code == 403
    assert other.ask("PUT", "/views/shared", json={}).status_code == 403
    assert other.ask("PUT", "/views/mine", json={"shared": True}).status_code == 403
    assert other.ask("PUT", "/views/mine", json={}).status_code == 201
    assert one.ask("GET", "/views/mine").status_code == 404


def test_what_cannot_be_saved_is_named_by_its_place(api: Api) -> None:
    caller = api.caller()
    for body, status, pointer in (
        ({"filter": {"since": "soon"}}, 422, "/filter/since"),
        ({"filter": {"kind": "nope"}}, 400, "/filter/kind"),
        ({"zone": "Mars"}, 422, "/zone"),
        ({"columns": []}, 400, "/columns"),
    ):
        answer = caller.ask("PUT", "/views/x", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (status, pointer), answer.text
    answer = caller.ask("PUT", "/views/x", json={"accounts": ["nobody"]})
    assert answer.status_code == 404, answer.text
    assert caller.ask("PUT", "/views/ x", json={}).json()["errors"][0]["pointer"] == "/name"
    assert caller.get("/views") == {"views": []}
