"""Reading over HTTP: pages and cursors, totals and their completeness, ETags, and parameters that are not valid."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from liushui.flow import Direction
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.maintenance.verify import Verified, verify
from liushui.ledger.write.commit import commit_gap, make_account
from tests.api.callers import Answer, Api, Caller, open_api
from tests.engines import LedgerStore
from tests.ledger.ledgers import (
    READ_AT,
    commit_read,
    hour,
    hours,
    import_page,
    make_full_row,
    make_row,
    new_ledger,
    rejected_row,
)


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    """A filled ledger, for a test that changes it."""
    fill(ledger)
    return ledger


@pytest.fixture(scope="module")
def reader(module_store: LedgerStore) -> Iterator[Caller]:
    """A caller of a filled ledger that no test changes."""
    module_store.fresh()
    ledger = new_ledger(module_store, "a", "b")
    fill(ledger)
    with open_api(ledger) as api:
        yield api.caller()
    ledger.close()


def fill(ledger: Ledger) -> None:
    """Three days of `a`, from its source's beginning on; imported rows of `b`, which has no source."""
    add_source(ledger, account="a", base_url="http://x", credentials={}, since=hour(0), paced=True)
    commit_read(
        ledger,
        hours(0, 72),
        make_full_row("full", 30),
        *(make_row(f"r{n}", n, f"{n - 30}.50") for n in range(0, 70, 5)),
    )
    import_page(
        ledger, make_row("p1", 10, "7", currency="HKD"), make_row("p2", 11, "-2.5", currency="HKD"), account="b"
    )


def all_flows(caller: Caller, **params: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """The flows of all pages."""
    found: list[dict[str, Any]] = []
    cursor = None
    for _ in range(200):
        page = caller.get("/flows", **params, **({"cursor": cursor} if cursor else {}))
        assert len(page["flows"]) <= params.get("limit", 100)
        found += page["flows"]
        cursor = page["next"]
        if cursor is None:
            return found
    raise AssertionError("the pages did not end")


def test_a_flow_has_all_its_fields(reader: Caller) -> None:
    (found,) = all_flows(reader, symbol="AAPL.US")
    assert found["amount"] == "-12.50"
    assert found["at"] == "2024-03-02T06:00:00Z"
    assert found["fx"] == {"currency": "HKD", "amount": "97.50", "rate": "7.8"}
    assert found["detail"] == {"operator": "li", "groups": ["x", 1]}
    whole = reader.get(f"/flows/{found['key']}")
    assert whole["wire"] == '["full","買入","-12.50"]'
    assert whole["served"] == '["full","served"]'
    assert [version["ended_as"] for version in whole["versions"]] == [None]


def test_versions_of_a_flow(caller: Caller, ledger: Ledger) -> None:
    commit_read(ledger, hours(5, 6), make_row("r5", 5, "99"))
    (found,) = all_flows(caller, amount_min="99")
    whole = caller.get(f"/flows/{found['key']}")
    versions = [(one["flow"]["amount"], one["ended_as"]) for one in whole["versions"]]
    assert versions == [("-25.50", "restated"), ("99", None)]
    commit_read(ledger, hours(5, 6))
    assert [one["ended_as"] for one in caller.get(f"/flows/{found['key']}")["versions"]] == ["restated", "withdrawn"]


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_have_every_flow_once(reader: Caller, limit: int, order: str) -> None:
    found = all_flows(reader, limit=limit, order=order)
    keys = [(flow["at"], flow["account"], flow["id"]) for flow in found]
    assert keys == sorted(keys, reverse=order == "newest")
    assert len(set(keys)) == 17


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({"currency": "HKD"}, {"p1", "p2"}),
        ({"kind": "trade"}, {"full"}),
        ({"category": "stock"}, {"full"}),
        ({"direction": "out"}, {"full"}),
        ({"subaccount": "margin"}, {"full"}),
        ({"ref": "R-1"}, {"full"}),
        ({"ref": "O-1"}, {"full"}),
        ({"text": "APPL"}, {"full"}),
        ({"text": "ten%"}, set()),
        ({"amount_min": "30"}, {"r60", "r65"}),
        ({"amount_min": "29.50", "amount_max": "34.5"}, {"r60"}),
        ({"amount_max": "-25.5"}, {"r0", "r5"}),
        ({"amount_near": "25.5"}, {"r5", "r55"}),
        ({"amount_min": "-5.5", "amount_max": "0"}, {"r25", "p2"}),
        ({"since": "2024-03-01T08:00:00+08:00", "until": "2024-03-01T05:00:00Z"}, {"r0"}),
        ({"account": "b"}, {"p1", "p2"}),
        ({"account": ["a", "b"], "amount_min": "7", "amount_max": "7"}, {"p1"}),
    ],
)
def test_filters(reader: Caller, params: dict[str, Any], ids: set[str]) -> None:
    assert {flow["id"] for flow in all_flows(reader, **params)} == ids


