"""Serves WOO X Pro's API as its documentation describes it."""

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from liushui.conditions import DETAIL_PREFIX, AnyOf, Term, Where, one_of
from liushui.errors import WireError
from liushui.http import Request, Response
from liushui.instant import MIN_INSTANT
from liushui.provider import FlowQuery, FlowReader, Key, RateCheck, Route
from liushui.providers.wooxpro.codec import (
    ACCOUNT,
    ACCOUNTS,
    CODES,
    COPY_TRADING,
    FLOW_TYPE,
    TYPES,
    parse_unix_milliseconds,
    write,
)
from liushui.providers.wooxpro.rules import BANNED, BANNED_STATUS, NAME, REFUSALS, RULES, SUCCESS
from liushui.providers.wooxpro.wire import PATH, SUCCESS_MESSAGE
from liushui.wire.decoding import parse_choice, parse_integer
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import exclusive_end, from_steps, to_steps

KEY_HEADERS = ("x-api-key", "x-bm-key")
ALL_FLOW_TYPES = 0
SYMBOL_MAX = 64
"""Longest symbol, in characters."""

PARAMETER_ERRORS = {"start_time": (400, 40039), "end_time": (400, 40039), "symbol": (400, 40034)}
"""HTTP status and error code of those parameters that have a code of their own."""
PARAMETER_ERROR = (400, 40011)

_SIZE = re.compile(r"(?:^|&)page_size=([0-9]{1,6})(?:&|$)")


class WooxproServer:
    """Serves the route that a client calls to read its futures transactions."""

    routes: Sequence[Route] = (Route("GET", PATH),)

    def estimate_rows(self, request: Request) -> int:
        size = _SIZE.search(request.query)
        return int(size[1]) if size else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer in WOO X Pro's envelope. Errors use it too."""
        check = None
        try:
            if request.method != "GET" or request.route != PATH:
                raise ErrorResponse(404, 30000, "Not found")
            key = authenticate(request, reader)
            check = reader.admit(key, RULES.rate)
            if not check.admitted:
                raise _over_rate(key, reader)
            query = parse_query(request.query_params(), key.accounts, reader.now())
            rows = reader.read_page(NAME, query, write).rows
        except WireError as error:
            status, code = PARAMETER_ERRORS.get(error.field, PARAMETER_ERROR)
            return _respond(request, status, code, f"Parameter error: {error}", check)
        except ErrorResponse as error:
            return _respond(request, error.status, error.code, error.message, check)
        return _respond(request, 200, SUCCESS, SUCCESS_MESSAGE, check, rows)


def key_name(api_key: str) -> str:
    """Return the public name of an API key: a digest, because the key itself is the secret."""
    return f"{NAME}-{sha256(_bytes_of(api_key)).hexdigest()[:16]}"


def authenticate(request: Request, reader: FlowReader) -> Key:
    """Return the key in a request: from either of the two headers, or from both if they agree. Raises ErrorResponse."""
    sent = {request.headers[name] for name in KEY_HEADERS if request.headers.get(name)}
    if not sent:
        raise ErrorResponse(401, 30001, "Header X-API-KEY is empty")
    api_key = sent.pop()
    key = reader.find_key(NAME, key_name(api_key))
    if sent or key is None or not hmac.compare_digest(_bytes_of(api_key), _bytes_of(key.credentials["api_key"])):
        raise ErrorResponse(401, 30002, "Header X-API-KEY not found")
    if key.expires_at is not None and reader.now() >= key.expires_at:
        raise ErrorResponse(403, 30011, "Header X-API-KEY has expired")
    return key


def _bytes_of(api_key: str) -> bytes:
    return api_key.encode("utf-8", "surrogatepass")


def _over_rate(key: Key, reader: FlowReader) -> ErrorResponse:
    """Return the answer to a call over the rate. A client that keeps calling is banned."""
    if reader.admit(key, REFUSALS, "refused").admitted:
        return ErrorResponse(429, 30013, "Request too many requests")
    return ErrorResponse(BANNED_STATUS, BANNED, "Banned after too many requests")


