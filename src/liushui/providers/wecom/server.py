"""Serves WeCom's API as its documentation describes it and as public clients expect it.

Access tokens and cursors are signed with the key's secret and not stored. Any process that knows the key can check
them.
"""

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
from liushui.providers.wecom.codec import OPERATOR, write
from liushui.providers.wecom.rules import FLOOR, NAME, RULES, TOKEN_LIFE, TOKEN_RATE, WINDOW_MAX
from liushui.providers.wecom.wire import PATH, TOKEN_PATH, RequestBody
from liushui.wire.decoding import DECODE_ERRORS, RowReader, or_none, parse_integer
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import exclusive_end, from_steps, to_steps
from liushui.wire.signed_text import claimed_payload, open_text, sign_text

OPERATORS: Final = "operators"
PERMISSION: Final = "permission"
"""Names of the restrictions that a key can have."""

_TOKEN_RENEWED_AFTER: Final = TOKEN_LIFE - timedelta(seconds=1) + timedelta.resolution
"""A token is renewed in its last second, so that a client never gets one with an `expires_in` of 0."""
_WINDOW_MAX_S: Final = WINDOW_MAX // RULES.resolution
_FLOOR_S: Final = to_steps(FLOOR, RULES.resolution)
_body = RowReader(RequestBody, "a request")


class WecomServer:
    """Serves the two routes that a client calls to read fund flows."""

    routes: Sequence[Route] = (Route("POST", PATH), Route("GET", TOKEN_PATH))

    def estimate_rows(self, request: Request) -> int:
        return RULES.paging.size_max if request.route == PATH else 0

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer. The HTTP status is 200 for errors too."""
        try:
            return _respond(0, "ok", _route(request, reader))
        except WireError as error:
            return _respond(40058, f"invalid parameter: {error}")
        except NotRepresentable as error:
            return _respond(40058, f"a fund flow of this time cannot be represented in this api: {error}")
        except ErrorResponse as error:
            return _respond(error.code, error.message)


def _route(request: Request, reader: FlowReader) -> bytes:
    """Return the members of the answer other than errcode and errmsg, as JSON."""
    route = Route(request.method, request.route)
    if route == Route("GET", TOKEN_PATH):
        return _issue_token(request.query_params(), reader)
    if route == Route("POST", PATH):
        return _fund_flows(request, reader)
    raise ErrorResponse(200, 48002, "api forbidden: there is no such api")


# ---------------------------------------------------------------- rows


class Parameters(NamedTuple):
    """The parameters of a page. Times are Unix seconds. The range includes both ends."""

    begin_time: int
    end_time: int
    mch_id: str
    cursor: str
    limit: int

    @property
    def scope(self) -> tuple[int, int, str]:
        """The values that a cursor is bound to. The limit is not one of them: it may change from page to page."""
        return self.begin_time, self.end_time, self.mch_id


def _fund_flows(request: Request, reader: FlowReader) -> bytes:
    """Return a page of fund flows. Raises ErrorResponse, NotRepresentable, or WireError naming the parameter."""
    key = authenticate(request.query_params().get("access_token", ""), reader)
    if not reader.admit(key, RULES.rate).admitted:
        raise _too_many_calls()
    if key.restrictions.get(PERMISSION) == "none":
        raise ErrorResponse(200, 48002, "api forbidden")
    params = parse_body(request.body)
    page = reader.read_page(NAME, parse_query(params, key, reader.now()), write)
    next_cursor = b""
    if page.end_cursor is not None:
        next_cursor = b'"next_cursor":%b,' % _json(make_cursor(key, page.end_cursor, params.scope))
    return next_cursor + b'"fund_flow_list":[' + page.rows + b"]"


def parse_body(body: bytes) -> Parameters:
    """Return the parameters in a request body. Raises WireError naming the parameter that is not valid."""
    try:
        given = _body.read(body)
    except WireError as error:
        raise WireError("body", error.reason) if error.field == "row" else error from error
    begin_s = _integer("begin_time", given.begin_time, least=_FLOOR_S, most=UNIX_SECONDS_MAX)
    end_s = _integer("end_time", given.end_time, least=begin_s, most=min(begin_s + _WINDOW_MAX_S, UNIX_SECONDS_MAX))
    paging = RULES.paging
    limit = paging.size_default if given.limit is UNSET or given.limit is None else given.limit
    return Parameters(
        begin_time=begin_s,
        end_time=end_s,
        mch_id=or_none(given.mch_id) or "",
        cursor=or_none(given.cursor) or "",
        limit=_integer("limit", limit, least=1, most=paging.size_max),
    )


def parse_query(params: Parameters, key: Key, now: datetime) -> FlowQuery:
    """Return the query for the rows that are published by now, oldest first. Raises WireError for a foreign cursor."""
    after = open_cursor(params.cursor, key, params.scope) if params.cursor else ""
    if after is None:
        raise WireError("cursor", "expected one that was given for this begin_time, end_time and mch_id")
    kept_from, published_until = RULES.readable(now)
    last = from_steps(params.end_time, RULES.resolution)
    return FlowQuery(
        accounts=key.accounts,
        since=max(from_steps(params.begin_time, RULES.resolution), kept_from),
        until=min(exclusive_end(last, RULES.resolution), published_until),
        limit=params.limit,
        after=after,
        newest=False,
        ascending=True,
        where=(one_of("subaccount", params.mch_id),) if params.mch_id else EVERYTHING,
        visible=_visible_to(key),
    )


def _visible_to(key: Key) -> Where:
    """The condition for rows that the key may see: rows of its operators, and rows without an operator."""
    operators = key.restrictions.get(OPERATORS)
    if operators is None:
        return EVERYTHING
    names = (name.strip() for name in operators.split(","))
    return (one_of(f"{DETAIL_PREFIX}{OPERATOR}", None, "", *names),)


# ---------------------------------------------------------------- access tokens and cursors


class Session(NamedTuple):
    """The claims of an access token: a key's public name, and when its session began."""

    public: str
    began_us: int


