"""Deep pages, found by day totals and remembered counts, equal pages that are reached one by one, despite writes."""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.conditions import EVERYTHING, Where, matches, one_of
from liushui.flow import Flow, Kind
from liushui.instant import MAX_INSTANT, MIN_INSTANT, to_us
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.engines.base import Cursor
from liushui.ledger.flow_row import served_identity
from liushui.ledger.read import dialect_reader as reader_module
from liushui.ledger.read import offset_index
from liushui.ledger.read.dialect_reader import LedgerReader
from liushui.ledger.read.offset_index import Offsets, PageStarts
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow, FlowPage, FlowQuery
from liushui.testing.clock import MovableClock
from liushui.testing.reader import MemoryLimits, MemoryReader
from tests.engines import LedgerStore
from tests.ledger.ledgers import DAY_ONE, commit_read, hour, hours, import_page, make_row, new_ledger
from tests.ledger.test_reader import shown

STRIDE: Final = 4
NEAR: Final = 2
Batch = tuple[str, int, int, list[int], bool]
ZONES: Final = {"a": "Asia/Hong_Kong", "b": "America/New_York", "c": "Asia/Hong_Kong"}
DAYS: Final = 6


@pytest.fixture(scope="module", autouse=True)
def short_strides() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offset_index, "STRIDE", STRIDE)
        patch.setattr(offset_index, "NEAR", NEAR)
        patch.setattr(reader_module, "NEAR", NEAR)
        yield


def with_accounts(ledger_store: LedgerStore) -> Ledger:
    """A ledger of three accounts without flows."""
    ledger = open_ledger(ledger_store.fresh(), clock=MovableClock())
    for account, zone in ZONES.items():
        make_account(ledger, account, "longbridge", zone)
    return ledger


def flow(account: str, number: int, minutes: int) -> DecodedRow:
    """One of two kinds, two labels; the copies of an instant are as many as the numbers that share it."""
    kind = (Kind.DEPOSIT, Kind.TRADE)[number % 2]
    row = make_row(f"{account}{number:05}", hour(minutes / 60), f"{number}.50", label=f"l{number % 3}", kind=kind)
    return row._replace(row=shown(row.flow))


# Many at one instant, many on one day, and some days with none.
minutes = st.one_of(st.integers(0, DAYS * 1_440 - 1), st.integers(1_500, 1_520), st.just(3_000))
batches = st.tuples(
    st.sampled_from(list(ZONES)),
    st.integers(0, DAYS - 1),
    st.integers(1, 3),
    st.lists(minutes, min_size=5, max_size=60),
    st.booleans(),
)
instants = st.one_of(
    st.sampled_from([MIN_INSTANT, MAX_INSTANT]),
    st.integers(-100, DAYS * 1_440 + 100).map(lambda value: DAY_ONE + timedelta(minutes=value)),
)
wheres = st.sampled_from(
    [
        EVERYTHING,
        (one_of("kind", "trade"),),
        (one_of("label", "l1", "l2"),),
        (one_of("kind", "trade"), one_of("label", "l0")),
    ]
)
queries = st.builds(
    FlowQuery,
    accounts=st.sampled_from([("a",), ("b",), ("a", "b"), ("a", "c"), ("a", "b", "c"), ("a", "nobody")]),
    since=instants,
    until=instants,
    limit=st.integers(1, 12),
    offset=st.one_of(st.integers(STRIDE, 40), st.integers(0, 130)),
    after=st.none(),
    newest=st.booleans(),
    ascending=st.just(value=False),
    where=wheres,
    visible=st.just(()),
    language=st.none(),
)


def served_row(account: str, flow: Flow) -> bytes:
    """The row of a flow as another provider's API writes it."""
    return shown(flow._replace(identity=served_identity(account, flow.identity)))


