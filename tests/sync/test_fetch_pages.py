"""The fetcher with cursors, with totals, and with providers that have no second page."""

from collections import Counter

import pytest

from liushui.errors import SyncError
from liushui.provider import Page, PageRequest
from liushui.rules import PageNumber
from liushui.sync.paged_fetcher import READS_MAX
from liushui.sync.question import SliceTooLarge
from tests.sync.pages import COUNTED, CURSOR, DAY, Instant, Scripted, chain, fetched, paged_by, rows

# ---------------------------------------------------------------- cursors


def test_a_page_without_a_next_one_is_the_whole_slice() -> None:
    fetch = Scripted(chain(rows("a", "b")))
    assert fetched(fetch, CURSOR, DAY) == rows("a", "b")
    assert fetch.calls == 1


def test_an_empty_page_is_not_the_last_one() -> None:
    fetch = Scripted(chain([], [], rows("a", "b"), []))
    assert fetched(fetch, CURSOR, DAY) == rows("a", "b")
    assert fetch.calls == 5, "after two empty pages it is looked whether a cursor ever ends"


def test_a_slice_on_two_pages_is_split() -> None:
    for pages in (chain(rows("a"), rows("b")), chain([], rows("a"), [], rows("b"))):
        with pytest.raises(SliceTooLarge):
            fetched(Scripted(pages), CURSOR, DAY)


def test_a_step_of_many_pages_is_read_until_two_reads_agree() -> None:
    before, after = chain(rows("a", "b"), rows("c")), chain(rows("a", "b"), [], rows("c", "d"))
    fetch = Scripted(before, before, after)
    assert fetched(fetch, CURSOR) == rows("a", "b", "c", "d")


def test_reading_gives_up_on_a_step_that_never_stops_changing() -> None:
    reads = [chain(rows("a"), rows(str(number))) for number in range(READS_MAX + 1)]
    with pytest.raises(SyncError, match=f"shifted during each of {READS_MAX} reads"):
        fetched(Scripted(*reads), CURSOR)


# ---------------------------------------------------------------- totals


def test_a_page_with_as_many_rows_as_its_total_is_the_whole_slice() -> None:
    """Where the total is known to count the rows of other pages too, which a shorter page shows."""

    class Shortened(Scripted):
        async def fetch_page(self, request: PageRequest) -> Page:
            page = await super().fetch_page(request)
            return page._replace(rows=page.rows[: request.size])

    fetch = Shortened([Page(rows("a", "b"), None, 2)])
    assert fetched(fetch, COUNTED, DAY) == rows("a", "b")
    assert fetch.calls == 2


def test_a_slice_whose_total_exceeds_its_page_is_split() -> None:
    """The page is short, but the provider itself says that there is more."""
    with pytest.raises(SliceTooLarge):
        fetched(Scripted([Page(rows("a", "b"), None, 5)]), COUNTED, DAY)


def test_a_full_page_is_not_the_last_one_whatever_its_total() -> None:
    """The total may lag behind the rows: the provider counts three where it has more."""
    with pytest.raises(SliceTooLarge):
        fetched(Scripted([Page(rows("a", "b", "c"), None, 3)]), COUNTED, DAY)


def test_a_slice_is_read_again_until_its_total_is_right() -> None:
    lying, true = [Page(rows("a", "b"), None, 5)], [Page(rows("a", "b"), None, 2)]
    assert fetched(Scripted(lying, lying, true), COUNTED) == rows("a", "b")


def test_a_total_that_is_always_wrong_proves_nothing() -> None:
    with pytest.raises(SyncError):
        fetched(Scripted([Page(rows("a", "b"), None, 5)]), COUNTED)


def test_a_read_whose_totals_differ_proves_nothing() -> None:
    moving = [Page(rows("a", "b", "c"), "1", 3), Page(rows("d"), None, 4)]
    still = chain(rows("a", "b", "c"), rows("d"), total=4)
    assert fetched(Scripted(moving, moving, still), COUNTED) == rows("a", "b", "c", "d")


# ---------------------------------------------------------------- ranges only


@pytest.mark.parametrize("rows_at_the_instant", [3, 4, 5])
def test_an_instant_is_not_whole_where_the_service_gives_fewer_rows_than_asked(rows_at_the_instant: int) -> None:
    """No shorter range can show what the page lacks, but the newest rows are other ones than the oldest."""
    instant = Instant(*[("main", "1", "X")] * rows_at_the_instant, cap=2)
    with pytest.raises(SyncError, match="gave 2 rows of one instant where 3 were asked for, and has more"):
        instant.fetched()