def test_new_flows_do_not_move_a_cursor(caller: Caller, ledger: Ledger) -> None:
    first = caller.get("/flows", limit=5)
    commit_read(ledger, hours(72, 96), make_row("new", 80))
    import_page(ledger, make_row("old", 1), account="b")
    rest = caller.get("/flows", limit=100, cursor=first["next"])
    ids = [flow["id"] for flow in first["flows"] + rest["flows"]]
    assert len(ids) == len(set(ids)) == 18
    assert "new" not in ids
    assert "old" in ids


@pytest.mark.parametrize(
    ("path", "params", "status", "parameter"),
    [
        ("/flows", {"since": "2024-03-02T00:00:00Z", "until": "2024-03-01T00:00:00Z"}, 422, "until"),
        ("/flows", {"since": "2024-03"}, 400, "since"),
        ("/flows", {"since": "2024-03-02", "until": "2024-03-02"}, 422, "until"),
        ("/flows", {"since": "20240301"}, 400, "since"),
        ("/flows", {"since": "2024-02-30T00:00:00Z"}, 400, "since"),
        ("/flows", {"since": "0001-01-01T00:00:00+08:00"}, 400, "since"),
        ("/flows", {"limit": "0"}, 400, "limit"),
        ("/flows", {"limit": "1001"}, 400, "limit"),
        ("/flows", {"limit": "1.0"}, 400, "limit"),
        ("/flows", {"limit": ["1", "2"]}, 400, "limit"),
        ("/flows", {"limit": "9" * 400}, 400, "limit"),
        ("/flows", {"kind": "gift"}, 400, "kind"),
        ("/flows", {"amount_min": "1e3"}, 400, "amount_min"),
        ("/flows", {"amount_min": "2", "amount_max": "1"}, 422, "amount_max"),
        ("/flows", {"text": ""}, 400, "text"),
        ("/flows", {"order": "random"}, 400, "order"),
        ("/flows", {"page": "2"}, 400, "page"),
        ("/flows", {"cursor": "x"}, 422, "cursor"),
        ("/flows", {"cursor": "é"}, 422, "cursor"),
        ("/flows", {"cursor": ""}, 422, "cursor"),
        ("/balances", {"at": "now"}, 400, "at"),
        ("/summary", {"first_day": "2024-02-30"}, 422, "first_day"),
        ("/summary", {"first_day": "2024-03-02", "last_day": "2024-03-01"}, 422, "last_day"),
        ("/summary", {"period": "hour"}, 400, "period"),
        ("/summary", {"by": ["account", "symbol"]}, 400, "by"),
        ("/feed", {"cursor": "AAAA"}, 422, "cursor"),
        ("/runs", {}, 400, "account"),
        ("/coverage", {"x": "1"}, 400, "x"),
        ("/accounts", {"x": "1"}, 400, "x"),
    ],
)
def test_invalid_parameters_are_named(
    reader: Caller, path: str, params: dict[str, Any], status: int, parameter: str
) -> None:
    answer = reader.ask("GET", path, params=params)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["errors"][0]["parameter"] == parameter
    assert problem["errors"][0]["expected"]
    assert problem["errors"][0]["got"]


def test_a_cursor_is_refused_for_another_query_or_caller(caller: Caller, api: Api) -> None:
    cursor = caller.get("/flows", limit=2, kind="deposit")["next"]
    scoped = api.caller("a")
    other = scoped.get("/flows", limit=2, kind="deposit")["next"]
    altered = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    for other_caller, params in [
        (caller, {"kind": "trade", "cursor": cursor}),
        (caller, {"kind": "deposit", "cursor": other}),
        (caller, {"kind": "deposit", "order": "oldest", "cursor": cursor}),
        (caller, {"kind": "deposit", "account": "a", "cursor": cursor}),
        (scoped, {"kind": "deposit", "cursor": cursor}),
        (caller, {"kind": "deposit", "cursor": altered}),
    ]:
        assert other_caller.ask("GET", "/flows", params=params).status_code == 422, params
    assert caller.get("/flows", kind="deposit", limit=3, cursor=cursor)["flows"]
    feed = caller.get("/feed")["cursor"]
    assert scoped.ask("GET", "/feed", params={"cursor": feed}).status_code == 422
    assert caller.ask("GET", "/flows", params={"cursor": feed}).status_code == 422