class Twice:
    """A ledger and the same flows in memory."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.reader = LedgerReader(ledger, MemoryLimits())
        self._flows: dict[str, list[DecodedRow]] = {account: [] for account in ZONES}
        self._number = 0

    def write(self, account: str, day: int, days: int, at: Sequence[int], *, imported: bool) -> None:
        """A slice that takes the place of what is there, or an import that adds to it."""
        begin, end = day * 1_440, (day + days) * 1_440
        rows = [flow(account, self._number + number, one) for number, one in enumerate(at)]
        self._number += len(rows)
        if imported:
            if rows:
                import_page(self.ledger, *rows, account=account)
            self._flows[account] += rows
        else:
            rows = [row for row, one in zip(rows, at, strict=True) if begin <= one < end]
            commit_read(self.ledger, hours(begin / 60, end / 60), *rows, account=account)
            outside = [row for row in self._flows[account] if not hour(begin / 60) <= row.flow.at < hour(end / 60)]
            self._flows[account] = outside + rows

    def flows(self, account: str) -> Sequence[DecodedRow]:
        """Those of an account."""
        return self._flows[account]

    def in_memory(self, query: FlowQuery, dialect: str = "another") -> FlowPage:
        """The page as that dialect serves it: `longbridge`, whose rows they are, serves them as they came."""
        memory = MemoryReader()
        for account, rows in self._flows.items():
            memory.add_flows(account, [row.flow for row in rows])
        page = memory.read_page("another", query, shown)
        if dialect == "another":
            return page
        served = {served_row(account, row.flow): row.row for account, rows in self._flows.items() for row in rows}
        lines = page.rows.split(b"],[") if page.rows else []
        found = [served[b"[" + line.strip(b"[]") + b"]"] for line in lines]
        return page._replace(rows=b",".join(found))


@settings(max_examples=40)
@given(steps=st.lists(st.tuples(batches, st.lists(queries, min_size=1, max_size=6)), min_size=1, max_size=6))
def test_deep_pages_are_what_walking_finds(
    module_store: LedgerStore, steps: list[tuple[Batch, list[FlowQuery]]]
) -> None:
    ledger = with_accounts(module_store)
    both = Twice(ledger)
    for (account, day, days, at, imported), asked in steps:
        both.write(account, day, days, at, imported=imported)
        for query in asked:
            query = query._replace(ascending=not query.newest)
            assert both.reader.read_page("another", query, shown) == both.in_memory(query)
            assert both.reader.read_page("longbridge", query, shown) == both.in_memory(query, "longbridge")
    ledger.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_long_life_of_writing_and_reading(ledger_store: LedgerStore, seed: int) -> None:
    """One reader all the time: what it remembers is brought to each new state, and is right there."""
    choose = random.Random(seed)
    ledger = with_accounts(ledger_store)
    both = Twice(ledger)
    for account in ZONES:
        both.write(account, 0, DAYS, [choose.randrange(DAYS * 1_440) for _ in range(150)], imported=False)
    for _ in range(30):
        day, days = choose.randrange(DAYS), choose.randint(1, 2)
        begin, end = day * 1_440, (day + days) * 1_440
        at = [choose.randrange(begin, end) for _ in range(choose.choice((0, 5, 40)))]
        both.write(choose.choice(list(ZONES)), day, days, at, imported=choose.random() < 0.1)
        for _ in range(6):
            newest = choose.random() < 0.5
            since, until = sorted(choose.choices(range(DAYS * 1_440), k=2)) if choose.random() < 0.3 else (0, 9_000)
            query = FlowQuery(
                choose.choice([("a",), ("b",), ("a", "b"), ("a", "c"), ("a", "b", "c")]),
                hour(since / 60),
                hour(until / 60),
                7,
                choose.randrange(STRIDE, 150),
                newest=newest,
                ascending=not newest,
                where=choose.choice([EVERYTHING, EVERYTHING, (one_of("kind", "trade"),), (one_of("label", "l1"),)]),
            )
            assert both.reader.read_page("another", query, shown) == both.in_memory(query)
    ledger.close()


@pytest.fixture
def filled(ledger_store: LedgerStore) -> Iterator[Twice]:
    """A ledger with one day of 400 flows between quiet ones, at four instants of that day 50 of them."""
    ledger = new_ledger(ledger_store, *ZONES)
    both = Twice(ledger)
    crowd = [1_500 + number // 2 for number in range(200)] + [1_700 + number % 4 for number in range(200)]
    for account in ZONES:
        both.write(account, 0, DAYS, [*range(0, DAYS * 1_440, 97), *crowd], imported=False)
    yield both
    ledger.close()


class Counting:
    """Runs statements, and counts them."""

    def __init__(self, ledger: Ledger) -> None:
        self._connection = ledger.raw_connection()
        self.statements: list[str] = []

    def __call__(self, sql: str, values: Sequence[object]) -> Cursor:
        self.statements.append(sql)
        return self._connection.execute(sql, values)


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("where", [EVERYTHING, (one_of("kind", "trade"),), (one_of("label", "l1"),)])
@pytest.mark.parametrize("accounts", [("a",), ("a", "b", "c")])
def test_little_is_left_to_walk_and_nothing_is_counted_again(
    filled: Twice, *, newest: bool, where: Where, accounts: tuple[str, ...]
) -> None:
    """A page passes over no more rows than STRIDE and those of one instant: 50, of three accounts."""
    execute = Counting(filled.ledger)
    places = Offsets(execute, filled.ledger.sql)
    query = FlowQuery(accounts, DAY_ONE, hour(DAYS * 24), 10, newest=newest, where=where)
    rows = filled.reader.count_flows(query)
    for offset in range(0, rows, 3):
        near = places.near(query._replace(offset=offset), places.accounts(query))
        assert near.offset <= STRIDE + 50 * len(accounts)
        assert near.since >= query.since
        assert near.until <= query.until
    before = len(execute.statements)
    for offset in range(rows):
        places.near(query._replace(offset=offset), places.accounts(query))
    again = [sql for sql in execute.statements[before:] if not sql.startswith("SELECT account")]
    assert len(again) <= rows // 3  # instants that no offset before fell on


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("where", [EVERYTHING, (one_of("label", "l1"),)])
def test_who_reads_on_passes_over_the_page_before_and_little_more(filled: Twice, *, newest: bool, where: Where) -> None:
    """Page after page, each begins near where one before it began; asked for again, where it began itself."""
    places = PageStarts(Counting(filled.ledger), filled.ledger.sql)
    query = FlowQuery(("a",), DAY_ONE, hour(DAYS * 24), 10, newest=newest, where=where)
    flows = [found.flow for found in filled.flows("a") if matches(found.flow, where)]
    at_us = sorted((to_us(flow.at) for flow in flows), reverse=newest)
    committed = places.committed(query)
    for offset in range(0, len(at_us), query.limit):
        crowd = at_us.count(at_us[offset])
        for most in (query.limit + NEAR + crowd, NEAR + crowd):
            asked = query._replace(offset=offset)
            start = places.start(asked)
            assert start.query.offset <= most
            assert start.committed in (None, committed)
            places.remember(asked, start, at_us[offset], committed)


@pytest.mark.parametrize("offset", [10**6, 10**12])
@pytest.mark.parametrize("where", [EVERYTHING, (one_of("label", "l1"),)])
def test_beyond_the_end_there_is_nothing(filled: Twice, offset: int, where: Where) -> None:
    for newest in (True, False):
        query = FlowQuery(
            ("a", "b"), MIN_INSTANT, MAX_INSTANT, 10, offset, newest=newest, ascending=not newest, where=where
        )
        assert filled.reader.read_page("another", query, shown) == FlowPage(b"", 0)


def test_what_stands_before_a_change_stays_known(filled: Twice) -> None:
    """A commit of the last day leaves the marks of the days before it, and what was counted within them."""
    execute = Counting(filled.ledger)
    places = Offsets(execute, filled.ledger.sql)
    query = FlowQuery(("a",), DAY_ONE, MAX_INSTANT, 10, offset=150, newest=False)
    first = places.near(query, places.accounts(query))
    filled.write("a", DAYS - 1, 1, [DAYS * 1_440 - 5], imported=False)
    before = len(execute.statements)
    assert places.near(query, places.accounts(query)) == first
    assert not any("count(*) FROM flows" in sql for sql in execute.statements[before:])


def test_a_page_is_looked_for_again_where_a_commit_comes_between(
    filled: Twice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is one that was there, before the commit or after it: never rows of neither."""
    query = FlowQuery(("a",), DAY_ONE, hour(DAYS * 24), 10, offset=200, newest=False, ascending=True)
    earlier = filled.in_memory(query)
    real = Offsets.near

    def near(self: Offsets, asked: FlowQuery, accounts: Sequence[offset_index.Account]) -> FlowQuery:
        found = real(self, asked, accounts)
        if writes:
            filled.write("a", 0, 1, [writes.pop()], imported=False)
        return found

    monkeypatch.setattr(Offsets, "near", near)
    for wanted in ([5], [5, 6, 7, 8]):  # once, and more often than is looked for it
        writes = wanted
        page = filled.reader.read_page("another", query, shown)
        assert page == filled.in_memory(query)
        assert page != earlier


def test_ends_of_the_calendar(ledger_store: LedgerStore) -> None:
    """Flows of the first and the last day that there are stand in their order."""
    ledger = new_ledger(ledger_store, "a", zone="America/New_York")
    ends: list[datetime] = [MIN_INSTANT + timedelta(hours=number) for number in range(60)]
    ends += [MAX_INSTANT - timedelta(hours=number) for number in range(60)]
    both = Twice(ledger)
    rows = [make_row(f"i{number:03}", at) for number, at in enumerate(ends)]
    import_page(ledger, *rows)
    both._flows["a"] = rows
    for newest in (True, False):
        for offset in range(0, 120, 7):
            query = FlowQuery(("a",), MIN_INSTANT, MAX_INSTANT, 5, offset, newest=newest, ascending=not newest)
            assert both.reader.read_page("another", query, shown) == both.in_memory(query)
    ledger.close()
