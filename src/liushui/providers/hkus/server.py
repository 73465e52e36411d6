"""Serves the API of HK and US securities accounts as its documentation describes it."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from liushui.conditions import Where
from liushui.errors import WireError
from liushui.http import Request, Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT, parse_unix_seconds, to_us
from liushui.provider import FlowQuery, FlowReader, Key, Route
from liushui.providers.hkus.codec import write
from liushui.providers.hkus.kinds import DIRECTIONS, has_business_type, has_io_type
from liushui.providers.hkus.rules import (
    BAD_PARAMETER,
    BAD_SIGNATURE,
    BAD_TIMESTAMP,
    KEY_EXPIRED,
    NAME,
    RULES,
    TOO_MANY_CALLS,
    UNKNOWN_KEY,
    UNKNOWN_ROUTE,
)
from liushui.providers.hkus.wire import PATH, DetailedError, respond, respond_error, sign, signature_matches
from liushui.wire.decoding import parse_choice, parse_integer
from liushui.wire.ranges import exclusive_end

PAGE_MAX = 10**9
BUSINESS_TYPE_PARAMS = ("business_type", "business_types")
"""The document's table has one of the names, its example the other."""

_SIZE = re.compile(r"(?:^|&)page_size=([0-9]{1,3})(?:&|$)")
_MILLISECONDS = re.compile(r"[0-9]{1,15}", re.ASCII)


class HkusServer:
    """Serves the document's only route."""

    routes: Sequence[Route] = (Route("GET", PATH),)

    def estimate_rows(self, request: Request) -> int:
        size = _SIZE.search(request.query)
        return min(int(size[1]), RULES.paging.size_max) if size else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer in the document's envelope. Errors use it too."""
        try:
            if request.method != "GET" or request.route != PATH:
                raise DetailedError(404, UNKNOWN_ROUTE, "no such API")
            key = authenticate(request, reader)
            if not reader.admit(key, RULES.rate).admitted:
                raise DetailedError(429, TOO_MANY_CALLS, "too many requests")
            return _transactions(request, key, reader)
        except WireError as error:
            return respond_error(DetailedError(400, BAD_PARAMETER, "invalid parameter", str(error)))
        except DetailedError as error:
            return respond_error(error)


def authenticate(request: Request, reader: FlowReader) -> Key:
    """Return the key that signed a request. Raises DetailedError."""
    headers = request.headers
    key = reader.find_key(NAME, headers.get("x-api-key", ""))
    if key is None:
        raise DetailedError(401, UNKNOWN_KEY, "unauthorized", "X-API-Key: there is no such key")
    timestamp = headers.get("x-api-timestamp", "")
    signature = sign(
        secret=key.credentials["api_secret"],
        timestamp=timestamp,
        method=request.method,
        path=request.path,
        query=request.query,
        body=request.body,
    )
    if not signature_matches(headers.get("x-api-signature", ""), signature):
        raise DetailedError(401, BAD_SIGNATURE, "unauthorized", "X-API-Signature: it is not this request's")
    now = reader.now()
    if _MILLISECONDS.fullmatch(timestamp) is None:
        raise DetailedError(401, BAD_TIMESTAMP, "unauthorized", "X-API-Timestamp: expected Unix milliseconds")
    if not RULES.allows_skew(timedelta(microseconds=to_us(now) - int(timestamp) * 1000)):
        raise DetailedError(401, BAD_TIMESTAMP, "unauthorized", "X-API-Timestamp: it is too far from the time here")
    if key.expires_at is not None and now >= key.expires_at:
        raise DetailedError(401, KEY_EXPIRED, "unauthorized", "X-API-Key: it has expired")
    return key


def _transactions(request: Request, key: Key, reader: FlowReader) -> Response:
    """Return a page of transactions. Raises WireError naming the parameter that is not valid."""
    query = parse_query(request.query_params(), key.accounts)
    page = reader.read_page(NAME, query, write)
    # Counted after the page. If rows arrive in between, a total that is too large does less harm than one that is too
    # small.
    total = reader.count_flows(query)
    number = RULES.paging.first + query.offset // query.limit
    return respond(page.rows, total=total, page=number, size=query.limit)


def parse_query(params: Mapping[str, str], accounts: tuple[str, ...]) -> FlowQuery:
    """Return the query in a request's parameters. Raises WireError naming the parameter that is not valid."""
    since, last = (_seconds(params, name) for name in ("from_date", "to_date"))
    if since is not None and last is not None and since > last:
        raise WireError("to_date", f"expected from_date {params['from_date']} or later, got {params['to_date']}")
    paging = RULES.paging
    size = parse_integer("page_size", params.get("page_size", str(paging.size_default)), least=1, most=paging.size_max)
    page = parse_integer("page", params.get("page", str(paging.first)), least=paging.first, most=PAGE_MAX)
    return FlowQuery(
        accounts=accounts,
        since=MIN_INSTANT if since is None else since,
        until=MAX_INSTANT if last is None else exclusive_end(last, RULES.resolution),
        limit=size,
        offset=(page - paging.first) * size,
        where=_where(params),
    )


def _seconds(params: Mapping[str, str], name: str) -> datetime | None:
    return parse_unix_seconds(name, params[name]) if name in params else None


def _where(params: Mapping[str, str]) -> Where:
    where = [has_business_type(params[name]) for name in BUSINESS_TYPE_PARAMS if params.get(name)]
    if "io_type" in params:
        where.append(has_io_type(parse_choice("io_type", params["io_type"], DIRECTIONS).value))
    return tuple(where)