# ---------------------------------------------------------------- totals


def test_balances_have_their_completeness(caller: Caller, ledger: Ledger) -> None:
    found = caller.get("/balances")
    assert not found["covered"]
    assert [gap["account"] for gap in found["gaps"]] == ["b"]
    by_account = {(one["account"], one["subaccount"], one["currency"]): one for one in found["balances"]}
    assert by_account["a", "", "USD"]["amount"] == "36.00"
    assert by_account["a", "", "USD"]["covered"]
    assert by_account["b", "", "HKD"] | {"at": None} == {
        "account": "b",
        "subaccount": "",
        "currency": "HKD",
        "amount": "4.5",
        "flows": 2,
        "at": None,
        "measure": "net_change",
        "since": "2024-03-01T10:00:00Z",
        "complete": False,
        "covered": False,
        "opening": None,
        "stated": None,
        "stated_at": None,
        "stated_by": None,
        "difference": None,
        "check": "could_not_check",
        "check_reason": "no balance is stated",
    }
    assert caller.get("/balances", account="a", at="2024-03-01T06:00:00Z")["covered"]
    beyond = caller.get("/balances", account="a", at="2024-03-05T00:00:00Z")
    assert not beyond["covered"]
    assert beyond["gaps"][0]["since"] == "2024-03-04T00:00:00Z"
    commit_gap(ledger, "a", hours(72, 96), tried_at=READ_AT + timedelta(days=1), reason="the provider was away")
    (gap,) = caller.get("/balances", account="a", at="2024-03-05T00:00:00Z")["gaps"]
    assert gap["reason"] == "read failed: the provider was away"
    assert gap["cause"] == "read_failed"
    assert len(caller.get("/balances", currency="HKD")["balances"]) == 1


def test_summaries_by_period_account_and_kind(reader: Caller) -> None:
    rows = reader.get("/summary", period="day", account="a")["rows"]
    assert [row["period"] for row in rows] == ["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04"]
    # The first day begins before the source, and the last day has not been read to its end.
    assert [row["covered"] for row in rows] == [False, True, True, False]
    assert rows[-1]["complete_until"] == "2024-03-04T00:00:00Z"
    (week,) = reader.get("/summary", period="week", account="b")["rows"]
    assert (week["period"], week["first_day"], week["last_day"]) == ("2024-W09", "2024-02-26", "2024-03-03")
    assert (week["money_in"], week["money_out"], week["net"], week["covered"]) == ("7", "-2.5", "4.5", False)
    both = reader.get("/summary", period="all", by=["account", "kind"])["rows"]
    assert {(row["account"], row["currency"], row["kind"]) for row in both} == {
        ("a", "USD", "deposit"),
        ("a", "USD", "trade"),
        ("b", "HKD", "deposit"),
    }
    part = reader.get("/summary", period="month", account="a", first_day="2024-03-02", last_day="2024-03-02")
    assert part["covered"]
    assert part["rows"][0]["flows"] == 5
    late = reader.get("/summary", period="month", account="a", last_day="2024-03-09")
    assert not late["covered"]
    assert not late["rows"][0]["covered"]


def test_coverage_findings_and_quarantine(caller: Caller, ledger: Ledger) -> None:
    assert [one["state"] for one in caller.get("/coverage")["ranges"]] == ["proven"]
    commit_read(
        ledger,
        hours(72, 96),
        make_row("x", 80, "5", direction=Direction.OUT),
        rejected=[rejected_row("one"), rejected_row("two")],
    )
    assert caller.get("/findings")["findings"] == [{"account": "a", "day": "2024-03-04", "finding": "side", "flows": 1}]
    first = caller.get("/quarantine", limit=1)
    second = caller.get("/quarantine", limit=1, cursor=first["next"])
    assert sorted(row["wire"] for row in first["rows"] + second["rows"]) == ["b25l", "dHdv"]
    assert second["next"] is None
    assert caller.get("/accounts/a")["quarantined"] == 2


def test_breaks(caller: Caller, api: Api, ledger: Ledger) -> None:
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    rows = [make_row(f"{one}", one, "1.00", balance=f"{one}.00", currency="CNY") for one in (1, 2, 4)]
    commit_read(ledger, hours(0, 24), *rows, account="shop")
    answer = caller.get("/breaks", account="shop")
    (found,) = answer["breaks"]
    flows = {flow["id"]: flow["key"] for flow in caller.get("/flows", account="shop")["flows"]}
    assert (found["before"], found["after"]) == (flows["2"], flows["4"])
    assert (found["stated"], found["expected"], found["difference"]) == ("3.00", "2.00", "1.00")
    assert (found["cause"], found["explanation"].partition(" ")[0]) == ("missing", "1.00")
    assert answer["complete"] == caller.get("/balances", account="shop")["complete"]
    assert answer["gaps"] == caller.get("/balances", account="shop")["gaps"]
    assert api.caller("b").get("/breaks")["breaks"] == [], "of its own accounts only"


