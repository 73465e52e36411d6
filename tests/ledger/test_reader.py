"""The ledger as a server reads it: any query gives the page and count that the same flows in memory give."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.conditions import DETAIL_PREFIX, SIDE, Term, one_of
from liushui.errors import WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.instant import MAX_INSTANT, MIN_INSTANT, to_iso
from liushui.ledger.engine import Ledger
from liushui.ledger.flow_row import served_identity
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.ledger.write.commit import commit_slice, make_account
from liushui.provider import DecodedRow, FlowQuery, Slice
from liushui.testing.clock import NOON, MovableClock
from liushui.testing.empty_ledger import create_ledger
from liushui.testing.reader import MemoryLimits, MemoryReader
from tests.engines import LedgerStore

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
ZONES = {"a": "Asia/Hong_Kong", "b": "America/New_York"}


def flow(number: int) -> Flow:
    """One of many kinds; every third stands at the instant of the one before."""
    amounts = ("-1.50", "2.00", "0", "-0.00", "1000000.000001")
    return Flow(
        identity=f"i{number:04}",
        at=BEGIN + timedelta(hours=5, minutes=17) * (number - number % 3 // 2),
        amount=Decimal(amounts[number % 5]),
        currency=("USD", "CNY", "HKD")[number % 3],
        direction=tuple(Direction)[number % 3],
        kind=tuple(Kind)[number % 7],
        category=tuple(Category)[number % 5],
        label=f"label {number % 4}",
        subaccount=("", "main", "other")[number % 3],
        symbol=(None, "AAPL.US", "700.HK", "")[number % 4],
        note=(None, "", "n")[number % 3],
        detail=(None, {"x:type": "us_stock"}, {"x:type": 'a"b', "x:code": 9}, {"y": None})[number % 4],
    )


def shown(found: Flow) -> bytes:
    """How the tests write a flow: all that tells it from others."""
    return json.dumps([to_iso(found.at), found.identity, str(found.amount), found.currency]).encode()


def served(account: str, found: Flow) -> Flow:
    """The flow under the identity that other dialects get."""
    return found._replace(identity=served_identity(account, found.identity))


FLOWS = {"a": [flow(number) for number in range(120)], "b": [flow(number) for number in range(60, 200)]}


@pytest.fixture(scope="module")
def ledger(module_store: LedgerStore) -> Iterator[Ledger]:
    clock = MovableClock(NOON)
    book = create_ledger(module_store.url(), clock=clock)
    for account, flows in FLOWS.items():
        make_account(book, account, "longbridge", ZONES[account])
        # Written as another dialect would write them, so that both kinds of pages have the same rows.
        received = [DecodedRow(one, shown(served(account, one)), None) for one in flows]
        commit_slice(book, account, Slice(BEGIN, NOON), read_at=NOON, received=received)
    yield book
    book.close()


@pytest.fixture(scope="module")
def of_ledger(ledger: Ledger) -> LedgerReader:
    return LedgerReader(ledger, MemoryLimits())


@pytest.fixture(scope="module")
def in_memory() -> MemoryReader:
    reader = MemoryReader()
    for account, flows in FLOWS.items():
        reader.add_flows(account, flows)
    return reader


terms = st.one_of(
    st.builds(
        Term,
        st.just("kind"),
        st.lists(st.sampled_from([kind.value for kind in Kind]), max_size=3).map(tuple),
        ending=st.just(value=False),
    ),
    st.builds(
        Term,
        st.just("subaccount"),
        st.sampled_from([("main",), ("", "other"), ("nobody",)]),
        ending=st.just(value=False),
    ),
    st.builds(
        Term,
        st.just("currency"),
        st.sampled_from([("USD",), ("USD", "CNY"), ()]),
        ending=st.just(value=False),
        negated=st.booleans(),
    ),
    st.builds(
        Term,
        st.just("symbol"),
        st.sampled_from([("AAPL.US",), ("", None), (None,), ("700.HK", None)]),
        ending=st.just(value=False),
    ),
    st.builds(
        Term, st.just("symbol"), st.sampled_from([(".US",), (".US", ".HK"), ("",), ()]), ending=st.just(value=True)
    ),
    st.builds(
        Term,
        st.just("category"),
        st.sampled_from([("stock",), ("cash", "fund")]),
        ending=st.just(value=False),
        negated=st.booleans(),
    ),
    st.builds(
        Term,
        st.just("note"),
        st.sampled_from([(None,), ("",), ("n", None)]),
        ending=st.just(value=False),
        negated=st.booleans(),
    ),
    st.builds(
        Term, st.just(SIDE), st.sampled_from([("in",), ("out",), ("in", "out"), ("none",)]), ending=st.just(value=False)
    ),
    st.builds(
        Term,
        st.just(f"{DETAIL_PREFIX}x:type"),
        st.sampled_from([("us_stock",), ('a"b', None), (None,)]),
        ending=st.just(value=False),
    ),
    st.builds(
        Term,
        st.just(f"{DETAIL_PREFIX}x:code"),
        st.sampled_from([(9,), (None, 8), (8,)]),
        ending=st.just(value=False),
        negated=st.booleans(),
    ),
    st.builds(
        Term,
        st.just(f"{DETAIL_PREFIX}y"),
        st.sampled_from([(None,), ("z",)]),
        ending=st.just(value=False),
        negated=st.booleans(),
    ),
)
parts = st.lists(st.lists(terms, max_size=2).map(tuple), max_size=2).map(tuple)
wheres = st.lists(parts, max_size=2).map(tuple)
instants = st.one_of(
    st.sampled_from([MIN_INSTANT, MAX_INSTANT, BEGIN, *(one.at for one in FLOWS["a"][:9])]),
    st.integers(-10, 45 * 24 * 60).map(lambda minutes: BEGIN + timedelta(minutes=minutes)),
)
queries = st.builds(
    FlowQuery,
    accounts=st.sampled_from([("a",), ("b",), ("a", "b"), ("nobody",), ("nobody", "b")]),
    since=instants,
    until=instants,
    limit=st.integers(1, 60),
    offset=st.integers(0, 100),
    after=st.none(),
    newest=st.booleans(),
    ascending=st.booleans(),
    where=wheres,
    visible=st.one_of(st.just(()), wheres),
    language=st.none(),
)


@settings(max_examples=400)
@given(query=queries, dialect=st.sampled_from(["longbridge", "another"]))
def test_any_page_and_count(of_ledger: LedgerReader, in_memory: MemoryReader, query: FlowQuery, dialect: str) -> None:
    query = query._replace(ascending=query.ascending or not query.newest)
    assert of_ledger.read_page(dialect, query, shown) == in_memory.read_page(dialect, query, shown)
    assert of_ledger.count_flows(query) == in_memory.count_flows(query)


@settings(max_examples=150)
@given(query=queries)
def test_pages_that_go_on_from_each_other_are_the_whole(
    of_ledger: LedgerReader, in_memory: MemoryReader, query: FlowQuery
) -> None:
    """Each row once, in order; the last page names no place, and none before it is the last."""
    query = query._replace(ascending=not query.newest, offset=0, after="", visible=())
    found: list[bytes] = []
    for _ in range(300):
        page = of_ledger.read_page("another", query, shown)
        assert page.size == min(query.limit, of_ledger.count_flows(query) - len(found))
        found += [bytes(row) for row in _rows(page.rows)]
        if page.end_cursor is None:
            break
        query = query._replace(after=page.end_cursor)
    whole = in_memory.read_page("another", query._replace(after=None, limit=1_000), shown)
    assert found == _rows(whole.rows)


def _rows(joined: bytes) -> list[bytes]:
    return [json.dumps(row).encode() for row in json.loads(b"[" + joined + b"]")]


@pytest.mark.parametrize("after", ["x", "[]", '["1","a","b"]', "[1]", "\x00"])
def test_a_place_that_is_not_named(of_ledger: LedgerReader, in_memory: MemoryReader, after: str) -> None:
    query = FlowQuery(("a",), BEGIN, NOON, 10, after=after)
    for reader in (of_ledger, in_memory):
        with pytest.raises(WireError, match="after: expected a place that a page named"):
            reader.read_page("another", query, shown)


def test_a_column_that_no_condition_is_for(of_ledger: LedgerReader) -> None:
    query = FlowQuery(("a",), BEGIN, NOON, 10, where=(one_of("amount; DROP TABLE flows", "x"),))
    with pytest.raises(ValueError, match="no condition can be put on"):
        of_ledger.count_flows(query)


def test_a_count_follows_the_ledger(ledger_store: LedgerStore) -> None:
    """What a connection remembers ends when another one writes."""
    book = create_ledger(ledger_store.url(), clock=lambda: NOON)
    make_account(book, "a", "longbridge", "UTC")
    reader = LedgerReader(book, MemoryLimits())
    query = FlowQuery(("a",), MIN_INSTANT, MAX_INSTANT, 10)
    counts = []
    for rows in (0, 3, 1):
        received = [DecodedRow(one, shown(one), None) for one in FLOWS["a"][:rows]]
        commit_slice(book, "a", Slice(BEGIN, NOON), read_at=NOON, received=received)
        counts.append((reader.count_flows(query), reader.count_flows(query)))
    assert counts == [(0, 0), (3, 3), (1, 1)]
    book.close()
