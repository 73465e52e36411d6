"""Spans of time are sets of instants: what is done to their pieces is what is done to the sets."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from liushui.ledger.write.quarantine import Piece, Span, from_columns, has, length_us, to_columns, within, without

END = 30


def instants(span: Span) -> set[int]:
    return {at for piece in span for at in range(*piece)}


pieces = st.tuples(st.integers(0, END), st.integers(0, END)).filter(lambda ends: ends[0] < ends[1]).map(Piece._make)


@given(st.lists(pieces, max_size=6))
def test_cutting_is_cutting_sets(cuts: list[Piece]) -> None:
    span: Span = (Piece(0, END),)
    left = set(range(END))
    for number, cut in enumerate(cuts):
        inside = set(range(*cut))
        narrow = within(span, cut)
        assert instants(narrow) == left & inside
        span = without(span, cut) if number % 3 else within(without(span, cut), Piece(1, END))
        left = left - inside if number % 3 else left - inside - {0}
        assert instants(span) == left
        assert length_us(span) == len(left)
        assert all(before.until_us < after.since_us for before, after in pairwise(span))
        assert all(has(span, at) == (at in left) for at in range(-1, END + 1))
        if span:
            assert from_columns(*to_columns(span)) == span


def test_a_span_that_nobody_knows_may_be_anywhere() -> None:
    assert within(None, Piece(3, 5)) == (Piece(3, 5),)
    assert has(None, -(10**18))
    assert to_columns(None) == (None, None, None)
    assert from_columns(None, None, None) is None


def test_columns_are_the_ends_and_the_holes() -> None:
    assert to_columns((Piece(1, 2), Piece(5, 7), Piece(8, 9))) == (1, 9, "[[2,5],[7,8]]")
    assert to_columns((Piece(1, 9),)) == (1, 9, None)
