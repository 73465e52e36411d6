"""The order of rows by their balances, compared with every permutation of them."""

import time
from decimal import Decimal
from itertools import permutations
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.reconcile.balance_order import Edge, find_trail, free_start, is_ambiguous

balances = st.integers(0, 4).map(Decimal)
groups = st.lists(st.builds(Edge, balances, balances), min_size=1, max_size=7)


def all_trails(edges: list[Edge], start: Decimal) -> list[tuple[int, ...]]:
    """Every order in which the edges follow each other, the smallest first."""
    found = []
    for order in permutations(range(len(edges))):
        balance = start
        for index in order:
            if edges[index].before != balance:
                break
            balance = edges[index].after
        else:
            found.append(order)
    return found


def walk(steps: list[int], start: int = 0) -> list[Edge]:
    """The edges of a walk over balances."""
    edges = []
    for step in steps:
        edges.append(Edge(Decimal(start), Decimal(step)))
        start = step
    return edges


@given(groups, balances)
@settings(max_examples=400, deadline=None)
def test_a_trail_is_found_exactly_where_there_is_one(edges: list[Edge], start: Decimal) -> None:
    expected = all_trails(edges, start)
    trail = find_trail(edges, start)
    assert trail == (list(expected[0]) if expected else None)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_a_shuffled_walk_is_put_in_order_and_told_from_others(steps: list[int], chance: Random) -> None:
    edges = walk(steps)
    chance.shuffle(edges)
    expected = all_trails(edges, Decimal(0))
    trail = find_trail(edges, Decimal(0))
    assert trail == list(expected[0])
    assert is_ambiguous(edges, trail) == (len(expected) > 1)


def test_a_trail_begins_where_it_has_to() -> None:
    receipt_and_fee = [Edge(Decimal("109.40"), Decimal("109.00")), Edge(Decimal("9.40"), Decimal("109.40"))]
    assert free_start(receipt_and_fee) == Decimal("9.40")
    assert find_trail(receipt_and_fee) == [1, 0]
    assert free_start([Edge(Decimal(1), Decimal(2)), Edge(Decimal(2), Decimal(1))]) is None


def test_balances_with_other_digits_are_equal() -> None:
    assert find_trail([Edge(Decimal("1.50"), Decimal("2")), Edge(Decimal("1"), Decimal("1.5"))], Decimal("1.000")) == [
        1,
        0,
    ]


def test_ten_thousand_rows_of_one_instant() -> None:
    chance = Random(7)
    edges = walk([chance.randrange(1, 3_000) for _ in range(10_000)])
    chance.shuffle(edges)
    began = time.process_time()
    trail = find_trail(edges, Decimal(0))
    assert trail is not None
    assert is_ambiguous(edges, trail)
    assert time.process_time() - began < 1
