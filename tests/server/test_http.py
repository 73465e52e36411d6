"""The HTTP port: any request is answered, and the server continues."""

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.ledger.access.tokens import Scope, create_token
from liushui.server.security_headers import ERROR_HEADERS
from liushui.testing.processes import Running
from tests.conftest import Book

CASH_FLOW = "/v1/asset/cashflow"


@pytest.fixture(scope="module")
def http(served: Running) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=served.url, timeout=20) as client:
        yield client


def raw(served: Running, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes. Returns the status, the headers and the body of the answer."""
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=20) as connection:
        connection.sendall(request)
        whole = b""
        while part := connection.recv(65_536):
            whole += part
    head, _, body = whole.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


def envelope(response: httpx2.Response) -> tuple[int, Any]:
    """The status and the error code of a provider's answer."""
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert len(response.headers["x-trace-id"]) == 32
    answer = json.loads(response.content, parse_float=str)
    assert answer["message"]
    return response.status_code, answer["code"]


@pytest.mark.parametrize("prefix", ["", "/", "/dialect/longbridge", "//dialect//longbridge"])
def test_providers_answer_at_their_documented_paths(served: Running, prefix: str) -> None:
    status, headers, body = raw(
        served, f"GET {prefix}{CASH_FLOW} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    assert (status, json.loads(body, parse_float=str)["code"]) == (403, 403203)
    assert len(headers["x-trace-id"]) == 32


@pytest.mark.parametrize("path", ["/dialect/longbridge/v1/nothing", "/dialect/longbridge/", "/dialect/longbridge"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_provider_refuses_unknown_paths_and_methods(http: httpx2.Client, method: str, path: str) -> None:
    assert envelope(http.request(method, path, content=b"body")) == (404, 404001)


@pytest.mark.parametrize("path", ["/nothing", "/dialect/nobody/v1/asset/cashflow", "/asset/cashflow/", "/%ff"])
def test_a_path_of_no_provider_is_answered_with_404(http: httpx2.Client, path: str) -> None:
    response = http.get(path)
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")
    assert response.json()["status"] == 404


@pytest.mark.parametrize("path", ["/v1/asset/cashflow/", "/v1/asset", "/v1/asset/nothing"])
def test_a_similar_path_is_refused_in_the_providers_format(http: httpx2.Client, path: str) -> None:
    assert envelope(http.get(path)) == (404, 404001)


def test_a_post_to_a_get_route_is_refused(http: httpx2.Client) -> None:
    assert envelope(http.post(CASH_FLOW, content=b"{}")) == (404, 404001)
    assert envelope(http.post(CASH_FLOW, content=iter([b"in ", b"parts"]))) == (404, 404001)


@pytest.mark.parametrize(
    "path", ["/login", "/healthz", "/api/v1/balances", "/nothing", CASH_FLOW, "/static/css/base.css"]
)
def test_a_request_with_two_hosts_is_refused(served: Running, path: str) -> None:
    """A proxy in front may check one of them, and this server the other."""
    host = urlsplit(served.url).netloc
    for other in (host, "evil.example"):
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", f"Host: {other}", "Connection: close", "", ""]
        status, headers, body = raw(served, "\r\n".join(lines).encode())
        assert status == 400, other
        assert json.loads(body)["detail"] == "host: expected one header, got several"
        assert missing_headers(headers) == {}


def test_a_websocket_with_two_hosts_is_refused(served: Running) -> None:
    lines = ["GET / HTTP/1.1", "Host: a", "Host: b", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(12) == b"HTTP/1.1 400"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/static/css/nothing.css", 404),
        ("GET", "/page/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/dialect/nobody/x", 404),
        ("DELETE", "/login", 405),
        ("PUT", "/", 405),
        ("PATCH", "/flows", 405),
        ("POST", "/api/v1/balances", 405),
        ("DELETE", "/static/css/base.css", 405),
        ("POST", "/logout", 403),
        ("GET", "/page/flows/rows", 401),
        ("GET", "/api/v1/balances", 401),
    ],
)
def test_every_error_has_the_headers_of_errors(served: Running, method: str, path: str, status: int) -> None:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(served.url).netloc}", "Connection: close", "", ""]
    answered, headers, _ = raw(served, "\r\n".join(lines).encode())
    assert answered == status
    assert missing_headers(headers) == {}


def missing_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of errors that an answer lacks or has with another value."""
    lower = {name: value.lower() for name, value in ERROR_HEADERS.items()}
    return {name: value for name, value in lower.items() if headers.get(name) != value}


def test_a_path_is_decoded_once(served: Running, book: Book, http: httpx2.Client) -> None:
    ledger = book.ledger()
    token = create_token(ledger, names=None, scopes=[Scope.READ]).text
    ledger.close()
    answer = http.get("/api/v1/accounts/a%2520b", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 404
    assert "a%20b" in answer.json()["detail"]


def test_a_large_body_is_refused(http: httpx2.Client) -> None:
    assert envelope(http.post(CASH_FLOW, content=b"x" * 1024 * 1024)) == (404, 404001)
    response = http.post(CASH_FLOW, content=b"x" * (1024 * 1024 + 1))
    assert (response.status_code, response.headers["content-type"]) == (413, "application/problem+json")


def test_an_endless_body_is_refused(served: Running) -> None:
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=20) as connection:
        connection.sendall(f"POST {CASH_FLOW} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(40):
            connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            connection.settimeout(0.05)
            try:
                answer = connection.recv(12)
            except TimeoutError:
                continue
            assert answer == b"HTTP/1.1 413"
            return
    raise AssertionError("2.5 MB were taken")


def test_the_index_page(http: httpx2.Client) -> None:
    assert http.get("/").headers["location"] == "/login"
    response = http.get("/login")
    assert response.status_code == 200
    assert "<title>" in response.text and "default-src 'none'" in response.headers["content-security-policy"]


@settings(max_examples=150)
@given(
    path=st.binary(max_size=30).map(lambda path: b"/" + path)
    | st.sampled_from([CASH_FLOW.encode(), b"/dialect/longbridge" + CASH_FLOW.encode(), b"/"]),
    query=st.binary(max_size=30),
    headers=st.lists(
        st.tuples(st.sampled_from([b"x-api-key", b"authorization", b"x-timestamp", b"x"]), st.binary(max_size=20))
    ),
)
def test_random_bytes_are_answered(
    served: Running, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """Granian refuses what is not HTTP. A request that gets through is never answered with an internal error."""
    kept = bytes.maketrans(b"\r\n #?\t", b"......")
    lines = [b"%b: %b" % (name, value.translate(kept)) for name, value in headers]
    request = b"GET %b?%b HTTP/1.1" % (path.translate(kept), query.translate(kept))
    status, answered, body = raw(served, b"\r\n".join([request, b"Host: x", b"Connection: close", *lines, b"", b""]))
    assert status in (200, 400, 403, 404)
    if answered.get("content-type", "").startswith("application/json"):
        assert json.loads(body, parse_float=str)["code"] in (403203, 404001)
