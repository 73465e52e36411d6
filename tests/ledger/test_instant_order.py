"""The order of flows of one instant: by their balances, in every list, and stable between pages under all changes."""

import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import groupby, permutations
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liushui.flow import Flow, Kind
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FlowFilter
from liushui.ledger.read.flows import LedgerFlow, Position, flows_page, list_flows, stream_flows
from liushui.ledger.read.history import list_flows_as_of
from liushui.ledger.read.neighbours import neighbours
from liushui.ledger.write.commit import make_account
from liushui.provider import DecodedRow
from tests.engines import ENGINES, LedgerStore, store_of
from tests.ledger.ledgers import commit_read, hour, hours, make_row, new_ledger
from tests.ledger.reading import model_of


@pytest.fixture
def ledger(ledger_store: LedgerStore) -> Iterator[Ledger]:
    """A ledger with a shop, whose provider states balances, and an account whose provider states none."""
    ledger = new_ledger(ledger_store, "other")
    make_account(ledger, "shop", "wecom", "Asia/Shanghai")
    yield ledger
    ledger.close()


def row(identity: str, at: float, amount: str, balance: str | None, kind: Kind = Kind.RECEIPT) -> DecodedRow:
    return make_row(identity, at, amount, balance=balance, currency="CNY", kind=kind)


def pages(ledger: Ledger, wanted: FlowFilter, limit: int) -> list[str]:
    """The ids of all flows, read page by page."""
    ids: list[str] = []
    after: Position | None = None
    while True:
        page = flows_page(ledger, wanted, limit=limit, after=after)
        assert len(page.flows) <= limit
        ids += [flow.id for flow in page.flows]
        after = page.next
        if after is None:
            return ids


def every_list(ledger: Ledger, wanted: FlowFilter) -> list[str]:
    """The ids of the flows of one account, which all lists, pages and exports have in one order."""
    listed = [flow.id for flow in list_flows(ledger, wanted)]
    assert [flow.id for flow in stream_flows(ledger, wanted)] == listed
    assert [flow.id for flow in list_flows_as_of(ledger, wanted, ledger.clock())] == listed
    newest = wanted._replace(newest_first=True)
    assert [flow.id for flow in list_flows(ledger, newest)] == listed[::-1]
    for limit in (1, 2, 3, 7, 1000):
        assert pages(ledger, wanted, limit) == listed, limit
        assert pages(ledger, newest, limit) == listed[::-1], limit
        some = wanted._replace(limit=limit)
        assert [flow.id for flow in list_flows(ledger, some)] == listed[:limit]
        assert [flow.id for flow in stream_flows(ledger, some._replace(newest_first=True))] == listed[::-1][:limit]
        assert [flow.id for flow in list_flows_as_of(ledger, some, ledger.clock())] == listed[:limit]
    return listed


RECEIPTS = [
    row("a fee", 1, "-0.60", "9.40", Kind.FEE),
    row("b receipt", 1, "10.00", "10.00"),
    row("c fee", 2, "-0.30", "14.10", Kind.FEE),
    row("d receipt", 2, "5.00", "14.40"),
    row("e", 3, "1.00", "15.10"),
]


def test_a_receipt_comes_before_its_fee_in_every_list(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), *RECEIPTS, account="shop")
    listed = every_list(ledger, FlowFilter(accounts=("shop",)))
    assert listed == ["b receipt", "a fee", "d receipt", "c fee", "e"]
    assert every_list(ledger, FlowFilter(accounts=("shop",), kind=Kind.FEE.value)) == ["a fee", "c fee"]
    assert every_list(ledger, FlowFilter(accounts=("shop",), since=hour(2))) == ["d receipt", "c fee", "e"]


def test_rows_that_come_to_nothing_begin_where_the_rows_before_tell(ledger: Ledger) -> None:
    commit_read(
        ledger,
        hours(0, 24),
        row("first", 1, "10.00", "10.00"),
        row("a refund", 2, "-5.00", "10.00"),
        row("b receipt", 2, "5.00", "15.00"),
        row("c receipt", 3, "7.00", "17.00"),
        row("d refund", 3, "-7.00", "10.00"),
        account="shop",
    )
    listed = every_list(ledger, FlowFilter(accounts=("shop",)))
    assert listed == ["first", "b receipt", "a refund", "c receipt", "d refund"]


