"""The behaviour of services with deviations: which rows they read, what an answer contains, and how it is sent.

Each function is a hook of a Deviation, or makes one.
"""

import gzip
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Final
from zoneinfo import ZoneInfo

from liushui.calendar_boundary import Boundary
from liushui.conditions import DETAIL_PREFIX, AnyOf
from liushui.errors import WireError
from liushui.http import Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT
from liushui.provider import FlowQuery, Provider
from liushui.rules import RangeOnly
from liushui.simulate.faults import json_rewriting as rewriting
from liushui.simulate.faults.deviation import Reading, Rows, RowsPage
from liushui.simulate.faults.fault import Endless

VISIBLE_ONE_IN: Final = 4
"""If rows are hidden, one row in this number is still visible."""
UNLISTED_ONE_IN: Final = 10
UNLISTED_VALUE: Final = b'"liushui_unlisted"'
"""The value of a filter that no document lists."""

CAPS: Final = (13, 25, 40, 100)
"""The page lengths of a service that does not cut pages at a fixed number of rows."""
NEWEST_DAYS: Final = timedelta(days=7)
_EDGE: Final = timedelta(days=1)
PAGE_BYTES: Final = 8 << 10
"""The most bytes of the rows on a page that is cut by bytes."""
ENDLESS_CHUNK: Final = b" " * (1 << 20)
BOMB_BYTES: Final = 68 << 20
"""The size of a compressed body when it is unpacked."""
REPEATED_CURSOR: Final = "liushui:again"
NEW_CURSOR: Final = "liushui:"


def partitions_of(provider: Provider) -> tuple[str, ...]:
    """Return the filters whose values have to be requested separately."""
    paging = provider.rules.paging
    return paging.partition_by if isinstance(paging, RangeOnly) else ()


# ---------------------------------------------------------------- what is read


def newest_days(query: FlowQuery, reading: Reading) -> FlowQuery:
    """The newest days of a longer range."""
    end = min(query.until, reading.now)
    begin = max(end, MIN_INSTANT + NEWEST_DAYS) - NEWEST_DAYS
    return query._replace(since=max(query.since, min(begin, query.until)))


def capped(rows: int) -> Callable[[FlowQuery, Reading], FlowQuery]:
    """At most this number of rows of the page. Numbered pages still start at the rows that the requested number
    gives."""
    return lambda query, _reading: query._replace(limit=min(query.limit, rows))


def capped_by_chance(query: FlowQuery, _reading: Reading) -> FlowQuery:
    """At most some rows of the page. The number differs from page to page, as if bytes limited the pages."""
    place = f"{query.since} {query.until} {query.limit} {query.offset} {query.after}"
    return query._replace(limit=min(query.limit, CAPS[zlib.crc32(place.encode()) % len(CAPS)]))


def up_to(boundary: Boundary) -> Callable[[FlowQuery, Reading], FlowQuery]:
    """A longer range than the boundary's, up to its last boundary."""

    def change(query: FlowQuery, reading: Reading) -> FlowQuery:
        end = min(query.until, max(query.since, reading.now))
        if end - query.since <= boundary.length:
            return query
        return query._replace(until=max(query.since, boundary.last_before(end, ZoneInfo(reading.zone))))

    return change


def from_next(boundary: Boundary) -> Callable[[FlowQuery, Reading], FlowQuery]:
    """A longer range than the boundary's, from its first boundary."""

    def change(query: FlowQuery, reading: Reading) -> FlowQuery:
        if query.until - query.since <= boundary.length:
            return query
        return query._replace(since=min(query.until, boundary.first_after(query.since, ZoneInfo(reading.zone))))

    return change


def shifted(time: timedelta) -> Callable[[FlowQuery, Reading], FlowQuery]:
    """The range as if its times were those of another zone."""

    def change(query: FlowQuery, _reading: Reading) -> FlowQuery:
        if query.since - MIN_INSTANT < time or MAX_INSTANT - query.until < time:
            return query
        return query._replace(since=query.since + time, until=query.until + time)

    return change


