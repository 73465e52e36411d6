"""Every deviation, which providers can have it, and pairs of them."""

import zlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from itertools import combinations
from random import Random
from typing import Final

from liushui.conditions import DETAIL_PREFIX, AnyOf
from liushui.errors import NotRepresentable, WireError
from liushui.http import Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT
from liushui.provider import FlowQuery, Provider
from liushui.rules import Cursor, PageNumber, RangeOnly
from liushui.simulate.faults import json_rewriting as rewriting
from liushui.simulate.faults.deviation import Deviation, Reading, Rows, RowsPage, Scenario
from liushui.simulate.faults.fault import Endless
from liushui.simulate.people import institutions_of
from liushui.simulate.world import Parameters, World

VISIBLE_ONE_IN: Final = 4
"""Where rows are hidden, one row in so many is still visible."""
UNLISTED_ONE_IN: Final = 10
SAMPLE_FLOWS: Final = 20
UNLISTED_VALUE: Final = b'"liushui_unlisted"'
"""The value of a filter that no document lists."""

NEWEST_DAYS: Final = timedelta(days=7)
CLOCK_AHEAD: Final = timedelta(hours=2)
CLOCK_BEHIND: Final = timedelta(days=-10)
RETRY_SECONDS: Final = timedelta(days=30)
RETRY_DATE: Final = timedelta(days=2)
ENDLESS_CHUNK: Final = b" " * (1 << 20)
BOMB_BYTES: Final = 68 << 20
"""The size of a compressed body when it is unpacked."""
REPEATED_CURSOR: Final = "liushui:again"
NEW_CURSOR: Final = "liushui:"


def is_hidden(row: bytes) -> bool:
    """Whether a row is hidden where rows are hidden, which follows from its bytes."""
    return zlib.crc32(row) % VISIBLE_ONE_IN != 0


# ---------------------------------------------------------------- hooks: what is read


def _newest_days(query: FlowQuery, reading: Reading) -> FlowQuery:
    end = min(query.until, reading.now)
    begin = max(end, MIN_INSTANT + NEWEST_DAYS) - NEWEST_DAYS
    return query._replace(since=max(query.since, min(begin, query.until)))


def _any_time(query: FlowQuery, _reading: Reading) -> FlowQuery:
    return query._replace(since=MIN_INSTANT, until=MAX_INSTANT)


def _first_page(query: FlowQuery, _reading: Reading) -> FlowQuery:
    return query._replace(offset=0, after=query.after and "")


def _without_filter(is_its_field: Callable[[str], bool]) -> Callable[[FlowQuery, Reading], FlowQuery]:
    def change(query: FlowQuery, _reading: Reading) -> FlowQuery:
        where = tuple(any_of for any_of in query.where if not any(map(is_its_field, _fields_in(any_of))))
        return query._replace(where=where)

    return change


def _fields_in(any_of: AnyOf) -> set[str]:
    return {term.field for all_of in any_of for term in all_of}


def _is_account(field: str) -> bool:
    return field == "subaccount" or field.endswith(":account")


def _is_symbol(field: str) -> bool:
    return field == "symbol"


def _is_type(field: str) -> bool:
    return field in ("kind", "category", "side") or (field.startswith(DETAIL_PREFIX) and not _is_account(field))


def _moved_ends(begin_steps: int, end_steps: int) -> Callable[[FlowQuery, Reading], FlowQuery]:
    def change(query: FlowQuery, reading: Reading) -> FlowQuery:
        since, until = query.since, query.until
        if since - MIN_INSTANT > reading.step and MAX_INSTANT - since > reading.step:
            since += begin_steps * reading.step
        if until - MIN_INSTANT > reading.step and MAX_INSTANT - until > reading.step:
            until += end_steps * reading.step
        return query._replace(since=since, until=max(since, until))

    return change


# ---------------------------------------------------------------- hooks: what a page and an answer have


