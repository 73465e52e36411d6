"""The server as a whole: authentication, its rate, its bounds, and a legal answer to any request."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.flow import Flow
from liushui.http import Request
from liushui.instant import EPOCH
from liushui.providers.hkus import PROVIDER
from liushui.providers.hkus.rules import RULES
from liushui.ratelimit import IncomingLimits
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.providers.hkus.caller import TRANSACTIONS, Answer, Caller, answered, milliseconds
from tests.providers.hkus.rows import Row, row, rows, unwire, wire

PARAMETER = (400, 40001)
NO_SUCH_KEY = (401, 40101)
NOT_SIGNED = (401, 40102)
NOT_TIMELY = (401, 40103)
KEY_EXPIRED = (401, 40104)

# ---------------------------------------------------------------- routes


def test_the_route_is_the_documents() -> None:
    """document: GET /account/v1/transactions."""
    assert [(route.method, route.path) for route in PROVIDER.server.routes] == [("GET", TRANSACTIONS)]


@pytest.mark.parametrize(
    ("method", "route"),
    [("POST", TRANSACTIONS), ("HEAD", TRANSACTIONS), ("get", TRANSACTIONS), ("GET", f"{TRANSACTIONS}/"), ("GET", "")],
)
def test_what_is_not_served_is_said_to_anybody(caller: Caller, method: str, route: str) -> None:
    for request in (
        caller.signed(method=method, path=route, route=route, body=b"{}"),
        Request(method, route, "", {}, b"\xff", route),
    ):
        assert answered(request, caller.reader).fault == (404, 40401)


@pytest.mark.parametrize(
    ("query", "many"),
    [("", 20), ("page_size=7", 7), ("page=9&page_size=100", 100), ("page_size=999", 100), ("page_size=x", 20)],
)
def test_how_many_rows_are_asked_for(query: str, many: int) -> None:
    assert PROVIDER.server.estimate_rows(Request("GET", TRANSACTIONS, query, {})) == many


# ---------------------------------------------------------------- who is answered


@pytest.mark.parametrize("off_ms", [0, 60_000, -60_000])
def test_a_clock_that_may_be_off(caller: Caller, off_ms: int) -> None:
    at = caller.clock() + timedelta(milliseconds=off_ms)
    assert caller.send(caller.signed(timestamp=milliseconds(at))).rows == []


@pytest.mark.parametrize("off_ms", [60_001, -60_001, 10**9])
def test_a_clock_that_is_off(caller: Caller, off_ms: int) -> None:
    at = caller.clock() + timedelta(milliseconds=off_ms)
    assert caller.send(caller.signed(timestamp=milliseconds(at))).fault == NOT_TIMELY


def test_a_request_grows_stale(caller: Caller, clock: MovableClock) -> None:
    request = caller.signed()
    clock.move(timedelta(seconds=60))
    assert caller.send(request).rows == []
    clock.move(timedelta(microseconds=1))
    assert caller.send(request).fault == NOT_TIMELY


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1767355200.5", " 1767355200000", "9" * 16, "1e9", "１"])
def test_what_is_not_a_timestamp(caller: Caller, timestamp: str) -> None:
    assert caller.send(caller.signed(timestamp=timestamp)).fault == NOT_TIMELY


def test_a_timestamp_in_seconds_is_too_far(caller: Caller) -> None:
    """document: `X-API-Timestamp: 1345678912312` is in milliseconds."""
    assert caller.send(caller.signed(timestamp=milliseconds(caller.clock())[:-3])).fault == NOT_TIMELY


@pytest.mark.parametrize("name", ["x-api-key", "x-api-timestamp", "x-api-signature"])
def test_a_header_that_is_missing(caller: Caller, name: str) -> None:
    request = caller.signed()
    headers = {known: value for known, value in request.headers.items() if known != name}
    expected = NO_SUCH_KEY if name == "x-api-key" else NOT_SIGNED
    assert caller.send(request._replace(headers=headers)).fault == expected


@pytest.mark.parametrize("signature", ["", "é", "0" * 64, "İ" * 64, "\ud800"])
def test_a_signature_of_something_else(caller: Caller, signature: str) -> None:
    request = caller.signed()
    assert caller.send(request._replace(headers={**request.headers, "x-api-signature": signature})).fault == NOT_SIGNED


def test_a_signature_with_another_secret(caller: Caller) -> None:
    other = caller.key._replace(credentials={**caller.key.credentials, "api_secret": "0" * 64})
    assert Caller(caller.reader, caller.clock, other).get().fault == NOT_SIGNED


def test_the_query_is_signed_as_it_arrived(caller: Caller) -> None:
    query = "from_date=%31&business_type=A%42&more=%E6%B5%81+%20"
    request = caller.signed(query)
    assert caller.send(request).rows == []
    for same in (query.replace("%31", "1"), query.replace("+", "%20"), query + "&"):
        assert caller.send(request._replace(query=same)).fault == NOT_SIGNED


@pytest.mark.parametrize("path", [f"/{TRANSACTIONS}", f"/dialect/hkus{TRANSACTIONS}"])
def test_the_whole_path_and_the_body_are_signed(caller: Caller, path: str) -> None:
    request = caller.signed(path=path, body=b"{}")
    assert caller.send(request).rows == []
    assert caller.send(request._replace(path=TRANSACTIONS)).fault == NOT_SIGNED
    assert caller.send(request._replace(body=b"")).fault == NOT_SIGNED


def test_keys_that_are_not_good(caller: Caller, reader: MemoryReader) -> None:
    assert Caller(reader, caller.clock, caller.key._replace(public="nobody")).get().fault == NO_SUCH_KEY
    reader.revoke(caller.key)
    assert caller.get().fault == NO_SUCH_KEY
    reader.add_key(caller.key._replace(dialect="another"))
    assert caller.get().fault == NO_SUCH_KEY


def test_a_key_ends_when_it_expires(reader: MemoryReader, clock: MovableClock) -> None:
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "trader-1", expires_at=clock() + timedelta(seconds=10)))
    clock.move(timedelta(seconds=9, microseconds=999_999))
    assert caller.get().rows == []
    clock.move(timedelta(microseconds=1))
    assert caller.get().fault == KEY_EXPIRED


def test_nothing_is_said_to_somebody_without_a_key(caller: Caller) -> None:
    """A bad parameter is not told apart before the signature is."""
    for query in ("", "page_size=0", "%ff"):
        assert answered(Request("GET", TRANSACTIONS, query, {}, route=TRANSACTIONS), caller.reader).fault == NO_SUCH_KEY
        request = caller.signed(query)
        stranger = request._replace(headers={**request.headers, "x-api-signature": "0"})
        assert caller.send(stranger).fault == NOT_SIGNED


def test_a_key_reads_its_own_accounts(caller: Caller, reader: MemoryReader) -> None:
    reader.add_rows("trader-2", PROVIDER, [wire(row())])
    assert caller.get().total == 0
    both = Caller(reader, caller.clock, reader.create_key(PROVIDER, "trader-1", "trader-2"))
    assert both.get().total == 1


# ---------------------------------------------------------------- the rate


@pytest.fixture
def limited(tmp_path: Path, clock: MovableClock) -> Iterator[Caller]:
    """Somebody whose calls are counted."""
    with closing(IncomingLimits(tmp_path / "limits.db", clock)) as limits:
        reader = MemoryReader(clock, admit=limits.admit)
        yield Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))


def test_ten_calls_in_a_second(limited: Caller, clock: MovableClock) -> None:
    assert (RULES.rate.calls, RULES.rate.per) == (10, timedelta(seconds=1))
    assert [limited.get().status for _ in range(11)] == [200] * 10 + [429]
    answer = limited.get()
    assert (answer.fault, answer.message) == ((429, 42901), "too many requests")
    clock.move(timedelta(microseconds=999_999))
    assert limited.get().code == 42901
    clock.move(timedelta(microseconds=1))
    assert [limited.get().code for _ in range(11)] == [0] * 10 + [42901]


def test_bad_calls_count_and_strangers_do_not(limited: Caller) -> None:
    wrong = limited.key._replace(credentials={**limited.key.credentials, "api_secret": "x"})
    for _ in range(20):
        assert Caller(limited.reader, limited.clock, wrong).get().fault == NOT_SIGNED
    assert [limited.get(page_size=0).code for _ in range(11)] == [40001] * 10 + [42901]


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize("name", ["from_date", "to_date"])
@pytest.mark.parametrize("value", ["", "now", "1.5", "+1", " 1", "1e3", "１", "253402300800", "-62135596801", "9" * 40])
def test_a_time_that_is_invalid(caller: Caller, name: str, value: str) -> None:
    answer = caller.get(**{name: value})
    assert (answer.fault, answer.message) == (PARAMETER, "invalid parameter")
    assert answer.details.startswith(f"{name}: expected ")


@pytest.mark.parametrize(("from_date", "to_date", "is_legal"), [(100, 100, True), (101, 100, False), (1, -1, False)])
def test_a_range_is_never_reversed(caller: Caller, from_date: int, to_date: int, is_legal: bool) -> None:
    answer = caller.get(from_date=from_date, to_date=to_date)
    assert answer.status == (200 if is_legal else 400)
    assert is_legal or answer.details == f"to_date: expected from_date {from_date} or later, got {to_date}"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *(
            ("page_size", value, "a whole number from 1 to 100")
            for value in ("0", "101", "-1", "x", "", "1.0", "9" * 30)
        ),
        *(("page", value, "a whole number from 1 to 1000000000") for value in ("0", "-1", "x", "", "1000000001")),
        *(("io_type", value, "in or out") for value in ("IN", "", "1", "none", "in,out")),
    ],
)
def test_a_parameter_that_does_not_fit(caller: Caller, name: str, value: str, expected: str) -> None:
    answer = caller.get(**{name: value})
    assert (answer.fault, answer.details) == (PARAMETER, f"{name}: expected {expected}, got {value!r}")


@pytest.mark.parametrize(("size", "page", "many"), [(1, 1, 1), (100, 1, 7), (100, 10**9, 0), (7, 1, 7), (7, 2, 0)])
def test_sizes_and_pages_at_their_bounds(caller: Caller, reader: MemoryReader, size: int, page: int, many: int) -> None:
    reader.add_rows("trader-1", PROVIDER, [wire(row(id=number)) for number in range(1, 8)])
    answer = caller.get(page_size=size, page=page)
    assert (len(answer.rows), answer.total) == (many, 7)


def test_parameters_twice_and_unknown(caller: Caller, reader: MemoryReader) -> None:
    reader.add_rows("trader-1", PROVIDER, [wire(row(id=number)) for number in range(1, 8)])
    assert len(caller.send(caller.signed("page_size=2&page_size=0&account_id=5&sort=asc")).rows) == 2


@pytest.mark.parametrize("query", ["business_type=%ff", "&".join(["a=1"] * 101), "%80=1"])
def test_a_query_that_cannot_be_decoded(caller: Caller, query: str) -> None:
    answer = caller.send(caller.signed(query))
    assert answer.fault == PARAMETER
    assert answer.details.startswith("query: expected URL-encoded parameters, got ")


def test_flows_within_the_last_second_belong_to_a_range(caller: Caller, reader: MemoryReader) -> None:
    """Flows of other providers are finer than this wire."""
    instants = [EPOCH + timedelta(seconds=100, microseconds=at_us) for at_us in (-1, 0, 1, 999_999, 1_000_000)]
    reader.add_flows("trader-1", (Flow(identity=str(at), at=at, amount=Decimal(1), currency="USD") for at in instants))
    answer = caller.get(from_date=100, to_date=100)
    assert ([found["date"] for found in answer.rows], answer.total) == ([100] * 3, 3)


def test_all_of_time_is_asked_for_where_nothing_is(caller: Caller, reader: MemoryReader) -> None:
    ends = (253402300799, 0, -1, -62135596800)
    reader.add_rows("trader-1", PROVIDER, [wire(row(date=at)) for at in ends])
    assert tuple(found["date"] for found in caller.get().rows) == ends
    assert caller.get(from_date=ends[-1], to_date=ends[0]).total == len(ends)


# ---------------------------------------------------------------- pages


def test_rows_of_one_second_stand_by_falling_id(caller: Caller, reader: MemoryReader) -> None:
    reader.add_rows("trader-1", PROVIDER, [wire(row(id=id_)) for id_ in (9, 1000, 10, 99)])
    assert [found["id"] for found in caller.get().rows] == [1000, 99, 10, 9]


@given(size=st.integers(1, 100), many=st.integers(0, 120), data=st.data())
def test_pages_partition_the_rows_newest_first(size: int, many: int, data: st.DataObject) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))
    seconds = data.draw(st.lists(st.integers(0, 30), min_size=many, max_size=many))
    served = [row(id=number, date=at) for number, at in enumerate(seconds, 1)]
    reader.add_rows("trader-1", PROVIDER, map(wire, served))
    answers = [caller.get(page_size=size, page=number) for number in range(1, many // size + 2)]
    got = [found for answer in answers for found in answer.rows]
    assert got == sorted(served, key=lambda values: (values["date"], values["id"]), reverse=True)
    assert {answer.total for answer in answers} == {many}
    assert [len(answer.rows) for answer in answers] == [size] * (many // size) + [many % size]


@given(values=st.lists(rows, max_size=4))
def test_rows_stand_as_they_came(values: list[Row]) -> None:
    clock = MovableClock()
    reader = MemoryReader(clock)
    caller = Caller(reader, clock, reader.create_key(PROVIDER, "trader-1"))
    came = [wire(value | {"venue": 1}) for value in values]
    reader.add_rows("trader-1", PROVIDER, came)
    body = PROVIDER.server.answer(caller.signed(), reader).body
    assert all(one in body for one in came)
    assert sorted(map(wire, caller.get().rows)) == sorted(wire(unwire(one)) for one in came)


# ---------------------------------------------------------------- anything at all

_names = st.sampled_from(
    ["from_date", "to_date", "page_size", "page", "business_type", "business_types", "io_type", "%70age"]
) | st.text(max_size=5)
_values = (
    st.sampled_from(
        ["", "0", "1", "20", "100", "101", "253402300799", "-62135596800", "us_stock", "in", "%ff", "+", "&"]
    )
    | st.integers().map(str)
    | st.text(max_size=20)
)
_queries = st.lists(st.builds("{}={}".format, _names, _values), max_size=8).map("&".join) | st.text(max_size=60)
_paths = st.sampled_from(["", TRANSACTIONS, f"/dialect/hkus{TRANSACTIONS}", f"/{TRANSACTIONS}"]) | st.text(max_size=20)
_headers = st.dictionaries(
    st.sampled_from(["x-api-key", "x-api-timestamp", "x-api-signature", "content-type"]),
    st.text(max_size=40) | st.integers(0, 2 * 10**12).map(str),
    max_size=4,
)
_methods = st.sampled_from(["GET", "GET", "GET", "POST", "HEAD"]) | st.text(max_size=4)

CLOCK = MovableClock(datetime(2026, 1, 2, 12, tzinfo=UTC))
READER = MemoryReader(CLOCK)
READER.add_rows("trader-1", PROVIDER, [wire(row(id=at, date=at)) for at in range(60)])
CALLER = Caller(READER, CLOCK, READER.create_key(PROVIDER, "trader-1"))

STATUSES = {0: 200, 40001: 400, 40101: 401, 40102: 401, 40103: 401, 40401: 404}


def legal(answer: Answer) -> None:
    """`answered` has checked its shape; the rest is that the status fits the code."""
    assert answer.status == STATUSES[answer.code]


@settings(max_examples=400)
@given(method=_methods, path=_paths, query=_queries, headers=_headers, body=st.binary(max_size=20), route=_paths)
def test_any_request_has_a_legal_answer(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, route: str
) -> None:
    legal(answered(Request(method, path, query, headers, body, route), READER))


@settings(max_examples=400)
@given(query=_queries, headers=_headers, body=st.binary(max_size=20), path=_paths)
def test_any_signed_request_has_a_legal_answer(query: str, headers: dict[str, str], body: bytes, path: str) -> None:
    legal(CALLER.send(CALLER.signed(query, path=path, body=body, headers=headers)))


@settings(max_examples=400)
@given(query=_queries)
def test_any_query_of_a_key_holder_is_a_page_or_names_a_parameter(query: str) -> None:
    answer = CALLER.send(CALLER.signed(query))
    legal(answer)
    if answer.code:
        name = answer.details.partition(":")[0]
        assert name in {"from_date", "to_date", "page_size", "page", "io_type", "query"}
