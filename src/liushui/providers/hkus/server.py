"""HK and US securities, the end that answers: as the document says. A function of request and reader."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from liushui.conditions import Where
from liushui.errors import WireError
from liushui.http import Request, Response
from liushui.instant import MAX_INSTANT, MIN_INSTANT, parse_unix_seconds, to_us
from liushui.provider import FlowQuery, FlowReader, Key, Route
from liushui.providers.hkus.answers import (
    KEY_EXPIRED,
    NO_SUCH_KEY,
    NO_SUCH_ROUTE,
    NOT_SIGNED,
    NOT_TIMELY,
    PARAMETER,
    TOO_MANY,
    Fault,
    fault_answer,
    page_answer,
)
from liushui.providers.hkus.codec import write
from liushui.providers.hkus.rules import RULES
from liushui.providers.hkus.signing import signature_fits, signature_of
from liushui.providers.hkus.wire import TRANSACTIONS
from liushui.providers.hkus.words import SIDES, with_business_type, with_io_type
from liushui.wire.decoding import parse_choice, parse_integer
from liushui.wire.ranges import exclusive_end

NAME = "hkus"
PAGE_MAX = 10**9
BUSINESS_TYPES = ("business_type", "business_types")
"""The document's table has the one, its example the other."""

_SIZE = re.compile(r"(?:^|&)page_size=([0-9]{1,3})(?:&|$)")
_MILLISECONDS = re.compile(r"[0-9]{1,15}", re.ASCII)


class HkusServer:
    """The one route of the document."""

    routes: Sequence[Route] = (Route("GET", TRANSACTIONS),)

    def estimate_rows(self, request: Request) -> int:
        found = _SIZE.search(request.query)
        return min(int(found[1]), RULES.paging.size_max) if found else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """The answer, in the envelope, an error's included."""
        try:
            if request.method != "GET" or request.route != TRANSACTIONS:
                raise Fault(404, NO_SUCH_ROUTE, "no such API")
            key = authenticated(request, reader)
            if not reader.admit(key, RULES.rate).admitted:
                raise Fault(429, TOO_MANY, "too many requests")
            return transactions(request, key, reader)
        except WireError as error:
            return fault_answer(Fault(400, PARAMETER, "invalid parameter", str(error)))
        except Fault as fault:
            return fault_answer(fault)


def authenticated(request: Request, reader: FlowReader) -> Key:
    """The key whose signature the request carries. Raises Fault."""
    headers = request.headers
    key = reader.find_key(NAME, headers.get("x-api-key", ""))
    if key is None:
        raise Fault(401, NO_SUCH_KEY, "unauthorized", "X-API-Key: there is no such key")
    timestamp = headers.get("x-api-timestamp", "")
    signature = signature_of(
        secret=key.credentials["api_secret"],
        timestamp=timestamp,
        method=request.method,
        path=request.path,
        query=request.query,
        body=request.body,
    )
    if not signature_fits(headers.get("x-api-signature", ""), signature):
        raise Fault(401, NOT_SIGNED, "unauthorized", "X-API-Signature: it is not this request's")
    now = reader.now()
    if _MILLISECONDS.fullmatch(timestamp) is None:
        raise Fault(401, NOT_TIMELY, "unauthorized", "X-API-Timestamp: expected Unix milliseconds")
    if not RULES.allows_skew(timedelta(microseconds=to_us(now) - int(timestamp) * 1000)):
        raise Fault(401, NOT_TIMELY, "unauthorized", "X-API-Timestamp: it is too far from the time here")
    if key.expires_at is not None and now >= key.expires_at:
        raise Fault(401, KEY_EXPIRED, "unauthorized", "X-API-Key: it has expired")
    return key


def transactions(request: Request, key: Key, reader: FlowReader) -> Response:
    """A page of transactions. Raises WireError naming the parameter."""
    query = query_of(request, key)
    page = reader.read_page(NAME, query, write)
    total = reader.count_flows(
        query
    )  # after the page: of what came in between, a reader is told more than it was shown
    number = RULES.paging.first + query.offset // query.limit
    return page_answer(page.rows, total=total, page=number, size=query.limit)


def query_of(request: Request, key: Key) -> FlowQuery:
    """The request's parameters. Raises WireError naming the one that does not fit."""
    given = request.query_params()
    since, last = (_seconds(given, name) for name in ("from_date", "to_date"))
    if since is not None and last is not None and since > last:
        raise WireError("to_date", f"expected from_date {given['from_date']} or later, got {given['to_date']}")
    paging = RULES.paging
    size = parse_integer("page_size", given.get("page_size", str(paging.size_default)), least=1, most=paging.size_max)
    page = parse_integer("page", given.get("page", str(paging.first)), least=paging.first, most=PAGE_MAX)
    return FlowQuery(
        accounts=key.accounts,
        since=MIN_INSTANT if since is None else since,
        until=MAX_INSTANT if last is None else exclusive_end(last, RULES.resolution),
        limit=size,
        offset=(page - paging.first) * size,
        where=_where(given),
    )


def _seconds(given: dict[str, str], name: str) -> datetime | None:
    return parse_unix_seconds(name, given[name]) if name in given else None


def _where(given: dict[str, str]) -> Where:
    where = [with_business_type(given[name]) for name in BUSINESS_TYPES if given.get(name)]
    if "io_type" in given:
        where.append(with_io_type(parse_choice("io_type", given["io_type"], SIDES).value))
    return tuple(where)