def test_findings_are_explained(caller: Caller, ledger: Ledger) -> None:
    rows = make_row("x", 80, "5", direction=Direction.OUT), make_row("y", 81), make_row("y", 81, "7")
    commit_read(ledger, hours(72, 96), *rows)
    every = caller.get("/findings/list")["findings"]
    pages = [caller.get("/findings/list", limit=1)]
    pages.append(caller.get("/findings/list", limit=1, cursor=pages[0]["next"]))
    assert [one for page in pages for one in page["findings"]] == every
    side, copy = every
    assert (side["kind"], side["state"], side["evidence"], side["others"]) == ("side", "open", "out 5 USD", [])
    full = caller.get(f"/findings/{copy['id']}")
    assert [flow["key"] for flow in full["flows"]] == [copy["flow"], *copy["others"]]
    assert [flow["id"] for flow in caller.get("/flows", finding=copy["id"])["flows"]] == ["y~1", "y"]
    answer = caller.ask("POST", f"/findings/{side['id']}/explain", json={"reason": "a reversal"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["finding"]["state"], answer.json()["decisions"][0]["reason"]) == ("explained", "a reversal")
    assert caller.get("/findings")["findings"] == [
        {"account": "a", "day": "2024-03-04", "finding": "same_id", "flows": 1}
    ]
    account = caller.get("/accounts/a")
    assert (account["findings"], account["explained"]) == (1, 1)
    assert [one["id"] for one in caller.get("/findings/list", state="explained")["findings"]] == [side["id"]]
    assert caller.ask("POST", f"/findings/{side['id']}/explain", json={"reason": "again"}).status_code == 409
    assert caller.ask("POST", f"/findings/{copy['id']}/explain", json={"reason": ""}).status_code == 400
    withdrawn = caller.ask("POST", f"/findings/{side['id']}/withdraw", json={"reason": "wrong"})
    assert withdrawn.json()["finding"]["state"] == "open"
    assert caller.ask("GET", "/findings/odd").status_code == 404
    assert caller.ask("GET", "/flows", params={"finding": "odd"}).status_code == 400


# ---------------------------------------------------------------- tags


def test_heads_are_those_of_verify_and_are_not_cached(caller: Caller, api: Api, ledger: Ledger) -> None:
    verified = [result for result in verify(ledger) if isinstance(result, Verified)]
    answer = caller.ask("GET", "/heads")
    assert [tuple(head.values()) for head in answer.json()["heads"]] == [
        (one.account, one.batches, one.link) for one in verified
    ]
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert [head["account"] for head in api.caller("b").get("/heads")["heads"]] == ["b"]
    assert caller.ask("GET", "/heads", params={"account": "x"}).status_code == 404


TAGGED = [
    "/accounts",
    "/accounts/a",
    "/flows",
    "/balances",
    "/summary",
    "/fees",
    "/coverage",
    "/feed",
    "/findings",
    "/breaks",
]


@pytest.mark.parametrize("path", TAGGED)
def test_an_etag_holds_until_the_next_commit(caller: Caller, api: Api, ledger: Ledger, path: str) -> None:
    def again(tag: str, **headers: str) -> Answer:
        return caller.ask("GET", path, headers={"if-none-match": tag, **headers})

    first = caller.ask("GET", path)
    tag = first.headers["etag"]
    assert not tag.startswith("W/")
    same = again(tag)
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert again(f'"x", {tag}').status_code == 304
    assert again("*").status_code == 304
    assert again('"*"').status_code == 200
    assert again(tag, **{"accept-encoding": "identity"}).status_code == 200, "another coding has another tag"
    other = caller.ask("GET", path, params={"account": "a"} if path not in ("/accounts", "/accounts/a") else {})
    assert other.headers["etag"] != tag or path in ("/accounts", "/accounts/a")
    commit_read(
        ledger, hours(72, 96), make_row("new", 80, "5", direction=Direction.OUT), rejected=[rejected_row("row")]
    )
    changed = again(tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert changed.content != first.content


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_answers_are_compressed(reader: Caller, coding: str) -> None:
    answer = reader.ask("GET", "/flows", headers={"accept-encoding": coding})
    assert answer.headers["content-encoding"] == coding
    assert len(answer.json()["flows"]) == 17
