"""Ranges with inclusive ends, at the step of a service's clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.errors import WireError
from liushui.instant import EPOCH, MAX_INSTANT, parse_unix_seconds, to_us
from liushui.provider import Slice
from liushui.wire.ranges import (
    exclusive_end,
    from_steps,
    inclusive_ends,
    parse_integers,
    parse_steps,
    steps_to_us,
    to_steps,
)

SECOND, MILLISECOND = timedelta(seconds=1), timedelta(milliseconds=1)
EDGES = (-62_135_596_801, -62_135_596_800, 253_402_300_799, 253_402_300_800)
"""The first second of the calendar and the last one, and their neighbours."""
instants = st.integers(-3_000_000, 3_000_000).map(lambda us: EPOCH + timedelta(microseconds=us))


@given(since=instants, until=instants, at=instants, step=st.sampled_from([SECOND, MILLISECOND]))
def test_the_ends_hold_the_steps_that_begin_in_a_slice(
    since: datetime, until: datetime, at: datetime, step: timedelta
) -> None:
    begun = from_steps(to_steps(at, step), step)
    assert begun <= at < begun + step
    ends = inclusive_ends(Slice(since, until), step)
    inside = ends is not None and ends[0] <= to_steps(begun, step) <= ends[1]
    assert inside is (since <= begun < until)


@pytest.mark.parametrize(
    ("since", "until", "ends"),
    [
        (EPOCH, EPOCH + SECOND, (0, 0)),
        (EPOCH, EPOCH + 2 * SECOND, (0, 1)),
        (EPOCH, EPOCH, None),
        (EPOCH + MILLISECOND, EPOCH + SECOND, None),
        (EPOCH - SECOND, EPOCH, (-1, -1)),
        (EPOCH + MILLISECOND, EPOCH + SECOND + MILLISECOND, (1, 1)),
    ],
)
def test_ends_in_seconds(since: datetime, until: datetime, ends: tuple[int, int] | None) -> None:
    assert inclusive_ends(Slice(since, until), SECOND) == ends


def test_the_end_after_the_last_instant_there_is() -> None:
    assert exclusive_end(EPOCH, SECOND) == EPOCH + SECOND
    assert exclusive_end(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), SECOND) == MAX_INSTANT
    with pytest.raises(OverflowError):
        from_steps(10**12, SECOND)


@given(
    steps=st.lists(st.integers(-(10**13), 10**13) | st.sampled_from(EDGES), min_size=1, max_size=4),
    step=st.sampled_from([SECOND, MILLISECOND]),
)
def test_many_instants_are_told_where_each_of_them_is(steps: list[int], step: timedelta) -> None:
    try:
        expected = [to_us(parse_steps("at", one, step)) for one in steps]
    except WireError:
        assert steps_to_us(steps, step) is None
    else:
        assert steps_to_us(steps, step) == expected


@given(st.lists(st.integers().map(str) | st.text("0123456789-+_ ٣.", max_size=5), min_size=1, max_size=4))
def test_numbers_are_told_where_each_text_is_as_plain_as_unix_seconds_have_to_be(texts: list[str]) -> None:
    numbers = parse_integers(texts)
    if numbers is not None:
        assert list(map(str, numbers)) == texts
    else:
        with pytest.raises(WireError):
            [parse_unix_seconds("at", text) for text in texts]