def first_page_capped(rows: int) -> Callable[[FlowQuery, Reading], FlowQuery]:
    """At most this number of rows of the first page."""
    return lambda query, _reading: (
        query if query.offset or query.after else query._replace(limit=min(query.limit, rows))
    )


def without_joints(query: FlowQuery, _reading: Reading) -> FlowQuery:
    """Each page but the first one begins a row too late."""
    return query._replace(offset=query.offset + 1) if query.offset else query


def last_page_again(query: FlowQuery, count: int) -> FlowQuery:
    """The last page in place of those beyond it."""
    last = max(0, count - 1) // query.limit * query.limit
    return query._replace(offset=min(query.offset, last))


def other_order(query: FlowQuery, count: int) -> FlowQuery:
    """The other end of a range that has more rows than the page."""
    return query._replace(newest=not query.newest) if count > query.limit else query


def at_most(rows: int) -> Callable[[FlowQuery, int], FlowQuery]:
    """At most this number of rows on all pages of a range."""

    def change(query: FlowQuery, count: int) -> FlowQuery:
        if count <= rows:
            return query
        return query._replace(
            offset=query.offset if query.offset < rows else count, limit=min(query.limit, max(1, rows - query.offset))
        )

    return change


def in_the_middle(at: datetime, query: FlowQuery) -> bool:
    """Whether a time is in the middle of a range of more than NEWEST_DAYS, a day away from its ends."""
    is_long = query.until - query.since > NEWEST_DAYS
    return is_long and query.since + _EDGE <= at < query.until - _EDGE


def cut_by_bytes(page: RowsPage, _query: FlowQuery) -> RowsPage:
    """The first rows of the page that together have PAGE_BYTES at most, but at least one."""
    sizes = accumulate(len(row) for row in page.rows)
    return page._replace(rows=page.rows[: max(1, sum(size <= PAGE_BYTES for size in sizes))])


def any_time(query: FlowQuery, _reading: Reading) -> FlowQuery:
    """The same rows of any time."""
    return query._replace(since=MIN_INSTANT, until=MAX_INSTANT)


def first_page(query: FlowQuery, _reading: Reading) -> FlowQuery:
    """The first page, whichever page was requested."""
    return query._replace(offset=0, after=query.after and "")


def without_filter(is_its_field: Callable[[str], bool]) -> Callable[[FlowQuery, Reading], FlowQuery]:
    """The same query without its filters on a field."""

    def change(query: FlowQuery, _reading: Reading) -> FlowQuery:
        where = tuple(any_of for any_of in query.where if not any(map(is_its_field, _fields_in(any_of))))
        return query._replace(where=where)

    return change


def _fields_in(any_of: AnyOf) -> set[str]:
    return {term.field for all_of in any_of for term in all_of}


def is_account(field: str) -> bool:
    """Whether a field of flows is the account within a source."""
    return field == "subaccount" or field.endswith(":account")


def is_symbol(field: str) -> bool:
    return field == "symbol"


def is_type(field: str) -> bool:
    """Whether a field of flows is their type."""
    return field in ("kind", "category", "side") or (field.startswith(DETAIL_PREFIX) and not is_account(field))


def moved_ends(begin_steps: int, end_steps: int) -> Callable[[FlowQuery, Reading], FlowQuery]:
    """The same query with both ends of its range moved by this number of steps."""

    def change(query: FlowQuery, reading: Reading) -> FlowQuery:
        since, until = query.since, query.until
        if since - MIN_INSTANT > reading.step and MAX_INSTANT - since > reading.step:
            since += begin_steps * reading.step
        if until - MIN_INSTANT > reading.step and MAX_INSTANT - until > reading.step:
            until += end_steps * reading.step
        return query._replace(since=since, until=max(since, until))

    return change


# ---------------------------------------------------------------- what a page and an answer have


def is_hidden(row: bytes) -> bool:
    """Whether a row is hidden; its bytes decide."""
    return zlib.crc32(row) % VISIBLE_ONE_IN != 0


