"""Reading a slice whole where a provider names the next place, counts its rows, or has no second page at all."""

from collections import Counter

import pytest

from liushui.errors import SyncError
from liushui.provider import Page
from liushui.sync.fetch import READS_MAX, SliceTooLarge
from tests.sync.pages import COUNTED, CURSOR, DAY, Instant, Scripted, chain, drained, rows

# ---------------------------------------------------------------- cursors


def test_one_page_that_names_no_other_is_the_whole() -> None:
    fetch = Scripted(chain(rows("a", "b")))
    assert drained(fetch, CURSOR, DAY) == rows("a", "b")
    assert fetch.calls == 1


def test_empty_pages_on_the_way_are_no_end() -> None:
    fetch = Scripted(chain([], [], rows("a", "b"), []))
    assert drained(fetch, CURSOR, DAY) == rows("a", "b")
    assert fetch.calls == 4


def test_rows_on_two_pages_are_cut_finer() -> None:
    for pages in (chain(rows("a"), rows("b")), chain([], rows("a"), [], rows("b"))):
        with pytest.raises(SliceTooLarge):
            drained(Scripted(pages), CURSOR, DAY)


def test_a_step_of_many_pages_is_read_until_two_reads_agree() -> None:
    before, after = chain(rows("a", "b"), rows("c")), chain(rows("a", "b"), [], rows("c", "d"))
    fetch = Scripted(before, before, after)
    assert drained(fetch, CURSOR) == rows("a", "b", "c", "d")


def test_a_step_that_never_comes_to_rest_is_given_up() -> None:
    reads = [chain(rows("a"), rows(str(number))) for number in range(READS_MAX + 1)]
    with pytest.raises(SyncError, match=f"shifted during each of {READS_MAX} reads"):
        drained(Scripted(*reads), CURSOR)


# ---------------------------------------------------------------- totals


def test_one_answer_that_counts_what_it_gives_is_the_whole() -> None:
    fetch = Scripted([Page(rows("a", "b"), None, 2)])
    assert drained(fetch, COUNTED, DAY) == rows("a", "b")
    assert fetch.calls == 1


def test_a_total_that_is_larger_than_the_page_is_cut_finer() -> None:
    """However short the page is: the provider itself says that it has more."""
    with pytest.raises(SliceTooLarge):
        drained(Scripted([Page(rows("a", "b"), None, 5)]), COUNTED, DAY)


def test_a_full_page_is_no_end_whatever_the_total_says() -> None:
    """The provider counts three where it has more: its total lags behind its rows."""
    with pytest.raises(SliceTooLarge):
        drained(Scripted([Page(rows("a", "b", "c"), None, 3)]), COUNTED, DAY)


def test_a_total_that_lies_for_a_while_is_waited_out() -> None:
    lying, true = [Page(rows("a", "b"), None, 5)], [Page(rows("a", "b"), None, 2)]
    assert drained(Scripted(lying, lying, true), COUNTED) == rows("a", "b")


def test_a_total_that_always_lies_proves_nothing() -> None:
    with pytest.raises(SyncError):
        drained(Scripted([Page(rows("a", "b"), None, 5)]), COUNTED)


def test_totals_that_differ_within_a_read_are_no_state() -> None:
    moving = [Page(rows("a", "b", "c"), "1", 3), Page(rows("d"), None, 4)]
    still = chain(rows("a", "b", "c"), rows("d"), total=4)
    assert drained(Scripted(moving, moving, still), COUNTED) == rows("a", "b", "c", "d")


# ---------------------------------------------------------------- ranges only


def test_each_value_that_must_be_asked_for_is() -> None:
    instant = Instant(("main", "1", "X"), ("main", "2", "Y"), ("other", "1", "X"), ("other", "1", "Y"))
    assert instant.drained(DAY) == instant.every
    assert instant.parts == [({"account": "main"}, False), ({"account": "other"}, False)]


def test_a_full_page_is_cut_finer_while_it_can_be() -> None:
    with pytest.raises(SliceTooLarge):
        Instant(*[("other", "1", "X")] * 3).drained(DAY)


def test_what_no_smaller_range_can_part_is_parted_by_filters() -> None:
    instant = Instant(*[("main", "1", "X")] * 2, *[("main", "2", "X")] * 2, *[("other", "2", "Y")] * 2)
    assert instant.drained() == instant.every
    assert ({"account": "main", "type": "1"}, False) in instant.parts
    assert not [part for part, _ in instant.parts if "symbol" in part]


def test_values_are_taken_from_both_ends_of_what_is_there() -> None:
    """The page that is full shows the first ones only."""
    instant = Instant(*[("main", "1", "X")] * 2, ("main", "1", "Y"), *[("main", "1", "Z")] * 2)
    assert instant.drained() == instant.every


def test_a_value_between_the_ends_may_be_unseen_and_nothing_is_proven() -> None:
    """Two full pages do not meet: what stands between them has names that nobody has seen."""
    hidden = [("main", "1", "X")] * 3 + [("main", "1", "W")] + [("main", "1", "Z")] * 3
    with pytest.raises(SyncError):
        Instant(*hidden).drained()
    with pytest.raises(SyncError, match="there may be a symbol that nobody saw"):
        Instant(*[("main", "1", one) for one in ("X", "X", "Y", "Y", "Z", "Z", "Z2")]).drained()


def test_rows_that_are_equal_in_every_filter_stay_a_gap() -> None:
    with pytest.raises(SyncError, match=r"more than the 3 rows .* with account main, type 1, symbol X"):
        Instant(*[("main", "1", "X")] * 4).drained()


@pytest.mark.parametrize("lost", [("main", "9", "X"), ("main", "1", "")])
def test_a_row_that_no_filter_finds_stays_a_gap(lost: tuple[str, str, str]) -> None:
    """A type that nobody documented, a symbol that cannot be asked for: they are seen, and not forgotten."""
    with pytest.raises(SyncError, match="is found under no"):
        Instant(lost, *[("main", "1", "X")] * 2, ("main", "1", "Y")).drained()


def test_twins_are_as_many_as_there_are() -> None:
    """Equal bytes on the full page have to be found as often under the filters."""

    class Twins(Instant):
        def __init__(self) -> None:
            super().__init__(*[("main", "1", "X")] * 2, *[("main", "2", "X")] * 2)
            for row in self.rows:
                row["number"] = 0

    assert Twins().drained() == Counter({0: 4})
