"""The fetcher with page numbers: it notices pages that shift while they are read."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from liushui.errors import SyncError
from liushui.provider import Page, PageRequest, Slice
from liushui.providers.longbridge import codec
from liushui.providers.longbridge.rules import RULES
from liushui.rules import RangeOnly, Rules
from liushui.sync.fetch import fetch_slice
from liushui.sync.paged_fetcher import READS_MAX
from liushui.sync.question import SliceTooLarge, SourceTraits
from liushui.testing.provider_client_double import ClientDouble
from tests.sync.rows import BEGIN, hourly, row
from tests.sync.services import (
    BySizeAsked,
    CutByChance,
    FilteredAfterCut,
    FirstPageOnly,
    StartExclusive,
    TimeKeyset,
    TotalSoFar,
)

DAY = Slice(BEGIN, BEGIN + timedelta(days=1))
STEP = timedelta(seconds=1)
SECOND = Slice(BEGIN, BEGIN + timedelta(seconds=1))


def fetched(client: ClientDouble, asked: Slice, size: int, *, can_split: bool) -> list[bytes]:
    return asyncio.run(fetch_slice(client, asked, RULES, size, can_split=can_split))


def test_a_slice_that_fits_one_page_takes_that_page_and_an_empty_one() -> None:
    """And a look before and behind it, because the service may hold fewer rows than it was asked for. The second page
    is also asked for by the length of the first one, because the service may have cut it."""
    client = ClientDouble(codec, hourly(2))
    assert sorted(fetched(client, DAY, 100, can_split=True)) == sorted(hourly(1))
    assert [(number, size) for _, number, size in client.calls] == [(1, 100), (2, 100), (2, 25), (1, 100), (1, 100)]


def test_an_empty_slice_takes_one_call() -> None:
    client = ClientDouble(codec, [])
    assert fetched(client, DAY, 100, can_split=True) == []
    assert len(client.calls) == 1


def test_a_slice_that_fills_a_page_is_split() -> None:
    with pytest.raises(SliceTooLarge) as caught:
        fetched(ClientDouble(codec, hourly(1)), DAY, 24, can_split=True)
    assert caught.value.rows_in_page == 24


def test_a_short_page_is_not_the_last_one() -> None:
    """The provider caps pages at ten rows. The end is the empty page after the last one."""
    with pytest.raises(SliceTooLarge) as caught:
        fetched(ClientDouble(codec, hourly(1), cap=10), DAY, 100, can_split=True)
    assert caught.value.rows_in_page == 10


def test_one_second_of_many_pages_is_read_until_two_reads_agree() -> None:
    """And it looks for older rows near it."""
    rows = [row(BEGIN, f"-{number}.00") for number in range(25)]
    client = ClientDouble(codec, rows)
    assert sorted(fetched(client, SECOND, 10, can_split=False)) == sorted(rows)
    assert [number for _, number, _ in client.calls] == [1, 1, 2, 1, 2, 3, 4, 1, 2, 3, 4, 1]


@pytest.mark.parametrize("call", range(2, 12))
def test_a_row_that_appears_between_two_pages_is_neither_lost_nor_doubled(call: int) -> None:
    rows = [row(BEGIN, f"-{number}.00") for number in range(25)]
    late = row(BEGIN, "-99.00")

    def arrives(number: int, _asked: Slice, _page: int) -> None:
        if number == call:
            client.rows.insert(0, late)

    client = ClientDouble(codec, list(rows), fault=arrives)
    found = fetched(client, SECOND, 10, can_split=False)
    expected = [*rows, late] if len(client.calls) >= call else rows
    if sorted(found) != sorted(expected):  # it came after the last read of the page it stands on
        assert sorted(found) == sorted(rows)
        assert call >= 7


@pytest.mark.parametrize("call", range(2, 7))
def test_a_row_that_disappears_between_two_pages_hides_no_other(call: int) -> None:
    rows = [row(BEGIN, f"-{number}.00") for number in range(25)]

    def goes(number: int, _asked: Slice, _page: int) -> None:
        if number == call:
            client.rows.pop(0)

    client = ClientDouble(codec, list(rows), fault=goes)
    assert sorted(fetched(client, SECOND, 10, can_split=False)) == sorted(rows[1:])


@pytest.mark.parametrize("again", range(1, READS_MAX))
@pytest.mark.parametrize(("size", "cap"), [(10, None), (100, 10)])
def test_a_page_that_is_repeated_in_place_of_the_next_is_noticed(again: int, size: int, cap: int | None) -> None:
    """However many reads in a row have the fault, because their pages have different lengths."""
    rows = [row(BEGIN, f"-{number}.00") for number in range(20)]

    class Repeating(ClientDouble):
        second_pages = 0

        async def fetch_page(self, request: PageRequest) -> Page:
            page = await super().fetch_page(request)
            if request.page_token != "2":
                return page
            self.second_pages += 1
            # One more than the reads with the fault, because the fetcher first checks whether one page holds the slice.
            if self.second_pages > 1 + again:
                return page
            first = await super().fetch_page(request._replace(page_token=None))
            return first._replace(next_token=page.next_token)

    try:
        found = fetched(Repeating(codec, rows, cap=cap), SECOND, size, can_split=False)
    except SyncError:
        assert again >= READS_MAX - 1
    else:
        assert sorted(found) == sorted(rows)


def test_reading_gives_up_where_pages_never_stop_shifting() -> None:
    def arrives(number: int, _asked: Slice, _page: int) -> None:
        client.rows.insert(0, row(BEGIN, f"-{1000 + number}.00"))

    client = ClientDouble(codec, [row(BEGIN, f"-{number}.00") for number in range(25)], fault=arrives)
    with pytest.raises(SyncError, match=f"shifted during each of {READS_MAX} reads"):
        fetched(client, SECOND, 10, can_split=False)


def test_a_page_with_more_rows_than_requested_is_refused() -> None:
    class Generous(ClientDouble):
        async def fetch_page(self, request: PageRequest) -> Page:
            return Page(self.rows)

    with pytest.raises(SyncError, match="24 rows where 10 were asked for"):
        fetched(Generous(codec, hourly(1)), DAY, 10, can_split=True)


# ---------------------------------------------------------------- the ends of a range, beside crowds


def test_a_step_beside_a_crowd_is_read_whole_where_ends_are_left_out() -> None:
    """The first page of the step and its neighbours has none of the step's own rows."""
    own = [row(BEGIN, f"-{number}.00") for number in range(5)]
    crowd = [row(BEGIN + STEP, f"-{number}.50") for number in range(5)]
    client = StartExclusive(codec, own + crowd)
    assert Counter(fetched(client, Slice(BEGIN, BEGIN + STEP), 4, can_split=False)) == Counter(own)