def _nothing(_page: RowsPage, _query: FlowQuery) -> RowsPage:
    return RowsPage([], None)


def _same_cursor(page: RowsPage, _query: FlowQuery) -> RowsPage:
    return page._replace(end_cursor=REPEATED_CURSOR)


def _same_cursor_empty(page: RowsPage, query: FlowQuery) -> RowsPage:
    return RowsPage([] if query.after else page.rows, REPEATED_CURSOR)


def _ever_new_cursors(page: RowsPage, query: FlowQuery) -> RowsPage:
    number = int((query.after or "").removeprefix(NEW_CURSOR) or 0)
    return RowsPage([] if query.after else page.rows, f"{NEW_CURSOR}{number + 1}")


def _marked_if_empty(page: RowsPage, _query: FlowQuery) -> RowsPage:
    return page if page.rows else page._replace(rows=[rewriting.EMPTY_LIST_MARKER])


def _without_message(body: bytes) -> bytes:
    return _with_message(body, None)


def _with_other_message(body: bytes) -> bytes:
    return _with_message(body, '"OK, 成功"'.encode())


def _with_message(body: bytes, message: bytes | None) -> bytes:
    """The answer with another message, or without one. An answer that is no object has no message."""
    if not body.startswith(b"{"):
        return body
    for name in rewriting.fields_of(body).keys() & {"message", "msg", "errmsg"}:
        body = rewriting.with_field(body, name, message)
    return body


def _with_lone_surrogate(row: bytes, provider: Provider) -> bytes:
    return rewriting.with_field(row, _free_text_field(row, provider), b'"half of an emoji: \\ud83d"')


def _with_nan(row: bytes, provider: Provider) -> bytes:
    return rewriting.with_field(row, _numeric_field(row, provider), b"NaN")


def _with_broken_number(row: bytes, provider: Provider) -> bytes:
    return rewriting.with_field(row, _numeric_field(row, provider), b"12.")


def _free_text_field(row: bytes, provider: Provider) -> str:
    """A field whose text can be changed without changing the amount or the time. Else any field with text."""
    before = provider.codec.read(row).flow
    texts = [name for name, value in rewriting.fields_of(row).items() if value.startswith(b'"')]
    for name in texts:
        try:
            after = provider.codec.read(rewriting.with_field(row, name, b'"liushui"')).flow
        except WireError:
            continue
        if (after.amount, after.at, after.currency) == (before.amount, before.at, before.currency):
            return name
    return texts[0]


def _numeric_field(row: bytes, provider: Provider) -> str:
    """A field that has to be a number, as a number or as text."""
    for name, value in rewriting.fields_of(row).items():
        if value.strip(b'"').lstrip(b"-")[:1].isdigit():
            try:
                provider.codec.read(rewriting.with_field(row, name, b'"liushui"'))
            except WireError:
                return name
    raise ValueError(f"{provider.name}: no field of its rows has to be a number")


def _with_unlisted_values(rows: Rows, provider: Provider) -> Rows:
    """The rows, some of which have a value that the provider's document does not list for a filter."""
    fields = [provider.rules.filter(name).field for name in _partitions(provider)]
    return [
        rewriting.with_field(row, fields[0], UNLISTED_VALUE) if zlib.crc32(row) % UNLISTED_ONE_IN == 0 else row
        for row in rows
    ]


def _endless(response: Response) -> Endless:
    return Endless(response._replace(body=response.body[:-1]), ENDLESS_CHUNK)


@lru_cache(1)
def _padding() -> tuple[bytes, bytes]:
    """Spaces, and the same as a deflate stream that can follow another one."""
    spaces = b" " * BOMB_BYTES
    compressor = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    return spaces, compressor.compress(spaces) + compressor.flush()


