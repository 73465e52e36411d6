"""Serves Bybit's transaction log as its documentation describes it."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from liushui.conditions import DETAIL_PREFIX, Where, one_of
from liushui.errors import NotRepresentable, WireError
from liushui.http import JSON_HEADERS, Request, Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT, to_us
from liushui.provider import FlowQuery, FlowReader, Key, RateCheck, Route
from liushui.providers.bybit import rules as codes
from liushui.providers.bybit.codec import parse_unix_milliseconds, write
from liushui.providers.bybit.kinds import has_category, has_type
from liushui.providers.bybit.rules import (
    ACCOUNT_TYPE,
    AHEAD_MAX,
    CATEGORIES,
    NAME,
    RECV_WINDOW_DEFAULT,
    RESET_AFTER,
    RULES,
    SUB_TYPES,
    WINDOW_DEFAULT,
    WINDOW_MAX,
)
from liushui.providers.bybit.wire import PATH, TIME_PATH, sign
from liushui.wire.decoding import parse_choice, parse_integer
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import exclusive_end, from_steps, to_steps
from liushui.wire.signed_text import is_equal, open_text, sign_text

QUOTE_COINS: Final = ("USDT", "USDC", "USD", "PERP")
"""The quote coins at the end of the symbols of a base coin."""
CURSOR: Final = "cursor"

_MILLISECOND: Final = timedelta(milliseconds=1)
_SIZE = re.compile(r"(?:^|&)limit=([0-9]{1,2})(?:&|$)")
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)


class BybitServer:
    """Serves the transaction log of unified accounts, and the service's time (clients set their clocks by it)."""

    routes: Sequence[Route] = (Route("GET", PATH), Route("GET", TIME_PATH))

    def estimate_rows(self, request: Request) -> int:
        size = _SIZE.search(request.query)
        return min(int(size[1]), RULES.paging.size_max) if size else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer in Bybit's envelope. The HTTP status is 200 for errors too."""
        check = None
        try:
            if request.method == "GET" and request.route == TIME_PATH:
                return _respond(reader, None, 200, codes.SUCCESS, "OK", _time_of(reader.now()))
            if request.method != "GET" or request.route != PATH:
                raise ErrorResponse(404, codes.NO_SUCH_ROUTE, "no such API")
            key = authenticate(request, reader)
            check = reader.admit(key, RULES.rate)
            if not check.admitted:
                raise ErrorResponse(200, codes.TOO_MANY_CALLS, "Too many visits. Exceeded the API Rate Limit.")
            result = _transactions(request, key, reader)
        except WireError as error:
            return _respond(reader, check, 200, codes.BAD_PARAMETER, f"params error: {error}")
        except NotRepresentable as error:
            return _respond(reader, check, 200, codes.BAD_PARAMETER, f"a row of this range has no form here: {error}")
        except ErrorResponse as error:
            return _respond(reader, check, error.status, error.code, error.message)
        return _respond(reader, check, 200, codes.SUCCESS, "OK", result)


