"""The ledger at a recorded time, and every version of its flows."""

import re
import tracemalloc
from datetime import date, timedelta
from decimal import Decimal

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection

from liushui.errors import ConfigError
from liushui.flow import Kind
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import add_source
from liushui.ledger.read.accounts import ranges_of
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import LedgerFlow, list_flows
from liushui.ledger.read.history import (
    list_flows_as_of,
    list_versions,
    ranges_as_of,
)
from liushui.ledger.read.summaries import Unit
from liushui.ledger.write.change import RESTATED, WITHDRAWN
from liushui.ledger.write.commit import commit_gap
from liushui.testing.clock import NOON, MovableClock
from tests.engines import LedgerStore, unspread
from tests.ledger.ledgers import READ_AT, commit_read, hour, hours, make_row, new_ledger
from tests.ledger.reading import balances, coverage_of, summary

MINUTE = timedelta(minutes=1)
EVERY = FlowFilter()


@pytest.fixture
def story(ledger_store: LedgerStore) -> Ledger:
    """Two accounts. One minute after the other: a slice, the other account's, a restatement, a withdrawal, a gap."""
    ledger = new_ledger(ledger_store, "a", "b")
    for name in "ab":
        add_source(ledger, account=name, base_url="http://x", credentials={}, since=hour(0), paced=True)
    for act in (
        lambda: commit_read(
            ledger, hours(0, 24), make_row("one", 1, "5.00"), make_row("two", 2, "7.00", kind=Kind.FEE)
        ),
        lambda: commit_read(ledger, hours(0, 24), make_row("other", 3, "100.00"), account="b"),
        lambda: commit_read(
            ledger, hours(0, 24), make_row("one", 1, "5.50"), make_row("two", 2, "7.00", kind=Kind.FEE)
        ),
        lambda: commit_read(ledger, hours(0, 24), make_row("two", 9, "7.00", kind=Kind.FEE)),
        lambda: commit_gap(ledger, "a", hours(24, 48), tried_at=READ_AT, reason="HTTP 500"),
    ):
        act()
        tick(ledger)
    return ledger


def tick(ledger: Ledger, by: timedelta = MINUTE) -> None:
    assert isinstance(ledger.clock, MovableClock)
    ledger.clock.move(by)


def told(flows: list[LedgerFlow]) -> list[str]:
    return [f"{one.account} {one.id} {one.flow.amount} {one.batch}" for one in flows]


def at_minute(ledger: Ledger, minute: float, wanted: FlowFilter = EVERY) -> list[str]:
    return told(list(list_flows_as_of(ledger, wanted, NOON + minute * MINUTE)))


def test_flows_are_as_they_stood(story: Ledger) -> None:
    assert at_minute(story, -1) == []
    assert at_minute(story, 0) == ["a one 5.00 1", "a two 7.00 1"]
    assert at_minute(story, 1) == ["a one 5.00 1", "a two 7.00 1", "b other 100.00 1"]
    assert at_minute(story, 1.99) == at_minute(story, 1)
    assert at_minute(story, 2) == ["a one 5.50 2", "a two 7.00 1", "b other 100.00 1"]
    assert at_minute(story, 3) == ["a two 7.00 3", "b other 100.00 1"]
    assert at_minute(story, 10**6) == told(list(list_flows(story, EVERY)))


@pytest.mark.parametrize(
    "wanted",
    [
        FlowFilter(accounts=("a",)),
        FlowFilter(since=hour(2)),
        FlowFilter(until=hour(2)),
        FlowFilter(kind="fee"),
        FlowFilter(currency="HKD"),
        FlowFilter(symbol="AAPL.US"),
        FlowFilter(limit=1),
        FlowFilter(limit=2, newest_first=True),
        FlowFilter(accounts=("b", "a"), newest_first=True),
        FlowFilter(limit=0),
    ],
)
def test_filters_order_and_limit_are_those_of_the_flows(story: Ledger, wanted: FlowFilter) -> None:
    assert at_minute(story, 10**6, wanted) == told(list(list_flows(story, wanted)))
    latest = [version.found for version in list_versions(story, wanted._replace(limit=None)) if not version.ended_as]
    assert told(latest[: wanted.limit]) == told(list(list_flows(story, wanted)))


def test_an_account_that_is_not_there_is_named(story: Ledger) -> None:
    with pytest.raises(ConfigError, match="expected one of a, b, got 'c'"):
        at_minute(story, 1, FlowFilter(accounts=("c",)))
    with pytest.raises(ConfigError, match="expected one of a, b, got 'c'"):
        list(list_versions(story, FlowFilter(accounts=("c",))))


def test_balances_and_proof_are_as_they_stood(story: Ledger) -> None:
    def of_a(minute: int, until: float | None = None) -> list[tuple[Decimal, int, bool]]:
        at = None if until is None else hour(until)
        found = balances(story, ("a",), at, NOON + minute * MINUTE)
        return [(one.amount, one.flows, one.verdict.is_complete) for one in found]

    assert of_a(-1) == []
    assert of_a(0) == [(Decimal("12.00"), 2, True)]
    assert of_a(0, 2) == [(Decimal("5.00"), 1, True)]
    assert of_a(0, 30) == [(Decimal("12.00"), 2, False)]
    assert of_a(2) == [(Decimal("12.50"), 2, True)]
    assert of_a(3, 9) == []
    assert of_a(3) == [(Decimal("7.00"), 1, True)]
    assert of_a(4) == [(Decimal("7.00"), 1, False)]
    for until in (None, hour(2), hour(30)):
        assert balances(story, (), until, story.clock()) == balances(story, (), until)


