"""The first draft's client: its requests, and its reaction to faults in a configuration or an answer."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from liushui.errors import ConfigError, RateLimited, Refused, WireError
from liushui.provider import NO_VALUES, Page, PageRequest, Slice
from liushui.providers._longbridge.wire import sign, signature_matches
from liushui.providers.longbridge_legacy import PROVIDER
from tests.providers.longbridge.rows import wire
from tests.providers.longbridge.sent import Sent
from tests.providers.longbridge_legacy.caller import PATH
from tests.providers.longbridge_legacy.rows import row

DAY = Slice(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
CREDENTIALS = {"app_key": "ak", "app_secret": "as", "access_token": "at"}
EMPTY = b'{"code":0,"msg":"success","data":{"list":[]}}'


def page(
    *,
    asked: Slice = DAY,
    page_token: str | None = None,
    params: Mapping[str, str] = NO_VALUES,
    base_url: str = "http://provider.test",
    credentials: Mapping[str, str] = CREDENTIALS,
) -> Page:
    """Make a client, read a page of seven rows."""

    async def read() -> Page:
        client = PROVIDER.connect(base_url=base_url, credentials=credentials, rate=None, timeout_s=2)
        try:
            return await client.fetch_page(PageRequest(asked, 7, page_token=page_token, params=params))
        finally:
            await client.close()

    return asyncio.run(read())


@pytest.mark.parametrize("prefix", ["", "/", "/dialect/longbridge_legacy", "/dialect/longbridge_legacy/"])
def test_what_is_sent(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """document: HTTP Method POST, Content-Type **固定值**："application/json; charset=utf-8" """
    sent = Sent(monkeypatch, httpx2.Response(200, content=EMPTY))
    assert page(base_url=f"http://provider.test{prefix}", page_token="2") == ([], None, None)
    (request,) = sent.requests
    assert (request.method, request.url.raw_path.decode()) == ("POST", f"{prefix.rstrip('/')}{PATH}")
    assert json.loads(request.content) == {"start_time": 1704067200, "end_time": 1704153599, "page": 2, "size": 7}
    headers = dict(request.headers)
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert (headers["x-api-key"], headers["authorization"], headers["accept-language"]) == ("ak", "at", "zh-CN")
    assert abs(datetime.fromtimestamp(int(headers["x-timestamp"]), UTC) - datetime.now(UTC)) < timedelta(seconds=60)
    path = request.url.raw_path.decode()
    signature = sign(secret="as", method="POST", path=path, query="", headers=headers, body=request.content)
    assert signature_matches(headers["x-api-signature"], signature)


def test_a_part_is_sent_beside_the_slices_own_and_over_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch, httpx2.Response(200, content=EMPTY))
    page(params={"symbol": "流水", "size": "3"})
    asked = {"start_time": 1704067200, "end_time": 1704153599, "page": 1, "size": "3", "symbol": "流水"}
    assert json.loads(sent.requests[0].content) == asked


def test_a_page_with_rows_has_a_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    one = wire(row())
    Sent(monkeypatch, httpx2.Response(200, content=b'{"code":0,"msg":"","data":{"list":[' + one + b"]}}"))
    assert page() == ([one], "2", None)
    assert page(page_token="9") == ([one], "10", None)


def test_nothing_is_asked_of_a_slice_without_a_whole_second(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch, httpx2.Response(200, content=EMPTY))
    since = DAY.since + timedelta(microseconds=1)
    assert page(asked=Slice(since, since + timedelta(microseconds=999_999))) == ((), None, None)
    assert sent.requests == []


def test_an_errors_words_and_trace_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """document: `msg` 错误描述"""
    Sent(monkeypatch, httpx2.Response(400, headers={"x-trace-id": "abc"}, content=b'{"code":1470400,"msg":"m"}'))
    with pytest.raises(Refused, match=r"^m \(code 1470400, trace abc\)$"):
        page()


def test_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    Sent(monkeypatch, httpx2.Response(429, headers={"retry-after": "7"}, content=b'{"code":1470429,"msg":"m"}'))
    with pytest.raises(RateLimited) as caught:
        page()
    assert caught.value.retry_after_s == 7


def test_data_alone_is_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    Sent(monkeypatch, httpx2.Response(200, content=b'{"list":[]}'))
    with pytest.raises(WireError, match=r"^answer: expected the JSON envelope with HTTP 200, got "):
        page()


@pytest.mark.parametrize("name", ["app_key", "access_token"])
@pytest.mark.parametrize("value", ["", "流水", "two\nlines"])
def test_a_credential_that_no_header_can_hold(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: expected ") as caught:
        page(credentials=CREDENTIALS | {name: value})
    assert not value or value not in str(caught.value)
