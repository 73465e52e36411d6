"""WOO X Pro's client: its requests, and its reaction to faults in a configuration or an answer."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import httpx2
import pytest

from liushui.errors import ConfigError, RateLimited
from liushui.provider import NO_VALUES, Page, PageRequest, Slice
from liushui.providers.wooxpro.client import WooxproClient
from tests.providers.wooxpro.rows import Row, row

SECOND = Slice(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC))
BEGIN_MS = 1704067200000


class Sent:
    """What a client sent, each request answered alike."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: httpx2.Response) -> None:
        self.requests: list[httpx2.Request] = []
        self._answer = answer
        real = httpx2.AsyncClient
        transport = httpx2.MockTransport(self._handle)
        monkeypatch.setattr(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": transport}))

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self._answer

    @property
    def parameters(self) -> dict[str, str]:
        """Of the one request that was sent."""
        (request,) = self.requests
        return dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))


def answer_of(*rows: Row, **more: object) -> httpx2.Response:
    return httpx2.Response(200, content=json.dumps({"code": 1000, "message": "Ok", "data": rows, **more}).encode())


def page(
    asked: Slice = SECOND,
    size: int = 7,
    *,
    params: Mapping[str, str] = NO_VALUES,
    newest: bool = False,
    base_url: str = "https://provider.test",
    api_key: str = "the-key",
) -> Page:
    """Make a client and get one page."""

    async def read() -> Page:
        client = WooxproClient(base_url=base_url, credentials={"api_key": api_key}, rate=None, timeout_s=2)
        try:
            return await client.fetch_page(PageRequest(asked, size, params=params, newest=newest))
        finally:
            await client.close()

    return asyncio.run(read())


@pytest.mark.parametrize("prefix", ["", "/", "/dialect/wooxpro", "/dialect/wooxpro/"])
def test_what_is_sent(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """document: `GET …/contract/private/transaction-history`, `-H 'X-API-KEY:{{AccessKey}}'`"""
    sent = Sent(monkeypatch, answer_of())
    assert page(base_url=f"https://provider.test{prefix}") == Page([])
    (request,) = sent.requests
    path, _, query = request.url.raw_path.decode().partition("?")
    assert (request.method, request.content) == ("GET", b"")
    assert path == f"{prefix.rstrip('/')}/contract/private/transaction-history"
    assert query == "start_time=1704067200000&end_time=1704067200999&page_size=7"
    assert request.headers["x-api-key"] == "the-key"


def test_a_part_is_sent_over_the_slices_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch, answer_of())
    page(params={"account": "copy_trading", "symbol": "BTC USDT&流", "page_size": "0", "start_time": ""})
    assert sent.parameters == {
        "start_time": "",
        "end_time": "1704067200999",
        "page_size": "0",
        "account": "copy_trading",
        "symbol": "BTC USDT&流",
    }


def test_the_newest_rows_are_asked_for_without_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then rows before the slice come too, and are no part of it; one that cannot be read is for its reader to name."""
    before, first, last = (row(time=str(BEGIN_MS + at_ms)) for at_ms in (-1, 0, 999))
    number, unreadable = row(time=BEGIN_MS - 1), row(time="yesterday")
    sent = Sent(monkeypatch, answer_of(before, number, unreadable, first, last))
    found = page(newest=True, params={"account": "futures"})
    assert [json.loads(one) for one in found.rows] == [unreadable, first, last]
    assert sent.parameters == {"end_time": "1704067200999", "page_size": "7", "account": "futures"}


@pytest.mark.parametrize("until_us", [1, 999])
def test_a_slice_between_two_milliseconds_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, until_us: int) -> None:
    sent = Sent(monkeypatch, answer_of(row()))
    begin = SECOND.since + timedelta(microseconds=1)
    asked = Slice(begin, begin + timedelta(microseconds=until_us) - timedelta(microseconds=1))
    assert page(asked) == Page(())
    assert sent.requests == []


def test_a_full_page_has_no_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Sent(monkeypatch, answer_of(row(), row()))
    assert page(size=2).next_token is None


@pytest.mark.parametrize(("status", "code", "expected_s"), [(429, 30013, 2), (418, 30017, 60)])
def test_a_refusal_for_the_rate_says_how_long_to_wait(
    monkeypatch: pytest.MonkeyPatch, status: int, code: int, expected_s: int
) -> None:
    content = b'{"code":%d,"message":"too many","data":[],"trace":"abc"}' % code
    Sent(monkeypatch, httpx2.Response(status, headers={"X-BM-RateLimit-Reset": "2"}, content=content))
    with pytest.raises(RateLimited, match=rf"^too many \(code {code}, trace abc\)$") as caught:
        page()
    assert caught.value.retry_after_s == expected_s


@pytest.mark.parametrize("base_url", ["", "provider.test", "ftp://provider.test", "http://user:secret@provider.test"])
def test_a_base_url_that_cannot_be_used(base_url: str) -> None:
    with pytest.raises(ConfigError, match=r"^base-url: expected ") as caught:
        page(base_url=base_url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "流水", "é", "two\nlines", "with\x00", " spaced "])
def test_a_key_that_no_header_can_hold(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^api_key: expected ") as caught:
        page(api_key=value)
    assert not value or value not in str(caught.value)
