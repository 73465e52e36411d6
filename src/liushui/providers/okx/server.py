"""Serves OKX's trading account API as its documentation describes it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from liushui.conditions import DETAIL_PREFIX, Term, Where, one_of
from liushui.errors import ConfigError, NotRepresentable, WireError, short_repr
from liushui.http import JSON_HEADERS, Request, Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT, parse_instant
from liushui.provider import FlowPage, FlowQuery, FlowReader, Key, Route
from liushui.providers.okx import rules as codes
from liushui.providers.okx.codec import is_bill_id, parse_unix_milliseconds, second_of, write
from liushui.providers.okx.kinds import has_inst_type, has_sub_type, has_type
from liushui.providers.okx.rules import (
    CONTRACT_TYPES,
    INST_TYPES,
    LINEAR_CURRENCIES,
    MARGIN_MODES,
    NAME,
    RATE,
    RECENT,
    RECENT_RATE,
    RULES,
)
from liushui.providers.okx.wire import ARCHIVE_PATH, RECENT_PATH, TIME_PATH, bill_id_of, sign
from liushui.wire.decoding import DECODE_ERRORS, parse_choice, parse_integer, split_rows
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import exclusive_end, to_steps
from liushui.wire.signed_text import is_equal

RATES: Final = {RECENT_PATH: RECENT_RATE, ARCHIVE_PATH: RATE}
CHUNK: Final = 200
"""The number of rows to read at a time when looking for a bill within its second."""

_SECOND: Final = timedelta(seconds=1)
_SIZE = re.compile(r"(?:^|&)limit=([0-9]{1,3})(?:&|$)")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", re.ASCII)


_rows = msgspec.json.Decoder(list[msgspec.Raw])


class _TimeOnly(msgspec.Struct):
    """The time of a row."""

    ts: str


_time_only = msgspec.json.Decoder(_TimeOnly)


class OkxServer:
    """Serves recent bills, their archive, and the service's time (clients set their clocks by it)."""

    routes: Sequence[Route] = (Route("GET", RECENT_PATH), Route("GET", ARCHIVE_PATH), Route("GET", TIME_PATH))

    def estimate_rows(self, request: Request) -> int:
        size = _SIZE.search(request.query)
        return min(int(size[1]), RULES.paging.size_max) if size else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer in OKX's envelope. Errors use it too."""
        try:
            if request.method == "GET" and request.route == TIME_PATH:
                now_ms = to_steps(reader.now(), RULES.resolution)
                return _respond(200, codes.SUCCESS, "", b'{"ts":"%d"}' % now_ms)
            rate = RATES.get(request.route)
            if request.method != "GET" or rate is None:
                raise ErrorResponse(404, codes.NO_SUCH_ROUTE, "Not Found")
            key = authenticate(request, reader)
            if not reader.admit(key, rate, request.route).admitted:
                raise ErrorResponse(429, codes.TOO_MANY_CALLS, "Too Many Requests")
            return _respond(200, codes.SUCCESS, "", _bills(request, key, reader))
        except WireError as error:
            return _respond(400, codes.BAD_PARAMETER, f"Parameter {error.field} error: {error.reason}")
        except NotRepresentable as error:
            return _respond(400, codes.BAD_PARAMETER, f"a bill of this range cannot be represented: {error}")
        except ErrorResponse as error:
            return _respond(error.status, error.code, error.message)


