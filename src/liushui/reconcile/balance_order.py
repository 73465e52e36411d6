"""Computes the order of rows from their stated balances.

Each row is an edge from the balance before it to the balance after it.

Rows of one instant have no given order. A correct history is one Eulerian trail through all of its edges.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from liushui.money import EXACT


class Edge(NamedTuple):
    """A row as a step from one balance to another."""

    before: Decimal
    after: Decimal


def edge_of(amount: Decimal, balance_after: Decimal) -> Edge:
    """Return the edge of a row that states its balance."""
    return Edge(EXACT.subtract(balance_after, amount), balance_after)


def excess(edges: Sequence[Edge]) -> dict[Decimal, int]:
    """Return, for each balance, the number of outgoing edges minus the number of incoming ones. Balances with a
    difference of zero are left out."""
    counts: dict[Decimal, int] = defaultdict(int)
    for before, after in edges:
        counts[before] += 1
        counts[after] -= 1
    return {balance: count for balance, count in counts.items() if count}


def free_start(edges: Sequence[Edge]) -> Decimal | None:
    """Return the balance at which a trail through all edges has to begin. None: it may begin at several balances, or
    there is no trail."""
    counts = excess(edges)
    starts = [balance for balance, count in counts.items() if count > 0]
    return starts[0] if len(starts) == 1 and counts[starts[0]] == 1 else None


def find_trail(edges: Sequence[Edge], start: Decimal | None = None) -> list[int] | None:
    """Return the indexes of the edges in the order of a trail through all of them. None: no such trail exists.

    If several trails exist, it is the one with the lexicographically smallest indexes. `start` None: the trail begins
    at the only possible node; if it may begin anywhere, it begins with the first edge. Time and memory grow with the
    number of edges.
    """
    if not edges:
        return []
    if start is None:
        start = free_start(edges)
        start = edges[0].before if start is None else start
    leaving: dict[Decimal, list[int]] = defaultdict(list)
    for index in range(len(edges) - 1, -1, -1):  # the smallest index is taken from the end of the list
        leaving[edges[index].before].append(index)
    # Hierholzer's algorithm. Walk until no edge is left at a balance; walking back, insert the detours that were
    # missed.
    path: list[int] = []
    trail: list[int] = []
    balance = start
    while True:
        rest = leaving.get(balance)
        if rest:
            index = rest.pop()
            path.append(index)
            balance = edges[index].after
        elif path:
            index = path.pop()
            trail.append(index)
            balance = edges[index].before
        else:
            break
    if len(trail) != len(edges):
        return None
    trail.reverse()
    balance = start
    for index in trail:
        if edges[index].before != balance:
            return None
        balance = edges[index].after
    return trail


def is_ambiguous(edges: Sequence[Edge], trail: Sequence[int]) -> bool:
    """Whether another order of the edges is also a trail from the same start. `trail` is a result of `find_trail`.

    One more edge closes the trail to a circuit. The circuit is unique exactly if its simple cycles form a tree: each
    balance is on at most two of them, and no two share more than one balance.
    """
    if len(trail) < 2:
        return False
    visits: dict[Decimal, int] = defaultdict(int)
    for index in trail:
        visits[edges[index].before] += 1
    # The closing edge leaves the end of the trail. It is added even if the trail ends where it begins.
    end = edges[trail[-1]].after
    visits[end] += 1
    if max(visits.values()) > 2:
        return True
    shared = sum(count - 1 for count in visits.values())
    return shared != _count_cycles(edges, trail) - 1


def _count_cycles(edges: Sequence[Edge], trail: Sequence[int]) -> int:
    """Return the number of simple cycles in a closed trail: whenever a balance comes again, a cycle is cut off."""
    walk: list[Decimal] = []
    position: dict[Decimal, int] = {}
    cycles = 0
    start = edges[trail[0]].before
    for balance in [start, *(edges[index].after for index in trail), start]:
        if balance in position:
            cycles += 1
            for left in walk[position[balance] + 1 :]:
                del position[left]
            del walk[position[balance] + 1 :]
        else:
            position[balance] = len(walk)
            walk.append(balance)
    return cycles
