"""The end that answers as Longbridge, whatever the generation: who calls, what for, and the rows for it."""

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from liushui.conditions import one_of
from liushui.errors import WireError
from liushui.flow import Flow
from liushui.http import Request
from liushui.instant import SECOND_US, parse_unix_seconds, to_us
from liushui.provider import FlowQuery, FlowReader, Key
from liushui.providers._longbridge.codec import CATEGORIES
from liushui.providers._longbridge.signing import SIGNED_HEADERS, longbridge_signature, longbridge_signature_fits
from liushui.rules import PageNumber, Rules
from liushui.wire.decoding import parse_choice, parse_integer
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import exclusive_end

PAGE_MAX: Final = 10**9

_CATEGORY_OF = {str(code): category for code, category in CATEGORIES.items()}
_SIGNED = frozenset(SIGNED_HEADERS)
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)


def authenticated(request: Request, reader: FlowReader, *, dialect: str, rules: Rules[PageNumber]) -> Key:
    """The key whose signature the request carries. Raises ErrorResponse, in the gateway's codes and words."""
    headers = request.headers
    key = reader.find_key(dialect, headers.get("x-api-key", ""))
    if key is None:
        raise ErrorResponse(403, 403203, "apikey illegal")
    now = reader.now()
    token = headers.get("authorization", "").encode()
    if not hmac.compare_digest(token, key.credentials["access_token"].encode()):
        raise ErrorResponse(401, 401003, "token expired or invalid")
    if key.expires_at is not None and now >= key.expires_at:
        raise ErrorResponse(401, 401003, "token expired")
    if not headers.keys() >= _SIGNED:
        raise ErrorResponse(403, 403201, "signature invalid: x-timestamp is missing")
    timestamp = headers["x-timestamp"]
    signature = longbridge_signature(
        secret=key.credentials["app_secret"],
        method=request.method,
        path=request.path,
        query=request.query,
        headers=headers,
        body=request.body,
    )
    if not longbridge_signature_fits(headers.get("x-api-signature", ""), signature):
        raise ErrorResponse(403, 403201, "signature invalid")
    if _SECONDS.fullmatch(timestamp) is None:
        raise ErrorResponse(403, 403201, "signature invalid: x-timestamp is not in Unix seconds")
    off = abs(to_us(now) // SECOND_US - int(timestamp.split(".")[0]))
    if not rules.allows_skew(timedelta(seconds=off)):
        raise ErrorResponse(403, 403201, f"signature invalid: x-timestamp is {off} s off")
    return key


def query_of(
    given: Mapping[str, str], *, accounts: tuple[str, ...], rules: Rules[PageNumber], language: str | None
) -> FlowQuery:
    """A request's parameters. Raises WireError naming the one that does not fit."""
    since, last = (_required_seconds(given, name) for name in ("start_time", "end_time"))
    if since > last:
        raise WireError("end_time", f"expected start_time {given['start_time']} or later, got {given['end_time']}")
    paging = rules.paging
    size = parse_integer("size", given.get("size", str(paging.size_default)), least=1, most=paging.size_max)
    page = parse_integer("page", given.get("page", str(paging.first)), least=paging.first, most=PAGE_MAX)
    where = []
    if "business_type" in given:
        where.append(one_of("category", parse_choice("business_type", given["business_type"], _CATEGORY_OF).value))
    if given.get("symbol"):
        where.append(one_of("symbol", given["symbol"]))
    return FlowQuery(
        accounts=accounts,
        since=since,
        until=exclusive_end(last, rules.resolution),
        limit=size,
        offset=(page - paging.first) * size,
        where=tuple(where),
        language=language,
    )


def cash_flows(
    reader: FlowReader, query: FlowQuery, *, dialect: str, write: Callable[[Flow, str | None], bytes]
) -> bytes:
    """`data` of a page of cash flows."""
    language = query.language
    page = reader.read_page(dialect, query, lambda flow: write(flow, language))
    return b'{"list":[' + page.rows + b"]}"


def _required_seconds(given: Mapping[str, str], name: str) -> datetime:
    if name not in given:
        raise WireError(name, "expected Unix seconds, but missing")
    return parse_unix_seconds(name, given[name])
