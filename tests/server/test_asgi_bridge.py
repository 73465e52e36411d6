"""The ASGI bridge: the request that the application gets, and its answer, as a whole or in parts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Litestar, Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Stream

from liushui.server.rsgi_app import AsgiBridge, asgi_scope
from tests.server.doubles import HttpDouble, ScopeDouble


@post("/echo/{name:str}", status_code=202)
async def echo(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """Answer with the request."""
    said = f"{name}|{request.query_params.getall('a')}|{request.headers['x-a']}|{request.client}|".encode()
    return Response(said + await request.body(), headers={"x-made": "yes"}, media_type="text/plain")


@get("/one", media_type="text/plain")
async def one() -> str:
    """Answer as a whole."""
    return "two"


@get("/many")
async def many() -> Stream:
    """Answer in parts."""

    async def parts() -> AsyncIterator[str]:
        yield "one,"
        yield "two"

    return Stream(parts)


BRIDGE = AsgiBridge(Litestar([echo, one, many], openapi_config=None, logging_config=None))


def answered(scope: ScopeDouble, *parts: bytes) -> HttpDouble:
    """Answer one request."""
    http = HttpDouble(list(parts))
    asyncio.run(BRIDGE.answer(scope, http))
    return http


def test_the_application_gets_the_request_unchanged() -> None:
    http = answered(ScopeDouble("/echo/流%20", "POST", "a=1&a=%20", {"x-a": "é"}), b"ab", b"", b"c")
    assert http.status == 202
    assert http.headers["x-made"] == "yes"
    assert http.body.decode() == "流%20|['1', ' ']|é|Address(host='127.0.0.1', port=5000)|abc"
    assert (
        asgi_scope(ScopeDouble("/echo/流%20 \N{REPLACEMENT CHARACTER}"))["raw_path"]
        == b"/echo/%E6%B5%81%2520%20%EF%BF%BD"
    )


def test_a_streamed_answer_is_streamed() -> None:
    http = answered(ScopeDouble("/many"))
    assert http.sent == [b"one,", b"two"]
    assert http.status == 200


def test_head_gets_the_headers_of_get() -> None:
    whole = answered(ScopeDouble("/one"))
    assert (whole.status, whole.body) == (200, b"two")
    head = answered(ScopeDouble("/one", "HEAD"))
    assert (head.status, head.body, head.headers) == (200, b"", whole.headers)
    assert head.headers["content-length"] == "3"
    assert answered(ScopeDouble("/nothing", "HEAD")).status == 404


def test_head_of_an_answer_in_parts_ends() -> None:
    http = answered(ScopeDouble("/many", "HEAD"))
    assert (http.status, http.body, http.sent) == (200, b"", [])


def test_nothing_more_is_sent_after_the_client_disconnects() -> None:
    http = HttpDouble(gone_after=1)
    asyncio.run(BRIDGE.answer(ScopeDouble("/many"), http))
    assert http.sent == [b"one,"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80)), ("unix:/a", None), ("", None)],
)
def test_the_address_of_the_client_is_parsed(told: str, expected: tuple[str, int] | None) -> None:
    assert asgi_scope(ScopeDouble("/", client=told))["client"] == expected
