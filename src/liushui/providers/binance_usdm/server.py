"""Serves the income history of Binance USDⓈ-M Futures as its documentation describes it."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from liushui.conditions import Where, one_of
from liushui.errors import NotRepresentable, WireError, short_repr
from liushui.http import JSON_HEADERS, Request, Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT, to_us
from liushui.provider import FlowQuery, FlowReader, Key, RateCheck, Route
from liushui.providers.binance_usdm import rules as codes
from liushui.providers.binance_usdm.codec import write
from liushui.providers.binance_usdm.kinds import has_type
from liushui.providers.binance_usdm.rules import (
    AHEAD_MAX,
    BAN,
    BANNED_STATUS,
    NAME,
    RECV_WINDOW_DEFAULT,
    RECV_WINDOW_MAX,
    REFUSALS,
    RULES,
    WEIGHT,
)
from liushui.providers.binance_usdm.wire import PATH, PING_PATH, TIME_PATH, sign
from liushui.wire.decoding import parse_integer
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import exclusive_end, from_steps, parse_steps, to_steps
from liushui.wire.signed_text import is_equal

PAGE_MAX: Final = 10**9
SIZE_MAX: Final = 10**9
"""Many clients request pages larger than the maximum. They get a page of the maximum size."""
PARAMETER_ERRORS: Final = {"symbol": codes.BAD_SYMBOL, "endTime": codes.REVERSED_RANGE}
"""The error codes of those parameters that have a code of their own."""
USED_WEIGHT: Final = "X-MBX-USED-WEIGHT-1M"

_MILLISECOND: Final = timedelta(milliseconds=1)
_SIZE = re.compile(r"(?:^|&)limit=([0-9]{1,9})(?:&|$)")
_SIGNATURE = re.compile(r"^(?:(.*)&)?signature=([^&]*)$", re.DOTALL)
_SYMBOL = re.compile(r"[!-~]{1,64}", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,15}", re.ASCII)


class BinanceServer:
    """Serves the income history, the service's time (clients set their clocks by it), and an empty answer to a ping."""

    routes: Sequence[Route] = (Route("GET", PATH), Route("GET", TIME_PATH), Route("GET", PING_PATH))

    def estimate_rows(self, request: Request) -> int:
        size = _SIZE.search(request.query)
        return min(int(size[1]), RULES.paging.size_max) if size else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer: a list of rows, or an error with a code."""
        check = None
        try:
            if request.method == "GET" and request.route == PING_PATH:
                return Response(200, _headers(check), b"{}")
            if request.method == "GET" and request.route == TIME_PATH:
                now_ms = to_steps(reader.now(), RULES.resolution)
                return Response(200, _headers(check), b'{"serverTime":%d}' % now_ms)
            if request.method != "GET" or request.route != PATH:
                raise ErrorResponse(404, codes.NO_SUCH_ROUTE, f"Path {short_repr(request.route)} is invalid")
            params = request.query_params()
            key = authenticate(request, params, reader)
            check = reader.admit(key, RULES.rate)
            if not check.admitted:
                return _refusal(key, reader, check)
            rows = reader.read_page(NAME, parse_query(params, key, reader.now()), write).rows
        except WireError as error:
            code = PARAMETER_ERRORS.get(error.field, codes.BAD_PARAMETER)
            return _failure(400, code, f"Data sent for parameter '{error.field}' is not valid: {error.reason}", check)
        except NotRepresentable as error:
            return _failure(400, codes.BAD_PARAMETER, f"a row of this range has no form here: {error}", check)
        except ErrorResponse as error:
            return _failure(error.status, error.code, error.message, check)
        return Response(200, _headers(check), b"[%b]" % rows)


def authenticate(request: Request, params: Mapping[str, str], reader: FlowReader) -> Key:
    """Return the key that signed a request. Raises ErrorResponse."""
    public = request.headers.get("x-mbx-apikey", "")
    if not public:
        raise ErrorResponse(401, codes.MALFORMED_KEY, "API-key format invalid.")
    key = reader.find_key(NAME, public)
    if key is None:
        raise ErrorResponse(401, codes.UNKNOWN_KEY, "Invalid API-key, IP, or permissions for action.")
    now = reader.now()
    signed = _SIGNATURE.match(request.query)
    for name, value in (("timestamp", params.get("timestamp")), ("signature", signed and signed[2])):
        if not value:
            message = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
            raise ErrorResponse(400, codes.MISSING_PARAMETER, message)
    _check_time(params, now)
    query, signature = (signed[1] or "", signed[2]) if signed else ("", "")
    if not is_equal(signature.lower(), sign(secret=key.credentials["api_secret"], query=query)):
        raise ErrorResponse(400, codes.BAD_SIGNATURE, "Signature for this request is not valid.")
    if key.expires_at is not None and now >= key.expires_at:
        raise ErrorResponse(401, codes.UNKNOWN_KEY, "Invalid API-key, IP, or permissions for action: it has expired.")
    return key


def _check_time(params: Mapping[str, str], now: datetime) -> None:
    """Raise ErrorResponse unless the time of a request is in [now - recvWindow, now + AHEAD_MAX)."""
    window = params.get("recvWindow") or str(RECV_WINDOW_DEFAULT // _MILLISECOND)
    timestamp = params["timestamp"]
    if not (_WHOLE.fullmatch(window) and 0 < int(window) <= RECV_WINDOW_MAX // _MILLISECOND):
        raise ErrorResponse(400, codes.BAD_PARAMETER, "Data sent for parameter 'recvWindow' is not valid.")
    if not _WHOLE.fullmatch(timestamp):
        raise ErrorResponse(400, codes.BAD_PARAMETER, "Data sent for parameter 'timestamp' is not valid.")
    late_ms = to_us(now) // 1000 - int(timestamp)
    if late_ms <= -(AHEAD_MAX // _MILLISECOND):
        ahead = AHEAD_MAX // _MILLISECOND
        message = f"Timestamp for this request was {ahead}ms ahead of the server's time."
        raise ErrorResponse(400, codes.BAD_TIME, message)
    if late_ms > int(window):
        raise ErrorResponse(400, codes.BAD_TIME, "Timestamp for this request is outside of the recvWindow.")


# ---------------------------------------------------------------- the query


def parse_query(params: Mapping[str, str], key: Key, now: datetime) -> FlowQuery:
    """Return the query in a request's parameters. Raises WireError naming the parameter that is not valid."""
    paging = RULES.paging
    size = parse_integer("limit", params.get("limit") or str(paging.size_default), least=1, most=SIZE_MAX)
    size = min(size, paging.size_max)
    page = parse_integer("page", params.get("page") or str(paging.first), least=paging.first, most=PAGE_MAX)
    first, last = _range(params, now)
    kept_from, _ = RULES.readable(now)
    since, until = max(first, kept_from), exclusive_end(last, RULES.resolution)
    return FlowQuery(
        accounts=key.accounts,
        since=since,
        until=max(since, until),
        limit=size,
        offset=(page - paging.first) * size,
        newest=False,
        ascending=True,
        where=_where(params),
    )