def _compressed_with_padding(response: Response) -> Response:
    """The answer as gzip, with padding after its body. The padding is compressed once, because that takes long."""
    body = response.body[:-1]
    spaces, compressed_spaces = _padding()
    compressor = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    compressed = compressor.compress(body) + compressor.flush(zlib.Z_FULL_FLUSH)
    checksum = zlib.crc32(spaces, zlib.crc32(body))
    size = (len(body) + len(spaces)) & 0xFFFFFFFF
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    tail = checksum.to_bytes(4, "little") + size.to_bytes(4, "little")
    headers = [*response.headers, ("content-encoding", "gzip")]
    return response._replace(headers=headers, body=head + compressed + compressed_spaces + tail)


# ---------------------------------------------------------------- which providers


def _partitions(provider: Provider) -> tuple[str, ...]:
    """The filters each value of which is asked for separately."""
    paging = provider.rules.paging
    return paging.partition_by if isinstance(paging, RangeOnly) else ()


def _splits(provider: Provider) -> tuple[str, ...]:
    """The filters that divide what no shorter range can."""
    paging = provider.rules.paging
    return paging.split_by if isinstance(paging, RangeOnly) else ()


def _has_larger_pages_than(rows: int) -> Callable[[Provider], bool]:
    return lambda provider: provider.rules.paging.size_max > rows


def _has_further_pages(provider: Provider) -> bool:
    return not isinstance(provider.rules.paging, RangeOnly)


def _has_cursors(provider: Provider) -> bool:
    return isinstance(provider.rules.paging, Cursor)


def _has_totals(provider: Provider) -> bool:
    return isinstance(provider.rules.paging, PageNumber) and provider.rules.paging.has_total


def _is_partitioned(provider: Provider) -> bool:
    return bool(_partitions(provider))


def _splits_by_symbol(provider: Provider) -> bool:
    return any(_is_symbol(name) for name in _splits(provider))


def _splits_by_type(provider: Provider) -> bool:
    return any(not _is_symbol(name) for name in _splits(provider))