def authenticate(request: Request, reader: FlowReader) -> Key:
    """Return the key that signed a request. Raises ErrorResponse."""
    headers = request.headers
    for name, code in (
        ("ok-access-key", codes.KEY_MISSING),
        ("ok-access-passphrase", codes.PASSPHRASE_MISSING),
        ("ok-access-sign", codes.SIGN_MISSING),
        ("ok-access-timestamp", codes.TIMESTAMP_MISSING),
    ):
        if not headers.get(name):
            raise ErrorResponse(401, code, f'Request header "{name.upper()}" cannot be empty.')
    timestamp, now = headers["ok-access-timestamp"], reader.now()
    sent_at = _parse_timestamp(timestamp)
    key = reader.find_key(NAME, headers["ok-access-key"])
    if key is None:
        raise ErrorResponse(200, codes.UNKNOWN_KEY, "API key doesn't exist")
    if not RULES.allows_skew(now - sent_at):
        raise ErrorResponse(401, codes.STALE_TIMESTAMP, "Timestamp request expired")
    if not is_equal(headers["ok-access-passphrase"], key.credentials["passphrase"]):
        raise ErrorResponse(401, codes.WRONG_PASSPHRASE, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.')
    # If the base URL has a path, public clients do not sign that path. So we also accept a signature over the route
    # alone.
    signatures = [
        sign(
            secret=key.credentials["api_secret"],
            timestamp=timestamp,
            method=request.method,
            path=path,
            query=request.query,
            body=request.body,
        )
        for path in (request.path, request.route)
    ]
    if not any(is_equal(headers["ok-access-sign"], signature) for signature in signatures):
        raise ErrorResponse(401, codes.BAD_SIGNATURE, "Invalid Sign")
    if key.expires_at is not None and now >= key.expires_at:
        raise ErrorResponse(200, codes.UNKNOWN_KEY, "API key doesn't exist: it has expired")
    return key


def _parse_timestamp(text: str) -> datetime:
    """Parse the time of a signature. Raises ErrorResponse."""
    with suppress(ConfigError):
        if _TIMESTAMP.fullmatch(text):
            return parse_instant("OK-ACCESS-TIMESTAMP", text)
    raise ErrorResponse(401, codes.BAD_TIMESTAMP, "Invalid OK-ACCESS-TIMESTAMP")


# ---------------------------------------------------------------- the query


class Parameters(NamedTuple):
    """The range of a request, and the bills after which its page begins or before which it ends."""

    query: FlowQuery
    after: str
    """The page begins after the bill with this id, so it has older bills. If empty, it begins with the newest bill."""
    before: str
    """The page ends before the bill with this id, so it has newer bills. If empty, it goes on to the oldest bill."""


def parse_query(params: Mapping[str, str], key: Key, now: datetime, route: str) -> Parameters:
    """Return the query in a request's parameters. Raises ErrorResponse, and WireError naming the parameter that is not
    valid."""
    begin, end = (
        parse_unix_milliseconds(name, params[name]) if params.get(name) else None for name in ("begin", "end")
    )
    kept_from, _ = RULES.readable(now)
    if route == RECENT_PATH:
        kept_from = max(kept_from, now - RECENT)
    paging = RULES.paging
    size = _given(params, "limit") or str(paging.size_default)
    after, before = (_parse_bill_id(name, _given(params, name)) for name in ("after", "before"))
    if after and before:
        raise ErrorResponse(200, codes.AFTER_AND_BEFORE, "Parameter before and after can not exist at the same time")
    query = FlowQuery(
        accounts=key.accounts,
        since=max(kept_from, begin or MIN_INSTANT),
        until=MAX_INSTANT if end is None else exclusive_end(end, RULES.resolution),
        limit=parse_integer("limit", size, least=1, most=paging.size_max),
        after="",
        where=_where(params),
    )
    return Parameters(query, after, before)


def _given(params: Mapping[str, str], name: str) -> str:
    """Return the value of a parameter. Empty counts as absent, because clients send parameters without a value."""
    return params.get(name, "")


def _parse_bill_id(name: str, text: str) -> str:
    if text and not is_bill_id(text):
        raise WireError(name, f"expected the id of a bill, got {short_repr(text)}")
    return text


def _where(params: Mapping[str, str]) -> Where:
    where = []
    if inst_type := _given(params, "instType"):
        where.append(has_inst_type(parse_choice("instType", inst_type, dict(zip(INST_TYPES, INST_TYPES, strict=True)))))
    if mode := _given(params, "mgnMode"):
        known = parse_choice("mgnMode", mode, dict(zip(MARGIN_MODES, MARGIN_MODES, strict=True)))
        where.append(one_of(f"{DETAIL_PREFIX}okx:mgnMode", known))
    if contract := _given(params, "ctType"):
        is_inverse = parse_choice("ctType", contract, {"linear": False, "inverse": True})
        where += [has_inst_type(*CONTRACT_TYPES), ((Term("currency", LINEAR_CURRENCIES, negated=is_inverse),),)]
    for name, field in (("instId", "symbol"), ("ccy", "currency")):
        if value := _given(params, name):
            where.append(one_of(field, value))
    for name, condition in (("type", has_type), ("subType", has_sub_type)):
        if value := _given(params, name):
            where.append(condition(value))
    return tuple(where)


# ---------------------------------------------------------------- the rows


def _bills(request: Request, key: Key, reader: FlowReader) -> bytes:
    """Return the rows of a page. Raises WireError, NotRepresentable, ErrorResponse."""
    query, after, before = parse_query(request.query_params(), key, reader.now(), request.route)
    if query.since >= query.until:
        query = query._replace(until=query.since)
    if after:
        cursor = find_bill("after", after, query, reader)
        # Without a cursor no further row exists, so the page is empty.
        query = query._replace(after=cursor) if cursor else query._replace(until=query.since)
    page = reader.read_page(NAME, query, write)
    if not before:
        return page.rows
    find_bill("before", before, query, reader)
    rows = _rows_of(page)
    ids = [bill_id_of(row) for row in rows]
    return b",".join(rows[: ids.index(before)] if before in ids else rows)


def find_bill(name: str, bill_id: str, query: FlowQuery, reader: FlowReader) -> str | None:
    """Return the keyset cursor after a bill, newest first. Returns None if no row follows the bill.

    Raises WireError naming the parameter `name` if there is no such bill.
    """
    everything = query._replace(since=MIN_INSTANT, until=MAX_INSTANT, after="", where=(), limit=CHUNK)
    for at in _times_of(bill_id, query, everything, reader):
        # Two more milliseconds on each side, because a service may leave out the first or the last millisecond of a
        # range.
        margin = 2 * RULES.resolution
        begun = everything._replace(until=exclusive_end(at, _SECOND + margin))
        search = begun._replace(since=at - margin)
        while True:
            page = reader.read_page(NAME, search, write)
            ids = [bill_id_of(row) for row in _rows_of(page)]
            if bill_id in ids:
                place = len(ids) - ids[::-1].index(bill_id)  # after the last row with this id, if there are several
                # The range has no beginning, so that the cursor shows whether an older row follows.
                return reader.read_page(NAME, begun._replace(limit=place, after=search.after), write).end_cursor
            if page.end_cursor is None or not ids:
                break
            search = search._replace(after=page.end_cursor)
    raise WireError(name, f"expected the id of a bill of this account, got {short_repr(bill_id)}")


def _times_of(bill_id: str, query: FlowQuery, everything: FlowQuery, reader: FlowReader) -> Iterator[datetime]:
    """Return the seconds in which a bill may be: the second in a derived id, and the second of the row with this id.

    That row is nearly always in the requested range, so the requested range is searched first.
    """
    second = second_of(bill_id)
    if second is not None and MIN_INSTANT + _SECOND < second < MAX_INSTANT - _SECOND:
        yield second
    for since, until in ((query.since, query.until), (everything.since, everything.until)):
        named = everything._replace(since=since, until=until, where=(one_of("ref", bill_id),), limit=1, after=None)
        for row in _rows_of(reader.read_page(NAME, named, write)):
            at = _time_of(row)
            if at is not None:
                yield at


def _rows_of(page: FlowPage) -> list[bytes]:
    """Return the rows of a page. A row that is not JSON (simulated services have some) does not hide other rows."""
    try:
        return list(map(bytes, _rows.decode(b"[%b]" % page.rows)))
    except DECODE_ERRORS:
        split = split_rows(b'{"data":[%b]}' % page.rows, ("data",))
        return [] if split is None else split.rows


def _time_of(row: bytes) -> datetime | None:
    try:
        return parse_unix_milliseconds("ts", _time_only.decode(row).ts)
    except (*DECODE_ERRORS, WireError):
        return None


def _respond(status: int, code: int, message: str, rows: bytes = b"") -> Response:
    text = msgspec.json.encode(message)
    return Response(status, JSON_HEADERS, b'{"code":"%d","msg":%b,"data":[%b]}' % (code, text, rows))
