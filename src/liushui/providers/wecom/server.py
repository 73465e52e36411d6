"""WeCom fund flow, the end that answers: as the document and public clients expect it. Of request and reader alone."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from liushui.conditions import DETAIL_PREFIX, EVERYTHING, Where, one_of
from liushui.errors import NotRepresentable, WireError
from liushui.http import Request, Response
from liushui.instant import MAX_INSTANT, UNIX_SECONDS_MAX, from_us, to_us
from liushui.provider import FlowQuery, FlowReader, Key, Route
from liushui.providers.wecom import wire
from liushui.providers.wecom.codec import OPERATOR, write
from liushui.providers.wecom.rules import FLOOR, RULES, TOKEN_LIFE, TOKEN_RATE, WINDOW_MAX
from liushui.providers.wecom.tokens import Bound, access_token, cursor, is_access_token, place_of, session_claimed
from liushui.wire.decoding import RowReader, or_none, parse_integer
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import exclusive_end, from_steps, to_steps

NAME: Final = "wecom"

OPERATORS: Final = "operators"
PERMISSION: Final = "permission"
"""Names of restrictions of a key."""

_TOKEN_RENEWED_AFTER: Final = TOKEN_LIFE - timedelta(seconds=1) + timedelta.resolution
"""Whoever asks for a token gets one that is good for a whole second at least."""
_WINDOW_MAX_S: Final = WINDOW_MAX // RULES.resolution
_FLOOR_S: Final = to_steps(FLOOR, RULES.resolution)
_body = RowReader(wire.Asked, "a request")


class Parameters(NamedTuple):
    """What a page is asked for with: seconds since the epoch, both ends inclusive."""

    begin_time: int
    end_time: int
    mch_id: str
    cursor: str
    limit: int

    @property
    def bound(self) -> Bound:
        """What a cursor is good for. The limit may change from page to page."""
        return self.begin_time, self.end_time, self.mch_id


class WecomServer:
    """The two routes that a reader of fund flows calls."""

    routes: Sequence[Route] = (Route("POST", wire.GET_FUND_FLOW), Route("GET", wire.GET_TOKEN))

    def estimate_rows(self, request: Request) -> int:
        return RULES.paging.size_max if request.route == wire.GET_FUND_FLOW else 0

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """The answer, an error too, with HTTP 200."""
        try:
            return _answered(0, "ok", _asked_for(request, reader))
        except WireError as error:
            return _answered(40058, f"invalid parameter: {error}")
        except NotRepresentable as error:
            return _answered(40058, f"a fund flow of this time cannot be put in this api's words: {error}")
        except ErrorResponse as fault:
            return _answered(fault.code, fault.message)


def _asked_for(request: Request, reader: FlowReader) -> bytes:
    """The members of an answer beside its code."""
    match request.method, request.route:
        case "GET", wire.GET_TOKEN:
            return gettoken(request.query_params(), reader)
        case "POST", wire.GET_FUND_FLOW:
            return fund_flows(request, reader)
    raise ErrorResponse(200, 48002, "api forbidden: there is no such api")


# ---------------------------------------------------------------- the token


def gettoken(given: Mapping[str, str], reader: FlowReader) -> bytes:
    """A token, and how long it is good. Raises ErrorResponse."""
    for name, code in (("corpid", 41002), ("corpsecret", 41004)):
        if not given.get(name):
            raise ErrorResponse(200, code, f"{name} missing")
    key = reader.find_key(NAME, given["corpid"])
    if key is None:
        raise ErrorResponse(200, 40013, "invalid corpid")
    if not hmac.compare_digest(given["corpsecret"].encode(), key.credentials["corpsecret"].encode()):
        raise ErrorResponse(200, 40001, "invalid credential")
    now = reader.now()
    if key.expires_at is not None and now >= key.expires_at:
        raise ErrorResponse(200, 40001, "invalid credential: it has expired")
    if not reader.admit(key, TOKEN_RATE, "gettoken").admitted:
        raise _too_many()
    began = reader.session_start(key, _TOKEN_RENEWED_AFTER)
    left_s = (_end_of_token(key, began) - now) // timedelta(seconds=1)
    return b'"access_token":%b,"expires_in":%d' % (_json(access_token(key, to_us(began))), left_s)


def authenticated(token: str, reader: FlowReader) -> Key:
    """The key whose access token this is. Raises ErrorResponse."""
    if not token:
        raise ErrorResponse(200, 41001, "access_token missing")
    session = session_claimed(token)
    key = None if session is None else reader.find_key(NAME, session.public)
    if session is None or key is None or not is_access_token(token, key, session):
        raise ErrorResponse(200, 40014, "invalid access_token")
    if reader.now() >= _end_of_token(key, from_us(session.began_us)):
        raise ErrorResponse(200, 42001, "access_token expired")
    return key


def _end_of_token(key: Key, began: datetime) -> datetime:
    return min(began + TOKEN_LIFE, key.expires_at or MAX_INSTANT)


def _too_many() -> ErrorResponse:
    return ErrorResponse(200, 45009, "api freq out of limit")


# ---------------------------------------------------------------- the rows


def fund_flows(request: Request, reader: FlowReader) -> bytes:
    """A page of fund flows. Raises ErrorResponse, WireError naming the parameter, or NotRepresentable."""
    key = authenticated(request.query_params().get("access_token", ""), reader)
    if not reader.admit(key, RULES.rate).admitted:
        raise _too_many()
    if key.restrictions.get(PERMISSION) == "none":
        raise ErrorResponse(200, 48002, "api forbidden")
    asked = parameters_of(request.body)
    page = reader.read_page(NAME, query_of(asked, key, reader.now()), write)
    onward = b"" if page.end_cursor is None else b'"next_cursor":%b,' % _json(cursor(key, page.end_cursor, asked.bound))
    return onward + b'"fund_flow_list":[' + page.rows + b"]"


def parameters_of(body: bytes) -> Parameters:
    """What a body asks for. Raises WireError naming the parameter that does not fit."""
    try:
        given = _body.read(body)
    except WireError as error:
        raise WireError("body", error.reason) if error.field == "row" else error from error
    begin_s = _whole("begin_time", given.begin_time, least=_FLOOR_S, most=UNIX_SECONDS_MAX)
    end_s = _whole("end_time", given.end_time, least=begin_s, most=min(begin_s + _WINDOW_MAX_S, UNIX_SECONDS_MAX))
    paging = RULES.paging
    limit = paging.size_default if given.limit is UNSET or given.limit is None else given.limit
    return Parameters(
        begin_time=begin_s,
        end_time=end_s,
        mch_id=or_none(given.mch_id) or "",
        cursor=or_none(given.cursor) or "",
        limit=_whole("limit", limit, least=1, most=paging.size_max),
    )


def query_of(asked: Parameters, key: Key, now: datetime) -> FlowQuery:
    """The flows that are there by now, oldest first. Raises WireError for a cursor that was not given for them."""
    place = place_of(asked.cursor, key, asked.bound) if asked.cursor else ""
    if place is None:
        raise WireError("cursor", "expected one that was given for this begin_time, end_time and mch_id")
    kept_from, published_until = RULES.readable(now)
    last = from_steps(asked.end_time, RULES.resolution)
    return FlowQuery(
        accounts=key.accounts,
        since=max(from_steps(asked.begin_time, RULES.resolution), kept_from),
        until=min(exclusive_end(last, RULES.resolution), published_until),
        limit=asked.limit,
        after=place,
        newest=False,
        ascending=True,
        where=(one_of("subaccount", asked.mch_id),) if asked.mch_id else EVERYTHING,
        visible=shown_to(key),
    )


def shown_to(key: Key) -> Where:
    """The rows of operators that the key may see, and those without one."""
    operators = key.restrictions.get(OPERATORS)
    if operators is None:
        return EVERYTHING
    return (one_of(f"{DETAIL_PREFIX}{OPERATOR}", None, "", *(operator.strip() for operator in operators.split(","))),)


def _whole(field: str, given: int | str, *, least: int, most: int) -> int:
    """A whole number, as a JSON integer or as text."""
    return parse_integer(field, str(given), least=least, most=most)


def _answered(code: int, message: str, members: bytes = b"") -> Response:
    body = b'{"errcode":%d,"errmsg":%b' % (code, _json(message))
    if members:
        body += b"," + members
    return Response(200, [("content-type", "application/json; charset=UTF-8")], body + b"}")


def _json(text: str) -> bytes:
    return msgspec.json.encode(text)