def _has_record_ids(provider: Provider) -> bool:
    """Whether the provider's rows have ids."""
    world = World(Parameters(accounts=1, flows=SAMPLE_FLOWS), institutions_of({provider.name: provider}))
    for flow in world.flows(world.accounts[0], world.parameters.begin, world.parameters.end):
        try:
            row = provider.codec.write(flow)
        except NotRepresentable:
            continue
        return provider.codec.read(row).flow.ref is not None
    return False


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
            name="newest-days-only",
            description="answers only the newest 7 days of a longer range",
            reason="newest|shorter|part of",
            group="range",
            change_query=_newest_days,
        ),
        Deviation(
            name="ignores-time",
            description="ignores the range, and answers rows of any time",
            reason="ignor|outside|asked for",
            group="range",
            change_query=_any_time,
        ),
        Deviation(
            name="ignores-account",
            description="ignores the account, and answers the rows of all accounts",
            reason="account",
            group="account",
            applies_to=_is_partitioned,
            change_query=_without_filter(_is_account),
        ),
        Deviation(
            name="ignores-symbol",
            description="ignores the symbol, and answers the rows of all symbols",
            reason="symbol",
            group="symbol",
            applies_to=_splits_by_symbol,
            needs_crowd=True,
            change_query=_without_filter(_is_symbol),
        ),
        Deviation(
            name="ignores-type",
            description="ignores the type, and answers the rows of all types",
            reason="type",
            group="type",
            applies_to=_splits_by_type,
            needs_crowd=True,
            change_query=_without_filter(_is_type),
        ),
        Deviation(
            name="ignores-page",
            description="ignores the page, and answers the first one again and again",
            reason="same page|page .*again|again.* page|repeat",
            group="paging",
            applies_to=_has_further_pages,
            needs_crowd=True,
            change_query=_first_page,
        ),
        Deviation(
            name="unlisted-account",
            description="has rows under an account that its document does not list",
            reason="account",
            group="account",
            applies_to=_is_partitioned,
            change_stored=_with_unlisted_values,
        ),
        Deviation(
            name="start-exclusive",
            description="leaves out rows at the very beginning of a range",
            group="range",
            change_query=_moved_ends(1, 0),
        ),
        Deviation(
            name="end-exclusive",
            description="leaves out rows at the very end of a range",
            group="range",
            change_query=_moved_ends(0, -1),
        ),
        Deviation(
            name="ends-wider",
            description="answers rows one step of its clock before and after a range as well",
            group="range",
            change_query=_moved_ends(-1, 1),
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
            change_page=_nothing,
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
            change_query=_first_page,
            change_page=_same_cursor,
        ),
        Deviation(
            name="cursor-repeats-empty",
            description="names the same cursor again, for empty pages",
            reason="cursor|same page|empty pages",
            calls_max=5,
            group="paging",
            applies_to=_has_cursors,
            change_query=_first_page,
            change_page=_same_cursor_empty,
        ),
        Deviation(
            name="cursor-never-ends",
            description="names ever new cursors, for empty pages",
            reason="cursor|same page|empty pages",
            calls_max=5,
            group="paging",
            applies_to=_has_cursors,
            change_query=_first_page,
            change_page=_ever_new_cursors,
        ),
        Deviation(
            name="endless-body",
            description="sends a body that never ends",
            reason="MiB|too large|larger than|limit|endless",
            calls_max=5,
            group="body",
            change_response=_endless,
        ),
        Deviation(
            name="gzip-bomb",
            description="sends a compressed body that unpacks to 68 MiB",
            reason="MiB|too large|larger than|limit|endless",
            calls_max=5,
            group="body",
            change_response=_compressed_with_padding,
        ),
        Deviation(
            name="lone-surrogate",
            description="sends rows with half of an emoji in a text",
            group="rows",
            corrupt=_with_lone_surrogate,
        ),
        Deviation(
            name="nan",
            description="sends rows with NaN in place of a number",
            group="rows",
            corrupt=_with_nan,
        ),
        Deviation(
            name="broken-number",
            description="sends rows with `12.` in place of a number",
            group="rows",
            corrupt=_with_broken_number,
        ),
        Deviation(
            name="null-list",
            description="sends null in place of an empty list of rows",
            group="empty list",
            change_page=_marked_if_empty,
            change_body=rewriting.with_null_list,
        ),
        Deviation(
            name="absent-list",
            description="leaves an empty list of rows out",
            group="empty list",
            change_page=_marked_if_empty,
            change_body=rewriting.without_list,
        ),
        Deviation(
            name="message-absent",
            description="leaves out the message of a successful answer",
            group="message",
            change_body=_without_message,
        ),
        Deviation(
            name="message-other",
            description="sends another message in a successful answer",
            group="message",
            change_body=_with_other_message,
        ),
        Deviation(
            name="numbers-as-text",
            description="sends whole numbers as text",
            group="rows",
            change_body=rewriting.whole_numbers_as_text,
        ),
        Deviation(
            name="text-as-numbers",
            description="sends texts that are whole numbers as numbers",
            group="rows",
            change_body=rewriting.numeric_text_as_numbers,
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
            hides=is_hidden,
        ),
    )
}
"""Every deviation, by its name."""


def deviations_of(provider: Provider) -> list[Deviation]:
    """The deviations that a provider can have."""
    return [deviation for deviation in DEVIATIONS.values() if deviation.applies_to(provider)]


def seeded_pairs(provider: Provider, seed: int, count: int) -> list[tuple[Deviation, Deviation]]:
    """Up to `count` pairs of deviations that a provider can have at the same time, without contradiction."""
    single = [one for one in deviations_of(provider) if one.scenario is Scenario.ALWAYS and one.group != "body"]
    pairs = [(one, other) for one, other in combinations(single, 2) if one.group != other.group or not one.group]
    return Random(f"{seed} {provider.name}").sample(pairs, min(count, len(pairs)))  # noqa: S311 # it has to repeat itself