class _Range(NamedTuple):
    """The first and the last millisecond of a range."""

    first: datetime
    last: datetime


def _range(params: Mapping[str, str], now: datetime) -> _Range:
    start, end = (_parse_time(name, params[name]) if params.get(name) else None for name in ("startTime", "endTime"))
    if start is not None and end is not None and end < start:
        raise WireError("endTime", f"expected startTime {params['startTime']} or later, got {params['endTime']}")
    present = from_steps(to_steps(now, RULES.resolution), RULES.resolution)
    if start is None and end is None and RULES.window_default is not None:
        start = present - min(RULES.window_default, present - MIN_INSTANT)
    return _Range(start or MIN_INSTANT, end or MAX_INSTANT - RULES.resolution)


def _parse_time(field: str, text: str) -> datetime:
    if _WHOLE.fullmatch(text) is None:
        # The space in the name keeps this error from getting the code of a reversed range.
        raise WireError(f"{field} ", f"expected whole Unix milliseconds such as 1570608000000, got {short_repr(text)}")
    return parse_steps(f"{field} ", int(text), RULES.resolution)


def _where(params: Mapping[str, str]) -> Where:
    where = []
    if symbol := params.get("symbol"):
        if _SYMBOL.fullmatch(symbol) is None:
            raise WireError("symbol", f"expected 1 to 64 characters such as BTCUSDT, got {short_repr(symbol)}")
        where.append(one_of("symbol", symbol))
    if type_ := params.get("incomeType"):
        where.append(has_type(type_))
    return tuple(where)


# ---------------------------------------------------------------- the answer


def _refusal(key: Key, reader: FlowReader, check: RateCheck) -> Response:
    """Return the answer to a call over the rate. A client that keeps calling is banned."""
    if reader.admit(key, REFUSALS, "refused").admitted:
        message = f"Too many requests; current limit is {WEIGHT * RULES.rate.calls} request weight per 1 MINUTE."
        return _failure(429, codes.TOO_MANY_CALLS, message, check, wait=RULES.rate.per)
    until = to_steps(reader.now() + BAN, RULES.resolution)
    message = f"Way too many requests; IP banned until {until}."
    return _failure(BANNED_STATUS, codes.TOO_MANY_CALLS, message, check, wait=BAN)


def _failure(
    status: int, code: int, message: str, check: RateCheck | None, *, wait: timedelta | None = None
) -> Response:
    headers = _headers(check)
    if wait is not None:
        headers.append(("Retry-After", str(wait // timedelta(seconds=1))))
    return Response(status, headers, msgspec.json.encode({"code": code, "msg": message}))


def _headers(check: RateCheck | None) -> list[tuple[str, str]]:
    """Return the headers of an answer. Once the call is counted, they state the weight of the calls in the last
    minute."""
    return [*JSON_HEADERS, *([] if check is None else [(USED_WEIGHT, str(WEIGHT * check.used))])]
