"""Longbridge's server as a whole: its routes, its rate, its socket tokens, and a legal answer to any request."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.http import Request
from liushui.providers.longbridge import PROVIDER
from liushui.providers.longbridge.rules import RULES
from liushui.providers.longbridge.server import PATHS
from liushui.providers.longbridge.wire import SOCKET_TOKEN_PATHS
from liushui.ratelimit import IncomingLimits
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.longbridge.caller import CASH_FLOW, EVER, Answer, Caller, answered
from tests.providers.longbridge.rows import row, wire

# ---------------------------------------------------------------- routes


def test_the_routes_are_the_documents() -> None:
    assert [(route.method, route.path) for route in PROVIDER.server.routes] == [("GET", path) for path in PATHS]
    assert CASH_FLOW in PATHS


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/v1/asset"),
        ("GET", "/v1/asset/cashflow/"),
        ("GET", "/v1/asset/cashFlow"),
        ("GET", "/v1/account/balance"),
        ("POST", CASH_FLOW),
        ("HEAD", CASH_FLOW),
        ("get", CASH_FLOW),
        ("DELETE", SOCKET_TOKEN_PATHS[0]),
    ],
)
def test_what_is_not_served_is_said_to_anybody(caller: Caller, method: str, route: str) -> None:
    for request in (
        caller.signed(method=method, path=route, route=route, body=b"{}"),
        Request(method, route, "", {}, b"\xff", route, "t"),
    ):
        answer = answered(request, caller.reader)
        assert (answer.fault, answer.message) == ((404, 404001), "api not found")


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", 50),
        ("page=7", 50),
        ("size=10000", 10_000),
        ("start_time=0&size=501&page=1", 501),
        ("pagesize=7", 50),
        ("size=x", 50),
        ("size=" + "9" * 30, 50),
    ],
)
def test_how_many_rows_are_asked_for(query: str, rows: int) -> None:
    assert PROVIDER.server.estimate_rows(Request("GET", CASH_FLOW, query, {})) == rows


# ---------------------------------------------------------------- the rate

LIMITED = (429, 429002)


@pytest.fixture
def limited(tmp_path: Path, clock: MovableClock) -> Iterator[Caller]:
    """Somebody whose calls are counted."""
    with closing(IncomingLimits(tmp_path / "limits.db", clock)) as limits:
        reader = MemoryReader(clock, admit=limits.admit)
        yield Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))


def test_thirty_calls_in_thirty_seconds(limited: Caller, clock: MovableClock) -> None:
    assert (RULES.rate.calls, RULES.rate.per) == (30, timedelta(seconds=30))
    for _ in range(30):
        assert limited.get().code == 0
        clock.move(timedelta(seconds=0.5))
    answer = limited.get()
    assert (answer.fault, answer.message) == (LIMITED, "api request is limited, please slow down request frequency")
    clock.move(timedelta(seconds=14, microseconds=999_999))
    assert limited.get().fault == LIMITED
    clock.move(timedelta(microseconds=1))
    assert limited.get().code == 0  # the first call is thirty seconds old, the second is not
    assert limited.get().fault == LIMITED
    clock.move(timedelta(seconds=30))
    assert [limited.get().code for _ in range(31)] == [0] * 30 + [429002]


def test_a_call_that_is_refused_for_its_rate_costs_nothing(limited: Caller, clock: MovableClock) -> None:
    for _ in range(30):
        limited.get()
    for _ in range(300):
        clock.move(timedelta(milliseconds=100))
        code = limited.get().code
    assert code == 0


def test_bad_calls_count_and_strangers_do_not(limited: Caller) -> None:
    stranger = Caller(
        limited.reader, limited.clock, limited.key._replace(credentials={**limited.key.credentials, "app_secret": "x"})
    )
    for _ in range(40):
        assert stranger.get().code == 403201
    assert [limited.get(size=0).code for _ in range(31)] == [202202] * 30 + [429002]


def test_routes_share_a_rate_and_keys_do_not(limited: Caller) -> None:
    other = Caller(limited.reader, limited.clock, limited.reader.create_key(PROVIDER, "trader-1"))
    for _ in range(30):
        assert limited.send(limited.signed("", path=SOCKET_TOKEN_PATHS[0], route=SOCKET_TOKEN_PATHS[0])).code == 0
    assert limited.get().fault == LIMITED
    assert other.get().code == 0


def test_a_key_without_a_rate(limited: Caller) -> None:
    free = Caller(limited.reader, limited.clock, limited.reader.create_key(PROVIDER, "trader-1", paced=False))
    assert {free.get().code for _ in range(100)} == {0}


# ---------------------------------------------------------------- socket tokens


@pytest.mark.parametrize("path", SOCKET_TOKEN_PATHS)
def test_a_socket_token(caller: Caller, path: str) -> None:
    data = caller.send(caller.signed("", path=path, route=path)).data
    assert data.keys() == {"otp", "limit", "online"}
    assert data["otp"].startswith(f"{caller.key.public}.")
    assert 0 <= data["online"] < data["limit"]


@pytest.mark.parametrize("path", SOCKET_TOKEN_PATHS)
def test_a_socket_token_takes_a_signature(caller: Caller, path: str) -> None:
    request = caller.signed("", path=path, route=path)
    assert caller.send(request._replace(query="a=1")).fault == (403, 403201)


# ---------------------------------------------------------------- anything at all

_names = st.sampled_from(["start_time", "end_time", "size", "page", "business_type", "symbol", "%73ize"]) | st.text(
    max_size=5
)
_values = (
    st.sampled_from(
        ["", "0", "1", "2", "50", "10000", "10001", "253402300799", "-62135596800", "AAPL.US", "%ff", "+", "&"]
    )
    | st.integers().map(str)
    | st.text(max_size=20)
)
_queries = st.lists(st.builds("{}={}".format, _names, _values), max_size=8).map("&".join) | st.text(max_size=60)
_paths = st.sampled_from(["", *PATHS, "/dialect/longbridge" + CASH_FLOW, f"/{CASH_FLOW}"]) | st.text(max_size=20)
_headers = st.dictionaries(
    st.sampled_from(
        [
            "x-api-key",
            "authorization",
            "x-timestamp",
            "x-api-signature",
            "accept-language",
            "content-type",
            "x-dc-region",
        ]
    ),
    st.text(max_size=40) | st.integers(0, 2 * 10**9).map(str),
    max_size=5,
)
_methods = st.sampled_from(["GET", "GET", "GET", "POST", "HEAD"]) | st.text(max_size=4)

CLOCK = MovableClock()
READER = MemoryReader(CLOCK)
READER.add_rows("trader-1", PROVIDER, [wire(row(business_time=str(at))) for at in range(60)])
CALLER = Caller(READER, CLOCK, READER.create_key(PROVIDER, "trader-1"))

STATUSES = {0: 200, 202202: 400, 401003: 401, 403201: 403, 403203: 403, 404001: 404}


def legal(answer: Answer) -> None:
    """`answered` has checked its shape; the rest is that the status fits the code."""
    assert answer.status == STATUSES[answer.code]


@settings(max_examples=600)
@given(method=_methods, path=_paths, query=_queries, headers=_headers, body=st.binary(max_size=20), route=_paths)
def test_any_request_has_a_legal_answer(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, route: str
) -> None:
    legal(answered(Request(method, path, query, headers, body, route, "t"), READER))


@settings(max_examples=600)
@given(query=_queries, headers=_headers, body=st.binary(max_size=20), path=_paths)
def test_any_signed_request_has_a_legal_answer(query: str, headers: dict[str, str], body: bytes, path: str) -> None:
    changed = {name: value for name, value in headers.items() if name != "x-api-signature"}
    legal(CALLER.send(CALLER.signed(query, path=path, body=body, headers=changed)))


@settings(max_examples=600)
@given(query=_queries)
def test_any_query_of_a_key_holder_is_a_page_or_names_a_parameter(query: str) -> None:
    for asked in (query, f"start_time=0&end_time=99&{query}"):
        answer = CALLER.send(CALLER.signed(asked))
        assert answer.code in (0, 202202)
        if answer.code:
            name = answer.message.removeprefix("parameter error: ").partition(":")[0]
            assert name in {*EVER, "size", "page", "business_type", "query"}
        else:
            assert len(answer.rows) <= PROVIDER.rules.paging.size_max
