"""The client: its requests, the end of its reads, and its reaction to faults."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from liushui.errors import ConfigError, RateLimited, WireError
from liushui.provider import NO_VALUES, Page, PageRequest, Slice
from liushui.providers.hkus.client import HkusClient
from liushui.rules import Rate
from tests.providers.hkus.caller import TRANSACTIONS, signature

DAY = Slice(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
CREDENTIALS = {"api_key": "ak", "api_secret": "as"}


def page_of(*rows: int, total: int, page: int = 1, page_size: int = 2) -> bytes:
    """An answer."""
    data = {"total_records": total, "page": page, "page_size": page_size, "transactions": rows}
    return json.dumps({"code": 0, "data": data}).encode()


class Sent:
    """What a client sent, each request answered alike."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, body: bytes, **answer: object) -> None:
        self.requests: list[httpx2.Request] = []
        self._answer = httpx2.Response(**{"status_code": 200, "content": body, **answer})  # type: ignore[arg-type] # as given
        real = httpx2.AsyncClient
        transport = httpx2.MockTransport(self._handle)
        monkeypatch.setattr(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": transport}))

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return self._answer


def call(
    *,
    base_url: str = "http://provider.test",
    credentials: Mapping[str, str] = CREDENTIALS,
    rate: Rate | None = None,
    asked: Slice = DAY,
    page_token: str | None = None,
    params: Mapping[str, str] = NO_VALUES,
    calls: int = 1,
) -> Page:
    """Make a client, read a page of a day as often as is said."""

    async def read() -> Page:
        client = HkusClient(base_url=base_url, credentials=credentials, rate=rate, timeout_s=2)
        try:
            for _ in range(calls):
                page = await client.fetch_page(PageRequest(asked, 2, page_token=page_token, params=params))
        finally:
            await client.close()
        return page

    return asyncio.run(read())


@pytest.mark.parametrize("prefix", ["", "/", "/dialect/hkus", "/dialect/hkus/"])
def test_what_is_sent(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    sent = Sent(monkeypatch, page_of(total=0, page=2))
    assert call(base_url=f"http://provider.test{prefix}", page_token="2") == Page([], next_token=None, total=0)
    (request,) = sent.requests
    target = request.url.raw_path.decode()
    assert (request.method, request.content) == ("GET", b"")
    assert target == (f"{prefix.rstrip('/')}{TRANSACTIONS}?page=2&page_size=2&from_date=1704067200&to_date=1704153599")
    headers = dict(request.headers)
    assert (headers["x-api-key"], headers["content-type"]) == ("ak", "application/json")
    sent_at = datetime.fromtimestamp(int(headers["x-api-timestamp"]) // 1000, UTC)
    assert abs(sent_at - datetime.now(UTC)) < timedelta(seconds=60)
    assert headers["x-api-signature"] == signature("as", f"{headers['x-api-timestamp']}GET{target}".encode())
    assert "as" not in headers.values()


def test_parts_are_sent_over_the_slices_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch, page_of(total=0, page=7))
    call(params={"page": "7", "io_type": "in", "from_date": "流"})
    (request,) = sent.requests
    assert request.url.query == b"page=7&page_size=2&from_date=%E6%B5%81&to_date=1704153599&io_type=in"


@pytest.mark.parametrize(
    ("page", "size", "total", "rows", "following"),
    [
        (1, 2, 0, (), None),
        (1, 2, 1, (1,), "2"),
        (1, 2, 2, (1, 2), "2"),
        (2, 2, 2, (), None),
        (2, 2, 4, (3, 4), "3"),
        (1, 2, 3, (1, 2), "2"),
        (2, 2, 3, (3,), "3"),
        (2, 2, 5, (3, 4), "3"),
        (2, 2, 5, (), None),
        (1, 1, 2, (1,), "2"),
        (1, 2, 3, (1,), "2"),
    ],
)
def test_only_an_empty_page_is_the_last_one(
    monkeypatch: pytest.MonkeyPatch, page: int, size: int, total: int, rows: tuple[int, ...], following: str | None
) -> None:
    """A total may be wrong, and rows may have come that it does not count yet: the fetcher decides."""
    Sent(monkeypatch, page_of(*rows, total=total, page=page, page_size=size))
    assert call(page_token=str(page)) == Page([b"%d" % row for row in rows], next_token=following, total=total)


def test_another_page_than_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Sent(monkeypatch, page_of(1, 2, total=9, page=1))
    with pytest.raises(WireError, match=r"^page: expected 3, which was asked for, got 1$"):
        call(page_token="3")


def test_a_slice_between_two_seconds_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(monkeypatch, b"")
    half = timedelta(milliseconds=500)
    asked = Slice(DAY.since + half / 2, DAY.since + half)
    assert call(asked=asked) == Page((), next_token=None, total=0)
    assert sent.requests == []


def test_calls_keep_their_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """How pacing works in each window is the subject of its own tests."""
    Sent(monkeypatch, page_of(total=0))
    begin = datetime.now(UTC)
    call(rate=Rate(calls=2, per=timedelta(milliseconds=100)), calls=3)
    assert datetime.now(UTC) - begin >= timedelta(milliseconds=100)


def test_how_long_to_wait_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Sent(monkeypatch, b'{"code":42901,"message":"too many"}', status_code=429, headers={"retry-after": "3"})
    with pytest.raises(RateLimited) as caught:
        call()
    assert caught.value.retry_after_s == 3


@pytest.mark.parametrize("value", ["", "流水", "two\nlines", " spaced "])
def test_a_key_that_no_header_can_hold(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^api_key: expected "):
        call(credentials=CREDENTIALS | {"api_key": value})


def test_a_source_has_to_say_where_it_is() -> None:
    """document: `https://{{base_url}}`."""
    with pytest.raises(ConfigError, match=r"^base-url: expected "):
        call(base_url="")
