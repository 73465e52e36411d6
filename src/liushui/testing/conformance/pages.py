"""Pages and ranges: all pages are what is held, wherever they and the range are cut, and no rule can be broken."""

from datetime import timedelta
from itertools import pairwise
from typing import Final

import pytest

from liushui.errors import Refused
from liushui.provider import Client, Slice
from liushui.rules import Cursor, PageNumber, RangeOnly
from liushui.server.router import MOUNT
from liushui.testing.conformance.checks import Checks
from liushui.testing.conformance.ends import ACCOUNT, Ends, Memory, drained, paged, pages
from liushui.testing.conformance.ensure import ensure, ensure_equal, ensure_same_rows

FAR: Final = str(10**6)
"""A page that is far behind the last one."""


class PageChecks(Checks):
    """All pages equal what is held."""

    @pytest.mark.parametrize("size", [20, 50, 10_000])
    def test_every_row_is_read_as_often_as_it_is_there(self, ends: Ends, size: int) -> None:
        size = min(max(size, ends.crowd + 1), ends.size_max)
        rows = ends.ask(lambda client: drained(client, self.provider, ends.whole, size))
        ensure_same_rows(f"all rows, {size} a page", rows, ends.rows)

    @pytest.mark.parametrize("mounted", ["", MOUNT])
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_a_base_url_with_a_prefix_or_a_slash(self, ends: Ends, mounted: str, slash: str) -> None:
        base_url = ends.base_url + (f"{mounted}{self.provider.name}" if mounted else "") + slash
        rows = ends.ask(lambda client: paged(client, ends.recent, ends.size_max), base_url=base_url)
        ensure_same_rows(f"rows at {base_url}", rows, ends.within(ends.recent))

    def test_pages_of_any_size_part_the_rows(self, ends: Ends) -> None:
        """Where there are further pages: each row is on one of them, in an order that the size does not change."""
        paging, expected = self.provider.rules.paging, ends.within(ends.recent)
        if isinstance(paging, RangeOnly):
            pytest.skip("there are no further pages")
        many = len(expected)
        orders = []
        for size in sorted({1, 2, 3, many - 1, many, many + 1, ends.size_max}):
            if size <= paging.size_max:
                found = ends.ask(lambda client, size=size: pages(client, ends.recent, size))  # type: ignore[misc]
                rows = [row for page in found for row in page.rows]
                ensure_same_rows(f"rows on pages of {size}", rows, expected)
                orders.append(rows)
                if isinstance(paging, PageNumber):
                    full = [page for page in found if len(page.rows) == size]
                    ensure_equal(f"full pages of {size}", len(full), many // size)
                    counted = {page.total for page in found}
                    ensure_equal("the totals of the pages", counted, {many} if paging.has_total else {None})
        ensure(all(order == orders[0] for order in orders), "the order of rows changes with the size of a page")

    def test_a_page_without_a_next_one_says_by_its_length_that_there_is_more(self, ends: Ends) -> None:
        """Where there are no further pages: as many rows as there are or as were asked for, from the end asked for."""
        expected = ends.within(ends.recent)
        if not isinstance(self.provider.rules.paging, RangeOnly):
            pytest.skip("there are further pages")
        times = sorted(ends.at(row) for row in expected)
        for size in (1, 2, 3, len(expected) - 1, len(expected), len(expected) + 1):
            for newest in (False, True):
                page = ends.ask(lambda client, s=size, n=newest: client.fetch_page(ends.recent, s, newest=n))  # type: ignore[misc]
                got = sorted(ends.at(row) for row in page.rows)
                ensure_equal(f"times on a page of {size}", got, times[-size:] if newest else times[:size])
                ensure(page.next_token is None, "a page names a next one")

    def test_a_slice_is_read_to_its_ends(self, ends: Ends) -> None:
        """Its beginning belongs to it, its end does not, and what lies between two steps of the wire's clock does."""
        step = self.provider.rules.resolution
        instants = sorted({ends.at(row) for row in ends.within(ends.recent)})[:12]

        async def read(client: Client) -> None:
            for since, until in pairwise(instants):
                for asked in (
                    Slice(since, since + step),
                    Slice(since, until),
                    Slice(since + step, until),
                    Slice(since - step // 2, until - step // 2),
                    Slice(since + step // 2, until + step // 2),
                    Slice(since + step // 4, since + step // 2),
                ):
                    if asked.since >= ends.recent.since:
                        rows = await paged(client, asked, ends.size_max)
                        ensure_same_rows(f"rows from {asked.since} to {asked.until}", rows, ends.within(asked))

        ends.ask(read)

    def test_empty_ranges(self, ends: Ends) -> None:
        """Between two rows, and of no length: no rows, no further page, and none counted."""
        step = self.provider.rules.resolution
        instants = sorted({ends.at(row) for row in ends.within(ends.recent)})
        gaps = [Slice(since + step, until) for since, until in pairwise(instants) if until - since > step]

        async def read(client: Client) -> None:
            for asked in (*gaps[:10], Slice(instants[0], instants[0])):
                for page in await pages(client, asked, ends.size_max):
                    ensure_equal(f"rows and total from {asked.since} to {asked.until}", list(page.rows), [])
                    ensure(not page.total, f"{page.total} rows are counted where none are")

        ends.ask(read)


class LimitChecks(Checks):
    """What the rules forbid is refused, or at the least not answered with more than they allow."""

    def test_a_page_at_the_most_rows(self, memory: Memory) -> None:
        """The largest page that there may be is full where there are more rows."""
        ends, codec = memory.ends, self.provider.codec
        like = codec.read(ends.within(ends.recent)[0])
        more = [like.row] * (ends.size_max + 1)
        memory.reader.add_rows(ACCOUNT, self.provider, more)
        page = memory.ask(lambda client: client.fetch_page(ends.recent, ends.size_max))
        ensure_equal("rows of the largest page", len(page.rows), ends.size_max)

    @pytest.mark.parametrize("size", ["none", "less than none", "one too many", "far too many"])
    def test_a_page_under_and_over_it(self, ends: Ends, size: str) -> None:
        number = {"none": 0, "less than none": -1, "one too many": ends.size_max + 1}.get(size, 10**12)
        try:
            page = ends.ask(lambda client: client.fetch_page(ends.recent, number))
        except Refused:
            return
        ensure(len(page.rows) <= ends.size_max, f"{len(page.rows)} rows where {number} were asked for")

    def test_the_longest_window_and_a_longer_one(self, ends: Ends) -> None:
        rules = self.provider.rules
        if rules.slice_max is None:
            pytest.skip("a window may be of any length")
        since = ends.whole.until - rules.slice_max
        longest = Slice(since, ends.whole.until)
        ensure_same_rows(
            "rows of the longest window",
            ends.ask(lambda client: paged(client, longest, ends.size_max)),
            ends.within(longest),
        )
        with pytest.raises(Refused):
            ends.ask(lambda client: client.fetch_page(Slice(since - rules.resolution, ends.whole.until), 1))

    def test_the_floor_and_below_it(self, ends: Ends) -> None:
        rules = self.provider.rules
        if rules.floor is None:
            pytest.skip("a range may begin anywhere")
        floor, hour = rules.floor, timedelta(hours=1)
        ends.ask(lambda client: client.fetch_page(Slice(floor, floor + hour), 1))
        with pytest.raises(Refused):
            ends.ask(lambda client: client.fetch_page(Slice(floor - rules.resolution, floor + hour), 1))

    def test_what_is_not_published_or_not_kept_is_not_read(self, memory: Memory) -> None:
        """Rows outside what can be read now are not there, whoever holds them."""
        rules = self.provider.rules
        begin, end = rules.readable(memory.clock())
        ends = memory.ends
        hidden = []
        if rules.publish:
            hidden += [end, end + rules.resolution]
        if rules.retention:
            hidden += [begin - rules.resolution]
        if not hidden:
            pytest.skip("everything can be read at once, and for ever")
        like = self.provider.codec.read(ends.rows[0]).flow
        rows = [self.provider.codec.write(like._replace(at=at)) for at in hidden]
        memory.reader.add_rows(ACCOUNT, self.provider, rows)
        length = min(rules.slice_max or timedelta(days=1), timedelta(days=1))
        for at in hidden:
            asked = Slice(at - length // 2, at + length // 2)
            try:
                got = memory.ask(lambda client, asked=asked: paged(client, asked, ends.size_max))  # type: ignore[misc]
            except Refused:
                continue
            ensure_same_rows(f"rows around {at}", got, ends.within(asked))

    def test_pages_that_are_not_there(self, ends: Ends) -> None:
        """Behind the last page there is nothing; before the first, and at a place that nobody named, a refusal."""
        paging = self.provider.rules.paging
        if isinstance(paging, RangeOnly):
            pytest.skip("there are no further pages")
        strange = ["no-such-place", "!" * 200] if isinstance(paging, Cursor) else [str(paging.first - 1), "-1"]
        for token in strange:
            with pytest.raises(Refused):
                ends.ask(lambda client, token=token: client.fetch_page(ends.recent, 10, page_token=token))  # type: ignore[misc]
        if isinstance(paging, PageNumber):
            page = ends.ask(lambda client: client.fetch_page(ends.recent, 10, page_token=FAR))
            ensure_equal("rows behind the last page", (list(page.rows), page.next_token), ([], None))
