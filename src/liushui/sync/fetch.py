"""The fetcher: reads one slice completely, and proves from the provider's way of paging that no row is missing.

One answer shows one state of the provider, so a slice that fits one page cannot shift while it is read. A larger slice
is split until it fits. The shortest slice that the provider's clock allows cannot be split. In that case:

- with page numbers and cursors, complete reads are repeated until two consecutive ones agree (PagedFetcher);
- with ranges only, the slice is read in parts, by the filters in the provider's rules (RangeFetcher).

If a provider returns documents of whole days, a slice is a day or a part of one, and its rows are the rows of the day's
documents within the slice (DocumentFetcher). A document is proven by its digest and its control totals.

The provider's documentation alone is never trusted. A service may return fewer rows than requested, leave out an end of
a range, ignore a parameter, or count wrongly. A further request, or an inspection of the rows, detects each of these.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from liushui.calendar_boundary import Boundary
from liushui.errors import Refused, SyncError, WireError, WrongPage
from liushui.instant import MAX_INSTANT, MIN_INSTANT
from liushui.provider import NO_VALUES, Client, Page, PageRequest, Slice
from liushui.rules import Cursor, DayDocument, PageNumber, Paging, RangeOnly, Rules
from liushui.sync.undecoded_rows import (
    are_of_one_step,
    are_within,
    each_record_once,
    field_values,
    instant_of,
    row_times,
    rows_inside,
    step_of,
)

READS_MAX: Final = 5
"""The most complete reads of a slice with several pages."""
PAGES_MAX: Final = 10_000
"""The most pages of one read of a slice. Some real accounts had a few hundred empty pages in a row."""
EQUAL_PAGES_MAX: Final = 3
"""The number of equal consecutive pages that shows that a cursor makes no progress."""
CUTS_MIN: Final = 2
"""The number of pages cut at the same number of rows that shows a limit of the service."""
COMPARISONS_MAX: Final = 3
"""How often answers to two requests for the same rows may differ because rows arrived in between."""
WHOLE_PAGES_MIN: Final = 2
"""The number of longest pages that have to be complete, if an empty page follows each of them."""
EMPTY_PAGES_MAX: Final = 2
"""After this number of consecutive empty pages, check that the cursor ends. Providers that hide rows return a few empty
pages."""
REACH_MIN: Final = 20
"""The fewest rows that a service may be suspected to return at most for any question."""
NEIGHBOURHOOD: Final = timedelta(days=7)
"""How far before an instant other rows are looked for."""
INVENTED_MAX: Final = 4
"""How many ever shorter pages may lack a row that the answer for a part of their range has. A service that cuts pages
by chance may do so once or twice."""
TIMELESS_MARGIN: Final = 2
"""The request covers one more step at each end of a slice, and a service may return a further step."""
SAME_PAGE: Final = "the service returns the same page for every page number"
FAR_PAGE: Final = "1000000"
"""A page number that no account reaches: a service that returns rows there ignores the number."""


class SliceTooLarge(Exception):
    """A slice does not fit one page, and can be split. `rows`: the rows of the page."""

    def __init__(self, rows_in_page: int, rows: Sequence[bytes] = ()) -> None:
        super().__init__(f"more than the {rows_in_page} rows of one page")
        self.rows_in_page = rows_in_page
        self.rows = rows


class EndlessPages(SyncError):
    """The provider's pages never end: no slice of the source can be read."""


@dataclass
class SourceTraits:
    """The observations of one sync about its source's service."""

    rows_max: int = 0
    """The largest number of rows in one page."""
    cap: int | None = None
    """The number of rows at which pages were cut although more had been requested. None: no such page was seen."""
    cuts: int = 0
    """How many pages were cut there. A single one may have had hidden rows, or was cut in transit."""
    covered: set[tuple[str, ...]] = field(default_factory=set)
    """The values of separate parts whose rows are also in the answer without a filter."""
    ignored: set[str] = field(default_factory=set)
    """Request parameters that the service ignores."""
    answered: int = 0
    """The number of rows in the last answer, including those of the steps beside its slice."""
    repeated_rows: int = 0
    """The number of rows that repeated a record of the same answer."""
    others: Counter[bytes] = field(default_factory=Counter)
    """Rows that only the answer for a part had, when the end of a page was last found to be cut."""
    others_beside: int = 0
    """The number of rows of that page."""
    invented: int = 0
    """How often in succession a shorter page within that one lacked such rows again."""
    whole_pages: int = 0
    """The number of longest pages that were proven to be complete."""
    cuts_silently: bool = False
    """Whether a page lacked rows of its range without saying so."""
    keeps_oldest: bool | None = None
    """Whether a page that is cut has the oldest rows of its range, and not the newest ones. None: not known."""
    counts_all_rows: bool | None = None
    """Whether the total of an answer was seen to count rows that are not on its page. None: not tested yet."""
    window: timedelta = timedelta.max
    """The longest range that the service is known to answer completely. Longer ranges are proven by shorter ones in any
    case. If rows are missing there, the range may be cut and not the page."""

    def may_lack_rows(self, rows: int) -> bool:
        """Whether a page with this number of rows may have been cut silently.

        A service may cut pages at a number of rows that is at least the longest page. But it may also cut them by bytes
        or by its load. So after one cut page, every page may be cut.
        """
        return rows > 0 and (rows >= self.rows_max or self.cuts_silently)

    def note_total(self, page: Page, size: int) -> None:
        """Learn from the total of a first page, for which `size` rows were requested."""
        if page.total is not None and len(page.rows) == size < page.total:
            self.counts_all_rows = True

    def note_page(self, rows: int) -> None:
        """Learn from a page."""
        if rows > self.rows_max:
            self.rows_max, self.whole_pages = rows, 0
        if self.cap is not None and rows > self.cap:
            self.cap, self.cuts = None, 0

    def note_cut(self, rows: int, size: int) -> None:
        """Learn that more rows exist than the page had, although `size` were requested."""
        if 0 < rows < size and rows >= self.rows_max:
            self.cuts = self.cuts + 1 if self.cap == rows else 1
            self.cap = rows
        self.note_page(rows)

    def page_max(self, size: int) -> int:
        """Return the largest number of rows to expect in a page if `size` are requested."""
        return min(size, self.cap) if self.cap is not None and self.cuts >= CUTS_MIN else size


