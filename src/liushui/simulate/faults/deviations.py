"""All deviations, the providers that can have them, and pairs of them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import combinations
from random import Random
from typing import Final

from liushui.calendar_boundary import Boundary
from liushui.provider import Provider
from liushui.rules import Cursor, DayDocument, PageNumber, RangeOnly
from liushui.simulate.faults import deviation_hooks as hooks
from liushui.simulate.faults import json_rewriting as rewriting
from liushui.simulate.faults.deviation import Deviation, Scenario

CLOCK_AHEAD: Final = timedelta(hours=2)
CLOCK_BEHIND: Final = timedelta(days=-10)
DAY: Final = timedelta(days=1)
RETRY_SECONDS: Final = timedelta(days=30)
RETRY_DATE: Final = timedelta(days=2)


# ---------------------------------------------------------------- which providers


def _splits(provider: Provider) -> tuple[str, ...]:
    """Return the filters that divide a range which cannot be shortened."""
    paging = provider.rules.paging
    return paging.split_by if isinstance(paging, RangeOnly) else ()


def _has_larger_pages_than(rows: int) -> Callable[[Provider], bool]:
    return lambda provider: provider.rules.paging.size_max > rows and not _has_documents(provider)


def _has_numbered_pages_and_more_rows_than(rows: int) -> Callable[[Provider], bool]:
    def applies(provider: Provider) -> bool:
        paging = provider.rules.paging
        return isinstance(paging, PageNumber) and paging.size_max > rows

    return applies


def _answers_longer_ranges_than(length: timedelta) -> Callable[[Provider], bool]:
    return lambda provider: provider.rules.window_max is None or provider.rules.window_max > length


def _has_linked_pages(provider: Provider) -> bool:
    return not isinstance(provider.rules.paging, PageNumber | RangeOnly | DayDocument)


def _has_no_linked_pages(provider: Provider) -> bool:
    return isinstance(provider.rules.paging, PageNumber | RangeOnly)


def _has_numbered_pages(provider: Provider) -> bool:
    return isinstance(provider.rules.paging, PageNumber)


def _has_further_pages(provider: Provider) -> bool:
    return not isinstance(provider.rules.paging, RangeOnly | DayDocument)


def _has_documents(provider: Provider) -> bool:
    """Whether a service sends whole documents, with a digest and totals, instead of rows in JSON."""
    return isinstance(provider.rules.paging, DayDocument)


def _has_lists(provider: Provider) -> bool:
    """Whether a service sends rows of the range that was requested, in JSON."""
    return not _has_documents(provider)


def _has_cursors(provider: Provider) -> bool:
    return isinstance(provider.rules.paging, Cursor)


def _has_totals(provider: Provider) -> bool:
    return isinstance(provider.rules.paging, PageNumber) and provider.rules.paging.has_total


def _is_partitioned(provider: Provider) -> bool:
    return bool(hooks.partitions_of(provider))


def _splits_by_symbol(provider: Provider) -> bool:
    return any(hooks.is_symbol(name) for name in _splits(provider))


def _splits_by_type(provider: Provider) -> bool:
    return any(not hooks.is_symbol(name) for name in _splits(provider))


def _has_record_ids(provider: Provider) -> bool:
    """Whether ids distinguish a record that is listed twice from two equal records."""
    return provider.rules.id_field is not None


# ---------------------------------------------------------------- the deviations

DEVIATIONS: Final[Mapping[str, Deviation]] = {
    deviation.name: deviation
    for deviation in (
        Deviation(
            name="page-cap-50",
            description="gives 50 rows a page at most, whatever was asked for",
            group="cap",
            applies_to=_has_larger_pages_than(50),
            page_cap=50,
        ),
        Deviation(
            name="page-cap-100",
            description="gives 100 rows a page at most, whatever was asked for",
            group="cap",
            applies_to=_has_larger_pages_than(100),
            page_cap=100,
        ),
        Deviation(
            name="page-cap-by-size-asked",
            description="gives 50 rows a page at most, and counts pages by the number of rows that was asked for",
            group="cap",
            is_drawn=False,
            applies_to=_has_numbered_pages_and_more_rows_than(50),
            page_min=50,
            change_query=hooks.capped(50),
        ),
        Deviation(
            name="page-cap-varies",
            description="cuts each page at another number of rows",
            reason="pages shifted|one instant|more than the",
            group="cap",
            is_drawn=False,
            applies_to=_has_linked_pages,
            page_min=min(hooks.CAPS),
            change_query=hooks.capped_by_chance,
        ),
        Deviation(
            name="newest-days-only",
            description="answers only the newest 7 days of a longer range",
            reason="newest|shorter|part of",
            group="range",
            applies_to=_answers_longer_ranges_than(hooks.NEWEST_DAYS),
            change_query=hooks.newest_days,
        ),
        Deviation(
            name="ignores-time",
            description="ignores the range, and answers rows of any time",
            reason="ignor|outside|asked for",
            group="range",
            change_query=hooks.any_time,
        ),
        Deviation(
            name="ignores-account",
            description="ignores the account, and answers the rows of all accounts",
            reason="account",
            group="account",
            applies_to=_is_partitioned,
            change_query=hooks.without_filter(hooks.is_account),
        ),
        Deviation(
            name="ignores-symbol",
            description="ignores the symbol, and answers the rows of all symbols",
            reason="symbol",
            group="symbol",
            applies_to=_splits_by_symbol,
            needs_crowd=True,
            change_query=hooks.without_filter(hooks.is_symbol),
        ),
        Deviation(
            name="ignores-type",
            description="ignores the type, and answers the rows of all types",
            reason="type",
            group="type",
            applies_to=_splits_by_type,
            needs_crowd=True,
            change_query=hooks.without_filter(hooks.is_type),
        ),
        Deviation(
            name="ignores-page",
            description="ignores the page, and answers the first one again and again",
            reason="same page|page .*again|again.* page|repeat",
            group="paging",
            applies_to=_has_further_pages,
            needs_crowd=True,
            change_query=hooks.first_page,
        ),
        Deviation(
            name="unlisted-account",
            description="has rows under an account that its document does not list",
            reason="account",
            group="account",
            applies_to=_is_partitioned,
            change_stored=hooks.with_unlisted_values,
        ),
        Deviation(
            name="start-exclusive",
            description="leaves out rows at the very beginning of a range",
            group="range",
            applies_to=_has_lists,
            change_query=hooks.moved_ends(1, 0),
        ),
        Deviation(
            name="end-exclusive",
            description="leaves out rows at the very end of a range",
            group="range",
            applies_to=_has_lists,
            change_query=hooks.moved_ends(0, -1),
        ),
        Deviation(
            name="ends-wider",
            description="answers rows one step of its clock before and after a range as well",
            group="range",
            applies_to=_has_lists,
            change_query=hooks.moved_ends(-1, 1),
        ),
        Deviation(
            name="total-zero",
            description="states a total of 0",
            group="total",
            applies_to=_has_totals,
            needs_crowd=True,
            change_total=lambda _total, _rows: 0,
        ),
        Deviation(
            name="total-of-page",
            description="states the number of rows of the page as the total",
            group="total",
            applies_to=_has_totals,
            needs_crowd=True,
            change_total=lambda _total, rows: rows,
        ),
        Deviation(
            name="total-absent",
            description="states no total",
            group="total",
            applies_to=_has_totals,
            needs_crowd=True,
            change_total=lambda _total, _rows: rewriting.TOTAL_MARKER,
            change_body=rewriting.without_total,
        ),
        Deviation(
            name="empty-outage",
            description="answers empty lists during an outage",
            reason="empty|withdraw|outage",
            scenario=Scenario.OUTAGE,
            change_page=hooks.nothing,
            change_total=lambda _total, _rows: 0,
        ),
        Deviation(
            name="row-repeated",
            description="lists some records twice in one answer",
            group="rows",
            applies_to=_has_record_ids,
            repeats_marked=True,
        ),
        Deviation(
            name="other-account",
            description="answers another account's rows to new credentials of a known source",
            reason="account|credentials",
            scenario=Scenario.OTHER_ACCOUNT,
        ),
        Deviation(
            name="clock-ahead",
            description="has a clock that is 2 hours ahead of ours",
            reason="clock|time of this machine",
            scenario=Scenario.CLOCK,
            clock_offset=CLOCK_AHEAD,
        ),
        Deviation(
            name="clock-behind",
            description="has a clock that is 10 days behind ours",
            reason="clock|time of this machine",
            scenario=Scenario.CLOCK,
            clock_offset=CLOCK_BEHIND,
        ),
        Deviation(
            name="cursor-repeats",
            description="names the same cursor again, for the same rows",
            reason="cursor|same page|empty pages",
            calls_max=5,
            group="paging",
            applies_to=_has_cursors,
            change_query=hooks.first_page,
            change_page=hooks.same_cursor,
        ),
        Deviation(
            name="cursor-repeats-empty",
            description="names the same cursor again, for empty pages",
            reason="cursor|same page|empty pages",
            calls_max=5,
            group="paging",
            applies_to=_has_cursors,
            change_query=hooks.first_page,
            change_page=hooks.same_cursor_empty,
        ),
        Deviation(
            name="cursor-never-ends",
            description="names ever new cursors, for empty pages",
            reason="cursor|same page|empty pages",
            calls_max=5,
            group="paging",
            applies_to=_has_cursors,
            change_query=hooks.first_page,
            change_page=hooks.ever_new_cursors,
        ),
        Deviation(
            name="endless-body",
            description="sends a body that never ends",
            reason="MiB|too large|larger than|limit|endless",
            calls_max=5,
            group="body",
            change_response=hooks.endless,
        ),
        Deviation(
            name="gzip-bomb",
            description="sends a compressed body that unpacks to 68 MiB",
            reason="MiB|too large|larger than|limit|endless",
            calls_max=5,
            group="body",
            change_response=hooks.compressed_with_padding,
        ),
        Deviation(
            name="lone-surrogate",
            description="sends rows with half of an emoji in a text",
            group="rows",
            applies_to=_has_lists,
            corrupt=hooks.with_lone_surrogate,
        ),
        Deviation(
            name="nan",
            description="sends rows with NaN in place of a number",
            group="rows",
            applies_to=_has_lists,
            corrupt=hooks.with_nan,
        ),
        Deviation(
            name="broken-number",
            description="sends rows with `12.` in place of a number",
            group="rows",
            applies_to=_has_lists,
            corrupt=hooks.with_broken_number,
        ),
        Deviation(
            name="null-list",
            description="sends null in place of an empty list of rows",
            group="empty list",
            applies_to=_has_lists,
            change_page=hooks.marked_if_empty,
            change_body=rewriting.with_null_list,
        ),
        Deviation(
            name="absent-list",
            description="leaves an empty list of rows out",
            group="empty list",
            applies_to=_has_lists,
            change_page=hooks.marked_if_empty,
            change_body=rewriting.without_list,
        ),
        Deviation(
            name="message-absent",
            description="leaves out the message of a successful answer",
            group="message",
            applies_to=_has_lists,
            change_body=hooks.without_message,
        ),
        Deviation(
            name="message-other",
            description="sends another message in a successful answer",
            group="message",
            applies_to=_has_lists,
            change_body=hooks.with_other_message,
        ),
        Deviation(
            name="numbers-as-text",
            description="sends whole numbers as text",
            group="rows",
            applies_to=_has_lists,
            change_body=rewriting.whole_numbers_as_text,
        ),
        Deviation(
            name="text-as-numbers",
            description="sends texts that are whole numbers as numbers",
            group="rows",
            applies_to=_has_lists,
            change_body=rewriting.numeric_text_as_numbers,
        ),
        Deviation(
            name="other-document",
            description="sends another document than the one whose digest it has stated",
            reason="digest",
            group="document",
            applies_to=_has_documents,
            change_body=hooks.with_further_line,
        ),
        Deviation(
            name="control-totals",
            description="sends documents whose control totals are not those of their rows",
            reason="control totals",
            group="document",
            is_drawn=False,
            applies_to=_has_documents,
            change_document=hooks.without_first_row,
        ),
        Deviation(
            name="unsigned",
            description="sends answers without their signature",
            reason="signed",
            group="signature",
            applies_to=_has_documents,
            change_response=hooks.without_signature,
        ),
        Deviation(
            name="retry-after-seconds",
            description="refuses calls for 30 days, and says so in seconds",
            reason="until|wait|put off",
            scenario=Scenario.WAIT,
            retry_after=RETRY_SECONDS,
        ),
        Deviation(
            name="retry-after-date",
            description="refuses calls for 2 days, and says so as a date",
            reason="until|wait|put off",
            scenario=Scenario.WAIT,
            retry_after=RETRY_DATE,
            retry_as_date=True,
        ),
        Deviation(
            name="hidden-rows",
            description="hides rows that a permission filter removes after paging, so that pages are short",
            group="rows",
            applies_to=_has_cursors,
            hides=hooks.is_hidden,
        ),
        Deviation(
            name="up-to-midnight",
            description="answers a range of more than a day only up to the last midnight before its end",
            group="range",
            is_drawn=False,
            applies_to=_answers_longer_ranges_than(DAY),
            range_max=DAY,
            change_query=hooks.up_to(Boundary.DAY),
        ),
        Deviation(
            name="from-midnight",
            description="answers a range of more than a day only from the first midnight in it",
            group="range",
            is_drawn=False,
            applies_to=_answers_longer_ranges_than(DAY),
            range_max=DAY,
            change_query=hooks.from_next(Boundary.DAY),
        ),
        Deviation(
            name="up-to-full-hour",
            description="answers a range of more than an hour only up to the last full hour before its end",
            group="range",
            is_drawn=False,
            applies_to=_has_lists,
            range_max=DAY,
            change_query=hooks.up_to(Boundary.HOUR),
        ),
        Deviation(
            name="from-full-hour",
            description="answers a range of more than an hour only from the first full hour in it",
            group="range",
            is_drawn=False,
            applies_to=_has_lists,
            range_max=DAY,
            change_query=hooks.from_next(Boundary.HOUR),
        ),
        Deviation(
            name="up-to-monday",
            description="answers a range of more than a week only up to the last Monday before its end",
            group="range",
            is_drawn=False,
            applies_to=_answers_longer_ranges_than(hooks.NEWEST_DAYS),
            range_max=3 * DAY,
            change_query=hooks.up_to(Boundary.WEEK),
        ),
        Deviation(
            name="from-monday",
            description="answers a range of more than a week only from the first Monday in it",
            group="range",
            is_drawn=False,
            applies_to=_answers_longer_ranges_than(hooks.NEWEST_DAYS),
            range_max=3 * DAY,
            change_query=hooks.from_next(Boundary.WEEK),
        ),
        Deviation(
            name="up-to-month",
            description="answers a range of more than a month only up to the last end of a month in it",
            group="range",
            is_drawn=False,
            applies_to=_answers_longer_ranges_than(Boundary.MONTH.length),
            range_max=Boundary.MONTH.length,
            change_query=hooks.up_to(Boundary.MONTH),
        ),
        Deviation(
            name="from-month",
            description="answers a range of more than a month only from the first beginning of a month in it",
            group="range",
            is_drawn=False,
            applies_to=_answers_longer_ranges_than(Boundary.MONTH.length),
            range_max=Boundary.MONTH.length,
            change_query=hooks.from_next(Boundary.MONTH),
        ),
        Deviation(
            name="middle-missing",
            description="answers only the first and the last day of a range of more than a week",
            reason="pages shifted|counts|total|with an id",
            group="range",
            is_drawn=False,
            applies_to=_answers_longer_ranges_than(hooks.NEWEST_DAYS),
            range_max=DAY,
            omits=hooks.in_the_middle,
        ),
        Deviation(
            name="other-zone",
            description="takes the times of a request for those of a zone 8 hours away",
            reason="ignor|outside|asked for|of this account",
            group="range",
            is_drawn=False,
            applies_to=_has_lists,
            change_query=hooks.shifted(timedelta(hours=8)),
        ),
        Deviation(
            name="cut-by-bytes",
            description="cuts each page after 8 KiB of rows, and counts pages by the number of rows that was asked for",
            reason="pages shifted|one instant|more than the",
            group="cap",
            is_drawn=False,
            applies_to=_has_no_linked_pages,
            page_min=hooks.PAGE_BYTES >> 10,
            change_page=hooks.cut_by_bytes,
        ),
        Deviation(
            name="cut-by-chance",
            description="cuts each page at another number of rows, and counts pages by the number that was asked for",
            reason="pages shifted|one instant|more than the",
            group="cap",
            is_drawn=False,
            applies_to=_has_no_linked_pages,
            page_min=min(hooks.CAPS),
            change_query=hooks.capped_by_chance,
        ),
        Deviation(
            name="first-page-short",
            description="gives 50 rows on the first page at most, and all rows that were asked for on others",
            reason="pages shifted|one instant|more than the",
            group="cap",
            is_drawn=False,
            applies_to=_has_larger_pages_than(50),
            page_min=50,
            change_query=hooks.first_page_capped(50),
        ),
        Deviation(
            name="joints-missing",
            description="leaves out a row between two pages",
            reason="pages shifted|one instant|more than the",
            group="paging",
            is_drawn=False,
            applies_to=_has_numbered_pages,
            needs_crowd=True,
            change_query=hooks.without_joints,
        ),
        Deviation(
            name="last-page-again",
            description="repeats the last page for every page number beyond it",
            reason="same page|page .*again|again.* page|repeat",
            group="paging",
            is_drawn=False,
            applies_to=_has_numbered_pages,
            needs_crowd=True,
            change_by_count=hooks.last_page_again,
        ),
        Deviation(
            name="other-order",
            description="gives the other end of a range that does not fit the page",
            reason="pages shifted|one instant|more than the|differ|cursor again",
            group="paging",
            is_drawn=False,
            applies_to=_has_lists,
            needs_crowd=True,
            change_by_count=hooks.other_order,
        ),
        Deviation(
            name="rows-at-most",
            description="gives 30 rows of a range at most, on all of its pages",
            reason="one instant|more than the",
            group="cap",
            is_drawn=False,
            applies_to=_has_no_linked_pages,
            page_min=20,
            change_by_count=hooks.at_most(30),
        ),
    )
}
"""Every deviation, by its name."""


def deviations_of(provider: Provider) -> list[Deviation]:
    """The deviations that a provider can have."""
    return [deviation for deviation in DEVIATIONS.values() if deviation.applies_to(provider)]


def seeded_pairs(provider: Provider, seed: int, count: int) -> list[tuple[Deviation, Deviation]]:
    """Return up to `count` pairs of deviations that a provider can have at the same time."""
    single = [
        one
        for one in deviations_of(provider)
        if one.is_drawn and one.scenario is Scenario.ALWAYS and one.group != "body"
    ]
    pairs = [(one, other) for one, other in combinations(single, 2) if one.group != other.group or not one.group]
    return Random(f"{seed} {provider.name}").sample(pairs, min(count, len(pairs)))  # noqa: S311 # it has to repeat itself
