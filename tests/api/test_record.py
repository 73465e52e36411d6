"""Recording flows: exactly once, all or none, or each independently. A refused write changes nothing."""

import asyncio
import json
from typing import Any

import pytest

from liushui.errors import LedgerError
from liushui.ledger.access.tokens import Scope, list_tokens
from liushui.ledger.coverage import Range
from liushui.ledger.engine import Ledger
from liushui.ledger.write.batch_writer import BatchWriter
from liushui.ledger.write.change import Change, Committed
from liushui.ledger.write.reprocess import preview_rebuild
from liushui.providers import get_provider
from liushui.server.rsgi_app import AsgiBridge
from tests.api.callers import Answer, Api, Caller
from tests.ledger.ledgers import assert_intact, column, tables
from tests.server.doubles import ScopeDouble, StalledHttp

AT = "2024-03-01T08:00:00+08:00"


def flow(reference: str = "r-1", amount: str = "-12.50", account: str = "mine", **more: object) -> dict[str, Any]:
    return {"account": account, "reference": reference, "at": AT, "amount": amount, "currency": "USD", **more}


@pytest.fixture(autouse=True)
def mine(caller: Caller) -> None:
    """An account of the caller's own."""
    answer = caller.ask("POST", "/accounts", json={"account": "mine", "zone": "Asia/Hong_Kong"})
    assert answer.status_code == 200, answer.text


def write(caller: Caller, *rows: dict[str, Any], key: str | None = None, **params: str) -> Answer:
    headers = {} if key is None else {"idempotency-key": key}
    body: Any = rows[0] if len(rows) == 1 else list(rows)
    return caller.ask("POST", "/flows", json=body, params=params, headers=headers)


def test_a_flow_is_recorded_and_read_back(caller: Caller, ledger: Ledger) -> None:
    said = flow(kind="fee", label="月费", note="for March", fx={"currency": "HKD", "amount": "97.50", "rate": "7.80"})
    answer = write(caller, said, flow("r-2", "1.230", detail={"shop": "north"}))
    assert answer.status_code == 200, answer.text
    assert [row["outcome"] for row in answer.json()["rows"]] == ["added", "added"]
    found = caller.get(f"/flows/{answer.json()['rows'][0]['key']}")
    assert found["wire"] is None
    assert found["flow"]["at"] == "2024-03-01T00:00:00Z"
    assert {name: found["flow"][name] for name in ("amount", "kind", "label", "note", "fx")} == {
        name: said[name] for name in ("amount", "kind", "label", "note", "fx")
    }
    assert caller.get("/balances", account="mine")["balances"][0]["amount"] == "-11.270"
    assert_intact(ledger)


def test_the_same_reference_is_the_same_flow(caller: Caller, ledger: Ledger) -> None:
    write(caller, flow())
    before = tables(ledger)
    assert write(caller, flow()).json()["known"] == 1
    differs = write(caller, flow(amount="-12.5"))
    assert differs.status_code == 409
    assert differs.json()["errors"] == [
        {
            "pointer": "/amount",
            "expected": "amount '-12.50' as recorded under 'r-1', or restate=true",
            "got": "'-12.5'",
        }
    ]
    assert tables(ledger) == before
    assert write(caller, flow(amount="-12.5"), restate="true").json()["restated"] == 1
    assert [row[0] for row in column(ledger, "history", "ended_as")] == ["restated"]
    assert_intact(ledger)


def test_a_flow_whose_time_is_restated_moves(caller: Caller, ledger: Ledger) -> None:
    write(caller, flow())
    assert write(caller, flow() | {"at": "2025-01-01T00:00:00Z"}).status_code == 409
    assert write(caller, flow() | {"at": "2025-01-01T00:00:00Z"}, restate="true").json()["restated"] == 1
    assert [one["at"] for one in caller.get("/flows", account="mine")["flows"]] == ["2025-01-01T00:00:00Z"]
    assert_intact(ledger)


def test_all_rows_are_recorded_or_none(caller: Caller, ledger: Ledger) -> None:
    caller.ask("POST", "/accounts", json={"account": "other"})
    write(caller, flow("taken", account="other"))
    before = tables(ledger)
    for rows, status, pointer in [
        ([flow("a"), flow("b", amount="x")], 400, "/1/amount"),
        ([flow("a"), flow("taken", amount="1", account="other")], 409, "/1/amount"),
        ([flow("a"), flow("a")], 422, "/1/reference"),
        ([flow("a"), flow("b", account="a")], 409, None),
        ([flow("a"), flow("b", account="nowhere")], 404, None),
    ]:
        answer = write(caller, *rows)
        assert answer.status_code == status, answer.text
        assert pointer is None or answer.json()["errors"][0]["pointer"] == pointer
        assert tables(ledger)["flows"] == before["flows"]


