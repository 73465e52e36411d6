"""Matches two sets: finds the certain pairs, and the best assignment of the others. Pure.

A tie joins a left node with a right node. Ties have tiers: tier 1 is the strongest evidence. A tie is certain if
neither of its two nodes has another tie of the same or a stronger tier. Certain nodes take no part in weaker tiers.
Everything else is ambiguous; this module never decides it.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

N = TypeVar("N", bound=Hashable)

COMPONENT_MAX: Final = 40
"""The most nodes of ambiguous ties for which an assignment is computed. The time grows with the cube of this number."""


class Tie(NamedTuple, Generic[N]):
    """A pair that may belong together. `cost`: how far apart the two nodes are; of several ties, the cheapest is the
    best."""

    left: N
    right: N
    tier: int
    cost: int


class Resolution(NamedTuple, Generic[N]):
    """The certain and the ambiguous ties, in the given order."""

    certain: list[Tie[N]]
    ambiguous: list[Tie[N]]


def resolve(ties: Sequence[Tie[N]], *, tiers: int, shared_right: bool = False) -> Resolution[N]:
    """Return the certain and the ambiguous ties. Ties of a tier above `tiers` are never certain.

    `shared_right`: a right node may belong to several left nodes, as a receipt may have several refunds. Then a tie is
    certain if its left node has no other tie.
    """
    certain: set[tuple[N, N]] = set()
    taken_left: set[N] = set()
    taken_right: set[N] = set()
    for tier in range(1, tiers + 1):
        free = [
            tie
            for tie in ties
            if tie.tier <= tier and tie.left not in taken_left and (shared_right or tie.right not in taken_right)
        ]
        lefts, rights = Counter(tie.left for tie in free), Counter(tie.right for tie in free)
        unique = [tie for tie in free if lefts[tie.left] == 1 and (shared_right or rights[tie.right] == 1)]
        certain.update((tie.left, tie.right) for tie in unique)
        taken_left.update(tie.left for tie in unique)
        taken_right.update(tie.right for tie in unique)
    ambiguous = [tie for tie in ties if tie.left not in taken_left and (shared_right or tie.right not in taken_right)]
    return Resolution([tie for tie in ties if (tie.left, tie.right) in certain], ambiguous)


def components(ties: Iterable[Tie[N]]) -> list[list[Tie[N]]]:
    """Return the connected components, each as a list of ties. The ties keep their order."""
    parent: dict[tuple[bool, N], tuple[bool, N]] = {}

    def root(node: tuple[bool, N]) -> tuple[bool, N]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    ties = list(ties)
    for tie in ties:
        parent[root((False, tie.left))] = root((True, tie.right))
    groups: dict[tuple[bool, N], list[Tie[N]]] = defaultdict(list)
    for tie in ties:
        groups[root((False, tie.left))].append(tie)
    return list(groups.values())


def best_assignment(ties: Sequence[Tie[N]]) -> set[tuple[N, N]]:
    """Return the pairs of the best one-to-one assignment: as many pairs as possible, then the strongest, then the
    cheapest.

    Exact, by successive shortest augmenting paths. If several assignments are equally good, the order of the ties
    decides. Time grows with the cube of the number of nodes: see COMPONENT_MAX.
    """
    most = sum(tie.cost for tie in ties) + 1  # one weaker tier outweighs all costs
    costs: dict[N, dict[N, int]] = defaultdict(dict)
    for tie in ties:
        costs[tie.left][tie.right] = tie.tier * most + tie.cost
    partner: dict[N, N] = {}  # of nodes on the right
    matched: set[N] = set()
    while True:
        path = _cheapest_path(costs, partner, matched)
        if path is None:
            return {(left, right) for right, left in partner.items()}
        matched.add(path[0][0])
        partner.update((right, left) for left, right in path)


def _cheapest_path(
    costs: Mapping[N, Mapping[N, int]], partner: Mapping[N, N], matched: set[N]
) -> list[tuple[N, N]] | None:
    """Return the pairs that an augmenting path adds, starting at its free left node. None: no such path.

    Bellman-Ford, because a pair that the path removes has a negative cost.
    """
    distance: dict[N, int] = {left: 0 for left in costs if left not in matched}
    came_from: dict[N, N] = {}  # the left node before each right node on the path
    reached: dict[N, int] = {}
    changed = list(distance)
    while changed:
        following: list[N] = []
        for left in changed:
            for target, cost in costs[left].items():
                total = distance[left] + cost
                if partner.get(target) == left or (target in reached and reached[target] <= total):
                    continue
                reached[target], came_from[target] = total, left
                if target in partner:
                    before = partner[target]
                    back = total - costs[before][target]
                    if before not in distance or back < distance[before]:
                        distance[before] = back
                        following.append(before)
        changed = following
    free = [target for target in reached if target not in partner]
    if not free:
        return None
    right = min(free, key=reached.__getitem__)
    by_left = {left: right for right, left in partner.items()}
    path = []
    while True:
        left = came_from[right]
        path.append((left, right))
        if left not in by_left:
            return path[::-1]
        right = by_left[left]


def suggestions(ties: Iterable[Tie[N]]) -> set[tuple[N, N]]:
    """Return the best assignment of ambiguous ties. Components with more than COMPONENT_MAX nodes get none."""
    pairs: set[tuple[N, N]] = set()
    for component in components(ties):
        if len({tie.left for tie in component}) + len({tie.right for tie in component}) <= COMPONENT_MAX:
            pairs |= best_assignment(component)
    return pairs
