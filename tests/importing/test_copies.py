"""How many equal rows there are, told from pages: a function of what was seen, not of the order it was seen in."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.importing.duplicate_count import Side, copies, side_of

WITHIN, OLDEST, NEWEST, ALONE = Side.WITHIN, Side.OLDEST, Side.NEWEST, Side.ALONE


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
def test_copies(seen: list[tuple[Side, int]], expected: int) -> None:
    assert copies(seen) == expected
    assert copies(list(reversed(seen))) == expected


@given(st.integers(1, 30), st.sets(st.integers(1, 29), min_size=1, max_size=4))
def test_cuts_of_one_number_give_that_number(total: int, cuts: set[int]) -> None:
    """However often a run of equal rows is cut in two, by pages of whatever size, the pairs add up."""
    seen: list[tuple[Side, int]] = []
    for cut in cuts:
        if cut < total:
            seen += [(OLDEST, cut), (NEWEST, total - cut)]
    if seen:
        assert copies(seen) == total


@given(st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 5)), min_size=1, max_size=6), st.randoms())
def test_the_order_and_repetition_of_what_was_seen_make_no_difference(
    seen: Sequence[tuple[Side, int]], random: object
) -> None:
    again = [*seen, *seen]
    random.shuffle(again)  # type: ignore[attr-defined]
    assert copies(again) == copies(seen) == copies(set(seen))
    known = [count for side, count in seen if side is WITHIN] or [count for _, count in seen]
    assert copies(seen) >= max(known)


def test_sides() -> None:
    assert side_of(5, (1, 9)) is WITHIN
    assert side_of(1, (1, 9)) is OLDEST
    assert side_of(9, (1, 9)) is NEWEST
    assert side_of(4, (4, 4)) is ALONE
