"""The OpenAPI document describes every route. The page that shows it loads nothing from other servers."""

import re
from typing import Any

import msgspec
import pytest

from liushui.server.api.openapi import EXAMPLES
from tests.api.callers import Api, Caller


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    """The document, as a caller without a token gets it."""
    answer = api.stranger().ask("GET", "/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_the_page_and_its_script_are_served_to_anybody(api: Api) -> None:
    stranger = api.stranger()
    page = stranger.ask("GET", "/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert re.findall(r'(?:src|spec-url)="([^"]*)"', page.text) == ["/api/v1/openapi.json", "/api/v1/docs/redoc.js"]
    script = stranger.ask("GET", "/docs/redoc.js")
    assert script.status_code == 200
    assert script.headers["content-type"].startswith("text/javascript")


def test_every_operation_says_what_it_takes_and_answers(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations) >= 25
    for operation in operations:
        assert operation["summary"].endswith(".")
        assert operation["tags"]
        assert {"400", "401", "403", "429", "503"} <= set(operation["responses"])
    flows = document["paths"]["/api/v1/flows"]
    parameters = {parameter["name"]: parameter for parameter in flows["get"]["parameters"]}
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    assert parameters["account"]["explode"]
    assert "newest" in parameters["order"]["schema"]["enum"]
    assert set(flows["post"]["requestBody"]["content"]) == {"application/json", "application/x-ndjson"}
    assert "Idempotency-Key" in {parameter["name"] for parameter in flows["post"]["parameters"]}


def test_routes_that_create_something_say_so(document: dict[str, Any]) -> None:
    created = {
        path.removeprefix("/api/v1")
        for path, operations in document["paths"].items()
        if "201" in operations.get("post", {}).get("responses", {})
    }
    assert {"/stated-balances", "/closed-months", "/keys", "/tokens"} <= created
    assert "200" in document["paths"]["/api/v1/stated-balances"]["post"]["responses"]


def test_models_are_described_with_all_their_constraints(document: dict[str, Any]) -> None:
    flow = document["components"]["schemas"]["RecordFlow"]
    assert flow["additionalProperties"] is False
    assert flow["required"] == ["account", "reference", "at", "amount", "currency"]
    assert flow["properties"]["detail"]["anyOf"][0]["additionalProperties"]["maxLength"] == 2000
    assert flow["properties"]["note"]["default"] is None
    assert flow["examples"][0]["account"] == "shop"
    described = str(document)
    for name in re.findall(r"#/components/schemas/(\w+)", described):
        assert name in document["components"]["schemas"]


@pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.__name__)
def test_examples_fit_their_models(model: type) -> None:
    assert msgspec.json.decode(msgspec.json.encode(EXAMPLES[model]), type=model) == EXAMPLES[model]


def test_a_query_parameter_that_is_not_declared_is_refused(caller: Caller) -> None:
    for path in ("/", "/keys", "/sources"):
        assert caller.ask("GET", path, params={"x": "1"}).status_code == 400


@pytest.mark.parametrize(("body", "kind", "status"), [(b"", "application/json", 400), (b"{}", "text/xml", 415)])
def test_a_body_that_is_missing_or_of_another_type_is_refused(
    caller: Caller, body: bytes, kind: str, status: int
) -> None:
    answer = caller.ask("POST", "/accounts", content=body, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["errors"][0]["expected"]


def test_a_body_that_is_too_large_is_refused(caller: Caller) -> None:
    body = b'{"account": "' + b"x" * (1024 * 1024) + b'"}'
    answer = caller.ask("POST", "/accounts", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
