"""The mutations: each one takes one step out of the proof of a sync or a commit, by patching the function that does it.

Tests and `python -m soak --without STEP` remove steps, to check that something then fails. The product does not know
the mutations.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from liushui.errors import SyncError
from liushui.ledger.engines import sqlite
from liushui.ledger.flow_row import COPY_MARK, ID, Rejected, Row
from liushui.ledger.write import batch_writer, commit
from liushui.provider import DecodedRow, Page, Slice
from liushui.rules import Cursor, PageNumber, Rules
from liushui.sync import (
    caller,
    committer,
    doubts,
    fetch,
    paged_fetcher,
    pipeline,
    plan,
    question,
    range_ends,
    range_fetcher,
    window,
)

Function = Callable[..., Any]
Report = Callable[[str], None]
"""Called with the name of a step each time that leaving it out changes a result."""


class Step(NamedTuple):
    """A step of the proof: the function that performs it, and its replacement."""

    owner: type | ModuleType
    function: str
    wrap: Callable[[Function, Callable[[], None], bool], Function]
    """Makes the replacement from the function, a report that the step changes a result, and a flag that says whether to
    leave it out."""


def replaced(other: Function) -> Callable[[Function, Callable[[], None], bool], Function]:
    """Call another function in place of the step. Each call of the step counts as a change."""

    def wrap(original: Function, changes: Callable[[], None], leave_out: bool) -> Function:
        def called(*args: object, **kwargs: object) -> object:
            changes()
            return (other if leave_out else original)(*args, **kwargs)

        return called

    return wrap


def altered(alter: Function) -> Callable[[Function, Callable[[], None], bool], Function]:
    """Pass the result of the step, and its arguments, through `alter`. A different result counts as a change."""

    def wrap(original: Function, changes: Callable[[], None], leave_out: bool) -> Function:
        def result(returned: object, args: tuple[object, ...]) -> object:
            without = alter(returned, *args)
            if without != returned:
                changes()
            return without if leave_out else returned

        async def called_async(*args: object, **kwargs: object) -> object:
            return result(await original(*args, **kwargs), args)

        def called(*args: object, **kwargs: object) -> object:
            return result(original(*args, **kwargs), args)

        return called_async if iscoroutinefunction(original) else called

    return wrap


def unchecked(original: Function, changes: Callable[[], None], leave_out: bool) -> Function:
    """Accept inputs that the step refuses. Each such input counts as a change."""

    def called(*args: object, **kwargs: object) -> None:
        try:
            original(*args, **kwargs)
        except SyncError:
            changes()
            if not leave_out:
                raise

    return called


def nothing(*_args: object, **_kwargs: object) -> None:
    """The replacement of a step: do nothing."""


async def nothing_async(*_args: object, **_kwargs: object) -> None:
    """The replacement of a coroutine: do nothing."""


def as_often_as_listed(_once: list[bytes], rows: Sequence[bytes], *_args: object) -> list[bytes]:
    """A record counts as often as it is listed."""
    return list(rows)


def always(*_args: object) -> bool:
    """Replaces a check that is left out: the answer is always yes."""
    return True


def never(*_args: object) -> bool:
    """Replaces a check that is left out: the answer is always no."""
    return False


def as_the_total_says(_counts: bool, _fetcher: paged_fetcher.PagedFetcher, page: Page) -> bool:
    """A page is whole if its total is the number of its rows."""
    return page.total == len(page.rows)


def alone(_beside: Slice, _asked: Slice, slice_: Slice, *_args: object) -> Slice:
    """A step is read by itself."""
    return slice_


def last_where_short(page: Page, fetcher: paged_fetcher.PagedFetcher, requested: int) -> Page:
    """A page with fewer rows than requested counts as the last one."""
    is_short = isinstance(fetcher.paging, PageNumber) and len(page.rows) < requested
    return page._replace(next_token=None) if is_short else page


def last_where_empty(page: Page, fetcher: paged_fetcher.PagedFetcher, _requested: int) -> Page:
    """A page without rows counts as the last page, even if it names another page."""
    is_empty = isinstance(fetcher.paging, Cursor) and not page.rows
    return page._replace(next_token=None) if is_empty else page


def counted_alone(_agree: bool, _before: paged_fetcher.WholeRead | None, read: paged_fetcher.WholeRead) -> bool:
    """One read of several pages is enough if it has as many rows as the provider counts."""
    return read.matches_total


async def only_the_parts(self: range_fetcher.RangeFetcher, *, can_split: bool) -> list[bytes]:
    """Each part is requested, and nothing else."""
    return [row for part in self.separate_parts() for row in await self.read_part(part, can_split=can_split)]


def as_long_as_the_slice(_widened: Slice, slice_: Slice, *_args: object) -> Slice:
    """A request covers the range of its slice."""
    return slice_


async def commit_as_new(self: committer.Committer, fetched: committer.FetchedSlice) -> committer.Outcome:
    """A slice that was read before others proved a part of it replaces their proof."""
    return await self.commit_alone(fetched._replace(read_at=self._ledger.clock()))


def without_rejected(
    decoded: tuple[list[DecodedRow], list[Rejected]], *_args: object
) -> tuple[list[DecodedRow], list[Rejected]]:
    """A row that cannot be read is dropped."""
    return decoded[0], []


def until_now(settled: tuple[Any, Any], _rules: object, now: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Rows that may still be on their way count as settled."""
    return settled[0], max(settled[1], now)


