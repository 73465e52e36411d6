"""Rows are inspected before they are decoded: their times, and which of them belong to a slice."""

from datetime import UTC, datetime
from typing import Final

import pytest

from liushui.provider import Slice
from liushui.providers import load_providers
from liushui.sync.undecoded_rows import are_within, row_times, rows_inside

RULES: Final = load_providers()["longbridge"].rules
FIELD: Final = RULES.time_field


def row(at: object) -> bytes:
    return f'{{"{FIELD}":{at},"other":1}}'.encode()


def test_times_are_whole_steps_whether_they_are_numbers_or_texts() -> None:
    rows = [row(5), row('"7"'), row(-1)]
    assert list(row_times(rows, RULES)) == [5, 7, -1]


@pytest.mark.parametrize(
    "unreadable", [row("null"), row('"soon"'), row(1.5), row("true"), row("{}"), b"{}", b"[]", b"?"]
)
def test_a_row_without_a_readable_time_has_none_and_the_others_count(unreadable: bytes) -> None:
    assert list(row_times([row(5), unreadable, row(7)], RULES)) == [5, None, 7]


def test_rows_that_change_in_place_are_looked_into_again() -> None:
    rows = [row(5), row(6)]
    assert list(row_times(rows, RULES)) == [5, 6]
    rows[1] = row(9)
    assert list(row_times(rows, RULES)) == [5, 9]
    rows.append(row(1))
    assert list(row_times(tuple(rows), RULES)) == [5, 9, 1]
    assert list(row_times([], RULES)) == []


@pytest.mark.parametrize(
    ("times", "are"),
    [([], True), ([3, 4], True), ([2, 3], False), ([4, 5], False), ([None, 3], False), ([None], False)],
)
def test_rows_are_within_a_range_where_each_of_them_is(times: list[int | None], are: bool) -> None:
    assert are_within(times, 3, 5) == are


def test_a_slice_has_the_rows_of_its_time_and_those_without_a_readable_one() -> None:
    slice_ = Slice(datetime.fromtimestamp(3, UTC), datetime.fromtimestamp(5, UTC))
    inside = [row(3), row(4)]
    assert rows_inside(inside, slice_, RULES) == inside
    assert rows_inside([row(2), *inside, row(5), b"{}"], slice_, RULES) == [*inside, b"{}"]
