"""The character U+0000, which PostgreSQL's text cannot contain: no request with it is an internal error."""

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest

from tests.engines import ENGINES, store_of
from tests.hostile.test_any_request import ENDLESS, NAMES, bearer_of, filled, routes
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger
from tests.web.visitor import SAME_SITE, Visitor, visiting

NUL: Final = "a\0b"
ENDS_THE_VISIT: Final = ("/logout", "/keys/sessions")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
PAGE_PARAMETERS: Final = ("text", "user", "name", "account", "cursor", "view", "id", "code", "next")
FORM_NAMES: Final = (*NAMES, "user", "secret", "password", "name", "role", "reason", "note", "provider", "scope")


@pytest.fixture(params=ENGINES)
def guest(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Visitor]:
    """A visitor who is logged in, with flows of one account."""
    for store in store_of(request, tmp_path):
        ledger = new_ledger(store, "a")
        commit_read(ledger, hours(0, 48), make_row("one", 1), make_row("two", 2, "-5"))
        with visiting(ledger) as visitor:
            visitor.log_in()
            yield visitor
        ledger.close()


def test_no_text_with_nul_is_an_internal_error(guest: Visitor) -> None:
    document = guest.client.get("/api/v1/openapi.json").json()
    bearer, token, found = bearer_of(guest.ledger), guest.token(), []
    for method, path in routes(guest, *METHODS):
        if path.startswith((*ENDS_THE_VISIT, "/static", ENDLESS)):
            continue
        headers = bearer if path.startswith("/api/") else SAME_SITE
        for address in dict.fromkeys((filled(path, "a%00b"), filled(path, "a"))):
            for request in requests(document, method, path, token):
                url = address + request.pop("query", "")
                answer = guest.client.request(method, url, headers=headers, **request)
                if answer.status_code >= 500:
                    found.append((answer.status_code, method, url, request))
    assert not found


def requests(document: Any, method: str, path: str, token: str) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """The queries of a route, each with NUL in one parameter, or its bodies, with NUL in every text."""
    is_api = path.startswith("/api/")
    operation = document["paths"].get(path, {}).get(method.lower(), {})
    if method == "GET":
        names = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
        return [{}, *({"query": f"?{name}=a%00b"} for name in (names if is_api else PAGE_PARAMETERS))]
    if is_api:
        content = operation.get("requestBody", {}).get("content", {})
        return [{"json": example(document, one["schema"])} for one in content.values()] or [{}]
    return [{"data": {"csrf_token": token, **dict.fromkeys(FORM_NAMES, NUL)}}]


@pytest.mark.parametrize("path", ["/balances?account=a%00b", "/flows?text=a%00b", "/accounts/a%00b"])
def test_the_api_names_the_parameter_with_nul(guest: Visitor, path: str) -> None:
    answer = guest.client.get(f"/api/v1{path}", headers=bearer_of(guest.ledger))
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] in path.replace("accounts/", "account")
    assert fault["expected"] == "text without the character U+0000"


def test_the_login_names_the_field_with_nul(guest: Visitor) -> None:
    answer = guest.post("/login", {"user": NUL, "secret": "x"}, token=False)
    assert answer.status_code == 400
    assert "user: expected text without the character U+0000" in unescape(answer.text)


def example(document: Any, schema: Any) -> Any:  # noqa: ANN401 - JSON
    """A value of a schema, with NUL in its texts."""
    if "$ref" in schema:
        value = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            value = value[part]
        return example(document, value)
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema:
            return example(document, schema[several][0])
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "properties" in schema:
        return {name: example(document, of) for name, of in schema["properties"].items()}
    kind = schema.get("type")
    if kind == "array":
        return [example(document, schema.get("items", {}))]
    if kind == "object":
        return {NUL: NUL}
    return {"integer": 1, "number": 1, "boolean": True, "null": None}.get(kind, NUL)
