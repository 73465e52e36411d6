"""The first draft's server as a whole: its route, its rate, and a legal answer to any request."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.http import Request
from liushui.providers.longbridge_legacy import PROVIDER
from liushui.providers.longbridge_legacy.rules import RULES
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits, MemoryReader
from tests.providers.longbridge.rows import wire
from tests.providers.longbridge_legacy.caller import BAD, FORBIDDEN, LIMITED, NOT_FOUND, OK, PATH, Caller, answered
from tests.providers.longbridge_legacy.rows import row

# ---------------------------------------------------------------- the route


def test_the_route_is_the_documents() -> None:
    """document: HTTP URL https://openapi.longbridge.sg/v1/trade/asset/GetCashFlowHistory, HTTP Method POST"""
    assert [f"{route.method} {PROVIDER.base_url}{route.path}" for route in PROVIDER.server.routes] == [
        "POST https://openapi.longbridge.sg/v1/trade/asset/GetCashFlowHistory"
    ]


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("GET", PATH),
        ("HEAD", PATH),
        ("post", PATH),
        ("POST", ""),
        ("POST", "/v1/trade/asset"),
        ("POST", f"{PATH}/"),
        ("POST", PATH.lower()),
        ("GET", "/v1/asset/cashflow"),
    ],
)
def test_what_is_not_served_is_said_to_anybody(caller: Caller, method: str, route: str) -> None:
    for request in (
        caller.signed(b"{}", method=method, path=route, route=route),
        Request(method, route, "", {}, b"\xff", route, "t"),
    ):
        answer = answered(request, caller.reader)
        assert (answer.said, answer.message) == (NOT_FOUND, "api not found")


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"", 50),
        (b'{"size":7}', 7),
        (b'{"page":1,"size" : "10000"}', 10_000),
        (b'{"pagesize":7}', 50),
        (b'{"size":"x"}', 50),
        (b'{"size":' + b"9" * 30 + b"}", 50),
        (b"\xff", 50),
    ],
)
def test_how_many_rows_are_asked_for(body: bytes, rows: int) -> None:
    assert PROVIDER.server.estimate_rows(Request("POST", PATH, "", {}, body)) == rows


# ---------------------------------------------------------------- the rate


@pytest.fixture
def limited(clock: MovableClock) -> Caller:
    """Somebody whose calls are counted."""
    reader = MemoryReader(clock, admit=MemoryLimits(clock).admit)
    return Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))


def test_thirty_calls_in_thirty_seconds(limited: Caller, clock: MovableClock) -> None:
    assert (RULES.rate.calls, RULES.rate.per) == (30, timedelta(seconds=30))
    assert {limited.ask().said for _ in range(30)} == {OK}
    assert (limited.ask().said, limited.ask().message) == (LIMITED, "too many requests")
    clock.move(timedelta(seconds=29, microseconds=999_999))
    assert limited.ask().said == LIMITED
    clock.move(timedelta(microseconds=1))
    assert [limited.ask().said for _ in range(31)] == [OK] * 30 + [LIMITED]


def test_bad_calls_count_and_strangers_do_not(limited: Caller) -> None:
    stranger = limited.key._replace(credentials={**limited.key.credentials, "app_secret": "x"})
    assert {Caller(limited.reader, limited.clock, stranger).ask().said for _ in range(40)} == {FORBIDDEN}
    assert [limited.ask(size=0).said for _ in range(31)] == [BAD] * 30 + [LIMITED]


def test_a_key_without_a_rate(limited: Caller) -> None:
    free = Caller(limited.reader, limited.clock, limited.reader.create_key(PROVIDER, "trader-1", paced=False))
    assert {free.ask().said for _ in range(100)} == {OK}


# ---------------------------------------------------------------- anything at all

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
_values = st.sampled_from([0, 1, 2, 50, 10_001, "1", "", "AAPL.US", None, -62135596800, 253402300799, 10**40]) | _json
_names = ["start_time", "end_time", "page", "size", "business_type", "symbol"]
_parameters = st.dictionaries(st.sampled_from(_names) | st.text(max_size=4), _values, max_size=8)
_objects = _parameters.map(lambda given: json.dumps(given).encode())
_bodies = st.binary(max_size=60) | _objects | _json.map(lambda value: json.dumps(value).encode())
_paths = st.sampled_from(["", PATH, f"/dialect/longbridge_legacy{PATH}", f"/{PATH}"]) | st.text(max_size=20)
_headers = st.dictionaries(
    st.sampled_from(["x-api-key", "authorization", "x-timestamp", "accept-language", "content-type"]),
    st.text(max_size=40) | st.integers(0, 2 * 10**9).map(str),
    max_size=5,
)
_methods = st.sampled_from(["POST", "POST", "POST", "GET"]) | st.text(max_size=4)

CLOCK = MovableClock()
READER = MemoryReader(CLOCK)
READER.add_rows("trader-1", PROVIDER, [wire(row(business_time=at)) for at in range(60)])
CALLER = Caller(READER, CLOCK, READER.create_key(PROVIDER, "trader-1"))


@settings(max_examples=500)
@given(method=_methods, path=_paths, query=st.text(max_size=20), headers=_headers, body=_bodies, route=_paths)
def test_any_request_has_a_legal_answer(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, route: str
) -> None:
    PROVIDER.server.estimate_rows(Request(method, path, query, headers, body, route, "t"))
    assert answered(Request(method, path, query, headers, body, route, "t"), READER).said in (FORBIDDEN, NOT_FOUND)


@settings(max_examples=500)
@given(path=_paths, query=st.text(max_size=20), headers=_headers, body=_bodies)
def test_any_signed_request_has_a_legal_answer(path: str, query: str, headers: dict[str, str], body: bytes) -> None:
    answer = CALLER.send(CALLER.signed(body, path=path, query=query, headers=headers))
    assert answer.said in (OK, BAD, FORBIDDEN)


@settings(max_examples=500)
@given(parameters=_parameters, whole=st.booleans(), body=_bodies)
def test_any_body_of_a_key_holder_is_a_page_or_names_a_parameter(
    parameters: dict[str, object], whole: bool, body: bytes
) -> None:
    asked = {"start_time": 0, "end_time": 99, "page": 1, "size": 9} | parameters
    answer = CALLER.post(json.dumps(asked).encode() if whole else body)
    assert answer.said in (OK, BAD)
    if answer.said == BAD:
        assert answer.message.removeprefix("bad request: ").partition(":")[0] in {*_names, "body"}
    else:
        assert len(answer.rows) <= 60
