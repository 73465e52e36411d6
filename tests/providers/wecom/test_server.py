"""WeCom's server as a whole: its routes, and a legal answer to any request."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.http import Request
from liushui.providers.wecom import PROVIDER
from liushui.providers.wecom.rules import ERRORS
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.wecom.caller import GET_FUND_FLOW, GET_TOKEN, Caller, answered
from tests.providers.wecom.rows import AT, row, wire


def test_the_routes_are_the_documents() -> None:
    """document: 请求方式：POST; 请求地址：/cgi-bin/externalpay/get_fund_flow"""
    routes = [(route.method, route.path) for route in PROVIDER.server.routes]
    assert routes == [("POST", GET_FUND_FLOW), ("GET", GET_TOKEN)]


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", GET_FUND_FLOW),
        ("post", GET_FUND_FLOW),
        ("POST", GET_TOKEN),
        ("HEAD", GET_TOKEN),
        ("POST", f"{GET_FUND_FLOW}/"),
        ("POST", "/cgi-bin/externalpay/get_bill_list"),
    ],
)
def test_what_is_not_served_is_said_to_anybody(caller: Caller, method: str, route: str) -> None:
    caller.ask()
    for query in ("", f"access_token={caller.token}"):
        answer = caller.send(Request(method, route, query, {}, b"\xff", route))
        assert (answer.errcode, answer.errmsg) == (48002, "api forbidden: there is no such api")


def test_how_many_rows_are_asked_for() -> None:
    asked = [
        PROVIDER.server.estimate_rows(Request("POST", path, "", {}, route=path)) for path in (GET_TOKEN, GET_FUND_FLOW)
    ]
    assert asked == [0, 200]


# ---------------------------------------------------------------- anything at all

CLOCK = MovableClock()
READER = MemoryReader(CLOCK)
READER.add_rows("shop-1", PROVIDER, [wire(row(timestamp=AT + at, request_no=str(at))) for at in range(60)])
CALLER = Caller(READER, CLOCK, READER.create_key(PROVIDER, "shop-1"))
CURSOR = CALLER.ask(limit=10).cursor
CODES = {0, *ERRORS}

_methods = st.sampled_from(["GET", "POST", "POST", "HEAD"]) | st.text(max_size=4)
_routes = st.sampled_from(["", GET_TOKEN, GET_FUND_FLOW, f"{GET_TOKEN}/"]) | st.text(max_size=20)
_credentials = st.sampled_from([*CALLER.key.credentials.values(), CALLER.token or "", "%ff", "+", ""])
_names = st.sampled_from(["corpid", "corpsecret", "access_token"]) | st.text(max_size=5)
_queries = st.lists(st.builds("{}={}".format, _names, _credentials | st.text(max_size=20)), max_size=5).map(
    "&".join
) | st.text(max_size=60)
_headers = st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=3)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_values = st.sampled_from([AT, AT + 10, str(AT), 0, 1, 200, 201, 10**30, "", CURSOR, "1600000001"]) | _json
_bodies = st.dictionaries(
    st.sampled_from(["begin_time", "end_time", "mch_id", "cursor", "limit"]) | st.text(max_size=5), _values, max_size=6
)


@settings(max_examples=600)
@given(method=_methods, route=_routes, query=_queries, headers=_headers, body=st.binary(max_size=40))
def test_any_request_has_a_legal_answer(
    method: str, route: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    assert answered(Request(method, route, query, headers, body, route), READER).errcode in CODES


@settings(max_examples=600)
@given(changes=_bodies)
def test_any_body_of_a_token_holder_is_a_page_or_names_a_parameter(changes: dict[str, Any]) -> None:
    for body in (changes, {"begin_time": AT, "end_time": AT + 99} | changes):
        answer = CALLER.post(json.dumps(body).encode())
        assert answer.errcode in (0, 40058)
        if answer.errcode:
            name = answer.errmsg.removeprefix("invalid parameter: ").partition(":")[0]
            assert name in {"begin_time", "end_time", "mch_id", "cursor", "limit", "body"}
        else:
            assert len(answer.rows) <= PROVIDER.rules.paging.size_max


@settings(max_examples=600)
@given(body=st.binary(max_size=60), at=st.integers(0, 80), cut=st.integers(0, 5))
def test_any_damage_to_a_body_has_a_legal_answer(body: bytes, at: int, cut: int) -> None:
    good = json.dumps({"begin_time": AT, "end_time": AT + 99, "cursor": "", "limit": 5}).encode()
    assert CALLER.post(good[:at] + body + good[at + cut :]).errcode in (0, 40058)


@pytest.mark.parametrize("digits", [19, 4_299, 4_300, 4_301, 100_000])
@pytest.mark.parametrize("name", ["begin_time", "end_time", "limit"])
def test_numbers_of_any_length(name: str, digits: int) -> None:
    body = b'{"begin_time":%d,"end_time":%d}' % (AT, AT)
    huge = b'"%b":%b' % (name.encode(), b"9" * digits)
    body = body.replace(b'"%b":%d' % (name.encode(), AT), huge) if name != "limit" else body[:-1] + b"," + huge + b"}"
    answer = CALLER.post(body)
    assert answer.errcode == 40058
    assert name in answer.errmsg