def test_an_instant_with_as_many_rows_as_the_service_gives_is_whole() -> None:
    instant = Instant(*[("main", "1", "X")] * 2, cap=2)
    assert instant.fetched() == instant.every


def test_every_value_of_a_mandatory_filter_is_requested() -> None:
    instant = Instant(("main", "1", "X"), ("other", "1", "X"))
    assert instant.fetched(DAY) == instant.every
    assert instant.parts == [({}, False), ({"account": "main"}, False), ({"account": "other"}, False)]


def test_a_full_page_is_split_while_it_can_be() -> None:
    with pytest.raises(SliceTooLarge):
        Instant(*[("other", "1", "X")] * 3).fetched(DAY)


def test_one_step_with_too_many_rows_is_read_by_filters() -> None:
    instant = Instant(*[("main", "1", "X")] * 2, *[("main", "2", "X")] * 2, *[("other", "2", "Y")] * 2)
    assert instant.fetched() == instant.every
    assert ({"account": "main", "type": "1"}, False) in instant.parts
    assert not [part for part, _ in instant.parts if "symbol" in part]


def test_filter_values_are_taken_from_the_oldest_and_the_newest_page() -> None:
    """The full page shows only the first values."""
    instant = Instant(*[("main", "1", "X")] * 2, ("main", "1", "Y"), *[("main", "1", "Z")] * 2)
    assert instant.fetched() == instant.every


def test_nothing_is_proven_where_a_value_may_be_unseen() -> None:
    """The oldest and the newest page do not meet: rows between them may have values that neither page shows."""
    hidden = [("main", "1", "X")] * 3 + [("main", "1", "W")] + [("main", "1", "Z")] * 3
    with pytest.raises(SyncError):
        Instant(*hidden).fetched()
    with pytest.raises(SyncError, match="there may be a symbol that was not seen"):
        Instant(*[("main", "1", one) for one in ("X", "X", "Y", "Y", "Z", "Z", "Z2")]).fetched()


def test_rows_that_no_filter_separates_stay_a_gap() -> None:
    with pytest.raises(SyncError, match=r"more than the 3 rows .* with account main, type 1, symbol X"):
        Instant(*[("main", "1", "X")] * 4).fetched()


@pytest.mark.parametrize("lost", [("main", "9", "X"), ("main", "1", "")])
def test_a_row_that_no_filter_finds_leaves_a_gap(lost: tuple[str, str, str]) -> None:
    """It has an undocumented type, or a symbol that no request can name."""
    with pytest.raises(SyncError, match="is found under no"):
        Instant(lost, *[("main", "1", "X")] * 2, ("main", "1", "Y")).fetched()


def test_equal_rows_are_found_as_often_as_they_are_there() -> None:
    """Equal rows on the full page must come as often from the filters."""

    class Twins(Instant):
        def __init__(self) -> None:
            super().__init__(*[("main", "1", "X")] * 2, *[("main", "2", "X")] * 2)
            for row in self.rows:
                row["number"] = 0

    assert Twins().fetched() == Counter({0: 4})


class Sized(Scripted):
    """Keeps the sizes that were asked for."""

    def __init__(self, *reads: list[Page]) -> None:
        super().__init__(*reads)
        self.sizes: list[int] = []

    async def fetch_page(self, request: PageRequest) -> Page:
        self.sizes.append(request.size)
        return await super().fetch_page(request)


def test_no_page_is_asked_for_that_is_smaller_than_the_least() -> None:
    """The second read has pages of another length where it may. Where it may not, one more read has to agree."""
    least = paged_by(PageNumber(size_default=3, size_max=3, size_min=2, has_total=True))
    pages = chain(rows("a", "b", "c"), rows("d"), total=4)
    fetch = Sized(pages)
    assert fetched(fetch, least) == rows("a", "b", "c", "d")
    assert set(fetch.sizes) == {3, 2}
    pages = chain(rows("a", "b"), rows("c"), total=3)
    fetch = Sized(pages)
    assert fetched(fetch, least) == rows("a", "b", "c")
    assert set(fetch.sizes) == {3, 2}
    assert fetch.begun == 4, "the first page, and three whole reads"