def test_a_row_that_is_there_twice_is_in_every_list_and_in_its_drawer(ledger: Ledger) -> None:
    twice = [row("b", 2, "1.00", "2.00"), row("c", 2, "1.00", "2.00")]
    commit_read(ledger, hours(0, 24), row("a", 1, "1.00", "1.00"), *twice, row("d", 3, "1.00", "3.00"), account="shop")
    assert every_list(ledger, FlowFilter(accounts=("shop",))) == ["a", "b", "c", "d"]
    for flow in list_flows(ledger, FlowFilter()):
        around = neighbours(model_of(ledger), flow)
        assert [one.found.id for one in around.flows] == ["a", "b", "c", "d"]


def test_chains_of_one_instant_come_one_after_another(ledger: Ledger) -> None:
    rows = [
        row("a", 1, "-1.00", "4.00"),
        make_row("b", 1, "9.00", balance="9.00"),
        row("c", 1, "5.00", "5.00"),
        make_row("d", 1, "-2.00", balance="7.00"),
        make_row("e", 1, "3.00", currency="HKD"),
    ]
    commit_read(ledger, hours(0, 24), *rows, account="shop")
    assert every_list(ledger, FlowFilter(accounts=("shop",))) == ["c", "a", "b", "d", "e"]


def test_without_balances_the_order_is_that_of_the_ids(ledger: Ledger) -> None:
    rows = [row(name, 1, "1.00", None) for name in "cab"]
    commit_read(ledger, hours(0, 24), *rows, account="shop")
    assert every_list(ledger, FlowFilter(accounts=("shop",))) == ["a", "b", "c"]


def test_an_order_that_is_one_of_several_is_said_to_be(ledger: Ledger) -> None:
    loops = [row("a", 2, "5.00", "15.00"), row("b", 2, "-5.00", "10.00"), row("c", 2, "-2.00", "8.00")]
    rows = [row("first", 1, "10.00", "10.00"), *loops, row("d", 2, "2.00", "10.00"), row("e", 3, "1.00", "11.00")]
    commit_read(ledger, hours(0, 24), *rows, account="shop")
    told = {flow.id: neighbours(model_of(ledger), flow).is_ambiguous for flow in list_flows(ledger, FlowFilter())}
    assert told == {"first": False, "a": True, "b": True, "c": True, "d": True, "e": False}
    assert every_list(ledger, FlowFilter(accounts=("shop",))) == ["first", "a", "b", "c", "d", "e"]


def test_the_running_balance_is_shown_where_none_is_stated_and_the_opening_is_known(ledger: Ledger) -> None:
    rows = [row("a", 1, "10.00", "30.00"), row("b", 2, "-4.00", None), row("c", 3, "1.00", None)]
    commit_read(ledger, hours(0, 24), *rows, make_row("usd", 2, "1.00"), account="shop")
    running = {
        flow.id: next(one.running for one in neighbours(model_of(ledger), flow).flows if one.is_it)
        for flow in list_flows(ledger, FlowFilter())
    }
    assert running == {"a": None, "b": Decimal("26.00"), "c": Decimal("27.00"), "usd": None}


# ---------------------------------------------------------------- brute force


def follows(rows: Sequence[Flow], balance: Decimal) -> bool:
    """Whether rows follow each other from a balance."""
    for flow in rows:
        balance += flow.amount
        if flow.balance_after != balance:
            return False
    return True


def first_order(rows: Sequence[Flow], balance: Decimal) -> list[Flow]:
    """The first permutation of rows, compared by their ids, that follows from a balance."""
    for order in permutations(sorted(rows, key=lambda flow: flow.identity)):
        if follows(order, balance):
            return list(order)
    raise AssertionError("a true history has an order")


