"""Spans are sets of instants: operations on their intervals equal operations on the sets."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from liushui.ledger.write.quarantine import (
    Interval,
    Span,
    from_columns,
    intersect,
    length_us,
    may_contain,
    subtract,
    to_columns,
)

END = 30


def instants(span: Span) -> set[int]:
    return {at for piece in span for at in range(*piece)}


pieces = st.tuples(st.integers(0, END), st.integers(0, END)).filter(lambda ends: ends[0] < ends[1]).map(Interval._make)


@given(st.lists(pieces, max_size=6))
def test_spans_are_cut_as_sets_are(cuts: list[Interval]) -> None:
    span: Span = (Interval(0, END),)
    left = set(range(END))
    for number, cut in enumerate(cuts):
        inside = set(range(*cut))
        narrow = intersect(span, cut)
        assert instants(narrow) == left & inside
        span = subtract(span, cut) if number % 3 else intersect(subtract(span, cut), Interval(1, END))
        left = left - inside if number % 3 else left - inside - {0}
        assert instants(span) == left
        assert length_us(span) == len(left)
        assert all(before.until_us < after.since_us for before, after in pairwise(span))
        assert all(may_contain(span, at) == (at in left) for at in range(-1, END + 1))
        if span:
            assert from_columns(*to_columns(span)) == span


def test_an_unknown_span_may_contain_anything() -> None:
    assert intersect(None, Interval(3, 5)) == (Interval(3, 5),)
    assert may_contain(None, -(10**18))
    assert to_columns(None) == (None, None, None)
    assert from_columns(None, None, None) is None


def test_columns_have_the_ends_and_the_holes() -> None:
    assert to_columns((Interval(1, 2), Interval(5, 7), Interval(8, 9))) == (1, 9, "[[2,5],[7,8]]")
    assert to_columns((Interval(1, 9),)) == (1, 9, None)
