"""WOO X Pro's server as a whole: its route, its keys, its rate, and a legal answer to any request."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.http import Request
from liushui.provider import Key
from liushui.providers.wooxpro import PROVIDER
from liushui.providers.wooxpro.rules import RULES
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits, MemoryReader
from tests.providers.wooxpro.caller import ACCOUNT, PATH, TRACE, Answer, Caller, answered
from tests.providers.wooxpro.rows import row, wire

NO_KEY, NO_SUCH_KEY, EXPIRED = (401, 30001), (401, 30002), (403, 30011)

# ---------------------------------------------------------------- the route


def test_the_route_is_the_documents() -> None:
    """document: `GET https://cloud-api.wooxpro.com/contract/private/transaction-history`"""
    assert [(route.method, route.path) for route in PROVIDER.server.routes] == [("GET", PATH)]
    assert PROVIDER.base_url + PATH == "https://cloud-api.wooxpro.com/contract/private/transaction-history"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", ""), ("GET", f"{PATH}/"), ("GET", "/contract/private"), ("POST", PATH), ("get", PATH)],
)
def test_what_is_not_served_is_said_to_anybody(caller: Caller, method: str, path: str) -> None:
    for request in (
        caller.request(method=method, path=path, body=b"{}"),
        Request(method, path, "", {}, b"\xff", path, TRACE),
    ):
        answer = answered(request, caller.reader)
        assert (answer.fault, answer.message, answer.limits) == ((404, 30000), "Not found", {})


@pytest.mark.parametrize(
    ("query", "rows"),
    [("", 100), ("page_size=1000", 1000), ("symbol=X&page_size=7", 7), ("size=7", 100), ("page_size=x", 100)],
)
def test_how_many_rows_are_asked_for(query: str, rows: int) -> None:
    assert PROVIDER.server.estimate_rows(Request("GET", PATH, query, {})) == rows


# ---------------------------------------------------------------- keys


def send(caller: Caller, headers: dict[str, str]) -> Answer:
    return answered(caller.request()._replace(headers=headers), caller.reader)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": ""}, {"x-bm-key": ""}, {"authorization": "x"}])
def test_no_key(caller: Caller, headers: dict[str, str]) -> None:
    """document: (KEYED)"""
    assert send(caller, headers).fault == NO_KEY


def test_either_header_carries_the_key(caller: Caller) -> None:
    """document: `curl -H 'X-API-KEY:{{AccessKey}}'`"""
    key = caller.api_key
    for headers in (
        {"x-api-key": key},
        {"x-bm-key": key},
        {"x-api-key": key, "x-bm-key": key},
        {"x-bm-key": key, "x-api-key": ""},
    ):
        assert send(caller, headers).rows == []


def test_two_keys_are_none(caller: Caller) -> None:
    other = caller.reader.create_key(PROVIDER, ACCOUNT).credentials["api_key"]
    for one, two in ((caller.api_key, other), (caller.api_key, "x"), ("x", caller.api_key)):
        assert send(caller, {"x-api-key": one, "x-bm-key": two}).fault == NO_SUCH_KEY


def test_signatures_and_timestamps_are_ignored(caller: Caller) -> None:
    assert send(caller, {"x-api-key": caller.api_key, "x-bm-sign": "00", "x-bm-timestamp": "1"}).rows == []


@pytest.mark.parametrize("wrong", ["x", "é", "\udcff", "0" * 40])
def test_a_wrong_key(caller: Caller, wrong: str) -> None:
    assert send(caller, {"x-api-key": wrong}).fault == NO_SUCH_KEY
    assert send(caller, {"x-api-key": caller.api_key.upper() + wrong}).fault == NO_SUCH_KEY


def test_the_whole_key_counts_and_not_its_name(caller: Caller) -> None:
    """Somebody whose key had the same name would still have another key."""
    caller.reader.add_key(caller.key._replace(credentials={"api_key": "another"}))
    assert caller.get().fault == NO_SUCH_KEY


def test_the_name_of_a_key_does_not_tell_it(caller: Caller) -> None:
    assert caller.key.public.startswith("wooxpro-")
    assert caller.api_key not in caller.key.public
    assert caller.key.public not in caller.api_key
    assert len(caller.api_key) == 40


def test_a_key_that_was_revoked(caller: Caller) -> None:
    caller.reader.revoke(caller.key)
    assert caller.get().fault == NO_SUCH_KEY


def test_a_key_ends_to_the_microsecond(reader: MemoryReader, clock: MovableClock) -> None:
    caller = Caller(reader, clock, reader.create_key(PROVIDER, ACCOUNT, expires_at=clock() + timedelta(seconds=10)))
    clock.move(timedelta(seconds=9, microseconds=999_999))
    assert caller.get().rows == []
    clock.move(timedelta(microseconds=1))
    assert caller.get().fault == EXPIRED


def test_a_key_reads_its_own_accounts(caller: Caller, reader: MemoryReader) -> None:
    reader.add_rows("trader-2", PROVIDER, [wire(row())])
    assert caller.get().rows == []
    both = Caller(reader, caller.clock, reader.create_key(PROVIDER, ACCOUNT, "trader-2"))
    assert both.get().rows == [row()]


def test_nothing_is_said_to_somebody_without_a_key(reader: MemoryReader) -> None:
    """A bad parameter is not told apart before the key is."""
    for query in ("", "page_size=0", "%ff"):
        assert answered(Request("GET", PATH, query, {}, route=PATH, trace=TRACE), reader).fault == NO_KEY


# ---------------------------------------------------------------- the rate

LIMITED, BANNED = (429, 30013), (418, 30017)


@pytest.fixture
def limited(clock: MovableClock) -> Caller:
    """Somebody whose calls are counted."""
    reader = MemoryReader(clock, admit=MemoryLimits(clock).admit)
    return Caller(reader, clock, reader.create_key(PROVIDER, ACCOUNT))


def test_six_calls_in_two_seconds(limited: Caller, clock: MovableClock) -> None:
    assert (RULES.rate.calls, RULES.rate.per) == (6, timedelta(seconds=2))
    assert [limited.get().code for _ in range(6)] == [1000] * 6
    assert limited.get().fault == LIMITED
    clock.move(timedelta(seconds=1, microseconds=999_999))
    assert limited.get().fault == LIMITED
    clock.move(timedelta(microseconds=1))
    assert [limited.get().code for _ in range(7)] == [1000] * 6 + [30013]


def test_what_the_headers_say(limited: Caller) -> None:
    """`Remaining` is, despite its name, how many calls were made."""
    for used in (1, 2, 3):
        assert limited.get().limits == {"Remaining": str(used), "Limit": "6", "Reset": "2", "Mode": "UID"}
    assert limited.get(page_size=0).limits["Remaining"] == "4"
    assert [limited.get().limits["Remaining"] for _ in range(3)] == ["5", "6", "6"]


def test_whoever_goes_on_is_banned(limited: Caller, clock: MovableClock) -> None:
    for _ in range(6):
        limited.get()
    assert [limited.get().fault for _ in range(31)] == [LIMITED] * 30 + [BANNED]
    assert limited.get().limits["Remaining"] == "6"
    clock.move(timedelta(seconds=59, microseconds=999_999))
    assert [limited.get().code for _ in range(7)] == [1000] * 6 + [30017]
    clock.move(timedelta(microseconds=1))
    assert limited.get().fault == LIMITED


def test_bad_calls_count_and_strangers_do_not(limited: Caller) -> None:
    stranger = Caller(limited.reader, limited.clock, limited.key._replace(credentials={"api_key": "x"}))
    assert {stranger.get().code for _ in range(40)} == {30002}
    assert [limited.get(page_size=0).code for _ in range(7)] == [40011] * 6 + [30013]


def test_keys_do_not_share_a_rate_and_one_may_have_none(limited: Caller) -> None:
    other = Caller(limited.reader, limited.clock, limited.reader.create_key(PROVIDER, ACCOUNT))
    free = Caller(limited.reader, limited.clock, limited.reader.create_key(PROVIDER, ACCOUNT, paced=False))
    assert [limited.get().code for _ in range(7)][-1] == 30013
    assert other.get().code == 1000
    assert {free.get().code for _ in range(50)} == {1000}


# ---------------------------------------------------------------- anything at all

_names = st.sampled_from(
    ["start_time", "end_time", "page_size", "flow_type", "account", "symbol", "%73ymbol"]
) | st.text(max_size=5)
_values = (
    st.sampled_from(
        ["", "0", "1", "5", "6", "futures", "copy_trading", "1000", "1001", "253402300799999", "%ff", "%00"]
    )
    | st.integers().map(str)
    | st.text(max_size=20)
)
_queries = st.lists(st.builds("{}={}".format, _names, _values), max_size=8).map("&".join) | st.text(max_size=60)
_paths = st.sampled_from(["", PATH, PATH, f"/{PATH}", f"/dialect/wooxpro{PATH}"]) | st.text(max_size=20)
_anything = st.text(st.characters(), max_size=40)
_headers = st.dictionaries(st.sampled_from(["x-api-key", "x-bm-key", "content-type"]), _anything, max_size=3)
_methods = st.sampled_from(["GET", "GET", "GET", "POST", "HEAD"]) | st.text(max_size=4)

CLOCK = MovableClock()
READER = MemoryReader(CLOCK)
READER.add_rows(ACCOUNT, PROVIDER, [wire(row(time=str(at))) for at in range(60)])
KEY: Key = READER.create_key(PROVIDER, ACCOUNT)
CALLER = Caller(READER, CLOCK, KEY)

FAULTS = {1000: 200, 30000: 404, 30001: 401, 30002: 401, 40011: 400, 40034: 400, 40039: 400}


def legal(answer: Answer) -> None:
    """`answered` has checked its shape; the rest is that the status fits the code."""
    assert answer.status == FAULTS[answer.code]


@settings(max_examples=500)
@given(method=_methods, path=_paths, query=_queries, headers=_headers, body=st.binary(max_size=20), known=st.booleans())
def test_any_request_has_a_legal_answer(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, known: bool
) -> None:
    sent = headers | ({"x-api-key": CALLER.api_key} if known else {})
    legal(answered(Request(method, path, query, sent, body, path, TRACE), READER))


@settings(max_examples=500)
@given(query=_queries)
def test_any_query_of_a_key_holder_is_a_page_or_names_a_parameter(query: str) -> None:
    for asked in (query, f"start_time=0&end_time=99&{query}"):
        answer = CALLER.ask(asked)
        legal(answer)
        if answer.code == 1000:
            assert len(answer.rows) <= RULES.paging.size_max
        else:
            name = answer.message.removeprefix("Parameter error: ").partition(":")[0]
            assert name in {"start_time", "end_time", "page_size", "flow_type", "account", "symbol", "query"}
