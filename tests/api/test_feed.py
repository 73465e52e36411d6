"""The feed and the pages of flows while others write.

A client that applies the feed has the same flows as a full read. Pages leave out no flow and repeat none. Hypothesis
chooses the order of slices, restatements, withdrawals, imports and recorded flows, and reads a page between any two of
them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.errors import ConfigError
from liushui.flow import Flow, Kind
from liushui.instant import to_us
from liushui.ledger.engine import Ledger
from liushui.ledger.read import flows as read_flows
from liushui.ledger.read.feed import How, commits_after, feed_page
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import SCAN_MAX, LedgerFlow, Position, flows_page, list_flows
from liushui.ledger.write.record import make_own_account, record
from tests.api.callers import Caller
from tests.engines import LedgerStore
from tests.ledger.ledgers import commit_read, hour, hours, import_page, make_row, new_ledger

NAMES: Final = ("a", "b", "mine")
Key = tuple[str, int, str]


def key_of(found: LedgerFlow) -> Key:
    return found.account, to_us(found.flow.at), found.id


@dataclass
class Reader:
    """Applies the feed, a page at a time."""

    seen: dict[str, int] = field(default_factory=dict)
    flows: dict[Key, LedgerFlow] = field(default_factory=dict)

    def read(self, ledger: Ledger, limit: int) -> bool:
        """Apply one page. Returns whether there are more."""
        page = feed_page(ledger, NAMES, self.seen, limit=limit)
        for step in page.steps:
            key = key_of(step.found)
            if step.how is How.ADDED:
                assert key not in self.flows
            else:
                assert key in self.flows
            if step.how is How.WITHDRAWN:
                del self.flows[key]
            else:
                self.flows[key] = step.found
        self.seen = page.positions
        return page.more


def everything(ledger: Ledger) -> dict[Key, LedgerFlow]:
    return {key_of(found): found for found in list_flows(ledger, FlowFilter())}


rows = st.lists(
    st.tuples(
        st.sampled_from(["r1", "r2", "r3", "r4", "r5"]),
        st.integers(0, 71),
        st.sampled_from(["1.00", "-2.50", "0.00", "7"]),
        st.sampled_from([Kind.FEE, Kind.DEPOSIT]),
        st.sampled_from(["USD", "HKD"]),
    ),
    max_size=6,
)
slices = st.tuples(st.just("slice"), st.sampled_from(["a", "b"]), st.integers(0, 2), st.integers(1, 3), rows)
imports = st.tuples(st.just("import"), st.sampled_from(["a", "b"]), st.just(0), st.just(3), rows.filter(bool))
records = st.tuples(st.just("record"), st.just("mine"), st.just(0), st.just(3), rows)
_pages = st.sampled_from(["feed", "page"])
reads: st.SearchStrategy[Any] = st.tuples(_pages, st.just(""), st.integers(1, 5), st.just(0), st.just([]))
plans = st.lists(st.one_of(slices, imports, records, reads, reads), max_size=14)


def write(ledger: Ledger, how: str, account: str, day: int, days: int, given: list[Any]) -> None:
    """Commit one step of a plan."""
    if how == "record":
        by_reference = {id_: (at, amount, kind, currency) for id_, at, amount, kind, currency in given}
        flows = [
            Flow(id_, hour(at), Decimal(amount), currency, kind=kind)
            for id_, (at, amount, kind, currency) in by_reference.items()
        ]
        record(ledger, account, flows, restate=True)
        return
    received = [make_row(id_, at, amount, kind=kind, currency=currency) for id_, at, amount, kind, currency in given]
    if how == "import":
        import_page(ledger, *received, account=account)
        return
    since, until = 24 * day, 24 * min(3, day + days)
    inside = [row for row in received if hour(since) <= row.flow.at < hour(until)]
    commit_read(ledger, hours(since, until), *inside, account=account)


class Pager:
    """Pages through the flows that pass a filter, while others write."""

    def __init__(self, wanted: FlowFilter) -> None:
        self.wanted = wanted
        self.after: Position | None = None
        self.found: list[Key] = []
        self.at_end = False
        self.always_there: set[Key] | None = None
        """The flows that were in the ledger at every page."""

    def read(self, ledger: Ledger, limit: int) -> None:
        now = {key_of(found) for found in list_flows(ledger, self.wanted)}
        self.always_there = now if self.always_there is None else self.always_there & now
        if not self.at_end:
            page = flows_page(ledger, self.wanted, limit=limit, after=self.after)
            assert len(page.flows) <= limit
            self.found += [key_of(found) for found in page.flows]
            self.after, self.at_end = page.next, page.next is None

    def check(self) -> None:
        """Flows that were there at every page were found, in order, and no flow was found twice."""
        assert len(set(self.found)) == len(self.found)
        assert (self.always_there or set()) <= set(self.found)
        order = [(at_us, account, id_) for account, at_us, id_ in self.found]
        assert order == sorted(order, reverse=self.wanted.newest_first)


FILTERS: Final = [
    FlowFilter(),
    FlowFilter(newest_first=True),
    FlowFilter(kind="fee", newest_first=True),
    FlowFilter(kind="fee", currency="HKD"),
    FlowFilter(amount_min=Decimal("-2.5"), amount_max=Decimal(1), newest_first=True),
    FlowFilter(text="x", since=hour(20), until=hour(60)),
]


@given(plans, st.sampled_from([3, 20, 20_000]))
@settings(max_examples=12, deadline=None)
def test_reading_while_others_write(module_store: LedgerStore, plan: list[Any], scan: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_flows, "SCAN_MAX", scan)
        patch.setattr(read_flows, "RUN_COST", 1)
        module_store.fresh()
        ledger = new_ledger(module_store, "a", "b")
        make_own_account(ledger, "mine", "Asia/Hong_Kong")
        reader, pagers = Reader(), [Pager(wanted) for wanted in FILTERS]
        for how, account, first, second, given_rows in plan:
            if how == "feed":
                reader.read(ledger, first)
            elif how == "page":
                for pager in pagers:
                    pager.read(ledger, first)
            else:
                write(ledger, how, account, first, second, given_rows)
        while reader.read(ledger, 2):
            pass
        assert reader.flows == everything(ledger)
        other = Reader()
        while other.read(ledger, 10_000):
            pass
        assert other.flows == reader.flows
        for pager in pagers:
            for _ in range(100):
                pager.read(ledger, 3)
                if pager.at_end:
                    break
            assert pager.at_end, "the pages end"
            pager.check()
        ledger.close()


def test_a_page_has_whole_commits(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), *(make_row(f"r{n}", n) for n in range(5)))
    commit_read(ledger, hours(24, 48), make_row("late", 30))
    page = feed_page(ledger, ("a",), {}, limit=1)
    assert (len(page.steps), page.positions, page.more) == (5, {"a": 1}, True)
    page = feed_page(ledger, ("a",), page.positions, limit=1)
    assert ([step.found.id for step in page.steps], page.positions, page.more) == (["late"], {"a": 2}, False)
    assert [commit.seq for commit in commits_after(ledger, ("a", "b"), {"a": 1}, limit=9)] == [2]


def test_a_commit_without_changes_is_skipped(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1))
    for _ in range(3):
        commit_read(ledger, hours(0, 24), make_row("one", 1))
    page = feed_page(ledger, ("a",), {}, limit=10)
    assert (len(page.steps), page.positions, page.more) == (1, {"a": 4}, False)


def test_a_cursor_beyond_the_last_commit_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="read the feed from its beginning"):
        feed_page(ledger, ("a",), {"a": 7}, limit=1)


def test_the_feed_over_http(caller: Caller, ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), make_row("one", 1), make_row("two", 2))
    first = caller.get("/feed")
    assert [step["change"] for step in first["steps"]] == ["added", "added"]
    assert not first["more"]
    commit_read(ledger, hours(0, 24), make_row("one", 1, "9"))
    second = caller.get("/feed", cursor=first["cursor"])
    changes = [(step["change"], step["flow"]["id"], step["ended_as"]) for step in second["steps"]]
    assert changes == [("changed", "one", "restated"), ("withdrawn", "two", "withdrawn")]
    assert {step["key"] for step in second["steps"]} == {step["key"] for step in first["steps"]}
    third = caller.get("/feed", cursor=second["cursor"])
    assert third["steps"] == []
    assert third["cursor"] == second["cursor"]


def test_a_page_searches_a_bounded_number_of_rows(ledger: Ledger) -> None:
    """A page of a selective filter ends early, with a cursor to continue from."""
    assert SCAN_MAX < 50_000
    days: Callable[[int], Any] = lambda day: hours(24 * day, 24 * day + 24)  # noqa: E731
    for day in range(6):
        commit_read(ledger, days(day), *(make_row(f"{day}-{n}", 24 * day + n, kind=Kind.FEE) for n in range(20)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_flows, "SCAN_MAX", 45)
        patch.setattr(read_flows, "RUN_COST", 1)
        wanted = FlowFilter(accounts=("a",), text="nowhere", newest_first=True)
        page = flows_page(ledger, wanted, limit=10)
        assert page.flows == []
        assert page.next is not None
        pages = 1
        while page.next is not None:
            page = flows_page(ledger, wanted, limit=10, after=page.next)
            pages += 1
        assert 2 <= pages <= 7
        rare = FlowFilter(accounts=("a",), kind="tax", newest_first=True)
        assert flows_page(ledger, rare, limit=10) == ([], None), "the day totals tell that there is none"
