"""WOO X Pro futures transactions, the end that answers. A function of request and reader."""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from liushui.conditions import DETAIL_PREFIX, AnyOf, Term, Where, one_of
from liushui.errors import WireError
from liushui.http import Request, Response
from liushui.instant import MIN_INSTANT
from liushui.provider import FlowQuery, FlowReader, Key, RateCheck, Route
from liushui.providers.wooxpro.answers import BANNED, BANNED_STATUS, MESSAGE, SUCCESS
from liushui.providers.wooxpro.codec import (
    ACCOUNT,
    ACCOUNTS,
    CODES,
    COPY_TRADING,
    FLOW_TYPE,
    TYPES,
    unix_milliseconds,
    write,
)
from liushui.providers.wooxpro.rules import REFUSALS, RULES
from liushui.providers.wooxpro.wire import PATH
from liushui.wire.decoding import parse_choice, parse_integer
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import exclusive_end, from_steps, to_steps

NAME = "wooxpro"
KEY_HEADERS = ("x-api-key", "x-bm-key")
EVERY_FLOW_TYPE = 0
SYMBOL_MAX = 64
"""Characters that a symbol may have."""

STATUSES = {"start_time": (400, 40039), "end_time": (400, 40039), "symbol": (400, 40034)}
"""What a parameter that does not fit is answered with, where it is not BAD_PARAMETER."""
BAD_PARAMETER = (400, 40011)

_SIZE = re.compile(r"(?:^|&)page_size=([0-9]{1,6})(?:&|$)")


class WooxproServer:
    """The route that a client calls to read its futures transactions."""

    routes: Sequence[Route] = (Route("GET", PATH),)

    def estimate_rows(self, request: Request) -> int:
        found = _SIZE.search(request.query)
        return int(found[1]) if found else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """The answer, in the envelope, an error's included."""
        tally = None
        try:
            if request.method != "GET" or request.route != PATH:
                raise ErrorResponse(404, 30000, "Not found")
            key = authenticated(request, reader)
            tally = reader.admit(key, RULES.rate)
            if not tally.admitted:
                raise _refusal(key, reader)
            rows = reader.read_page(NAME, query_of(request, key, reader.now()), write).rows
        except WireError as error:
            status, code = STATUSES.get(error.field, BAD_PARAMETER)
            return _enveloped(request, status, code, f"Parameter error: {error}", tally)
        except ErrorResponse as fault:
            return _enveloped(request, fault.status, fault.code, fault.message, tally)
        return _enveloped(request, 200, SUCCESS, MESSAGE, tally, rows)


def key_name(api_key: str) -> str:
    """The name that a key may be called by, which does not tell it."""
    return f"{NAME}-{sha256(_bytes_of(api_key)).hexdigest()[:16]}"


def authenticated(request: Request, reader: FlowReader) -> Key:
    """The key that the request carries, in one of its headers or, the same, in both. Raises ErrorResponse."""
    given = {request.headers[name] for name in KEY_HEADERS if request.headers.get(name)}
    if not given:
        raise ErrorResponse(401, 30001, "Header X-API-KEY is empty")
    api_key = given.pop()
    key = reader.find_key(NAME, key_name(api_key))
    if given or key is None or not hmac.compare_digest(_bytes_of(api_key), _bytes_of(key.credentials["api_key"])):
        raise ErrorResponse(401, 30002, "Header X-API-KEY not found")
    if key.expires_at is not None and reader.now() >= key.expires_at:
        raise ErrorResponse(403, 30011, "Header X-API-KEY has expired")
    return key


def _bytes_of(api_key: str) -> bytes:
    return api_key.encode("utf-8", "surrogatepass")


def _refusal(key: Key, reader: FlowReader) -> ErrorResponse:
    """What a call over the rate is answered with: whoever goes on calling is banned."""
    if reader.admit(key, REFUSALS, "refused").admitted:
        return ErrorResponse(429, 30013, "Request too many requests")
    return ErrorResponse(BANNED_STATUS, BANNED, "Banned after too many requests")


