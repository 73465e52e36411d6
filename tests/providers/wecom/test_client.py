"""WeCom's client: its requests, how it gets and loses its token, and its reaction to wrong answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx2
import pytest

from liushui.errors import AuthError, ConfigError, ProviderError, RateLimited, Refused, Unavailable, WireError
from liushui.provider import PageRequest, Slice
from liushui.providers import load_providers
from liushui.providers.wecom import PROVIDER
from liushui.providers.wecom.client import WecomClient
from liushui.rules import Rate
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from liushui.testing.transport import DialectTransport
from tests.providers.wecom.rows import AT, row, wire

DAY: Final = Slice(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
DECEMBER: Final = Slice(datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
CREDENTIALS: Final = {"corpid": "ww1", "corpsecret": "a+b/c="}
TOKEN: Final = b'{"errcode":0,"errmsg":"ok","access_token":"T&1","expires_in":7200}'
EMPTY: Final = b'{"errcode":0,"errmsg":"ok","fund_flow_list":[]}'

Handler = Callable[[httpx2.Request], httpx2.Response]


class Sent:
    """What a client sent. Each call is answered with the next of `answers`, the last one again and again."""

    def __init__(self, *answers: httpx2.Response | bytes) -> None:
        self.requests: list[httpx2.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(200, content=answer)

    @property
    def paths(self) -> list[str]:
        """The last part of each path that was asked for."""
        return [request.url.path.rpartition("/")[2] for request in self.requests]


@asynccontextmanager
async def client_of(
    transport: httpx2.AsyncBaseTransport,
    monkeypatch: pytest.MonkeyPatch,
    *,
    base_url: str = "https://provider.test",
    credentials: Mapping[str, str] = CREDENTIALS,
    rate: Rate | None = None,
) -> AsyncIterator[WecomClient]:
    """A client whose calls go through a transport."""
    real = httpx2.AsyncClient
    with monkeypatch.context() as patch:
        patch.setattr(httpx2, "AsyncClient", lambda **given: real(**{**given, "transport": transport}))
        client = WecomClient(base_url=base_url, credentials=credentials, rate=rate, timeout_s=2)
    try:
        yield client
    finally:
        await client.close()


def call(monkeypatch: pytest.MonkeyPatch, sent: Handler, *, calls: int = 1, **given: object) -> None:
    """Make a client, read a page of a day as often as is said."""

    async def read() -> None:
        async with client_of(httpx2.MockTransport(sent), monkeypatch, **given) as client:  # type: ignore[arg-type]
            for _ in range(calls):
                await client.fetch_page(PageRequest(DAY, 7))

    asyncio.run(read())


# ---------------------------------------------------------------- what is sent


@pytest.mark.parametrize("prefix", ["", "/", "/dialect/wecom", "/dialect/wecom/"])
def test_what_is_sent(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    sent = Sent(TOKEN, EMPTY)
    call(monkeypatch, sent, calls=2, base_url=f"https://provider.test{prefix}")
    token, first, second = sent.requests
    where = f"{prefix.rstrip('/')}/cgi-bin"
    assert (token.method, token.url.raw_path.decode(), token.content) == (
        "GET",
        f"{where}/gettoken?corpid=ww1&corpsecret=a%2Bb%2Fc%3D",
        b"",
    )
    for request in (first, second):
        assert request.method == "POST"
        assert request.url.raw_path.decode() == f"{where}/externalpay/get_fund_flow?access_token=T%261"
        assert json.loads(request.content) == {"begin_time": 1704067200, "end_time": 1704153599, "limit": 7}


def test_parts_and_marks_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(TOKEN, EMPTY)

    async def read() -> None:
        async with client_of(httpx2.MockTransport(sent), monkeypatch) as client:
            await client.fetch_page(PageRequest(DAY, 7, page_token="CURSOR", params={"mch_id": "m", "limit": "201"}))

    asyncio.run(read())
    assert json.loads(sent.requests[1].content) == {
        "begin_time": 1704067200,
        "end_time": 1704153599,
        "cursor": "CURSOR",
        "limit": "201",
        "mch_id": "m",
    }


def test_a_slice_without_a_whole_second_needs_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Sent(TOKEN, EMPTY)
    quarter = timedelta(seconds=1) // 4
    asked = Slice(DAY.since + quarter, DAY.since + 2 * quarter)

    async def read() -> None:
        async with client_of(httpx2.MockTransport(sent), monkeypatch) as client:
            assert await client.fetch_page(PageRequest(asked, 7)) == ((), None, None)

    asyncio.run(read())
    assert sent.requests == []


@pytest.mark.parametrize("calls", [1, 3])
def test_calls_keep_their_distance(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """Those for tokens too. How pacing works in each window is the subject of its own tests."""
    spacing = timedelta(milliseconds=50)
    begin = datetime.now(UTC)
    call(monkeypatch, Sent(TOKEN, EMPTY), rate=Rate(calls=600, per=timedelta(minutes=1), spacing=spacing), calls=calls)
    assert datetime.now(UTC) - begin >= calls * spacing


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize("size", [1, 2, 3, 200])
def test_every_page_of_what_is_visible_is_read(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Short and empty pages are gone past."""
    reader = MemoryReader(MovableClock())
    operators = ["b", "b", "b", "a", "b", None]
    rows = [
        wire(row(timestamp=AT + number, request_no=str(number), operator_userid=operator))
        for number, operator in enumerate(operators)
    ]
    reader.add_rows("shop-1", PROVIDER, rows)
    key = reader.create_key(PROVIDER, "shop-1", restrictions={"operators": "a"})
    transport = DialectTransport(load_providers(), reader)
    pages: list[list[bytes]] = []

    async def read() -> None:
        async with client_of(transport, monkeypatch, credentials=key.credentials) as client:
            page = await client.fetch_page(PageRequest(DECEMBER, size))
            pages.append(list(page.rows))
            while page.next_token is not None:
                page = await client.fetch_page(PageRequest(DECEMBER, size, page_token=page.next_token))
                pages.append(list(page.rows))

    asyncio.run(read())
    assert [found for page in pages for found in page] == [rows[3], rows[5]]
    assert len(pages) == -(-6 // size)


# ---------------------------------------------------------------- tokens


def test_a_token_is_used_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 10**12
    monkeypatch.setattr("time.monotonic_ns", lambda: now_ns)
    sent = Sent(TOKEN, EMPTY, EMPTY, TOKEN, EMPTY)

    async def read() -> None:
        nonlocal now_ns
        async with client_of(httpx2.MockTransport(sent), monkeypatch) as client:
            for later_ns in (0, 7200 * 10**9 - 1, 1):
                now_ns += later_ns
                await client.fetch_page(PageRequest(DAY, 7))

    asyncio.run(read())
    assert sent.paths == ["gettoken", "get_fund_flow", "get_fund_flow", "gettoken", "get_fund_flow"]


@pytest.mark.parametrize("code", [40014, 42001])
def test_a_token_that_was_lost_is_fetched_once_again(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    lost = b'{"errcode":%d,"errmsg":"lost"}' % code
    sent = Sent(TOKEN, EMPTY, lost, TOKEN.replace(b"T&1", b"T2"), EMPTY)
    call(monkeypatch, sent, calls=3)
    assert sent.paths == ["gettoken", *["get_fund_flow"] * 2, "gettoken", *["get_fund_flow"] * 2]
    assert sent.requests[2].content == sent.requests[4].content
    assert [request.url.query for request in sent.requests[4:]] == [b"access_token=T2"] * 2


@pytest.mark.parametrize("code", [40014, 42001])
def test_a_second_loss_is_the_users(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    lost = b'{"errcode":%d,"errmsg":"lost"}' % code
    sent = Sent(TOKEN, lost, TOKEN, lost)
    with pytest.raises(AuthError, match=rf"^lost \(code {code}\)$"):
        call(monkeypatch, sent)
    assert sent.paths == ["gettoken", "get_fund_flow"] * 2


@pytest.mark.parametrize("code", [40001, 41001, 48002, 60020, 301002, 45009, 40058, -1])
def test_other_errors_are_told_at_once(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    sent = Sent(TOKEN, b'{"errcode":%d,"errmsg":"no"}' % code)
    with pytest.raises(ProviderError):
        call(monkeypatch, sent)
    assert sent.paths == ["gettoken", "get_fund_flow"]


def test_sessions_end_in_the_middle_of_a_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's clock goes on by more than a token's life between two pages."""
    clock = MovableClock()
    reader = MemoryReader(clock)
    reader.add_rows("shop-1", PROVIDER, [wire(row(timestamp=AT + at, request_no=str(at))) for at in range(3)])
    key = reader.create_key(PROVIDER, "shop-1")
    transport = DialectTransport(load_providers(), reader)

    async def read() -> None:
        async with client_of(transport, monkeypatch, credentials=key.credentials) as client:
            page_token = None
            for _ in range(3):
                page = await client.fetch_page(PageRequest(DECEMBER, 1, page_token=page_token))
                assert len(page.rows) == 1
                page_token = page.next_token
                clock.move(timedelta(seconds=7200))
            reader.revoke(key)
            with pytest.raises(AuthError, match=r"^invalid corpid \(code 40013\)$"):
                await client.fetch_page(PageRequest(DECEMBER, 1))

    asyncio.run(read())


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("answers", "expected", "message"),
    [
        ([b'{"errcode":40001,"errmsg":"invalid credential"}'], AuthError, r"invalid credential \(code 40001\)"),
        ([b'{"errcode":40013,"errmsg":"invalid corpid"}'], AuthError, r"invalid corpid \(code 40013\)"),
        ([b'{"errcode":45009,"errmsg":"slow down"}'], RateLimited, r"slow down \(code 45009\)"),
        ([b"<html>"], WireError, "answer: expected the JSON envelope with HTTP 200, got '<html>'"),
        ([b'{"errcode":0,"errmsg":"ok"}'], WireError, "access_token: expected a token, got none"),
        ([httpx2.Response(502, text="<html>")], Unavailable, "HTTP 502, '<html>'"),
        ([TOKEN, b'{"errcode":40058,"errmsg":"invalid"}'], Refused, r"invalid \(code 40058\)"),
        ([TOKEN, b"[]"], WireError, r"answer: expected the JSON envelope with HTTP 200, got '\[\]'"),
        ([TOKEN, httpx2.Response(503, content=EMPTY)], Unavailable, r"ok \(code 0\)"),
    ],
)
def test_the_error_has_the_right_class(
    monkeypatch: pytest.MonkeyPatch,
    answers: list[bytes | httpx2.Response],
    expected: type[Exception],
    message: str,
) -> None:
    with pytest.raises(expected, match=f"^{message}"):
        call(monkeypatch, Sent(*answers))


@pytest.mark.parametrize("at", [0, 1])
def test_how_long_to_wait(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    limited = httpx2.Response(200, content=b'{"errcode":45009,"errmsg":"slow"}', headers={"retry-after": "7"})
    with pytest.raises(RateLimited) as caught:
        call(monkeypatch, Sent(*[TOKEN, EMPTY][:at], limited))
    assert caught.value.retry_after_s == 7


def test_no_answer_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    with pytest.raises(Unavailable) as caught:
        call(monkeypatch, fail)
    assert str(caught.value) == "no answer from https://provider.test: ConnectError refused"


def test_a_secret_goes_over_no_open_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """document: POST(**HTTPS**). gettoken carries the secret in its URL."""
    with pytest.raises(ConfigError, match=r"^base-url: "):
        call(monkeypatch, Sent(TOKEN, EMPTY), base_url="http://provider.test")
    call(monkeypatch, Sent(TOKEN, EMPTY), base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize("name", ["corpid", "corpsecret"])
@pytest.mark.parametrize("value", ["", "流水", "two\nlines", " spaced "])
def test_a_credential_that_is_invalid(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: expected ") as caught:
        call(monkeypatch, Sent(TOKEN), credentials=CREDENTIALS | {name: value})
    assert not value or value not in str(caught.value)