def without_copies(rows: list[Row], *_args: object) -> list[Row]:
    """Only one of several rows with equal identity is kept."""
    return [row for row in rows if COPY_MARK not in str(row[ID])]


STEPS: Final[dict[str, Step]] = {
    "empty_page_after_the_last": Step(paged_fetcher.PagedFetcher, "page", altered(last_where_short)),
    "total_equals_rows": Step(paged_fetcher, "total_matches", altered(always)),
    "two_reads_agree": Step(paged_fetcher, "reads_agree", altered(counted_alone)),
    "cursor_followed_to_the_end": Step(paged_fetcher.PagedFetcher, "page", altered(last_where_empty)),
    "full_page_is_cut": Step(range_fetcher.RangeFetcher, "is_full", altered(lambda *_: False)),
    "parts_hold_the_full_pages": Step(range_fetcher, "holds_page", altered(always)),
    "unseen_values": Step(range_fetcher.RangeFetcher, "pages_meet", altered(always)),
    "second_read_before_versions_end": Step(committer.Committer, "confirm", replaced(nothing_async)),
    "stale_read_refused": Step(committer.Committer, "reread_overtaken", replaced(commit_as_new)),
    "rows_outside_the_slice_refused": Step(committer, "check_inside", unchecked),
    "ignored_range_refused": Step(question, "check_times", unchecked),
    "ends_asked_beyond": Step(fetch, "widened", altered(as_long_as_the_slice)),
    "page_cap_is_found": Step(question.Question, "prove_end", replaced(nothing_async)),
    "silent_cuts_are_found": Step(paged_fetcher.PagedFetcher, "must_prove_end", altered(never)),
    "short_pages_are_continued": Step(paged_fetcher.PagedFetcher, "has_rows_after", altered(never)),
    "totals_are_tested": Step(paged_fetcher.PagedFetcher, "counts_rows", altered(as_the_total_says)),
    "short_ranges_are_proven": Step(range_fetcher.RangeFetcher, "prove_short_page", replaced(nothing_async)),
    "steps_by_other_pages": Step(paged_fetcher.PagedFetcher, "is_whole_step", altered(always)),
    "instants_are_not_the_limit": Step(question.Question, "prove_reach", replaced(nothing_async)),
    "seen_rows_come_again": Step(pipeline.AccountSync, "_lacks_seen_rows", replaced(lambda *_: False)),
    "unfiltered_question": Step(range_fetcher.RangeFetcher, "read_parts", replaced(only_the_parts)),
    "long_ranges_are_proven": Step(window.Window, "covers", altered(always)),
    "ends_of_ranges_are_proven": Step(range_ends.RangeEnds, "unproven_parts", altered(lambda *_, **__: [])),
    "each_record_counts_once": Step(question, "each_record_once", altered(as_often_as_listed)),
    "steps_beside_crowds": Step(fetch, "without_proven_ends", altered(alone)),
    "withdrawals_are_doubted": Step(doubts.WithdrawalCheck, "is_large", altered(never)),
    "credentials_are_proven": Step(pipeline, "prove_account", replaced(nothing_async)),
    "clock_of_the_provider": Step(caller.RateLimitedCaller, "check_clock", replaced(nothing)),
    "pages_without_end": Step(question.PageWalk, "add", unchecked),
    "retention_guard": Step(committer.Committer, "check_retained", unchecked),
    "unreadable_rows_are_kept": Step(committer.Committer, "decode_each", altered(without_rejected)),
    "failures_leave_gaps": Step(pipeline.AccountSync, "record_gap", replaced(nothing_async)),
    "newest_wait_until_settled": Step(Rules, "provable", altered(until_now)),
    "newest_part_again": Step(plan.Plan, "newest_part", altered(lambda *_: [])),
    "older_parts_again": Step(plan.Plan, "stale_parts", altered(lambda *_: [])),
    "one_transaction": Step(sqlite, "begin_writing", replaced(nothing)),
    "equal_rows_are_numbered": Step(commit, "flow_rows", altered(without_copies)),
    "ended_versions_become_history": Step(batch_writer.BatchWriter, "insert_history", replaced(nothing)),
    "totals_in_the_same_commit": Step(batch_writer, "store_totals", replaced(nothing)),
}
"""Every step of the proof, by the name that `--without` takes."""


def ignore(_step: str) -> None:
    """Report to no receiver."""


@contextmanager
def proving(*, without: str | None = None, report: Report = ignore) -> Iterator[None]:
    """Remove one step from the proof inside the block, and report each step that changes a result.

    Raises ValueError for an unknown step, and AttributeError if a function to patch does not exist.
    """
    if without is not None and without not in STEPS:
        raise ValueError(f"without: expected one of {', '.join(STEPS)}, got {without}")
    with ExitStack() as stack:
        for name, step in STEPS.items():
            stack.enter_context(patched(name, step, leave_out=name == without, report=report))
        yield


def patched(name: str, step: Step, *, leave_out: bool, report: Report = ignore) -> Any:  # noqa: ANN401 - mock's own
    """A context in which a step's function reports under that name, and can be left out. Raises AttributeError."""
    original = getattr(step.owner, step.function)
    replacement = wraps(original)(step.wrap(original, lambda: report(name), leave_out))
    return patch.object(step.owner, step.function, replacement)
