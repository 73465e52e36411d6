"""The bridge: what an ASGI application is told of a request, and how its answer is passed on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Litestar, Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Stream

from liushui.server.asgi_bridge import AsgiBridge, asgi_scope
from tests.server.doubles import HttpDouble, ScopeDouble


@post("/echo/{name:str}", status_code=202)
async def echo(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """Says what came."""
    said = f"{name}|{request.query_params.getall('a')}|{request.headers['x-a']}|{request.client}|".encode()
    return Response(said + await request.body(), headers={"x-made": "yes"}, media_type="text/plain")


@get("/many")
async def many() -> Stream:
    """Comes in parts."""

    async def parts() -> AsyncIterator[str]:
        yield "one,"
        yield "two"

    return Stream(parts)


BRIDGE = AsgiBridge(Litestar([echo, many], openapi_config=None, logging_config=None))


def answered(scope: ScopeDouble, *parts: bytes) -> HttpDouble:
    """Have one request answered."""
    http = HttpDouble(list(parts))
    asyncio.run(BRIDGE.answer(scope, http))
    return http


def test_a_request_is_told_as_it_came() -> None:
    http = answered(ScopeDouble("/echo/%E6%B5%81", "POST", "a=1&a=%20", {"x-a": "é"}), b"ab", b"", b"c")
    assert http.status == 202
    assert http.headers["x-made"] == "yes"
    assert http.body.decode() == "流|['1', ' ']|é|Address(host='127.0.0.1', port=5000)|abc"


def test_an_answer_in_parts_is_passed_on_in_parts() -> None:
    http = answered(ScopeDouble("/many"))
    assert http.sent == [b"one,", b"two"]
    assert http.status == 200


def test_nobody_is_sent_more_after_the_client_has_gone() -> None:
    http = HttpDouble(gone_after=1)
    asyncio.run(BRIDGE.answer(ScopeDouble("/many"), http))
    assert http.sent == [b"one,"]


@pytest.mark.parametrize(
    ("told", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:80", ("::1", 80)), ("unix:/a", None), ("", None)],
)
def test_where_a_client_is(told: str, expected: tuple[str, int] | None) -> None:
    assert asgi_scope(ScopeDouble("/", client=told))["client"] == expected
