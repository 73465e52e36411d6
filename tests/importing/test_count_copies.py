"""The number of equal rows in pages: it depends on the set of pages, not on their order."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.importing.merge import Position, count_copies, position_of

WITHIN, OLDEST, NEWEST, ALONE = Position.WITHIN, Position.OLDEST, Position.NEWEST, Position.ALONE


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(WITHIN, 1)], 1),
        ([(WITHIN, 3)], 3),
        ([(OLDEST, 1)], 1),
        ([(NEWEST, 2)], 2),
        ([(OLDEST, 1), (NEWEST, 1)], 2),
        ([(OLDEST, 2), (NEWEST, 3)], 5),
        ([(OLDEST, 1), (NEWEST, 1), (WITHIN, 1)], 1),  # a page that holds the whole second knows
        ([(OLDEST, 1), (NEWEST, 1), (WITHIN, 2)], 2),
        ([(OLDEST, 1), (NEWEST, 2), (OLDEST, 2), (NEWEST, 1)], 3),  # two ways of cutting three
        ([(OLDEST, 2), (NEWEST, 2), (OLDEST, 1), (NEWEST, 3)], 4),
        ([(OLDEST, 1), (OLDEST, 3), (NEWEST, 3)], 4),
        ([(ALONE, 2)], 2),
        ([(ALONE, 1), (NEWEST, 1)], 1),  # a narrow range and a wide one that ends with it
        ([(OLDEST, 1), (NEWEST, 1), (ALONE, 2)], 2),
        ([(OLDEST, 6), (ALONE, 1)], 7),  # the last page has the rest
        ([(ALONE, 2), (NEWEST, 5)], 7),
        ([(ALONE, 1), (WITHIN, 3)], 3),
    ],
)
def test_copies(seen: list[tuple[Position, int]], expected: int) -> None:
    assert count_copies(seen) == expected
    assert count_copies(list(reversed(seen))) == expected


@given(st.integers(1, 30), st.sets(st.integers(1, 29), min_size=1, max_size=4))
def test_cuts_of_one_number_give_that_number(total: int, cuts: set[int]) -> None:
    """However often a run of equal rows is cut in two, by pages of whatever size, the pairs add up."""
    seen: list[tuple[Position, int]] = []
    for cut in cuts:
        if cut < total:
            seen += [(OLDEST, cut), (NEWEST, total - cut)]
    if seen:
        assert count_copies(seen) == total


@given(st.lists(st.tuples(st.sampled_from(list(Position)), st.integers(1, 5)), min_size=1, max_size=6), st.randoms())
def test_the_order_and_repetition_of_what_was_seen_make_no_difference(
    seen: Sequence[tuple[Position, int]], random: object
) -> None:
    again = [*seen, *seen]
    random.shuffle(again)  # type: ignore[attr-defined]
    assert count_copies(again) == count_copies(seen) == count_copies(set(seen))
    known = [count for position, count in seen if position is WITHIN] or [count for _, count in seen]
    assert count_copies(seen) >= max(known)


def test_positions() -> None:
    assert position_of(5, (1, 9)) is WITHIN
    assert position_of(1, (1, 9)) is OLDEST
    assert position_of(9, (1, 9)) is NEWEST
    assert position_of(4, (4, 4)) is ALONE
