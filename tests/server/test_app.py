"""The RSGI application: routing to providers, limits on bodies, and requests that do not delay each other."""

import asyncio
import logging
import threading
from collections.abc import Mapping

import pytest

from liushui import __version__
from liushui.http import Request, Response
from liushui.provider import Provider
from liushui.server.rsgi_app import BODY_MAX, INLINE_ROWS_MAX, App, DialectRouter
from liushui.server.security_headers import ERROR_HEADERS
from liushui.testing.reader import MemoryReader
from tests.server.doubles import HttpDouble, ScopeDouble, StalledHttp, provider

PATH = "/v1/flows"


def app_of(*found: Provider) -> App:
    """An application that serves these providers."""
    known = {one.name: one for one in found}
    return App(DialectRouter(known, MemoryReader()), known)


def answer(app: App, scope: ScopeDouble, *parts: bytes) -> HttpDouble:
    """Answer one request."""
    http = HttpDouble(list(parts))
    asyncio.run(app.__rsgi__(scope, http))
    return http


def keeping(into: list[Request]) -> Provider:
    """A provider that stores its requests."""

    def made(request: Request) -> Response:
        into.append(request)
        return Response(202, [("x-made", "yes")], b"made")

    return provider("x", PATH, made=made)


# ---------------------------------------------------------------- dialects


def test_a_provider_gets_the_request_unchanged() -> None:
    asked: list[Request] = []
    scope = ScopeDouble(f"/dialect/x/{PATH}", "GET", "a=%31&b=", {"x-api-key": "k"})
    http = answer(app_of(keeping(asked)), scope)
    (request,) = asked
    assert request == Request("GET", f"/dialect/x/{PATH}", "a=%31&b=", {"x-api-key": "k"}, b"", PATH, request.trace)
    assert (http.status, http.headers, http.body) == (202, {"x-made": "yes"}, b"made")


@pytest.mark.parametrize(
    ("headers", "parts", "body", "read"),
    [
        ({"content-length": "6"}, [b"abc", b"def"], b"abcdef", 2),
        ({"transfer-encoding": "chunked"}, [b"abc", b"", b"def"], b"abcdef", 3),
        ({"content-length": "0"}, [b"never"], b"", 0),
        ({}, [b"never"], b"", 0),
        ({"content-length": str(BODY_MAX)}, [b"x" * BODY_MAX], b"x" * BODY_MAX, 1),
    ],
)
def test_the_body_of_a_request_is_read(headers: Mapping[str, str], parts: list[bytes], body: bytes, read: int) -> None:
    asked: list[Request] = []
    http = answer(app_of(keeping(asked)), ScopeDouble(PATH, "POST", headers=headers), *parts)
    assert [request.body for request in asked] == [body]
    assert (http.status, http.read) == (202, read)