@pytest.mark.parametrize("restate", ["false", "true"])
def test_all_rows_of_several_accounts_are_recorded_or_none(
    caller: Caller, ledger: Ledger, restate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the second account fails after the first was written."""
    caller.ask("POST", "/accounts", json={"account": "other"})
    write(caller, flow("known"))
    before, written = tables(ledger), list[str]()
    seal = BatchWriter.write

    def failing(
        batches: BatchWriter,
        change: Change,
        known: list[Range],
        found: Range | None,
        state: str = "",
        reason: str = "",
    ) -> Committed:
        written.append(batches.account)
        if batches.account == "other":
            raise LedgerError("the disk is full")
        return seal(batches, change, known, found, state, reason)

    rows = [flow("one"), flow("two", account="other")]
    with monkeypatch.context() as patch:
        patch.setattr(BatchWriter, "write", failing)
        assert write(caller, *rows, restate=restate).status_code >= 500
    assert written == ["mine", "other"]
    assert tables(ledger) == before
    answer = write(caller, *rows, restate=restate).json()
    assert (answer["added"], [row["account"] for row in answer["rows"]]) == (2, ["mine", "other"])
    assert_intact(ledger)


@pytest.mark.parametrize(
    ("change", "pointer", "expected", "got"),
    [
        ({"amount": 12.5}, "/amount", "str", "12.5"),
        ({"amount": 12}, "/amount", "str", "12"),
        ({"amount": "1e3"}, "/amount", "str matching regex", "'1e3'"),
        ({"amount": "+1"}, "/amount", "str matching regex", "'+1'"),
        ({"amount": "01"}, "/amount", "str matching regex", "'01'"),
        ({"amount": "1" * 101}, "/amount", "str of length <= 100", "111"),
        ({"amount": None}, "/amount", "str", "None"),
        ({"fee": "1"}, "/fee", "no field of that name", "'fee'"),
        ({"at": "2024-03-01"}, "/at", "an ISO 8601 time with its offset", "'2024-03-01'"),
        ({"at": "2024-03-01T00:00:00"}, "/at", "an ISO 8601 time with its offset", "'2024-03-01T00:00:00'"),
        ({"kind": "gift"}, "/kind", "one of the values", "'gift'"),
        ({"reference": "a~1"}, "/reference", "str matching regex", "'a~1'"),
        ({"reference": ""}, "/reference", "str matching regex", "''"),
        ({"currency": "US D"}, "/currency", "str matching regex", "'US D'"),
        ({"note": "a\0b"}, "/note", "str matching regex", "a"),
        ({"detail": {"x": 1.5}}, "/detail", "str", "{'x': 1.5}"),
        ({"fx": {"currency": "HKD", "amount": 1, "rate": "1"}}, "/fx/amount", "str", "1"),
    ],
)
def test_the_fault_of_a_row_is_named(
    caller: Caller, ledger: Ledger, change: dict[str, Any], pointer: str, expected: str, got: str
) -> None:
    before = tables(ledger)["flows"]
    answer = write(caller, flow() | change)
    assert answer.status_code == 400, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert expected in fault["expected"]
    assert got in fault["got"]
    assert tables(ledger)["flows"] == before


@pytest.mark.parametrize("body", [b"", b"{", b"[", b"[1]", b'"x"', b"\xff", b"null", b"{}"])
def test_a_malformed_body_is_refused(caller: Caller, body: bytes) -> None:
    for kind in ("application/json", "application/x-ndjson"):
        answer = caller.ask("POST", "/flows", content=body, headers={"content-type": kind})
        expected = 200 if kind.endswith("ndjson") and not body else 400
        assert answer.status_code == expected, (kind, body, answer.text)
    assert caller.ask("POST", "/flows", content=body, headers={"content-type": "text/xml"}).status_code == 415


def test_an_idempotency_key_makes_a_write_repeatable(caller: Caller, api: Api, ledger: Ledger) -> None:
    first = write(caller, flow(), flow("r-2"), key="k")
    write(caller, flow(amount="7"), restate="true")
    again = write(caller, flow(), flow("r-2"), key="k")
    assert again.json() == first.json() | {"again": True}
    other = write(caller, flow("r-3"), key="k")
    assert other.status_code == 422
    assert other.json()["errors"][0]["parameter"] == "Idempotency-Key"
    assert "r-3" not in str(column(ledger, "flows", "id"))
    assert write(api.caller(), flow("r-3"), key="k").status_code == 200, "another caller has keys of its own"


def test_rows_are_recorded_independently(caller: Caller, ledger: Ledger) -> None:
    write(caller, flow("taken"))
    rows = [flow("a"), flow("taken", "1"), {"x": 1}, flow("b", account="nowhere"), flow("a"), flow("b", account="b")]
    lines = b"\n".join(json.dumps(row).encode() for row in rows) + b"\n"
    answer = caller.ask("POST", "/flows?mode=each", content=lines, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text
    said = [json.loads(line) for line in answer.text.splitlines()]
    assert [(row["row"], row["outcome"]) for row in said] == list(
        enumerate(["added", "refused", "refused", "refused", "known", "refused"])
    )
    assert said[1]["errors"][0]["pointer"] == "/1/amount"
    assert said[2]["errors"][0]["pointer"] == "/2/x"
    assert len(column(ledger, "flows", "id")) == 2
    assert_intact(ledger)


def test_many_lines_are_recorded_in_chunks(caller: Caller, ledger: Ledger) -> None:
    lines = b"\n".join(json.dumps(flow(f"r-{number}")).encode() for number in range(1_234))
    answer = caller.ask("POST", "/flows?mode=each", content=lines, headers={"content-type": "application/x-ndjson"})
    assert [json.loads(line)["outcome"] for line in answer.text.splitlines()] == ["added"] * 1_234
    assert len({row[0] for row in column(ledger, "flows", "batch")}) == 3, "a transaction a chunk"


@pytest.mark.parametrize("mode", ["all", "each"])
def test_a_body_may_be_larger_than_the_default_of_the_web_framework(caller: Caller, mode: str) -> None:
    rows = [flow(f"r-{number}", detail={f"k{key}": "x" * 2_000 for key in range(450)}) for number in range(12)]
    lines = b"\n".join(json.dumps(row).encode() for row in rows)
    assert len(lines) > 10_000_000, "more than Litestar reads unless it is told to"
    kind = {"content-type": "application/x-ndjson"}
    answer = caller.ask("POST", "/flows", content=lines, params={"mode": mode}, headers=kind)
    assert answer.status_code == 200, answer.text
    assert answer.text.count('"added"') == (12 if mode == "each" else 13)


def test_recording_needs_the_scope_and_the_account(api: Api, caller: Caller) -> None:
    assert write(api.caller("mine", scopes=[Scope.READ]), flow()).status_code == 403
    assert write(api.caller("a"), flow()).status_code == 404
    assert write(api.caller("mine", scopes=[Scope.RECORD]), flow()).status_code == 200
    assert api.caller("mine").ask("POST", "/accounts", json={"account": "new"}).status_code == 403
    assert api.caller(scopes=[Scope.RECORD]).ask("POST", "/accounts", json={"account": "new"}).status_code == 403


def test_an_account_is_created_once(caller: Caller) -> None:
    for zone, status in [("Asia/Hong_Kong", 200), ("UTC", 409), ("Mars/Base", 422)]:
        assert caller.ask("POST", "/accounts", json={"account": "mine", "zone": zone}).status_code == status
    assert caller.ask("POST", "/accounts", json={"account": "a"}).status_code == 409
    assert caller.ask("POST", "/accounts", json={"account": "a b"}).status_code == 400


def test_recorded_flows_are_rebuilt_like_others(caller: Caller, ledger: Ledger) -> None:
    write(caller, flow(kind="deposit", amount="12.50"))
    assert preview_rebuild(ledger, "mine", get_provider("longbridge").codec, lambda _: None).flows == 0


# ---------------------------------------------------------------- bodies that stall


def test_a_body_that_stalls_is_not_waited_for(api: Api, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liushui.server.api.endpoint.BODY_TIMEOUT_S", 0)
    headers = api.caller().headers | {"host": "test", "transfer-encoding": "chunked"}
    tokens = len(list_tokens(ledger))
    for path, query, media_type, part in (
        ("/tokens", "", "application/json", b'{"scopes": ["re'),
        ("/flows", "", "application/json", b'[{"account": "mine"'),
        ("/flows", "", "application/x-ndjson", b'{"account": "mine"'),
        ("/flows", "mode=each", "application/x-ndjson", b'{"account": "mine"'),
    ):
        http = StalledHttp([part])
        scope = ScopeDouble(f"/api/v1{path}", "POST", query, headers | {"content-type": media_type})
        asyncio.run(AsgiBridge(api.client.app).answer(scope, http))
        body = http.body or b"".join(http.sent)
        assert (http.status, b"body: expected all of it within 0 s" in body) == (408, True), (path, query, body)
    assert len(list_tokens(ledger)) == tokens
