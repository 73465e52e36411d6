"""Pages of the world: WorldReader answers any query as MemoryReader does over the same flows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.conditions import DETAIL_PREFIX, SIDE, AnyOf, Term, Where, one_of
from liushui.errors import NotRepresentable, WireError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.provider import FlowPage, FlowQuery
from liushui.simulate.reader import WorldReader
from liushui.simulate.world import World
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryReader
from tests.simulate.worlds import ACCOUNTS, LATER, as_row, world_of

DAY_US: Final = 86_400_000_000


class Pair:
    """A reader of a world, and a reader in memory with the same flows."""

    def __init__(self, world: World) -> None:
        self.world = WorldReader(world, {}, lambda: LATER)
        self.memory = MemoryReader()
        instants: set[datetime] = set()
        for account in world.accounts:
            flows = list(self.world.truth(account, world.parameters.begin, LATER))
            self.memory.add_flows(account, flows)
            instants |= {flow.at for flow in flows}
        self.instants = sorted(instants)

    def page(self, query: FlowQuery) -> FlowPage:
        """The page that both give, which they must agree on but for the words of its end."""
        got = self.world.read_page("", query, as_row)
        expected = self.memory.read_page("", query, as_row)
        assert got.rows == expected.rows
        assert got.size == expected.size
        assert (got.end_cursor is None) == (expected.end_cursor is None)
        return got


PAIRS: Final[dict[str, Callable[[], World]]] = {
    "sparse": lambda: world_of(300),
    "dense": lambda: world_of(1_200, end=datetime(2021, 1, 4, tzinfo=UTC)),
    "many": lambda: world_of(60, people=11),
}


@cache
def pair_of(name: str) -> Pair:
    """The readers of a world. Made when a test asks, because every worker collects the tests."""
    return Pair(PAIRS[name]())


PARTS: Final[tuple[AnyOf, ...]] = (
    *(one_of("category", category.value) for category in (Category.CASH, Category.STOCK, Category.FUTURES)),
    *(one_of("kind", kind.value) for kind in (Kind.TRADE, Kind.FEE, Kind.FUNDING, Kind.RECEIPT)),
    one_of("symbol", "AAPL.US", "BTCUSDT", "700.HK"),
    one_of("symbol", None, ""),
    one_of("symbol", "NONE.US"),
    one_of("subaccount", "futures"),
    ((Term("subaccount", ("futures", ""), negated=True),),),
    ((Term("symbol", (".US",), ending=True, negated=True), Term("category", ("stock",))),),
    one_of("currency", "USD", "CNY"),
    one_of(SIDE, Direction.OUT.value),
    one_of("order_ref", None),
    one_of(f"{DETAIL_PREFIX}other:key", None),
    one_of(f"{DETAIL_PREFIX}other:key", 1),
    ((Term("symbol", (".US",), ending=True), Term("kind", (Kind.TRADE.value,))), (Term("symbol", ("BTCUSDT",)),)),
)
wheres: Final = st.lists(st.sampled_from(PARTS), max_size=2).map(tuple)


@st.composite
def queries(draw: st.DrawFn, pair: Pair) -> FlowQuery:
    """Queries whose ranges end at or near the time of a flow."""
    offs = st.sampled_from([-DAY_US, -1, 0, 1, 1_000, 1_000_000, DAY_US, 400 * DAY_US])
    near = st.tuples(st.sampled_from(pair.instants), offs)
    since, until = sorted(at + timedelta(microseconds=off) for at, off in (draw(near), draw(near)))
    accounts = st.lists(st.sampled_from([*pair.world.world.accounts, "nobody"]), max_size=4, unique=True)
    return FlowQuery(
        accounts=tuple(draw(accounts)),
        since=since,
        until=until,
        limit=draw(st.integers(1, 60)),
        offset=draw(st.integers(0, 300)),
        after=draw(st.sampled_from([None, ""])),
        newest=draw(st.booleans()),
        ascending=draw(st.booleans()),
        where=draw(wheres),
        visible=draw(wheres),
    )


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_any_query_is_answered_like_the_reader_in_memory(name: str, data: st.DataObject) -> None:
    pair = pair_of(name)
    query = data.draw(queries(pair))
    pair.page(query)
    assert pair.world.count_flows(query) == pair.memory.count_flows(query)


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_all_pages_by_cursor_equal_those_in_memory(name: str, data: st.DataObject) -> None:
    pair = pair_of(name)
    query = data.draw(queries(pair))._replace(offset=data.draw(st.sampled_from([0, 0, 3])))
    cursor: str | None = ""
    from_memory: str | None = ""
    while cursor is not None:
        page = pair.world.read_page("", query._replace(after=cursor), as_row)
        expected = pair.memory.read_page("", query._replace(after=from_memory), as_row)
        assert (page.rows, page.size) == (expected.rows, expected.size)
        cursor, from_memory = page.end_cursor, expected.end_cursor
        assert (cursor is None) == (from_memory is None)


@pytest.mark.parametrize("newest", [True, False])
def test_pages_by_cursor_partition_the_rows(newest: bool) -> None:
    pair = pair_of("dense")
    query = FlowQuery(ACCOUNTS, pair.instants[0], LATER, 70, after="", newest=newest, ascending=not newest)
    pages = [pair.world.read_page("", query, as_row)]
    while pages[-1].end_cursor is not None:
        pages.append(pair.world.read_page("", query._replace(after=pages[-1].end_cursor), as_row))
    assert {page.size for page in pages[:-1]} == {70}
    assert b",".join(page.rows for page in pages) == pair.page(query._replace(limit=10**6)).rows


@pytest.mark.parametrize("newest", [True, False])
def test_numbered_pages_of_any_size_partition_the_rows(newest: bool) -> None:
    pair = pair_of("dense")
    for size in (1, 7, 100, 1_199, 1_200, 5_000):
        query = FlowQuery(ACCOUNTS[:1], pair.instants[0], LATER, size, newest=newest, ascending=not newest)
        pages = [pair.page(query._replace(offset=offset)) for offset in range(0, 1_200, size)]
        assert sum(page.size for page in pages) == 1_200
        assert b",".join(page.rows for page in pages) == pair.page(query._replace(limit=1_200)).rows


def test_a_cursor_stays_valid_while_a_live_world_goes_on() -> None:
    clock = MovableClock(datetime(2026, 2, 1, 8, tzinfo=UTC))
    world = world_of(20_000, live=True)
    reader = WorldReader(world, {}, clock)
    query = FlowQuery(("trader-1",), world.parameters.end, LATER, 20, after="", newest=False, ascending=True)
    got: list[bytes] = []
    while True:
        page = reader.read_page("", query, as_row)
        got += [page.rows] if page.size else []
        if page.end_cursor is None:
            break
        query = query._replace(after=page.end_cursor)
        clock.move(timedelta(hours=7))
    assert len(got) > 8
    truth = reader.truth("trader-1", world.parameters.end, LATER)
    assert b",".join(got) == b",".join(map(as_row, truth))

    down = FlowQuery(("trader-1",), world.parameters.begin, LATER, 50, after="")
    cursor = reader.read_page("", down, as_row).end_cursor
    before = reader.read_page("", down._replace(after=cursor), as_row)
    clock.move(timedelta(days=30))
    assert reader.read_page("", down._replace(after=cursor), as_row) == before
    assert before.size == 50


@pytest.mark.parametrize("cursor", ["x", "[]", "[1]", '[1,"a"]', '["1","a",2]', "null", "[1,2,3]"])
def test_a_cursor_that_no_page_named_is_refused(cursor: str) -> None:
    query = FlowQuery(("trader-1",), datetime(2021, 1, 1, tzinfo=UTC), LATER, 1, after=cursor)
    with pytest.raises(WireError, match="after: expected a cursor that a page named, got"):
        pair_of("sparse").world.read_page("", query, as_row)


@pytest.mark.parametrize("at_us", [-(10**30), 0, 10**30])
@pytest.mark.parametrize("newest", [True, False])
def test_a_far_cursor_has_everything_or_nothing_after_it(at_us: int, newest: bool) -> None:
    world = pair_of("sparse").world
    query = FlowQuery(("trader-1",), datetime(2021, 1, 1, tzinfo=UTC), LATER, 10, newest=newest)
    page = world.read_page("", query._replace(after=f'[{at_us},"trader-1",0]'), as_row)
    assert page.size == (10 if newest == (at_us > 0) else 0)


def test_only_a_page_with_a_row_that_cannot_be_encoded_is_refused() -> None:
    reader = WorldReader(world_of(1_200, end=datetime(2021, 1, 4, tzinfo=UTC)), {}, lambda: LATER)
    bad = next(reader.truth("trader-1", datetime(2021, 1, 2, 12, tzinfo=UTC), LATER))

    def write(flow: Flow) -> bytes:
        if flow == bad:
            raise NotRepresentable("amount", "expected another")
        return as_row(flow)

    query = FlowQuery(("trader-1",), datetime(2021, 1, 1, tzinfo=UTC), LATER, 10, newest=False)
    assert reader.read_page("", query._replace(since=bad.at + timedelta(microseconds=1)), write).size == 10
    assert reader.read_page("", query, write).size == 10
    for _ in range(2):
        with pytest.raises(NotRepresentable, match="amount: expected another"):
            reader.read_page("", query._replace(since=bad.at), write)
    hidden = query._replace(since=bad.at, limit=1_000, visible=(one_of("kind", *(set(Kind) - {bad.kind})),))
    assert reader.read_page("", hidden, write).size > 0


def test_a_filter_that_nothing_can_pass_costs_no_search() -> None:
    world = world_of(10_000_000)
    reader = WorldReader(world, {}, lambda: LATER)
    query = FlowQuery(world.accounts, world.parameters.begin, LATER, 10)
    nothing: list[Where] = [
        (one_of("symbol", "NONE.US"),),
        (one_of("category", "bond"),),
        (one_of("subaccount", "somebody"),),
        (one_of(f"{DETAIL_PREFIX}other:key", 7),),
        (((Term("symbol", (".XX",), ending=True),),),),
        (((Term("category", tuple(Category), negated=True),),),),
    ]
    for where in nothing:
        assert reader.read_page("", query._replace(where=where), as_row) == FlowPage(b"", 0)
        assert reader.count_flows(query._replace(where=where)) == 0
    for other in (query._replace(accounts=("nobody",)), query._replace(accounts=()), query._replace(offset=10**12)):
        assert reader.read_page("", other, as_row) == FlowPage(b"", 0)
