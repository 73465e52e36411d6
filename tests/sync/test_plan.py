"""What is due, and how it is cut: pure functions of rules, coverage and the clock."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from liushui.instant import to_us
from liushui.ledger.coverage import Range, State
from liushui.provider import Slice
from liushui.providers.longbridge.rules import RULES
from liushui.sync.plan import Cutter, due

NOW = datetime(2024, 6, 15, 10, 30, 0, 999_999, tzinfo=UTC)
HORIZON = datetime(2024, 6, 15, 10, 30, tzinfo=UTC)
SINCE = datetime(2024, 1, 1, tzinfo=UTC)


def proven(since: datetime, until: datetime) -> Range:
    return Range(to_us(since), to_us(until), State.PROVEN, "", 0, 1)


def day(month: int, number: int) -> datetime:
    return datetime(2024, month, number, tzinfo=UTC)


def test_a_new_account_is_due_whole_up_to_the_second_that_is_over() -> None:
    assert due(RULES, [], since=SINCE, until=None, now=NOW) == [Slice(SINCE, HORIZON)]


def test_what_is_proven_is_not_read_again_but_for_the_newest_part() -> None:
    again = day(6, 13)  # two days back, from the beginning of that day
    assert due(RULES, [proven(SINCE, HORIZON)], since=SINCE, until=None, now=NOW) == [Slice(again, HORIZON)]


def test_gaps_are_due_whatever_their_age() -> None:
    coverage = [
        proven(SINCE, day(2, 1)),
        Range(to_us(day(2, 1)), to_us(day(2, 2)), State.OPEN, "it failed", 0, 2),
        proven(day(2, 3), HORIZON),
    ]
    assert due(RULES, coverage, since=SINCE, until=None, now=NOW) == [
        Slice(day(2, 1), day(2, 3)),
        Slice(day(6, 13), HORIZON),
    ]


def test_everything_is_due_again_when_asked() -> None:
    coverage = [proven(SINCE, HORIZON)]
    assert due(RULES, coverage, since=SINCE, until=None, now=NOW, everything=True) == [Slice(SINCE, HORIZON)]


def test_nothing_is_due_before_it_begins() -> None:
    assert due(RULES, [], since=NOW + timedelta(days=1), until=None, now=NOW) == []
    assert due(RULES, [], since=SINCE, until=SINCE, now=NOW) == []


def test_an_end_that_was_named_is_kept_to() -> None:
    assert due(RULES, [], since=SINCE, until=day(3, 1), now=NOW) == [Slice(SINCE, day(3, 1))]


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=60), st.integers(1, 400))
def test_slices_are_cut_without_hole_or_overlap(rows_of_slices: list[int], days: int) -> None:
    whole = Slice(SINCE, SINCE + timedelta(days=days, seconds=1))
    cutter = Cutter.for_rules(RULES, 10_000)
    rest, at = whole, whole.since
    for rows in rows_of_slices:
        asked = cutter.next(rest)
        assert asked.since == at
        assert asked.since < asked.until <= whole.until
        if rows >= 10_000 and cutter.divisible(asked):
            asked = cutter.overfull(10_000, asked)
            assert asked.since == at
            assert asked.since < asked.until < rest.until
        cutter.seen(rows, asked)
        at = asked.until
        rest = Slice(at, whole.until)
        if at == whole.until:
            break


def test_slices_grow_where_little_happens_and_shrink_where_much_does() -> None:
    cutter = Cutter.for_rules(RULES, 10_000)
    whole = Slice(SINCE, SINCE + timedelta(days=3_000))
    first = cutter.next(whole)
    cutter.seen(0, first)
    second = cutter.next(Slice(first.until, whole.until))
    assert second.until - second.since == 8 * (first.until - first.since)
    cutter.seen(56_000, second)
    third = cutter.next(Slice(second.until, whole.until))
    assert third.until - third.since == (second.until - second.since) / 8


def test_a_second_cannot_be_cut() -> None:
    cutter = Cutter.for_rules(RULES, 10_000)
    assert not cutter.divisible(Slice(SINCE, SINCE + timedelta(seconds=1)))
    assert cutter.divisible(Slice(SINCE, SINCE + timedelta(seconds=2)))
    assert cutter.overfull(10_000, Slice(SINCE, SINCE + timedelta(seconds=3))).until == SINCE + timedelta(seconds=1)
