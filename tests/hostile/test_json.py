"""JSON that is nested too deeply is refused, and JSON with a repeated key, because programs read it differently."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from litestar.routes import HTTPRoute

from liushui.ledger.engine import Ledger
from liushui.server.api import ROOT
from tests.api.callers import Caller, open_api
from tests.ledger.ledgers import new_ledger, tables

DEEP: Final = b"[" * 100_000
DEEP_FIELD: Final = b'{"detail":' * 20_000 + b"1" + b"}" * 20_000
TOO_DEEP: Final = {"expected": "JSON of few levels", "got": "JSON that is nested too deep"}

FLOW: Final = {"account": "mine", "reference": "r", "at": "2024-03-01T08:00:00Z", "amount": "1", "currency": "USD"}
BODIES: Final[dict[str, dict[str, Any]]] = {
    "/accounts": {"account": "mine", "zone": "UTC"},
    "/keys": {"dialect": "longbridge", "accounts": ["mine"], "restrictions": {}},
    "/tokens": {"name": "", "accounts": None, "scopes": ["read"]},
}
"""A valid body of each route that creates something and has no name in its path."""


@pytest.fixture
def ledger(tmp_path: Path) -> Any:  # noqa: ANN401 - an iterator
    ledger = new_ledger(tmp_path)
    yield ledger
    ledger.close()


def twice(text: str, key: str) -> bytes:
    """JSON text with a key given twice, first with another value."""
    return text.replace(f'"{key}"', f'"{key}": 0, "{key}"', 1).encode()


def counts(ledger: Ledger) -> dict[str, int]:
    """The number of rows of each table, but for the audit log, which has what was refused too.

    (When a token was last used is stored at some later time.)
    """
    return {name: len(rows) for name, rows in tables(ledger).items() if name != "audit_log"}


def errors(caller: Caller, path: str, body: bytes, media_type: str = "application/json", **params: str) -> Any:  # noqa: ANN401
    """The errors in the answer to a body, which must be 400."""
    answer = caller.ask("POST", path, content=body, headers={"content-type": media_type}, params=params)
    assert answer.status_code == 400, answer.text
    return answer.json()["errors"]


def test_deep_json_is_refused_by_every_route(ledger: Ledger) -> None:
    with open_api(ledger) as api:
        caller = api.caller()
        for route in api.client.app.routes:
            if not isinstance(route, HTTPRoute) or not route.path.startswith(ROOT):
                continue
            path = "/".join("a" if part.startswith("{") else part for part in route.path_format.split("/"))
            for method in set(route.methods) & {"POST", "PATCH"}:
                for body in (DEEP, DEEP_FIELD):
                    headers = {"content-type": "application/json"}
                    answer = caller.ask(method, path, content=body, headers=headers)
                    assert 400 <= answer.status_code < 500, f"{method} {path}: {answer.text}"


@pytest.mark.parametrize("mode", ["all", "each"])
def test_deep_rows_are_refused(ledger: Ledger, mode: str) -> None:
    with open_api(ledger) as api:
        caller = api.caller()
        assert errors(caller, "/flows", DEEP, mode=mode) == [TOO_DEEP | {"pointer": ""}]
        nested = b'{"detail":' + b"[" * 100_000
        headers = {"content-type": "application/x-ndjson"}
        answer = caller.ask("POST", "/flows", content=nested, headers=headers, params={"mode": mode})
        fault = json.loads(answer.text.splitlines()[0])["errors"][0]
        assert fault["pointer"].startswith("/0")


@pytest.mark.parametrize("path", BODIES)
def test_a_key_given_twice_is_refused(ledger: Ledger, path: str) -> None:
    with open_api(ledger) as api:
        caller = api.caller()
        before = counts(ledger)
        for key in BODIES[path]:
            body = json.dumps(BODIES[path])
            fault = {"pointer": f"/{key}", "expected": "each key once", "got": "one that occurs twice"}
            # The two values have different types: nobody, including us, can know which one is meant.
            assert errors(caller, path, twice(body, key)) == [fault]
        assert counts(ledger) == before


def test_a_key_given_twice_in_a_row_is_refused(ledger: Ledger) -> None:
    with open_api(ledger) as api:
        caller = api.caller()
        caller.ask("POST", "/accounts", json=BODIES["/accounts"])
        row = json.dumps(FLOW | {"fx": {"currency": "HKD", "amount": "7.8", "rate": "7.8"}, "detail": {"a/~b": "1"}})
        before = counts(ledger)
        assert errors(caller, "/flows", twice(row, "reference"))[0]["pointer"] == "/reference"
        assert errors(caller, "/flows", b"[" + twice(row, "rate") + b"]")[0]["pointer"] == "/0/fx/rate"
        body = row.encode() + b"\n" + twice(row, "a/~b")
        assert errors(caller, "/flows", body, "application/x-ndjson")[0]["pointer"] == "/1/detail/a~1~0b"
        assert counts(ledger) == before
        headers = {"content-type": "application/x-ndjson"}
        answer = caller.ask("POST", "/flows", content=body, headers=headers, params={"mode": "each"})
        assert [json.loads(line)["outcome"] for line in answer.text.splitlines()] == ["added", "refused"]