def nothing(_page: RowsPage, _query: FlowQuery) -> RowsPage:
    """No rows, and no further page."""
    return RowsPage([], None)


def same_cursor(page: RowsPage, _query: FlowQuery) -> RowsPage:
    """The same cursor after every page."""
    return page._replace(end_cursor=REPEATED_CURSOR)


def same_cursor_empty(page: RowsPage, query: FlowQuery) -> RowsPage:
    """The same cursor after every page, and rows on the first one only."""
    return RowsPage([] if query.after else page.rows, REPEATED_CURSOR)


def ever_new_cursors(page: RowsPage, query: FlowQuery) -> RowsPage:
    """A new cursor after every page, and rows on the first one only."""
    number = (query.after or "").removeprefix(NEW_CURSOR)  # another deviation's cursor is not a number
    begun = int(number) if number.isdecimal() else 0
    return RowsPage([] if query.after else page.rows, f"{NEW_CURSOR}{begun + 1}")


def marked_if_empty(page: RowsPage, _query: FlowQuery) -> RowsPage:
    """The page. If it is empty, the page contains a marker that a later hook replaces."""
    return page if page.rows else page._replace(rows=[rewriting.EMPTY_LIST_MARKER])


def without_message(body: bytes) -> bytes:
    """The answer without its message."""
    return rewriting.with_message(body, None)


def with_other_message(body: bytes) -> bytes:
    """The answer with another message."""
    return rewriting.with_message(body, '"OK, 成功"'.encode())


def with_lone_surrogate(row: bytes, provider: Provider) -> bytes:
    """The row with half of an emoji in a text that is not a time and not an amount."""
    return rewriting.with_field(row, _free_text_field(row, provider), b'"half of an emoji: \\ud83d"')


def with_nan(row: bytes, provider: Provider) -> bytes:
    """The row with NaN in place of a number."""
    return rewriting.with_field(row, _numeric_field(row, provider), b"NaN")


def with_broken_number(row: bytes, provider: Provider) -> bytes:
    """The row with half a number in place of a number."""
    return rewriting.with_field(row, _numeric_field(row, provider), b"12.")


def with_further_line(body: bytes) -> bytes:
    """The document with one more line at its end, packed as before. JSON answers stay unchanged."""
    if body.startswith(b"{"):
        return body
    is_packed = body.startswith(b"\x1f\x8b")
    document = (gzip.decompress(body) if is_packed else body) + b"\n"
    return gzip.compress(document, mtime=0) if is_packed else document


def without_first_row(document: bytes) -> bytes:
    """The document without the first line after its header. Its control totals are then wrong."""
    header, _, rows = document.partition(b"\n")
    return header + b"\n" + rows.partition(b"\n")[2]


def without_signature(response: Response) -> Response:
    """The answer without the headers of its signature."""
    return response._replace(headers=[header for header in response.headers if "signature" not in header[0]])


def _free_text_field(row: bytes, provider: Provider) -> str:
    """Return a field whose text can be changed without changing the amount or the time. If there is none, return any
    field with text."""
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


def with_unlisted_values(rows: Rows, provider: Provider) -> Rows:
    """The rows, some of which have a value that the provider's document does not list for a filter."""
    field = provider.rules.filter(partitions_of(provider)[0]).field
    return [
        rewriting.with_field(row, field, UNLISTED_VALUE) if zlib.crc32(row) % UNLISTED_ONE_IN == 0 else row
        for row in rows
    ]


def endless(response: Response) -> Endless:
    """The beginning of the answer, followed by endless spaces."""
    return Endless(response._replace(body=response.body[:-1]), ENDLESS_CHUNK)


@lru_cache(1)
def _padding() -> tuple[bytes, bytes]:
    """Return spaces, and a deflate stream of spaces that can follow another stream."""
    spaces = b" " * BOMB_BYTES
    compressor = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    return spaces, compressor.compress(spaces) + compressor.flush()


def compressed_with_padding(response: Response) -> Response:
    """Return the answer as gzip, with padding after its body. The padding is compressed only once, because that takes
    long."""
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
