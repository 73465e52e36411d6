"""Certain links have no alternative, and an assignment is the best one: both compared with every possibility."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from liushui.reconcile.matching import COMPONENT_MAX, Tie, best_assignment, components, resolve, suggestions

TIERS = 3

TIES = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("wxyz")),
    st.tuples(st.integers(1, 4), st.integers(0, 6)),
    max_size=9,
).map(lambda ties: [Tie(left, right, *strength) for (left, right), strength in sorted(ties.items())])


def assignments(ties: Sequence[Tie[str]]) -> Iterator[tuple[Tie[str], ...]]:
    """Every set of ties in which no node is twice."""
    for size in range(len(ties) + 1):
        for chosen in combinations(ties, size):
            if len({tie.left for tie in chosen}) == len({tie.right for tie in chosen}) == size:
                yield chosen


def rank(chosen: Sequence[Tie[str]]) -> tuple[int, int, int]:
    """How good an assignment is: the lower the better."""
    return -len(chosen), sum(tie.tier for tie in chosen), sum(tie.cost for tie in chosen)


@given(TIES)
def test_an_assignment_is_as_good_as_the_best_of_all(ties: list[Tie[str]]) -> None:
    pairs = best_assignment(ties)
    chosen = [tie for tie in ties if (tie.left, tie.right) in pairs]
    assert len(chosen) == len(pairs)
    assert rank(chosen) == min(map(rank, assignments(ties)))


def certain_by_definition(ties: list[Tie[str]], *, shared_right: bool) -> set[tuple[str, str]]:
    """The definition, word for word: tier by tier, a tie whose nodes have no other tie that is as strong."""
    certain: set[tuple[str, str]] = set()
    for tier in range(1, TIERS + 1):
        lefts, rights = {left for left, _ in certain}, {right for _, right in certain}
        rivals = [
            tie
            for tie in ties
            if tie.tier <= tier and tie.left not in lefts and (shared_right or tie.right not in rights)
        ]
        certain |= {
            (tie.left, tie.right)
            for tie in rivals
            if [other for other in rivals if other.left == tie.left] == [tie]
            and (shared_right or [other for other in rivals if other.right == tie.right] == [tie])
        }
    return certain


@given(TIES, st.booleans())
def test_certain_is_what_has_no_alternative(ties: list[Tie[str]], shared_right: bool) -> None:
    resolved = resolve(ties, tiers=TIERS, shared_right=shared_right)
    certain = {(tie.left, tie.right) for tie in resolved.certain}
    assert certain == certain_by_definition(ties, shared_right=shared_right)
    assert all(tie.tier <= TIERS for tie in resolved.certain)
    lefts, rights = {left for left, _ in certain}, {right for _, right in certain}
    assert resolved.ambiguous == [
        tie for tie in ties if tie.left not in lefts and (shared_right or tie.right not in rights)
    ]
    assert len(lefts) == len(certain), "no flow is in two certain links"
    assert shared_right or len(rights) == len(certain)


@given(TIES)
def test_components_share_no_node(ties: list[Tie[str]]) -> None:
    parts = components(ties)
    assert sorted(tie for part in parts for tie in part) == sorted(ties)
    nodes = [{("left", tie.left) for tie in part} | {("right", tie.right) for tie in part} for part in parts]
    assert all(one.isdisjoint(other) for one, other in combinations(nodes, 2))
    for part in parts:
        first, *others = part
        reached = {first}
        while grown := [tie for tie in others if tie not in reached and any(_touch(tie, one) for one in reached)]:
            reached.update(grown)
        assert len(reached) == len(part), "all of it is connected"


def _touch(one: Tie[str], other: Tie[str]) -> bool:
    return one.left == other.left or one.right == other.right


def test_what_is_too_large_to_look_through_gets_no_suggestion() -> None:
    half = COMPONENT_MAX // 2
    ties = [Tie(f"l{left}", f"r{right}", 1, abs(left - right)) for left in range(half) for right in range(half)]
    assert suggestions(ties) == {(f"l{number}", f"r{number}") for number in range(half)}
    assert suggestions([*ties, Tie("l0", "one more", 1, 0)]) == set()


def test_of_several_assignments_the_closest_overall_is_taken_and_not_the_closest_pair() -> None:
    ties = [Tie("a", "x", 1, 1), Tie("a", "y", 1, 3), Tie("b", "x", 1, 2), Tie("b", "y", 1, 9)]
    assert best_assignment(ties) == {("a", "y"), ("b", "x")}, "the greedy choice, a with x, costs 10 and this costs 5"
