"""A question to a provider's client: the rows of a range, and proofs that its answer was not cut.

A service may return fewer rows than requested, leave out an end of a range, or answer with other rows. The functions
here detect it from the rows, or with a further request.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from liushui.calendar_boundary import Boundary
from liushui.errors import Refused, SyncError, WireError, WrongPage
from liushui.instant import MIN_INSTANT
from liushui.provider import NO_VALUES, Client, Page, PageRequest, Slice
from liushui.rules import PageNumber, Paging, RangeOnly, Rules
from liushui.sync.undecoded_rows import (
    are_within,
    each_record_once,
    field_values,
    instant_of,
    row_times,
    rows_inside,
    step_of,
)

PAGES_MAX: Final = 10_000
"""The most pages of one read of a slice. Some real accounts had a few hundred empty pages in a row."""
EQUAL_PAGES_MAX: Final = 3
"""The number of equal consecutive pages that shows that a cursor makes no progress."""
CUTS_MIN: Final = 2
"""The number of pages cut at the same number of rows that shows a limit of the service."""
REACH_MIN: Final = 20
"""The fewest rows that a service may be suspected to return at most for any question."""
NEIGHBOURHOOD: Final = timedelta(days=7)
"""How far before an instant other rows are looked for."""
INVENTED_MAX: Final = 4
"""How many ever shorter pages may lack a row that the answer for a part of their range has. A service that cuts pages
by chance may do so once or twice."""
SAME_PAGE: Final = "the service returns the same page for every page number"


class SliceTooLarge(Exception):
    """A slice does not fit one page, and can be split. `rows`: the rows of the page."""

    def __init__(self, rows_in_page: int, rows: Sequence[bytes] = ()) -> None:
        super().__init__(f"more than the {rows_in_page} rows of one page")
        self.rows_in_page = rows_in_page
        self.rows = rows


class EndlessPages(SyncError):
    """The provider's pages never end: no slice of the source can be read."""


class IgnoredParameter(SyncError):
    """Rows do not have the value that a parameter requested."""

    def __init__(self, parameter: str, value: str, other: str, rows: Sequence[bytes]) -> None:
        super().__init__(f"the service ignores {parameter}: a row of {other} came where {value} was asked for")
        self.parameter = parameter
        self.rows = rows


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