def authenticate(request: Request, reader: FlowReader) -> Key:
    """Return the key that signed a request. Raises ErrorResponse."""
    headers = request.headers
    key = reader.find_key(NAME, headers.get("x-bapi-api-key", ""))
    if key is None:
        raise ErrorResponse(200, codes.UNKNOWN_KEY, "API key is invalid.")
    timestamp = headers.get("x-bapi-timestamp", "")
    window = headers.get("x-bapi-recv-window") or str(RECV_WINDOW_DEFAULT // _MILLISECOND)
    now = reader.now()
    if not _is_timely(timestamp, window, now):
        stated = f"req_timestamp[{timestamp[:20]}],server_timestamp[{_ms(now)}],recv_window[{window[:20]}]"
        message = f"invalid request, please check your server timestamp or recv_window param. {stated}"
        raise ErrorResponse(200, codes.BAD_TIME, message)
    signature = sign(
        secret=key.credentials["api_secret"],
        timestamp=timestamp,
        key=headers["x-bapi-api-key"],
        window=headers.get("x-bapi-recv-window", ""),
        query=request.query,
    )
    if not is_equal(headers.get("x-bapi-sign", ""), signature):
        raise ErrorResponse(200, codes.BAD_SIGNATURE, "error sign! please check your signature generation algorithm.")
    if key.expires_at is not None and now >= key.expires_at:
        raise ErrorResponse(200, codes.EXPIRED_KEY, "Your api key has expired.")
    return key


def _is_timely(timestamp: str, window: str, now: datetime) -> bool:
    """Whether a request's time is in [now - window, now + AHEAD_MAX)."""
    if _WHOLE.fullmatch(timestamp) is None or _WHOLE.fullmatch(window) is None:
        return False
    late_ms = to_us(now) // 1000 - int(timestamp)
    return -(AHEAD_MAX // _MILLISECOND) < late_ms <= int(window)


def _ms(at: datetime) -> int:
    return to_steps(at, RULES.resolution)


# ---------------------------------------------------------------- the query


class Scope(NamedTuple):
    """The values that a cursor is bound to: the first and the last millisecond of the range, and the filters."""

    begin_ms: int
    end_ms: int
    where: Where


def parse_query(params: Mapping[str, str], key: Key, now: datetime) -> tuple[FlowQuery, Scope]:
    """Return the query in a request's parameters. Raises WireError naming the parameter that is not valid."""
    paging = RULES.paging
    if account_type := params.get("accountType"):
        parse_choice("accountType", account_type, {ACCOUNT_TYPE: True})
    size = parse_integer("limit", params.get("limit") or str(paging.size_default), least=1, most=paging.size_max)
    first, last = _range(params, now)
    scope = Scope(_ms(first), _ms(last), _where(params))
    after = ""
    if cursor := params.get(CURSOR):
        opened = open_cursor(cursor, key, scope)
        if opened is None:
            raise WireError(CURSOR, "expected one that was given for these parameters")
        after = opened
    kept_from, _ = RULES.readable(now)
    since, until = max(first, kept_from), exclusive_end(last, RULES.resolution)
    query = FlowQuery(
        accounts=key.accounts, since=since, until=max(since, until), limit=size, after=after, where=scope.where
    )
    return query, scope


def _range(params: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """Return the first and the last millisecond of the range. If a request states one end only, the default window
    gives the other."""
    start, end = (
        parse_unix_milliseconds(name, params[name]) if params.get(name) else None for name in ("startTime", "endTime")
    )
    if start is not None and end is not None:
        if end < start:
            raise WireError("endTime", f"expected startTime {params['startTime']} or later, got {params['endTime']}")
        if end - start > WINDOW_MAX:
            raise WireError("endTime", f"expected at most {WINDOW_MAX.days} days from startTime, got {end - start}")
        return start, end
    if start is not None:
        return start, start + min(WINDOW_DEFAULT, MAX_INSTANT - start)
    last = from_steps(_ms(now), RULES.resolution) if end is None else end
    return last - min(WINDOW_DEFAULT, last - MIN_INSTANT), last


def _where(params: Mapping[str, str]) -> Where:
    where = []
    if category := params.get("category"):
        where.append(has_category(parse_choice("category", category, {known: known for known in CATEGORIES})))
    if currency := params.get("currency"):
        where.append(one_of("currency", currency))
    if base_coin := params.get("baseCoin"):
        where.append(one_of("symbol", *(f"{base_coin}{quote}" for quote in QUOTE_COINS)))
    if type_ := params.get("type"):
        where.append(has_type(type_))
    if sub_type := params.get("transSubType"):
        known = parse_choice("transSubType", sub_type, {known: known for known in SUB_TYPES})
        where.append(one_of(f"{DETAIL_PREFIX}bybit:transSubType", known))
    return tuple(where)


def make_cursor(key: Key, after: str, scope: Scope) -> str:
    """Return Bybit's cursor for a keyset cursor. It is valid only for this key and these parameters."""
    return sign_text(key.credentials["api_secret"], CURSOR, after.encode(), msgspec.json.encode(scope))


def open_cursor(cursor: str, key: Key, scope: Scope) -> str | None:
    """Return the keyset cursor in Bybit's cursor. Returns None if the cursor was not made for this key and these
    parameters."""
    payload = open_text(cursor, key.credentials["api_secret"], CURSOR, msgspec.json.encode(scope))
    return None if payload is None else payload.decode()


# ---------------------------------------------------------------- the answer


def _transactions(request: Request, key: Key, reader: FlowReader) -> bytes:
    """Return `result` of a page. Raises WireError naming the parameter that is not valid, and NotRepresentable."""
    query, scope = parse_query(request.query_params(), key, reader.now())
    page = reader.read_page(NAME, query, write)
    cursor = "" if page.end_cursor is None else make_cursor(key, page.end_cursor, scope)
    return b'"nextPageCursor":%b,"list":[%b]' % (msgspec.json.encode(cursor), page.rows)


def _time_of(now: datetime) -> bytes:
    us = to_us(now)
    return b'"timeSecond":"%d","timeNano":"%d"' % (us // 1_000_000, us * 1_000)


def _respond(
    reader: FlowReader, check: RateCheck | None, status: int, code: int, message: str, result: bytes = b""
) -> Response:
    """Build an answer. Once the call is counted, headers state how many calls are left, and when the full number is
    available again."""
    headers, now = list(JSON_HEADERS), reader.now()
    if check is not None:
        headers += [
            ("X-Bapi-Limit", str(RULES.rate.calls)),
            ("X-Bapi-Limit-Status", str(max(0, RULES.rate.calls - check.used))),
            ("X-Bapi-Limit-Reset-Timestamp", str(_ms(now + RESET_AFTER))),
        ]
    body = b'{"retCode":%d,"retMsg":%b,"result":{%b},"retExtInfo":{},"time":%d}'
    return Response(status, headers, body % (code, msgspec.json.encode(message), result, _ms(now)))
