"""Longbridge's client: its requests, and its reaction to faults in a configuration or an answer."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from liushui.errors import ConfigError, LiushuiError, RateLimited
from liushui.provider import PageRequest, Slice
from liushui.providers._longbridge.wire import sign, signature_matches
from liushui.providers.longbridge.client import LongbridgeClient
from liushui.rules import Rate
from tests.providers.longbridge.sent import Sent

DAY = Slice(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
CREDENTIALS = {"app_key": "ak", "app_secret": "as", "access_token": "at"}
EMPTY = b'{"code":0,"message":"success","data":{"list":[]}}'


def call(
    *,
    base_url: str = "http://provider.test",
    credentials: Mapping[str, str] = CREDENTIALS,
    rate: Rate | None = None,
    calls: int = 1,
) -> None:
    """Make a client, read the second page of a day as often as is said."""

    async def read() -> None:
        client = LongbridgeClient(base_url=base_url, credentials=credentials, rate=rate, timeout_s=2)
        try:
            for _ in range(calls):
                assert list((await client.fetch_page(PageRequest(DAY, 7, page_token="2"))).rows) == []
        finally:
            await client.close()

    asyncio.run(read())


@pytest.mark.parametrize("prefix", ["", "/", "/dialect/longbridge", "/dialect/longbridge/"])
def test_what_is_sent(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    sent = Sent(monkeypatch, httpx2.Response(200, content=EMPTY))
    call(base_url=f"http://provider.test{prefix}")
    (request,) = sent.requests
    path, _, query = request.url.raw_path.decode().partition("?")
    assert (request.method, request.content, path) == ("GET", b"", f"{prefix.rstrip('/')}/v1/asset/cashflow")
    assert query == "start_time=1704067200&end_time=1704153599&page=2&size=7"
    headers = dict(request.headers)
    assert (headers["x-api-key"], headers["authorization"], headers["accept-language"]) == ("ak", "at", "zh-HK")
    assert abs(datetime.fromtimestamp(int(headers["x-timestamp"]), UTC) - datetime.now(UTC)) < timedelta(seconds=60)
    signature = sign(secret="as", method="GET", path=path, query=query, headers=headers)
    assert signature_matches(headers["x-api-signature"], signature)
    assert "as" not in headers.values()


def test_calls_keep_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """How pacing works in each window is the subject of its own tests."""
    Sent(monkeypatch, httpx2.Response(200, content=EMPTY))
    begin = datetime.now(UTC)
    call(rate=Rate(calls=30, per=timedelta(seconds=30), spacing=timedelta(milliseconds=50)), calls=3)
    assert datetime.now(UTC) - begin >= timedelta(milliseconds=100)


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [("7", 7.0), ("0", 0.0), (None, None), ("", None), ("-1", None), ("1.5", None), ("²", None), ("9" * 400, None)],
)
def test_how_long_to_wait(monkeypatch: pytest.MonkeyPatch, header: str | None, expected_s: float | None) -> None:
    headers = [] if header is None else [(b"retry-after", header.encode("latin-1"))]
    Sent(monkeypatch, httpx2.Response(429, content=b'{"code":429002,"message":"slow down"}', headers=headers))
    with pytest.raises(RateLimited) as caught:
        call()
    assert caught.value.retry_after_s == expected_s


def test_a_date_to_wait_for_is_counted_by_the_servers_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    dates = {"retry-after": "Fri, 02 Jan 2026 12:00:00 GMT", "date": "Fri, 02 Jan 2026 11:00:00 GMT"}
    answer = httpx2.Response(429, headers=dates, content=b'{"code":1}')
    Sent(monkeypatch, answer)
    with pytest.raises(RateLimited) as caught:
        call()
    assert caught.value.retry_after_s == 3600


def test_an_errors_trace_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    Sent(monkeypatch, httpx2.Response(400, headers={"x-trace-id": "abc"}, content=b'{"code":202202,"message":"m"}'))
    with pytest.raises(LiushuiError, match=r"^m \(code 202202, trace abc\)$"):
        call()


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "provider.test",
        "ftp://provider.test",
        "http://",
        "http:///v1",
        "http://[bad",
        "http://provider.test:port",
        "http://provider.test:99999",
        "http://provider.test\x00",
        "http://provider.test/流水",
        "http://provider.test/?a=b",
        "http://provider.test/#a",
        "http://user:secret@provider.test",
        "http://provi der.test",
    ],
)
def test_a_base_url_that_cannot_be_used(base_url: str) -> None:
    with pytest.raises(ConfigError, match=r"^base-url: expected ") as caught:
        call(base_url=base_url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["app_key", "access_token"])
@pytest.mark.parametrize("value", ["", "流水", "é", "two\nlines", "with\x00", " spaced "])
def test_a_credential_that_no_header_can_hold(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: expected ") as caught:
        call(credentials=CREDENTIALS | {name: value})
    assert not value or value not in str(caught.value)
