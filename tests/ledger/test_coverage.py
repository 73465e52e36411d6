"""Coverage, compared with a model that has a state for each unit of time."""

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import pairwise
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from liushui.ledger.coverage import Range, State, apply_change, merge_adjacent, uncovered

UNITS: Final = 14

unhurried = settings(deadline=None)
"""No deadline: a busy machine fails no test."""

Units = dict[int, tuple[State, str, int, int]]
"""The state of each unit, its reason, when it was read and by which batch."""

ends = st.tuples(st.integers(0, UNITS), st.integers(0, UNITS)).filter(lambda pair: pair[0] != pair[1])


@st.composite
def changes(draw: st.DrawFn) -> list[Range]:
    """Proofs and failures of ascending batches."""
    found = []
    for batch in range(draw(st.integers(0, 8))):
        since, until = sorted(draw(ends))
        state = draw(st.sampled_from(State))
        reason = draw(st.sampled_from(["HTTP 500", "shifted"])) if state is State.OPEN else ""
        found.append(Range(since, until, state, reason, draw(st.integers(0, 5)), batch))
    return found


def by_unit(ranges: Iterable[Range]) -> Units:
    units: Units = {}
    for known in ranges:
        for unit in range(known.since_us, known.until_us):
            assert unit not in units, "ranges overlap"
            units[unit] = known[2:]
    return units


def folded_by_unit(applied: Iterable[Range]) -> Units:
    units: Units = {}
    for change in applied:
        for unit in range(change.since_us, change.until_us):
            if change.state is State.PROVEN or unit not in units or units[unit][0] is State.OPEN:
                units[unit] = change[2:]
    return units


def folded(applied: Iterable[Range]) -> list[Range]:
    return reduce(apply_change, applied, list[Range]())


def assert_in_order(ranges: Sequence[Range]) -> None:
    assert all(known.since_us < known.until_us for known in ranges)
    assert all(one.until_us <= two.since_us for one, two in pairwise(ranges))


@unhurried
@given(changes())
def test_applying_changes_equals_changing_each_unit(applied: list[Range]) -> None:
    ranges = folded(applied)
    assert_in_order(ranges)
    assert by_unit(ranges) == folded_by_unit(applied)


@unhurried
@given(changes(), changes().filter(bool))
def test_only_overlapping_ranges_are_needed_to_apply_a_change(applied: list[Range], more: list[Range]) -> None:
    ranges, change = folded(applied), more[0]
    met = [known for known in ranges if known.since_us < change.until_us and known.until_us > change.since_us]
    others = [known for known in ranges if known not in met]
    assert sorted(others + apply_change(met, change)) == apply_change(ranges, change)


@unhurried
@given(changes())
def test_applying_a_change_twice_equals_once(applied: list[Range]) -> None:
    if applied:
        assert by_unit(folded([*applied, applied[-1]])) == by_unit(folded(applied))


@unhurried
@given(changes(), ends)
def test_uncovered_are_the_units_in_no_range(applied: list[Range], within: tuple[int, int]) -> None:
    since, until = sorted(within)
    known = set(folded_by_unit(applied))
    gaps = uncovered(folded(applied)[::-1], (since, until))
    assert [unit for gap in gaps for unit in range(*gap)] == [unit for unit in range(since, until) if unit not in known]
    assert all(begin < end for begin, end in gaps)
    assert all(one[1] < two[0] for one, two in pairwise(gaps)), "neighbours are one gap"


@unhurried
@given(changes())
def test_adjacent_ranges_of_one_state_and_reason_are_merged(applied: list[Range]) -> None:
    ranges = folded(applied)
    joined = merge_adjacent(ranges[::-1])
    assert_in_order(joined)
    units = by_unit(ranges)
    assert {unit: known[:2] for unit, known in by_unit(joined).items()} == {
        unit: known[:2] for unit, known in units.items()
    }
    for one, two in pairwise(joined):
        assert one.until_us < two.since_us or one[2:4] != two[2:4], "these could be one"
    for known in joined:
        parts = [units[unit] for unit in range(known.since_us, known.until_us)]
        assert known.checked_at_us == min(part[2] for part in parts)
        assert known.batch == max(part[3] for part in parts)