@pytest.mark.parametrize("headers", [{"content-length": "5000000"}, {"transfer-encoding": "chunked"}])
def test_a_body_that_is_too_large_is_refused_before_its_end(headers: Mapping[str, str]) -> None:
    asked: list[Request] = []
    parts = [b"x" * (BODY_MAX // 2), b"x" * (BODY_MAX // 2), b"x", b"x", b"x"]
    http = answer(app_of(keeping(asked)), ScopeDouble(PATH, "POST", headers=headers), *parts)
    assert (http.status, asked) == (413, [])
    assert http.headers == {"content-type": "application/problem+json", **ERROR_HEADERS}
    assert http.read == 3


@pytest.mark.parametrize("headers", [{"content-length": "6"}, {"transfer-encoding": "chunked"}], ids=str)
def test_a_body_that_stalls_is_not_waited_for(headers: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liushui.server.rsgi_app.BODY_TIMEOUT_S", 0)
    asked: list[Request] = []
    http = StalledHttp([b"abc"])
    asyncio.run(app_of(keeping(asked)).__rsgi__(ScopeDouble(PATH, "POST", headers=headers), http))
    assert (http.status, asked) == (408, [])
    assert http.headers == {"content-type": "application/problem+json", **ERROR_HEADERS}


def test_a_short_answer_does_not_wait_for_a_long_one() -> None:
    """The long answer waits for the short one, so that neither would end if they were made in turn."""
    short_done = threading.Event()

    def long_made(_: Request) -> Response:
        return Response(200, [], b"long" if short_done.wait(10) else b"waited in vain")

    def short_made(_: Request) -> Response:
        short_done.set()
        return Response(200, [], b"short")

    app = app_of(
        provider("long", "/long", made=long_made, rows=INLINE_ROWS_MAX + 1),
        provider("short", "/short", made=short_made, rows=INLINE_ROWS_MAX),
    )
    https = [HttpDouble(), HttpDouble()]

    async def both() -> None:
        scopes = ScopeDouble("/long"), ScopeDouble("/short")
        await asyncio.gather(*(app.__rsgi__(scope, http) for scope, http in zip(scopes, https, strict=True)))

    asyncio.run(both())
    assert [http.body for http in https] == [b"long", b"short"]


def test_long_answers_are_made_one_at_a_time() -> None:
    """A client that asks for many takes no more than one thread."""
    threads: list[int] = []
    all_are_asked_for = threading.Event()

    def made(request: Request) -> Response:
        # None ends before all have been handed over: if there were a second thread, it would have begun by then.
        assert all_are_asked_for.wait(60)
        threads.append(threading.get_ident())
        return Response(200, [], request.query.encode())

    app = app_of(provider("long", "/long", made=made, rows=INLINE_ROWS_MAX + 1))
    https = [HttpDouble() for _ in range(8)]

    async def all_of_them() -> None:
        answers = [asyncio.ensure_future(app.__rsgi__(ScopeDouble("/long"), http)) for http in https]
        await asyncio.sleep(0)  # each of them runs until it waits for its thread
        all_are_asked_for.set()
        await asyncio.gather(*answers)

    asyncio.run(all_of_them())
    assert len(threads) == len(https)
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    assert all(http.status == 200 for http in https)


@pytest.mark.parametrize("rows", [1, INLINE_ROWS_MAX + 1])
def test_an_internal_error_is_answered_with_a_trace_and_logged(rows: int, caplog: pytest.LogCaptureFixture) -> None:
    """The answer has a trace id, and the log has it too, with the reason and without secrets."""

    def made(_: Request) -> Response:
        raise OSError("the disk is gone")

    scope = ScopeDouble(PATH, "GET", "symbol=SECRET.US", {"authorization": "m_secret"})
    with caplog.at_level(logging.ERROR):
        http = answer(app_of(provider("x", PATH, made=made, rows=rows)), scope)
    assert (http.status, http.headers["content-type"]) == (500, "application/problem+json")
    assert len(http.headers["x-trace-id"]) == 32
    assert http.headers["x-trace-id"] in caplog.text
    assert f"GET {PATH}" in caplog.text
    assert "OSError: the disk is gone" in caplog.text
    assert "secret" not in caplog.text.lower()
    assert b"disk" not in http.body


# ---------------------------------------------------------------- what is no dialect's


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/nothing", "/dialect/nobody/x", "/flows/v1", "/favicon.ico"])
def test_unknown_paths_are_answered_with_404(method: str, path: str) -> None:
    http = answer(app_of(provider("x", PATH)), ScopeDouble(path, method), b"never")
    assert (http.status, http.headers) == (404, {"content-type": "application/problem+json", **ERROR_HEADERS})
    assert b'"title":"Not Found"' in http.body
    assert http.read == 0


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/flows", "/api/v1/nothing"])
def test_the_liushui_api_is_not_a_provider_api_even_if_its_paths_begin_alike(path: str) -> None:
    app = app_of(provider("x", "/api/v5/account/bills"))
    assert b'"title":"Not Found"' in answer(app, ScopeDouble(path)).body, "there is no page here to answer it"
    assert b'"title"' not in answer(app, ScopeDouble("/api/v5/account/other")).body, "the provider's own words"


def test_the_index_page_lists_what_is_served() -> None:
    http = answer(app_of(provider("x", PATH), provider("y", "/a", "/b")), ScopeDouble("/"))
    assert http.status == 200
    assert http.headers["content-type"] == "text/html; charset=utf-8"
    assert http.headers["content-security-policy"] == "default-src 'none'"
    page = http.body.decode()
    assert f"Version {__version__}" in page
    for line in (
        "The x",
        f"GET {PATH}",
        f"/dialect/x{PATH}",
        "The y",
        "GET /a",
        "/dialect/y/a",
        "GET /b",
        "/dialect/y/b",
    ):
        assert line in page