def test_an_empty_step_beside_a_crowd_that_nothing_can_read_is_proven_empty() -> None:
    """The crowd's rows came for the first second of a range, so the service does not leave that end out."""
    rules = Rules(RangeOnly(4, 4), RULES.rate, STEP, BEGIN, RULES.lookback, "UTC", time_field=RULES.time_field)
    client = ClientDouble(codec, [row(BEGIN, f"-{number}.00") for number in range(10)])
    empty = Slice(BEGIN + STEP, BEGIN + 2 * STEP)
    assert asyncio.run(fetch_slice(client, empty, rules, 4, can_split=False)) == []


def test_a_row_without_a_time_is_returned_where_ends_are_left_out() -> None:
    """It lies in the first second of the slice, which the service leaves out: only the wider question gives it."""
    timeless = row(BEGIN, "-7.00").replace(b'"business_time": "%d"' % BEGIN.timestamp(), b'"business_time": "?"')
    assert b"?" in timeless

    class Timeless(StartExclusive):
        async def fetch_page(self, request: PageRequest) -> Page:
            page = await super().fetch_page(request)
            comes = request.slice_.since < BEGIN < request.slice_.until and page.rows
            return page._replace(rows=[*page.rows, timeless]) if comes else page

    assert timeless in fetched(Timeless(codec, hourly(1)), DAY, 100, can_split=True)


# ---------------------------------------------------------------- services that hold rows back, and say nothing of it


class Varying(ClientDouble):
    """Each answer is cut at another number of rows, as by its bytes, and is the last page."""

    async def fetch_page(self, request: PageRequest) -> Page:
        page = await super().fetch_page(request._replace(page_token=None))
        return Page(page.rows[: (17, 5, 9, 30)[len(self.calls) % 4]])


def fetched_in_parts(client: ClientDouble, asked: Slice, traits: SourceTraits) -> list[bytes]:
    """The rows of a slice that is halved until its parts fit a page."""
    can_split = asked.until - asked.since > STEP
    try:
        return asyncio.run(fetch_slice(client, asked, RULES, 100, can_split=can_split, traits=traits))
    except SliceTooLarge:
        middle = asked.since + (asked.until - asked.since) // 2 // STEP * STEP
        halves = Slice(asked.since, middle), Slice(middle, asked.until)
        return [one for half in halves for one in fetched_in_parts(client, half, traits)]


@pytest.mark.parametrize("service", [BySizeAsked, CutByChance, FilteredAfterCut, FirstPageOnly, TotalSoFar, Varying])
def test_nothing_is_lost_where_pages_are_cut_and_nothing_says_so(service: type[ClientDouble]) -> None:
    client = service(codec, hourly(4))
    whole = Slice(BEGIN, BEGIN + timedelta(days=4))
    assert sorted(fetched_in_parts(client, whole, SourceTraits())) == sorted(hourly(4))


@pytest.mark.parametrize("beside", [0, 1])
def test_an_instant_of_cut_pages_is_read_by_pages_that_are_not_cut(beside: int) -> None:
    rows = [row(BEGIN + timedelta(hours=5), f"-{number}.00") for number in range(130)]
    client = BySizeAsked(codec, [*rows, *hourly(beside)[:1]])
    assert sorted(fetched_in_parts(client, DAY, SourceTraits())) == sorted(client.rows)


@pytest.mark.parametrize("service", [Varying, TimeKeyset])
@pytest.mark.parametrize("beside", [0, 1])
def test_an_instant_of_a_cut_page_is_not_taken_for_whole(service: type[ClientDouble], beside: int) -> None:
    rows = [row(BEGIN + timedelta(hours=5), f"-{number}.00") for number in range(130)]
    client = service(codec, [*rows, *hourly(beside)[:1]])
    with pytest.raises(SyncError, match="pages shifted"):
        fetched_in_parts(client, DAY, SourceTraits())
