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

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from liushui.errors import SyncError
from liushui.instant import MAX_INSTANT, MIN_INSTANT
from liushui.provider import Client, Slice
from liushui.rules import DayDocument, Paging, RangeOnly, Rules
from liushui.sync.paged_fetcher import PagedFetcher
from liushui.sync.question import PAGES_MAX, EndlessPages, Question, SliceTooLarge, SourceTraits
from liushui.sync.range_fetcher import RangeFetcher
from liushui.sync.undecoded_rows import (
    row_times,
    rows_inside,
    step_of,
)

TIMELESS_MARGIN: Final = 2
"""The request covers one more step at each end of a slice, and a service may return a further step."""


class Answer(NamedTuple):
    """The rows of a slice, and the number of rows in the answer, including those of the steps beside the slice."""

    rows: list[bytes]
    answered: int


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
    """Return the rows of `fetch_answer`."""
    answer = await fetch_answer(client, slice_, rules, size, can_split=can_split, traits=traits, earliest=earliest)
    return answer.rows


async def fetch_answer(
    client: Client,
    slice_: Slice,
    rules: Rules[Paging],
    size: int,
    *,
    can_split: bool,
    traits: SourceTraits | None = None,
    earliest: datetime = MIN_INSTANT,
) -> Answer:
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
        return Answer(rows_inside(rows, slice_, rules), len(rows))
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
    return Answer(rows_inside(rows, slice_, rules), len(rows))


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
