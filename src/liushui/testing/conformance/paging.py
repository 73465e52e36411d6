"""Pages, ranges and filters: all pages together have every row once, at any page size. Limits are enforced."""

from datetime import timedelta
from itertools import combinations, pairwise
from typing import Final

import pytest

from liushui.errors import Refused, Unavailable
from liushui.provider import MOUNT, Client, PageRequest, Slice
from liushui.rules import DayDocument, Filter, PageNumber, RangeOnly
from liushui.testing.conformance.assertions import ensure, ensure_equal, ensure_same_rows
from liushui.testing.conformance.both_ends import (
    ACCOUNT,
    Checks,
    Endpoint,
    MemoryPair,
    fetch_pages,
    fetch_range,
    fetch_rows,
)
from liushui.testing.conformance.odd_values import parameter_value

FAR: Final = str(10**6)
"""A page number far beyond the last page."""


class PageChecks(Checks):
    """All pages together have every row once."""

    @pytest.mark.parametrize("size", [20, 50, 10_000])
    def test_every_row_is_read_exactly_once(self, endpoint: Endpoint, size: int) -> None:
        size = min(endpoint.at_least(max(size, endpoint.rows_per_instant_max + 1)), endpoint.size_max)
        rows = endpoint.run(lambda client: fetch_range(client, self.provider, endpoint.whole, size))
        ensure_same_rows(f"all rows, {size} a page", rows, endpoint.rows)

    @pytest.mark.parametrize("mounted", ["", MOUNT])
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_a_base_url_with_a_prefix_or_a_slash(self, endpoint: Endpoint, mounted: str, slash: str) -> None:
        base_url = endpoint.base_url + (f"{mounted}{self.provider.name}" if mounted else "") + slash
        rows = endpoint.run(lambda client: fetch_rows(client, endpoint.recent, endpoint.size_max), base_url=base_url)
        ensure_same_rows(f"rows at {base_url}", rows, endpoint.within(endpoint.recent))

    def test_pages_of_any_size_partition_the_rows(self, endpoint: Endpoint) -> None:
        """For providers with further pages. The page size does not change the order of the rows."""
        paging, expected = self.provider.rules.paging, endpoint.within(endpoint.recent)
        if isinstance(paging, RangeOnly):
            pytest.skip("there are no further pages")
        many = len(expected)
        orders = []
        for size in sorted({endpoint.at_least(1), 2, 3, many - 1, many, many + 1, endpoint.size_max}):
            if endpoint.at_least(size) == size <= paging.size_max:
                found = endpoint.run(lambda client, size=size: fetch_pages(client, endpoint.recent, size))  # type: ignore[misc]
                rows = [row for page in found for row in page.rows]
                ensure_same_rows(f"rows on fetch_pages of {size}", rows, expected)
                orders.append(rows)
                if isinstance(paging, PageNumber):
                    full = [page for page in found if len(page.rows) == size]
                    ensure_equal(f"full fetch_pages of {size}", len(full), many // size)
                    counted = {page.total for page in found}
                    ensure_equal("the totals of the fetch_pages", counted, {many} if paging.has_total else {None})
        ensure(all(order == orders[0] for order in orders), "the order of rows changes with the size of a page")

    def test_a_full_page_is_the_only_sign_of_more_rows(self, endpoint: Endpoint) -> None:
        """Without further pages, a page has all rows, or the requested number of rows from the correct end."""
        expected = endpoint.within(endpoint.recent)
        if not isinstance(self.provider.rules.paging, RangeOnly):
            pytest.skip("there are further pages")
        times = sorted(endpoint.at(row) for row in expected)
        for size in (1, 2, 3, len(expected) - 1, len(expected), len(expected) + 1):
            for newest in (False, True):
                request = PageRequest(endpoint.recent, size, newest=newest)
                page = endpoint.run(lambda client, r=request: client.fetch_page(r))  # type: ignore[misc]
                got = sorted(endpoint.at(row) for row in page.rows)
                ensure_equal(f"times on a page of {size}", got, times[-size:] if newest else times[:size])
                ensure(page.next_token is None, "a page names a next one")

    def test_a_slice_includes_its_beginning_and_excludes_its_end(self, endpoint: Endpoint) -> None:
        """This also holds if its ends are between two steps of the wire's clock."""
        step = self.provider.rules.resolution
        instants = sorted({endpoint.at(row) for row in endpoint.within(endpoint.recent)})[:12]

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
                    if asked.since >= endpoint.recent.since:
                        rows = await fetch_rows(client, asked, endpoint.size_max)
                        ensure_same_rows(f"rows from {asked.since} to {asked.until}", rows, endpoint.within(asked))

        endpoint.run(read)

    def test_an_empty_range_has_no_rows_and_no_total(self, endpoint: Endpoint) -> None:
        """Checked between two rows, and for a range of length zero."""
        step = self.provider.rules.resolution
        instants = sorted({endpoint.at(row) for row in endpoint.within(endpoint.recent)})
        gaps = [Slice(since + step, until) for since, until in pairwise(instants) if until - since > step]

        async def read(client: Client) -> None:
            for asked in (*gaps[:10], Slice(instants[0], instants[0])):
                for page in await fetch_pages(client, asked, endpoint.size_max):
                    ensure_equal(f"rows and total from {asked.since} to {asked.until}", list(page.rows), [])
                    ensure(not page.total, f"{page.total} rows are counted where none are")

        endpoint.run(read)


class LimitChecks(Checks):
    """Requests beyond the limits of the rules are refused, or answered with no more than the limit."""

    def test_the_largest_page_is_full(self, memory: MemoryPair) -> None:
        endpoint, codec = memory.endpoint, self.provider.codec
        like = codec.read(endpoint.within(endpoint.recent)[0])
        more = [like.row] * (endpoint.size_max + 1)
        memory.reader.add_rows(ACCOUNT, self.provider, more)
        page = memory.run(lambda client: client.fetch_page(PageRequest(endpoint.recent, endpoint.size_max)))
        ensure_equal("rows of the largest page", len(page.rows), endpoint.size_max)

    @pytest.mark.parametrize("size", ["none", "less than none", "one too many", "far too many"])
    def test_a_page_size_out_of_range_is_refused_or_clamped(self, endpoint: Endpoint, size: str) -> None:
        number = {"none": 0, "less than none": -1, "one too many": endpoint.size_max + 1}.get(size, 10**12)
        try:
            page = endpoint.run(lambda client: client.fetch_page(PageRequest(endpoint.recent, number)))
        except Refused:
            return
        ensure(len(page.rows) <= endpoint.size_max, f"{len(page.rows)} rows where {number} were asked for")

    def test_a_window_longer_than_the_longest_is_refused(self, endpoint: Endpoint) -> None:
        rules = self.provider.rules
        if rules.slice_max is None:
            pytest.skip("a window may be of any length")
        if isinstance(rules.paging, DayDocument):
            pytest.skip("each document is of one day, and a client reads as many as a range has")
        since = endpoint.whole.until - rules.slice_max
        longest = Slice(since, endpoint.whole.until)
        ensure_same_rows(
            "rows of the longest window",
            endpoint.run(lambda client: fetch_rows(client, longest, endpoint.size_max)),
            endpoint.within(longest),
        )
        with pytest.raises(Refused):
            endpoint.run(
                lambda client: client.fetch_page(
                    PageRequest(Slice(since - rules.resolution, endpoint.whole.until), rules.size_min)
                )
            )

    def test_a_range_before_the_floor_is_refused(self, endpoint: Endpoint) -> None:
        rules = self.provider.rules
        if rules.floor is None:
            pytest.skip("a range may begin anywhere")
        floor, hour = rules.floor, timedelta(hours=1)
        endpoint.run(lambda client: client.fetch_page(PageRequest(Slice(floor, floor + hour), rules.size_min)))
        with pytest.raises(Refused):
            endpoint.run(
                lambda client: client.fetch_page(
                    PageRequest(Slice(floor - rules.resolution, floor + hour), rules.size_min)
                )
            )

    def test_rows_beyond_publication_and_retention_are_hidden(self, memory: MemoryPair) -> None:
        rules = self.provider.rules
        begin, end = rules.readable(memory.clock())
        endpoint = memory.endpoint
        hidden = []
        if rules.publish:
            hidden += [end, end + rules.resolution]
        if rules.retention:
            hidden += [begin - rules.resolution]
        if not hidden:
            pytest.skip("everything can be read at once, and for ever")
        like = self.provider.codec.read(endpoint.rows[0]).flow
        rows = [self.provider.codec.write(like._replace(at=at)) for at in hidden]
        memory.reader.add_rows(ACCOUNT, self.provider, rows)
        length = min(rules.slice_max or timedelta(days=1), timedelta(days=1))
        for at in hidden:
            asked = Slice(at - length // 2, at + length // 2)
            try:
                got = memory.run(lambda client, asked=asked: fetch_rows(client, asked, endpoint.size_max))  # type: ignore[misc]
            except Refused:
                continue
            except Unavailable:
                if not isinstance(rules.paging, DayDocument):
                    raise
                continue  # the document of the day does not exist yet
            ensure_same_rows(f"rows around {at}", got, endpoint.within(asked))

    def test_an_invalid_page_is_refused_and_a_far_one_empty(self, endpoint: Endpoint) -> None:
        paging = self.provider.rules.paging
        if isinstance(paging, RangeOnly):
            pytest.skip("there are no further pages")
        invalid = [str(paging.first - 1), "-1"] if isinstance(paging, PageNumber) else ["no-such-place", "!" * 200]
        for token in invalid:
            request = PageRequest(endpoint.recent, endpoint.at_least(10), page_token=token)
            with pytest.raises(Refused):
                endpoint.run(lambda client, r=request: client.fetch_page(r))  # type: ignore[misc]
        if isinstance(paging, PageNumber):
            page = endpoint.run(
                lambda client: client.fetch_page(PageRequest(endpoint.recent, endpoint.at_least(10), page_token=FAR))
            )
            ensure_equal("rows behind the last page", (list(page.rows), page.next_token), ([], None))


# ---------------------------------------------------------------- filters

VALUES_MAX: Final = 8
"""The most values that are tried for a filter without a list of values."""
UNKNOWN: Final = "liushuiunheardof"


class FilterChecks(Checks):
    """A filter gives exactly the rows with that value."""

    def test_each_filter_gives_the_rows_with_its_value(self, endpoint: Endpoint) -> None:
        for one in self._filters():
            seen = sorted({parameter_value(row, one.field) for row in endpoint.rows} - {""})
            for value in one.values or seen[:VALUES_MAX]:
                self._check(endpoint, {one: value})

    def test_combined_filters_give_the_rows_with_all_values(self, endpoint: Endpoint) -> None:
        """Pairs of filters, and one combination of all filters for which a row has a value. All combinations of six
        filters would take a minute."""
        filters = self._filters()
        for row in endpoint.within(endpoint.recent)[:20]:
            stated = tuple(one for one in filters if parameter_value(row, one.field))
            for some in [*combinations(filters, 2), *([stated] if len(stated) > 2 else [])]:
                values = {one: parameter_value(row, one.field) for one in some}
                if all(value in (one.values or (value,)) and value for one, value in values.items()):
                    self._check(endpoint, values)

    def test_an_unknown_value_is_refused_or_has_no_rows(self, endpoint: Endpoint) -> None:
        for one in self._filters():
            part = {one.parameter: UNKNOWN}
            try:
                rows = endpoint.run(lambda client, p=part: fetch_rows(client, endpoint.recent, endpoint.size_max, p))  # type: ignore[misc]
            except Refused:
                continue
            ensure_same_rows(f"rows with {part}", rows, [])

    def test_an_unknown_parameter_is_ignored_or_refused(self, endpoint: Endpoint) -> None:
        asked = {UNKNOWN: "1"}
        try:
            rows = endpoint.run(lambda client: fetch_rows(client, endpoint.recent, endpoint.size_max, asked))
        except Refused as error:
            ensure(UNKNOWN in str(error), f"the error does not name the unknown parameter: {error}")
            return
        ensure_same_rows("rows with an unknown parameter", rows, endpoint.within(endpoint.recent))

    def _filters(self) -> tuple[Filter, ...]:
        if not self.provider.rules.filters:
            pytest.skip("nothing can be filtered")
        return self.provider.rules.filters

    def _check(self, endpoint: Endpoint, values: dict[Filter, str]) -> None:
        part = {one.parameter: value for one, value in values.items()}
        expected = [
            row
            for row in endpoint.within(endpoint.recent)
            if all(parameter_value(row, one.field) == value for one, value in values.items())
        ]
        rows = endpoint.run(lambda client: fetch_rows(client, endpoint.recent, endpoint.size_max, part))
        ensure_same_rows(f"rows with {part}", rows, expected)