async def fetch_slice(
    client: Client,
    slice_: Slice,
    rules: Rules[Paging],
    size: int,
    *,
    can_split: bool,
    traits: SourceTraits | None = None,
    earliest: datetime = MIN_INSTANT,
) -> list[bytes]:
    """Return every row of a slice. `size` is the number of rows to request for a page.

    The request covers one more step of the provider's clock at each end, but nothing before `earliest`, because
    services differ in whether the ends belong to a range.

    Rows without a readable time are returned too; they may lie up to TIMELESS_MARGIN steps outside the slice.

    Raises SliceTooLarge if the slice `can_split` and does not fit one page; SyncError if it cannot be proven complete;
    and the client's errors.
    """
    traits = SourceTraits() if traits is None else traits
    asked = widened(slice_, rules, earliest)
    if asked == slice_:
        rows = await _read(client, slice_, rules, size, traits, can_split=can_split)
        traits.answered = len(rows)
        return rows_inside(rows, slice_, rules)
    try:
        rows = await _read(client, asked, rules, size, traits, can_split=True, inner=slice_)
    except SliceTooLarge as error:
        if can_split:
            raise
        # The neighbouring steps may have made the answer too large. But a service that leaves out an end of a range
        # returns nothing for a single step.
        rows = await _read_step(client, slice_, rules, size, traits)
        beside = without_proven_ends(asked, slice_, error.rows, rules)
        if not rows and beside != slice_:
            rows = await _read_step(client, beside, rules, size, traits)
    traits.answered = len(rows)
    return rows_inside(rows, slice_, rules)


async def _read_step(
    client: Client, asked: Slice, rules: Rules[Paging], size: int, traits: SourceTraits
) -> list[bytes]:
    try:
        return await _read(client, asked, rules, size, traits, can_split=False)
    except SliceTooLarge as error:
        raise SyncError(f"the service gave {error.rows_in_page} rows of one instant, and has more") from error


async def _read(
    client: Client,
    asked: Slice,
    rules: Rules[Paging],
    size: int,
    traits: SourceTraits,
    *,
    can_split: bool,
    inner: Slice | None = None,
) -> list[bytes]:
    question = Question(client, asked, rules, size, traits, inner or asked)
    if isinstance(rules.paging, RangeOnly):
        return await RangeFetcher(question, rules.paging).fetch(can_split=can_split)
    if isinstance(rules.paging, DayDocument):
        return await DocumentFetcher(question).fetch()
    return await PagedFetcher(question).fetch(can_split=can_split)


def widened(slice_: Slice, rules: Rules[Paging], earliest: datetime) -> Slice:
    """Widen a slice by one step at each end, if rows have a time field and a request may have that length.

    The result begins no earlier than `earliest` and the floor of the rules.
    """
    step = rules.resolution
    if rules.time_field is None:
        return slice_
    earliest = max(earliest, rules.floor or MIN_INSTANT, MIN_INSTANT + step)
    since = slice_.since - step if slice_.since - earliest >= step else slice_.since
    until = slice_.until + step if slice_.until <= MAX_INSTANT - step else slice_.until
    if rules.slice_max is not None and until - since > rules.slice_max:
        return slice_
    return Slice(since, until)


def without_proven_ends(asked: Slice, slice_: Slice, rows: Sequence[bytes], rules: Rules[Paging]) -> Slice:
    """Return a slice of one step, widened by the neighbouring steps in `asked`. An end at which a row was received is
    not widened.

    Such a row shows that the service includes that end of a range.
    """
    steps = set(row_times(rows, rules))
    return Slice(
        slice_.since if step_of(asked.since, rules) in steps else asked.since,
        slice_.until if step_of(asked.until, rules) - 1 in steps else asked.until,
    )


# ---------------------------------------------------------------- one question