def authenticate(token: str, reader: FlowReader) -> Key:
    """Return the key to which this access token belongs. Raises ErrorResponse."""
    if not token:
        raise ErrorResponse(200, 41001, "access_token missing")
    session = _claimed_session(token)
    key = None if session is None else reader.find_key(NAME, session.public)
    if session is None or key is None or not _is_token_of(token, key, session):
        raise ErrorResponse(200, 40014, "invalid access_token")
    if reader.now() >= _token_end(key, from_us(session.began_us)):
        raise ErrorResponse(200, 42001, "access_token expired")
    return key


def _issue_token(params: Mapping[str, str], reader: FlowReader) -> bytes:
    """Return an access token and its remaining life in seconds. Raises ErrorResponse."""
    for name, code in (("corpid", 41002), ("corpsecret", 41004)):
        if not params.get(name):
            raise ErrorResponse(200, code, f"{name} missing")
    key = reader.find_key(NAME, params["corpid"])
    if key is None:
        raise ErrorResponse(200, 40013, "invalid corpid")
    if not hmac.compare_digest(params["corpsecret"].encode(), key.credentials["corpsecret"].encode()):
        raise ErrorResponse(200, 40001, "invalid credential")
    now = reader.now()
    if key.expires_at is not None and now >= key.expires_at:
        raise ErrorResponse(200, 40001, "invalid credential: it has expired")
    if not reader.admit(key, TOKEN_RATE, "gettoken").admitted:
        raise _too_many_calls()
    began = reader.session_start(key, _TOKEN_RENEWED_AFTER)
    left_s = (_token_end(key, began) - now) // timedelta(seconds=1)
    return b'"access_token":%b,"expires_in":%d' % (_json(make_token(key, to_us(began))), left_s)


def _token_end(key: Key, began: datetime) -> datetime:
    return min(began + TOKEN_LIFE, key.expires_at or MAX_INSTANT)


def make_token(key: Key, began_us: int) -> str:
    """Return the access token of a key's session. It needs no URL encoding."""
    payload = msgspec.json.encode((key.public, began_us))
    return sign_text(key.credentials["corpsecret"], "access_token", payload)


_session_claims = msgspec.json.Decoder(tuple[str, int])


def _claimed_session(token: str) -> Session | None:
    """Return the claims of a token, unverified. They name the key that verifies the token. Returns None if it is not a
    token of ours."""
    payload = claimed_payload(token)
    try:
        return None if payload is None else Session(*_session_claims.decode(payload))
    except DECODE_ERRORS:
        return None


def _is_token_of(token: str, key: Key, session: Session) -> bool:
    """Whether this is the key's own token of that session. The comparison takes constant time."""
    return hmac.compare_digest(token.encode(), make_token(key, session.began_us).encode())


def make_cursor(key: Key, after: str, scope: tuple[int, int, str]) -> str:
    """Return WeCom's cursor for a keyset cursor. It is valid only for this key and these parameters."""
    return sign_text(key.credentials["corpsecret"], "cursor", after.encode(), msgspec.json.encode(scope))


def open_cursor(cursor: str, key: Key, scope: tuple[int, int, str]) -> str | None:
    """Return the keyset cursor in WeCom's cursor. Returns None if the cursor was not made for this key and these
    parameters."""
    payload = open_text(cursor, key.credentials["corpsecret"], "cursor", msgspec.json.encode(scope))
    return None if payload is None else payload.decode()


# ---------------------------------------------------------------- helpers


def _respond(code: int, message: str, members: bytes = b"") -> Response:
    body = b'{"errcode":%d,"errmsg":%b' % (code, _json(message))
    if members:
        body += b"," + members
    return Response(200, [("content-type", "application/json; charset=UTF-8")], body + b"}")


def _too_many_calls() -> ErrorResponse:
    return ErrorResponse(200, 45009, "api freq out of limit")


def _integer(field: str, value: int | str, *, least: int, most: int) -> int:
    """An integer that may be sent as text."""
    return parse_integer(field, str(value), least=least, most=most)


def _json(text: str) -> bytes:
    return msgspec.json.encode(text)