# ---------------------------------------------------------------- the query


def query_of(request: Request, key: Key, now: datetime) -> FlowQuery:
    """The request's parameters. Raises WireError naming the one that does not fit."""
    given = request.query_params()
    paging = RULES.paging
    size = parse_integer("page_size", given.get("page_size", str(paging.size_default)), least=1, most=paging.size_max)
    since, last = _range(given, now)
    return FlowQuery(
        accounts=key.accounts,
        since=since,
        until=exclusive_end(last, RULES.resolution),
        limit=size,
        newest="start_time" not in given,
        ascending=True,
        where=_where(given),
    )


def _range(given: dict[str, str], now: datetime) -> tuple[datetime, datetime]:
    """The first and the last millisecond asked for."""
    start, end = (
        unix_milliseconds(name, given[name]) if name in given else None for name in ("start_time", "end_time")
    )
    if start is not None and end is not None and start > end:
        raise WireError("end_time", f"expected start_time {given['start_time']} or later, got {given['end_time']}")
    present = from_steps(to_steps(now, RULES.resolution), RULES.resolution)
    if start is None:
        back = RULES.window_default
        start = MIN_INSTANT if end is not None or back is None else present - back
    return start, end or present


def _where(given: dict[str, str]) -> Where:
    where = []
    codes = {str(code): code for code in (EVERY_FLOW_TYPE, *TYPES)}
    code = parse_choice("flow_type", given.get("flow_type", str(EVERY_FLOW_TYPE)), codes)
    if code != EVERY_FLOW_TYPE:
        where.append(flow_type_is(code))
    if "account" in given:
        where.append(account_is(parse_choice("account", given["account"], {account: account for account in ACCOUNTS})))
    if given.get("symbol"):
        where.append(one_of("symbol", _symbol(given["symbol"])))
    return tuple(where)


def _symbol(text: str) -> str:
    if len(text) > SYMBOL_MAX or " " in text or not text.isprintable():
        raise WireError("symbol", f"expected a symbol of 1 to {SYMBOL_MAX} characters, got {text[:SYMBOL_MAX]!r}")
    return text


def flow_type_is(code: int) -> AnyOf:
    """The flows that are written with one of TYPES: their own code says so, or, where they have none, their kind."""
    kinds = tuple(kind.value for kind, known in CODES.items() if known == code)
    own = f"{DETAIL_PREFIX}{FLOW_TYPE}"
    return ((Term(own, (code,)),), (Term(own, (None,)), Term("kind", kinds)))


def account_is(account: str) -> AnyOf:
    """The flows that are written with one of ACCOUNTS: COPY_TRADING by that subaccount, all others with FUTURES."""
    own = Term(f"{DETAIL_PREFIX}{ACCOUNT}", (None,))
    return ((own, Term("subaccount", (COPY_TRADING,), negated=account != COPY_TRADING)),)


# ---------------------------------------------------------------- the answer


def _enveloped(
    request: Request, status: int, code: int, message: str, tally: RateCheck | None, rows: bytes = b""
) -> Response:
    """An answer. Once a call was counted it says how many its window has: `Remaining` are those already used."""
    headers = [("content-type", "application/json; charset=utf-8")]
    if tally is not None:
        headers += [
            ("X-BM-RateLimit-Remaining", str(tally.used)),
            ("X-BM-RateLimit-Limit", str(RULES.rate.calls)),
            ("X-BM-RateLimit-Reset", str(RULES.rate.per // timedelta(seconds=1))),
            ("X-BM-RateLimit-Mode", "UID"),
        ]
    words, trace = msgspec.json.encode(message), msgspec.json.encode(_uuid(request.trace))
    return Response(status, headers, b'{"code":%d,"message":%b,"data":[%b],"trace":%b}' % (code, words, rows, trace))


def _uuid(trace: str) -> str:
    """A trace of 32 hex digits in the groups of a UUID."""
    return "-".join((trace[:8], trace[8:12], trace[12:16], trace[16:20], trace[20:]))