class Question(NamedTuple):
    """A request to a client: the rows of a range."""

    client: Client
    slice_: Slice
    rules: Rules[Paging]
    size: int
    traits: SourceTraits
    inner: Slice
    """The slice that has to be complete. The request covers the steps beside it too."""

    async def page(
        self,
        size: int | None = None,
        *,
        slice_: Slice | None = None,
        page_token: str | None = None,
        params: Mapping[str, str] = NO_VALUES,
        newest: bool = False,
    ) -> Page:
        """Fetch one page.

        Raises SyncError if it has more rows than a page may have, or rows that were not requested, and EndlessPages if
        the service repeatedly returns another page than requested.
        """
        asked = slice_ or self.slice_
        request = PageRequest(asked, size or self.size, page_token=page_token, params=params, newest=newest)
        try:
            page = await self.client.fetch_page(request)
        except WrongPage as error:
            raise EndlessPages(f"{SAME_PAGE}: {error}") from error
        # A provider may ignore the requested number of rows, but not its own maximum.
        if len(page.rows) > self.size:
            raise SyncError(f"a page has {len(page.rows)} rows where {self.size} were asked for")
        check_times(page.rows, asked, self.rules)
        for name, value in params.items():
            check_values(page.rows, self.rules, name, value)
        return page

    def records(self, rows: Sequence[bytes]) -> list[bytes]:
        """Return the rows of one answer, each record once. Check ends, totals and page lengths before, with all
        rows."""
        once = each_record_once(rows, self.rules)
        self.traits.repeated_rows += len(rows) - len(once)
        return once

    @property
    def is_short(self) -> bool:
        """Whether the service is known to answer a range of this length completely."""
        return self.slice_.until - self.slice_.since <= self.traits.window

    async def prove_end(
        self, rows: Sequence[bytes], params: Mapping[str, str] = NO_VALUES, *, keeps_oldest: bool | None = None
    ) -> None:
        """Prove that a page has all rows of the range, by requesting the parts of the range at its last rows and beyond
        them.

        A service may return fewer rows than requested. `keeps_oldest`: whether the service is known to keep the oldest
        rows of a range that it cuts (True) or the newest ones (False); then only the other end is requested. Raises
        SliceTooLarge if a part has further rows, or lacks a row of the step at which it begins.
        """
        times = [at for at in row_times(rows, self.rules) if at is not None]
        if not times:
            return
        first, last = min(times), max(times)
        oldest, newest = instant_of(first, self.rules), instant_of(last, self.rules)
        # Rows of the first and the last step may be missing too, so these steps are requested again. So is the step
        # next to them, because a service may leave out an end of a range. If all rows are in one step, that would
        # return the same page.
        step = self.rules.resolution
        shared, beside = (step, step) if oldest < newest else (timedelta(0), timedelta(0))
        after = Slice(max(self.slice_.since, newest + step - shared - beside), self.slice_.until)
        before = Slice(self.slice_.since, min(self.slice_.until, oldest + shared + beside))
        parts = [(after, last, False), (before, first, True)]
        for part, edge, is_oldest in parts:
            if part.since >= part.until or is_oldest is keeps_oldest:
                continue
            at_edge = [row for row, at in zip(rows, row_times(rows, self.rules), strict=True) if at == edge]
            expected = Counter(rows_inside(at_edge, part, self.rules)) if shared else Counter()
            inside = await self._rows_at_end(part, rows, expected, params, is_oldest=is_oldest)
            others = Counter(rows_inside(inside, self.inner, self.rules)) - Counter(rows)
            if len(inside) >= len(rows) or not expected <= Counter(inside) or others:
                self._note_others(others, rows)
                self.traits.cuts_silently |= self.is_short and not isinstance(self.rules.paging, RangeOnly)
                self.traits.note_cut(len(rows), self.size)
                raise SliceTooLarge(len(rows), rows)

    def _note_others(self, others: Counter[bytes], rows: Sequence[bytes]) -> None:
        """Remember the rows that the answer for a part has and the page for the whole range lacks.

        A service that cuts pages leaves fewer rows out of shorter ranges. If ever shorter pages lack such rows, the
        service invents them, and ranges would be halved without end: then this raises SyncError.
        """
        traits = self.traits
        here = Counter(rows_inside(list(traits.others.elements()), self.inner, self.rules))
        is_again = bool(here - Counter(rows)) and len(rows) < traits.others_beside
        if traits.invented < INVENTED_MAX:  # what has been shown stays shown
            traits.invented = traits.invented + 1 if is_again else 0
        traits.others, traits.others_beside = others, len(rows)
        if traits.invented >= INVENTED_MAX:
            raise SyncError("the answer for a part of a range has rows that no answer for the range has")

    async def _rows_at_end(
        self,
        part: Slice,
        rows: Sequence[bytes],
        expected: Counter[bytes],
        params: Mapping[str, str],
        *,
        is_oldest: bool,
    ) -> list[bytes]:
        """Return the rows of a part at one end of the range.

        The service may cut that part at a boundary of a calendar, so that it lacks the rows at its inner end, which are
        `expected`. Then a longer part is requested, which has a boundary beyond these rows.
        """
        inside = rows_inside((await self.page(slice_=part, params=params)).rows, part, self.rules)
        if len(inside) >= len(rows) or expected <= Counter(inside):
            return inside
        for boundary in Boundary:
            if part.until - part.since <= boundary.length:
                break
            if is_oldest:
                longer = Slice(part.since, min(self.slice_.until, part.until + boundary.length))
            else:
                longer = Slice(max(self.slice_.since, part.since - boundary.length), part.until)
            if longer == self.slice_:
                break
            found = rows_inside((await self.page(slice_=longer, params=params)).rows, longer, self.rules)
            if len(found) >= len(rows) or not expected <= Counter(found):
                continue
            known = rows_inside(rows, longer, self.rules)
            if is_cut_at(boundary, row_times(found, self.rules), row_times(known, self.rules), self.rules):
                return found
        return inside

    async def prove_reach(self, rows: Sequence[bytes], params: Mapping[str, str] = NO_VALUES) -> None:
        """Prove that the rows of a single instant are not cut at the largest number that the service returns for any
        question.

        If older rows are near, the instant and these have more rows together. Raises SyncError if the service returns
        no more. Does nothing if the rows are few or are not of one instant, or if nothing older is near.
        """
        count, times = len(rows), set(row_times(rows, self.rules)) - {None}
        if count < REACH_MIN or len(times) != 1:
            return
        at, step = instant_of(min(at for at in times if at is not None), self.rules), self.rules.resolution
        earliest = max(self.rules.floor or MIN_INSTANT, MIN_INSTANT + NEIGHBOURHOOD)
        since = max(earliest, at - min(self.traits.window, NEIGHBOURHOOD) // 2 // step * step)
        if since >= at:
            return
        # The longer range ends a step later, because a service may leave out the end of a range.
        try:
            older = await self.page(self.rules.size_min, slice_=Slice(since, at), params=params)
            has_reached = not older.rows or await self._has_more_than(count, Slice(since, at + 2 * step), params)
        except (Refused, WireError):  # for example because the provider keeps no rows that are so old
            return
        if not has_reached:
            raise SyncError(
                f"the service gives {count} rows of one instant, and no more than these for a longer range: "
                "the instant may have more rows"
            )

    async def _has_more_than(self, count: int, range_: Slice, params: Mapping[str, str]) -> bool:
        """Whether the pages of a range have more rows than this."""
        paging = self.rules.paging
        if isinstance(paging, PageNumber):
            size = next(size for size in range(min(count, self.size), 0, -1) if count % size == 0)
            if size < paging.size_min:
                return True
            token = str(paging.first + count // size)
            return bool((await self.page(size, slice_=range_, page_token=token, params=params)).rows)
        page = await self.page(slice_=range_, params=params)
        rows, walk = len(page.rows), PageWalk()
        for _ in range(PAGES_MAX):
            walk.add(page)
            if rows > count or page.next_token is None:
                break
            page = await self.page(slice_=range_, page_token=page.next_token, params=params)
            rows += len(page.rows)
        return rows > count or (rows >= self.size and isinstance(paging, RangeOnly))


def is_cut_at(
    boundary: Boundary, found: Sequence[int | None], known: Sequence[int | None], rules: Rules[Paging]
) -> bool:
    """Whether the known rows that were not found lie beyond a boundary of a calendar. `found`, `known`: their times."""
    inner = sorted({at for at in found if at is not None})
    outer = sorted({at for at in known if at is not None} - set(inner))
    neighbours = [(max(at for at in outer if at < inner[0]), inner[0])] if outer and outer[0] < inner[0] else []
    if outer and outer[-1] > inner[-1]:
        neighbours.append((inner[-1], min(at for at in outer if at > inner[-1])))
    zones = [ZoneInfo(name) for name in {"UTC", rules.zone}]
    return all(
        any(boundary.last_before(instant_of(later, rules), zone) > instant_of(earlier, rules) for zone in zones)
        for earlier, later in neighbours
    )


def check_times(rows: Sequence[bytes], asked: Slice, rules: Rules[Paging]) -> None:
    """Raise SyncError if a row has a time that was not requested."""
    if rules.time_field is None or not rows:
        return
    first, end = step_of(asked.since, rules), step_of(asked.until, rules)
    # One more step may be returned at each end, because services differ in whether the ends belong to a range.
    if are_within(row_times(rows, rules), first - 1, end + 1):
        return
    strays = [at for at in row_times(rows, rules) if at is not None and not first - 1 <= at <= end]
    if strays:
        unit = rules.time_field
        raise SyncError(
            f"the service ignores the range of a request: {len(strays)} of {len(rows)} rows are outside it, "
            f"such as {unit} {strays[0]} where {first} to {end - 1} was asked for"
        )


def check_values(rows: Sequence[bytes], rules: Rules[Paging], parameter: str, value: str) -> None:
    """Raise IgnoredParameter if a row has a value that was not requested."""
    others = set(field_values(rows, rules.filter(parameter).field)) - {None}  # a row without a value cannot be read
    strays = sorted(map(str, others - {value, int(value) if value.isdecimal() else value}))
    if strays:
        raise IgnoredParameter(parameter, value, strays[0], rows)


class IgnoredParameter(SyncError):
    """Rows do not have the value that a parameter requested."""

    def __init__(self, parameter: str, value: str, other: str, rows: Sequence[bytes]) -> None:
        super().__init__(f"the service ignores {parameter}: a row of {other} came where {value} was asked for")
        self.parameter = parameter
        self.rows = rows


# ---------------------------------------------------------------- page numbers and cursors


class WholeRead(NamedTuple):
    """All pages of a slice, read one after the other."""

    rows: list[bytes]
    longest_page: int
    matches_total: bool
    """False if the provider counted more rows than it returned."""
    cut_at: int | None = None
    """The length of the shortest page that was shorter than requested although a later page has rows."""


class PagedFetcher:
    """Reads a slice of a provider whose answers lead to further pages."""

    def __init__(self, question: Question) -> None:
        self._question, self._traits, self._size = question, question.traits, question.size
        self.paging = question.rules.paging

    async def fetch(self, *, can_split: bool) -> list[bytes]:
        first, is_whole = await self._read_single_page(can_split=can_split)
        if is_whole:
            return self._question.records(first.rows)
        if can_split:
            raise SliceTooLarge(self._rows_of_a_page(first), first.rows)
        return await self._read_until_two_agree()

    async def _read_single_page(self, *, can_split: bool) -> tuple[Page, bool]:
        """Return the first page with rows, and whether it is the whole slice."""
        page = first = await self.page(self._size)
        walk = PageWalk()
        for _ in range(PAGES_MAX):
            walk.add(page)
            if walk.empty_pages == EMPTY_PAGES_MAX and page.next_token is not None:
                await self._check_cursor_ends()
            # The total may lag behind the rows, so a full page never proves that it is the only one.
            if can_split and len(first.rows) == self._size and (page.next_token is not None or page.total is not None):
                self._traits.note_total(first, self._size)
                self._traits.note_page(len(first.rows))
                return first, False
            # Only a missing token marks the end. A short page does not: servers may give fewer rows than requested.
            if page.next_token is None or await self._is_all(first):
                break
            page = await self.page(self._size, page_token=page.next_token)
            if page.rows and first.rows:
                await self._check_progress(walk, page)
                self._traits.note_cut(len(first.rows), self._size)
                return first, False
            first = page if page.rows else first
        else:
            raise EndlessPages(f"no page was the last one in {PAGES_MAX}")
        if not total_matches(len(first.rows), {first.total}):
            return first, False
        if isinstance(self.paging, PageNumber) and await self.has_rows_after(first):
            self._traits.cuts_silently = True
            self._traits.note_cut(len(first.rows), self._size)
            return first, False
        if self._traits.may_lack_rows(len(first.rows)):
            if self.must_prove_end(len(first.rows)):
                await self._question.prove_end(first.rows)
                self._traits.whole_pages += len(first.rows) >= self._traits.rows_max
            if not await self.is_whole_step(first.rows):
                self._traits.cuts_silently = True
                return first, False
            await self._question.prove_reach(first.rows)
        self._traits.note_page(len(first.rows))
        return first, True

    async def is_whole_step(self, rows: Sequence[bytes]) -> bool:
        """Whether a page with rows of a single step of the clock has all rows of that step.

        No shorter range can show missing rows, but pages of another length can.
        """
        if len(rows) == 1 or not are_of_one_step(rows, self._question.rules):
            return True
        again = await self._read_whole(max(self._question.rules.size_min, len(rows) - 1))
        return Counter(again.rows) == Counter(self._question.records(rows))

    def must_prove_end(self, rows: int) -> bool:
        """Whether to prove a page by requesting the parts of the range beyond its rows, although no other page
        follows."""
        if isinstance(self.paging, Cursor) or self._traits.cuts_silently:
            return True
        # An empty page after it, or a flag, also marks the end. A limit is found by testing the longest pages.
        return self._question.is_short and (rows > self._traits.rows_max or self._traits.whole_pages < WHOLE_PAGES_MIN)

    async def has_rows_after(self, page: Page) -> bool:
        """Whether rows follow those of a page that seems to be the only one of its range.

        A service may cut a page by bytes or at random, and still count pages by the requested size. Then the second
        page begins after rows that are on no page. But if the requested size is the length of the first page, the
        second page begins right after its last row.
        """
        rows = len(page.rows)
        paging = self._question.rules.paging
        if not rows or rows >= self._size or not isinstance(paging, PageNumber) or await self.counts_rows(page):
            return False
        if rows < paging.size_min:
            await self._question.prove_end(page.rows)
            return False
        after = await self.page(rows, page_token=str(paging.first + 1))
        if after.rows and not Counter(after.rows) - Counter(page.rows):
            # Each page may begin with the last row of the previous page. Or these are further, equal rows.
            await self._question.prove_end(page.rows)
            return not await self.is_whole_step(page.rows)
        return bool(after.rows)

    async def _is_all(self, page: Page) -> bool:
        """Whether a page is known to be the only one: the provider's total says so, and larger pages have been
        returned."""
        return not self._traits.may_lack_rows(len(page.rows)) and await self.counts_rows(page)

    async def counts_rows(self, page: Page) -> bool:
        """Whether the total equals the rows of a page, and is known to count the rows of other pages too.

        Some services state the number of rows up to the end of the page as the total. A request for another page shows
        this.
        """
        rows, paging = len(page.rows), self._question.rules.paging
        if page.total != rows or not rows or not isinstance(paging, PageNumber):
            return page.total == rows
        if self._traits.counts_all_rows is None:
            if rows > paging.size_min:
                other = await self.page(paging.size_min)
            else:
                other = await self.page(self._size, page_token=str(paging.first + 1))
            self._traits.counts_all_rows = len(other.rows) < rows == other.total
        return self._traits.counts_all_rows

    def _rows_of_a_page(self, page: Page) -> int:
        """Return the expected number of rows in a page, after a page that did not hold the whole slice."""
        rows = max(1, len(page.rows))
        if isinstance(self.paging, Cursor):
            # The provider's limit includes rows that it then hides, so this page does not predict the next page.
            return self._traits.page_max(self._size)
        return max(rows, self._traits.rows_max)

    async def _check_progress(self, walk: "PageWalk", page: Page) -> None:
        """Raise EndlessPages if the next page repeats the page before, several times."""
        token = page.next_token
        if isinstance(self.paging, PageNumber):
            if walk.is_repeated(page) and await self._has_far_page():
                raise EndlessPages(SAME_PAGE)
            return
        while walk.is_repeated(page) and token is not None:
            walk.add(page)
            page = await self.page(self._size, page_token=token)
            token = page.next_token

    async def _check_cursor_ends(self) -> None:
        """Raise EndlessPages if a cursor never ends, even within a single step."""
        since, until = self._question.slice_
        resolution = self._question.rules.resolution
        middle = since + (until - since) // resolution // 2 * resolution
        step = Slice(middle, middle + resolution)
        token: str | None = None
        for _ in range(EMPTY_PAGES_MAX):
            page = await self._question.page(slice_=step, page_token=token)
            if page.rows or page.next_token is None:
                return
            token = page.next_token
        raise EndlessPages("the service names ever new cursors, for empty pages")

    async def _has_far_page(self) -> bool:
        """Whether a page number far beyond the end returns rows."""
        try:
            return bool((await self.page(self._size, page_token=FAR_PAGE)).rows)
        except (Refused, WireError):  # the service respects the number
            return False

    async def _read_until_two_agree(self) -> list[bytes]:
        before: WholeRead | None = None
        agreements, size_min = 0, self._question.rules.size_min
        longest = self._size
        for number in range(READS_MAX):
            # A provider may return a page again instead of the next one. Two reads with pages of one length would then
            # lack the same rows and agree. Pages of another length end at other rows.
            requested = longest
            if before is not None and number % 2:
                requested = max(size_min, min(longest, before.longest_page) - 1)
            read = await self._read_whole(requested)
            if isinstance(self.paging, PageNumber) and read.cut_at is not None:
                # Rows between a page that was cut and the next page may be on no page. Shorter pages are not cut.
                longest = max(size_min, min(longest, read.cut_at))
            agreements = agreements + 1 if reads_agree(before, read) else 0
            # Pages of the smallest length cannot be varied, so one more read has to agree.
            if agreements >= (2 if read.longest_page <= size_min and read.longest_page < len(read.rows) else 1):
                await self._question.prove_reach(read.rows)
                return read.rows
            before = read
        raise SyncError(f"the pages shifted during each of {READS_MAX} reads")

    async def _read_whole(self, requested: int) -> WholeRead:
        rows: list[bytes] = []
        listed = longest_page = 0
        shortest_page, cut_at = requested, None
        totals: set[int | None] = set()
        page_token: str | None = None
        walk = PageWalk()
        for _ in range(PAGES_MAX):
            page = await self.page(requested, page_token=page_token)
            if isinstance(self.paging, PageNumber) and walk.is_repeated(page) and await self._has_far_page():
                raise EndlessPages(SAME_PAGE)
            walk.add(page)
            if page.rows and shortest_page < requested:
                cut_at = shortest_page
            rows += self._question.records(page.rows)
            listed += len(page.rows)
            longest_page = max(longest_page, len(page.rows))
            shortest_page = min(shortest_page, len(page.rows) or shortest_page)
            totals.add(page.total)
            is_short = len(page.rows) < longest_page and page.total == listed and self._traits.counts_all_rows
            if page.next_token is None or is_short:
                return WholeRead(rows, longest_page, total_matches(listed, totals), cut_at)
            page_token = page.next_token
        raise EndlessPages(f"no page was the last one in {PAGES_MAX}")

    async def page(self, requested: int, *, page_token: str | None = None) -> Page:
        return await self._question.page(requested, page_token=page_token)


class PageWalk:
    """The consecutive pages of one read. Raises EndlessPages if cursors make no progress."""

    def __init__(self) -> None:
        self._tokens: set[str] = set()
        self._last: Sequence[bytes] = ()
        self._repeats = 0
        self.empty_pages = 0
        """Empty pages since the last one with rows."""

    def add(self, page: Page) -> None:
        """Add the next page."""
        self._repeats = self._repeats + 1 if self.is_repeated(page) else 0
        # Equal consecutive pages are possible if all their rows are equal.
        if self._repeats >= EQUAL_PAGES_MAX - 1 and len(set(page.rows)) > 1:
            raise EndlessPages(f"the same page came {EQUAL_PAGES_MAX} times in a row")
        self._last = page.rows
        self.empty_pages = 0 if page.rows else self.empty_pages + 1
        if page.next_token is not None:
            if page.next_token in self._tokens:
                raise EndlessPages("the service gives a cursor again that led to an earlier page")
            self._tokens.add(page.next_token)

    def is_repeated(self, page: Page) -> bool:
        """Whether a page has rows, and is the same as the last one."""
        return bool(page.rows) and list(page.rows) == list(self._last)


def reads_agree(before: WholeRead | None, read: WholeRead) -> bool:
    """Whether two consecutive complete reads found the same rows, and no fewer than the provider counted."""
    return read.matches_total and before is not None and before.matches_total and before.rows == read.rows


def total_matches(rows: int, totals: set[int | None]) -> bool:
    """Whether no page stated a larger total. Smaller totals mean nothing: services leave the total out, or count one
    page."""
    return all(total is None or total <= rows for total in totals)


# ---------------------------------------------------------------- ranges only


class RangeFetcher:
    """Reads a slice of a provider without further pages. Each part of the slice must fit one page."""

    def __init__(self, question: Question, paging: RangeOnly) -> None:
        self._question, self._paging = question, paging
        self._rules, self._size, self._traits = question.rules, question.size, question.traits

    async def fetch(self, *, can_split: bool) -> list[bytes]:
        return self._question.records(await self._read(can_split=can_split))

    async def _read(self, *, can_split: bool) -> list[bytes]:
        if not self._paging.partition_by:
            return await self.read_part({}, can_split=can_split)
        for _ in range(COMPARISONS_MAX):
            rows = await self.read_parts(can_split=can_split)
            if rows is not None:
                return rows
        names = " and ".join(self._paging.partition_by)
        raise SyncError(f"the answers with and without {names} differed, {COMPARISONS_MAX} times")

    async def read_parts(self, *, can_split: bool) -> list[bytes] | None:
        """Return the rows of all parts, including rows with unlisted values. None: two answers differed."""
        whole = await self._question.page()
        if self.is_full(whole):
            self._traits.note_page(len(whole.rows))
            if can_split:
                raise SliceTooLarge(len(whole.rows), whole.rows)
            return await self._read_parts_of_full(whole)
        await self._prove_whole(whole, {})
        rows = list(whole.rows)
        for part in self.separate_parts():
            key = tuple(part.values())
            if key in self._traits.covered:
                continue
            try:
                answer = await self.read_part(part, can_split=can_split)
            except IgnoredParameter as error:
                if Counter(error.rows) != Counter(whole.rows):
                    raise
                # The answer was the same as without the parameter, and so has all rows.
                self._traits.ignored.add(error.parameter)
                return list(whole.rows)
            own, named = self._rows_of(whole.rows, part), self._rows_of(answer, part)
            if own and Counter(own) != Counter(named):
                return None
            if own:
                self._traits.covered.add(key)
            # Without such rows, the service may have assumed a value for the missing parameter. Rows that state no
            # value are in both answers.
            rows += (Counter(answer) - Counter(whole.rows)).elements()
        return rows

    async def _read_parts_of_full(self, whole: Page) -> list[bytes]:
        """Return the rows of one instant that do not fit one answer, part by part."""
        rows: list[bytes] = []
        for part in self.separate_parts():
            rows += await self.read_part(part, can_split=False)
        if not rows:
            # The parameter is ignored.
            return await self._read_by_filters({}, whole, self._paging.split_by)
        if not holds_page(rows, whole):
            raise SyncError(f"a row at one instant is found under no {' and '.join(self._paging.partition_by)}")
        return rows

    def separate_parts(self) -> Iterator[dict[str, str]]:
        """The combinations of filters that are requested separately, in addition to the request without them."""
        if self._traits.ignored & set(self._paging.partition_by):
            return
        values = [self._rules.filter(name).values or () for name in self._paging.partition_by]
        for combination in product(*values):
            yield dict(zip(self._paging.partition_by, combination, strict=True))

    async def read_part(self, part: dict[str, str], *, can_split: bool) -> list[bytes]:
        page = await self._question.page(params=part)
        if not self.is_full(page):
            await self._prove_whole(page, part)
            return list(page.rows)
        if can_split:
            raise SliceTooLarge(len(page.rows), page.rows)
        return await self._read_by_filters(part, page, self._paging.split_by)

    async def _prove_whole(self, page: Page, part: Mapping[str, str]) -> None:
        if self._traits.may_lack_rows(len(page.rows)):
            await self._question.prove_end(page.rows, part)
            await self._prove_instant(page, part)
        else:
            await self.prove_short_page(page, part)
        self._traits.note_page(len(page.rows))

    async def prove_short_page(self, page: Page, part: Mapping[str, str]) -> None:
        """Prove that a page has all rows of its range although larger pages were complete.

        It may have been cut by bytes or at random, and there is no further page that would show it.
        """
        if len(set(row_times(page.rows, self._rules)) - {None}) < 2:
            await self._question.prove_end(page.rows, part)
            await self._prove_instant(page, part)
            return
        if self._traits.keeps_oldest is None:
            self._traits.keeps_oldest = await self._keeps_oldest(page, part)
        await self._question.prove_end(page.rows, part, keeps_oldest=self._traits.keeps_oldest)

    async def _keeps_oldest(self, page: Page, part: Mapping[str, str]) -> bool | None:
        """Whether the service returns the oldest row of a range if a single row is requested. False: it returns the
        newest row. None: it returns another row."""
        times = [at for at in row_times(page.rows, self._rules) if at is not None]
        single = row_times((await self._question.page(1, params=part)).rows, self._rules)
        is_oldest, is_newest = list(single) == [min(times)], list(single) == [max(times)]
        return is_oldest if is_oldest or is_newest else None

    async def _prove_instant(self, page: Page, part: Mapping[str, str]) -> None:
        """Prove that a page has all rows of a single instant. No shorter range can show missing rows, but a page from
        the other end can. Raises SyncError if that page differs, and SliceTooLarge if the slice can be split."""
        is_step = self._question.slice_.until - self._question.slice_.since <= self._rules.resolution
        if not page.rows or not (is_step or (len(page.rows) > 1 and are_of_one_step(page.rows, self._rules))):
            return
        newest = await self._newest_page(part)
        await self._question.prove_reach(page.rows, part)
        if not holds_page(list(page.rows), newest):
            self._traits.note_cut(len(page.rows), self._size)
            if not is_step:
                raise SliceTooLarge(len(page.rows), page.rows)
            raise SyncError(
                f"the service gave {len(page.rows)} rows of one instant where {self._size} were asked for, and has more"
            )

    async def _newest_page(self, part: Mapping[str, str]) -> Page:
        """Fetch the newest rows of a part, without those that have no readable time.

        This request has no beginning, so rows without a time may be older than the slice. The request with a beginning
        returns those that are not.
        """
        page = await self._question.page(params=part, newest=True)
        if self._rules.time_field is None:
            return page
        times = row_times(page.rows, self._rules)
        return page._replace(rows=[row for row, at in zip(page.rows, times, strict=True) if at is not None])

    def _rows_of(self, rows: Sequence[bytes], part: Mapping[str, str]) -> list[bytes]:
        """Return the rows that have the values of a part."""
        matching = list(rows)
        for name, value in part.items():
            values = field_values(matching, self._rules.filter(name).field)
            matching = [row for row, other in zip(matching, values, strict=True) if str(other) == value]
        return matching

    async def _read_by_filters(self, part: dict[str, str], full: Page, filters: Sequence[str]) -> list[bytes]:
        """Return the rows of a part with a full page: by each value of the first filter, and for full pages by the
        other filters.

        Raises SyncError if no filter is left, or if a row may have a value that is neither documented nor known.
        """
        if not filters:
            raise SyncError(
                f"more than the {self._size} rows that one answer may have, at one instant, "
                f"with {', '.join(f'{name} {value}' for name, value in part.items()) or 'no filter'}"
            )
        name, *others = filters
        filter_ = self._rules.filter(name)
        newest = await self._newest_page(part)
        seen = {
            str(value) for value in field_values([*full.rows, *newest.rows], filter_.field) if value not in {None, ""}
        }
        rows: list[bytes] = []
        for value in filter_.values or sorted(seen):
            page = await self._question.page(params=part | {name: value})
            rows += await self._read_by_filters(part | {name: value}, page, others) if self.is_full(page) else page.rows
        if not holds_page(rows, full) or not holds_page(rows, newest):
            raise SyncError(f"a row at one instant is found under no {name}")
        if not self.pages_meet(rows):
            raise SyncError(
                f"{len(rows)} rows at one instant, found by {name}: between the oldest and the newest {self._size} "
                f"there may be a {name} that was not seen"
            )
        return rows

    def is_full(self, page: Page) -> bool:
        """Whether a page has the maximum number of rows, so that rows may be missing."""
        return len(page.rows) >= self._traits.page_max(self._size)

    def pages_meet(self, rows: list[bytes]) -> bool:
        """Whether the oldest and the newest page of an instant overlap or touch, so that all of its rows were read."""
        return len(rows) < 2 * self._traits.page_max(self._size)


# ---------------------------------------------------------------- documents of days


class DocumentFetcher:
    """Reads a slice of a provider that returns one document for each day and part: every page of every document."""

    def __init__(self, question: Question) -> None:
        self._question = question

    async def fetch(self) -> list[bytes]:
        rows: list[bytes] = []
        tokens: set[str] = set()
        token: str | None = None
        for _ in range(PAGES_MAX):
            # A client returns documents in pages of the requested size. All pages come from one answer.
            page = await self._question.page(page_token=token)
            rows += page.rows
            token = page.next_token
            if token is None:
                return rows
            if token in tokens:
                raise EndlessPages("the client names a page again that it has given")
            tokens.add(token)
        raise EndlessPages(f"no page was the last one in {PAGES_MAX}")


def holds_page(rows: list[bytes], page: Page) -> bool:
    """Whether the rows contain each row of a page at least as often as the page does."""
    return Counter(page.rows) <= Counter(rows)