@pytest.fixture(scope="module", params=ENGINES)
def history_ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger whose shop has another history at every example."""
    with TemporaryDirectory() as folder:
        for store in store_of(request, Path(folder)):
            ledger = new_ledger(store, "other")
            make_account(ledger, "shop", "wecom", "Asia/Shanghai")
            yield ledger
            ledger.close()


@given(
    groups=st.lists(st.lists(st.integers(-2, 2), min_size=1, max_size=6), min_size=1, max_size=5),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_is_the_first_of_all_permutations_that_follows(
    history_ledger: Ledger, groups: list[list[int]], chance: Random
) -> None:
    """A history of instants of up to six rows, the ids of which tell nothing."""
    balance = Decimal(100)
    rows, expected = [row("0", 0, "100", "100")], ["0"]
    for number, amounts in enumerate(groups, 1):
        names = [f"{number}-{index}" for index in range(len(amounts))]
        chance.shuffle(names)
        before, made = balance, []
        for name, amount in zip(names, amounts, strict=True):
            balance += amount
            made.append(row(name, number, str(amount), str(balance)))
        rows += made
        expected += [flow.identity for flow in first_order([one.flow for one in made], before)]
    commit_read(history_ledger, hours(0, 24), *rows, account="shop")
    assert every_list(history_ledger, FlowFilter(accounts=("shop",))) == expected


# ---------------------------------------------------------------- pages, while others write


@given(chance=st.randoms(use_true_random=False), newest=st.booleans(), limit=st.integers(1, 3), fees=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flow_that_is_there_all_the_time_is_on_exactly_one_page(
    history_ledger: Ledger, chance: Random, newest: bool, limit: int, fees: bool
) -> None:
    """Rows come, go and change between the pages, at the instants that the pages split, so that orders change."""

    def history(steps: Sequence[tuple[str, int, int]]) -> list[DecodedRow]:
        """Rows of steps (id, hour, amount) that follow each other, each hour in a random order."""
        balance, made = 0, []
        for at, group in groupby(sorted(steps, key=lambda step: step[1]), key=lambda step: step[1]):
            walk = list(group)
            chance.shuffle(walk)
            for identity, _, amount in walk:
                balance += amount
                kind = Kind.FEE if identity < "m" else Kind.RECEIPT
                made.append(row(identity, at, str(amount), str(balance), kind))
        return made

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    steps = {name: (name, chance.randint(1, 3), chance.choice([-1, 1, 2])) for name in chance.sample(letters, 9)}
    commit_read(history_ledger, hours(0, 24), *history(list(steps.values())), account="shop")
    wanted = FlowFilter(accounts=("shop",), newest_first=newest, kind=Kind.FEE.value if fees else None)
    always, seen = set(steps), []
    after: Position | None = None
    while True:
        page = flows_page(history_ledger, wanted, limit=limit, after=after)
        seen += [flow.id for flow in page.flows]
        after = page.next
        if after is None:
            break
        for _ in range(chance.randint(0, 2)):
            name = chance.choice(letters)
            if name in steps and chance.random() < 0.5:
                del steps[name]
                always.discard(name)
            elif name not in steps:
                # It may come to any instant, before or after what was read.
                steps[name] = (name, chance.randint(1, 3), chance.choice([-1, 1, 2]))
            commit_read(history_ledger, hours(0, 24), *history(list(steps.values())), account="shop")
    meant = {name for name in always if not fees or name < "m"}
    assert {name for name in seen if name in meant} == meant
    assert len([name for name in seen if name in meant]) == len(meant)


def test_the_position_of_a_row_that_is_gone_loses_no_row(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), *RECEIPTS, account="shop")
    wanted = FlowFilter(accounts=("shop",))
    first = flows_page(ledger, wanted, limit=1)
    assert first.next is not None
    commit_read(ledger, hours(0, 24), *RECEIPTS[:1], *RECEIPTS[2:], account="shop")
    rest = flows_page(ledger, wanted, limit=9, after=first.next)
    assert [flow.id for flow in rest.flows] == ["a fee", "d receipt", "c fee", "e"]
    unknown = flows_page(ledger, wanted, limit=9, after=first.next._replace(batch=0))
    assert [flow.id for flow in unknown.flows] == ["a fee", "d receipt", "c fee", "e"]


def test_accounts_with_and_without_balances_are_merged_by_time(ledger: Ledger) -> None:
    commit_read(ledger, hours(0, 24), *RECEIPTS, account="shop")
    commit_read(ledger, hours(0, 24), *(make_row(name, 2) for name in "zyx"), account="other")
    expected = ["b receipt", "a fee", "x", "y", "z", "d receipt", "c fee", "e"]
    for limit in (1, 2, 3, 5, 100):
        assert pages(ledger, FlowFilter(), limit) == expected
        assert pages(ledger, FlowFilter(newest_first=True), limit) == expected[::-1]
    assert [flow.id for flow in stream_flows(ledger, FlowFilter(), model_of(ledger).rules)] == expected


def test_ten_thousand_rows_of_one_instant(file_ledger: Ledger) -> None:
    names = [f"{number:05}" for number in range(10_000)]
    Random(5).shuffle(names)
    rows = [make_row(name, 1, "1.00", balance=f"{number}.00") for number, name in enumerate(names, 1)]
    commit_read(file_ledger, hours(0, 24), *rows)
    begun = time.process_time()
    listed: list[LedgerFlow] = list(list_flows(file_ledger, FlowFilter()))
    page = flows_page(file_ledger, FlowFilter(), limit=100)
    took = time.process_time() - begun
    assert [flow.id for flow in listed] == names
    assert [flow.id for flow in page.flows] == names[:100]
    assert took < 20, "about half a second of CPU"
    assert pages(file_ledger, FlowFilter(newest_first=True), 1_000) == names[::-1]