# ---------------------------------------------------------------- the query


def parse_query(params: Mapping[str, str], accounts: tuple[str, ...], now: datetime) -> FlowQuery:
    """Return the query in a request's parameters. Raises WireError naming the parameter that is not valid."""
    paging = RULES.paging
    size = parse_integer("page_size", params.get("page_size", str(paging.size_default)), least=1, most=paging.size_max)
    since, last = _range(params, now)
    return FlowQuery(
        accounts=accounts,
        since=since,
        until=exclusive_end(last, RULES.resolution),
        limit=size,
        newest="start_time" not in params,
        ascending=True,
        where=_where(params),
    )


def _range(params: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """Return the first and the last millisecond of the range."""
    start, end = (
        parse_unix_milliseconds(name, params[name]) if name in params else None for name in ("start_time", "end_time")
    )
    if start is not None and end is not None and start > end:
        raise WireError("end_time", f"expected start_time {params['start_time']} or later, got {params['end_time']}")
    present = from_steps(to_steps(now, RULES.resolution), RULES.resolution)
    if start is None:
        window = RULES.window_default
        start = MIN_INSTANT if end is not None or window is None else present - window
    return start, end or present


def _where(params: Mapping[str, str]) -> Where:
    where = []
    codes = {str(code): code for code in (ALL_FLOW_TYPES, *TYPES)}
    code = parse_choice("flow_type", params.get("flow_type", str(ALL_FLOW_TYPES)), codes)
    if code != ALL_FLOW_TYPES:
        where.append(has_flow_type(code))
    if "account" in params:
        where.append(
            has_account(parse_choice("account", params["account"], {account: account for account in ACCOUNTS}))
        )
    if params.get("symbol"):
        where.append(one_of("symbol", _parse_symbol(params["symbol"])))
    return tuple(where)


def _parse_symbol(text: str) -> str:
    if len(text) > SYMBOL_MAX or " " in text or not text.isprintable():
        raise WireError("symbol", f"expected a symbol of 1 to {SYMBOL_MAX} characters, got {text[:SYMBOL_MAX]!r}")
    return text


def has_flow_type(code: int) -> AnyOf:
    """The condition for flows with this flow_type: the code that came with the flow or, if none came, its kind."""
    kinds = tuple(kind.value for kind, known in CODES.items() if known == code)
    received = f"{DETAIL_PREFIX}{FLOW_TYPE}"
    return ((Term(received, (code,)),), (Term(received, (None,)), Term("kind", kinds)))


def has_account(account: str) -> AnyOf:
    """The condition for flows that are written with one of ACCOUNTS: the subaccount COPY_TRADING, or all others."""
    known_account = Term(f"{DETAIL_PREFIX}{ACCOUNT}", (None,))
    return ((known_account, Term("subaccount", (COPY_TRADING,), negated=account != COPY_TRADING)),)


# ---------------------------------------------------------------- the answer


def _respond(
    request: Request, status: int, code: int, message: str, check: RateCheck | None, rows: bytes = b""
) -> Response:
    """Build an answer. Once the call is counted, headers state the rate. `Remaining` is the number of calls already
    made."""
    headers = [("content-type", "application/json; charset=utf-8")]
    if check is not None:
        headers += [
            ("X-BM-RateLimit-Remaining", str(check.used)),
            ("X-BM-RateLimit-Limit", str(RULES.rate.calls)),
            ("X-BM-RateLimit-Reset", str(RULES.rate.per // timedelta(seconds=1))),
            ("X-BM-RateLimit-Mode", "UID"),
        ]
    text, trace = msgspec.json.encode(message), msgspec.json.encode(_uuid(request.trace))
    return Response(status, headers, b'{"code":%d,"message":%b,"data":[%b],"trace":%b}' % (code, text, rows, trace))


def _uuid(trace: str) -> str:
    """Return a trace id of 32 hex digits, grouped as a UUID."""
    return "-".join((trace[:8], trace[8:12], trace[12:16], trace[16:20], trace[20:]))