def test_summaries_are_as_they_stood(story: Ledger) -> None:
    found = summary(story, ("a",), unit=Unit.DAY, as_of=NOON)
    assert [(one.period.name, one.kind, one.total.money_in) for one in found] == [
        ("2024-03-01", "deposit", Decimal("5.00")),
        ("2024-03-01", "fee", Decimal("7.00")),
    ]
    for unit in Unit:
        assert summary(story, ("a",), unit=unit, as_of=story.clock()) == summary(story, ("a",), unit=unit)
        # As of a recorded time, it is unknown which transfers were between several accounts.
        unmatched = [row._replace(own=None) for row in summary(story, unit=unit)]
        assert summary(story, unit=unit, as_of=story.clock()) == unmatched
    assert summary(story, as_of=NOON, first=date(2024, 3, 2)) == []
    assert summary(story, as_of=NOON, last=date(2024, 2, 29)) == []


def test_coverage_is_read_back_from_the_batches(story: Ledger) -> None:
    with story.reading() as connection:
        assert ranges_as_of(connection, "a", 99) == ranges_of(story, "a")
        (first,) = ranges_as_of(connection, "a", 1)
        assert (first.since_us, first.until_us, first.batch) == (to_us(hour(0)), to_us(hour(24)), 1)
        assert ranges_as_of(connection, "a", 0) == []
    assert len(coverage_of(story)["a"]) == 2


def test_a_clock_that_was_set_back_parts_no_batches(ledger: Ledger) -> None:
    """A batch that was recorded earlier than one before it is there whenever that one is."""
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    tick(ledger, -MINUTE)
    commit_read(ledger, hours(0, 24), make_row("two", 1))
    assert at_minute(ledger, -1) == ["a two 1.00 2"]
    assert at_minute(ledger, 0) == ["a two 1.00 2"]


def test_every_version_says_when_it_was_recorded_and_how_it_ended(story: Ledger) -> None:
    found = [
        (one.found.id, str(one.found.flow.amount), one.found.batch, one.recorded_at, one.ended_at, one.ended_as)
        for one in list_versions(story, FlowFilter(accounts=("a",)))
    ]
    assert found == [
        ("one", "5.00", 1, NOON, NOON + 2 * MINUTE, RESTATED),
        ("one", "5.50", 2, NOON + 2 * MINUTE, NOON + 3 * MINUTE, WITHDRAWN),
        ("two", "7.00", 1, NOON, NOON + 3 * MINUTE, RESTATED),
        ("two", "7.00", 3, NOON + 3 * MINUTE, None, None),
    ]
    backwards = list_versions(story, FlowFilter(newest_first=True))
    assert list(backwards)[::-1] == list(list_versions(story, EVERY))


# ---------------------------------------------------------------- streams


def explained(connection: Connection, statement: str, values: object) -> str:
    """How a statement that the driver was given is run, a step a line."""
    driver = connection.connection.driver_connection
    if isinstance(driver, psycopg.Connection):
        for step in ("seqscan", "bitmapscan", "sort"):  # which it would rather do with so few rows
            driver.execute(f"SET LOCAL enable_{step} = off".encode())
        steps = driver.execute(f"EXPLAIN (COSTS FALSE) {statement}".encode(), values)  # type: ignore[call-overload] # as given
        return unspread("\n".join(str(row[0]) for row in steps))
    assert isinstance(values, tuple)
    return "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))


def test_versions_are_merged_as_they_stand_and_never_sorted(story: Ledger) -> None:
    asked: list[tuple[str, object]] = []

    def watch(_connection: Connection, _cursor: object, statement: str, values: object, *_rest: object) -> None:
        if "history" in statement:
            asked.append((statement, values))

    event.listen(story.engine, "before_cursor_execute", watch)
    for newest in (False, True):
        wanted = FlowFilter(since=hour(0), until=hour(24), limit=5, newest_first=newest)
        list(list_flows_as_of(story, wanted, NOON))
        list(list_versions(story, wanted))
    event.remove(story.engine, "before_cursor_execute", watch)
    assert len(asked) == 8
    with story.reading() as connection:
        for statement, values in asked:
            plan = explained(connection, statement, values)
            if connection.dialect.name == "sqlite":
                assert "TEMP B-TREE" not in plan
                assert "SCAN " not in plan
                assert "SEARCH history USING PRIMARY KEY (account=? AND at_us" in plan
            else:
                assert "using history_pkey on history" in plan
                assert re.search(r"Index Cond: \(\((history\.)?account = ", plan)
                assert "Seq Scan" not in plan
                assert not re.search(r"-> +Sort|^Sort", plan), plan


def test_memory_does_not_grow_with_the_flows(ledger: Ledger) -> None:
    def most(flows: int) -> int:
        rows = [make_row(f"{number:06}", 1 + number / 10_000) for number in range(flows)]
        commit_read(ledger, hours(0, 24), *rows)
        tick(ledger)
        commit_read(ledger, hours(0, 24), *[make_row(row.flow.identity, row.flow.at, "2.00") for row in rows])
        del rows
        sum(1 for _ in list_flows_as_of(ledger, EVERY, NOON))
        balances(ledger, as_of=NOON)
        tracemalloc.start()
        try:
            sum(1 for _ in list_flows_as_of(ledger, EVERY, NOON))
            sum(1 for _ in list_versions(ledger, EVERY))
            balances(ledger, as_of=NOON)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = most(2_000)
    assert most(12_000) < 1.5 * few
