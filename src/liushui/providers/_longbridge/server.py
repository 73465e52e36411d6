"""Serves Longbridge's API, for both generations: authentication, parameters, and pages of rows."""

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
from liushui.providers._longbridge.wire import SIGNED_HEADERS, sign, signature_matches
from liushui.rules import PageNumber, Rules
from liushui.wire.decoding import parse_choice, parse_integer
from liushui.wire.errors import ErrorResponse
from liushui.wire.ranges import exclusive_end

PAGE_MAX: Final = 10**9

_CATEGORY_OF = {str(code): category for code, category in CATEGORIES.items()}
_SIGNED = frozenset(SIGNED_HEADERS)
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)


def authenticate(request: Request, reader: FlowReader, *, dialect: str, rules: Rules[PageNumber]) -> Key:
    """Return the key that signed a request. Raises ErrorResponse, with the gateway's codes and messages."""
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
    signature = sign(
        secret=key.credentials["app_secret"],
        method=request.method,
        path=request.path,
        query=request.query,
        headers=headers,
        body=request.body,
    )
    if not signature_matches(headers.get("x-api-signature", ""), signature):
        raise ErrorResponse(403, 403201, "signature invalid")
    if _SECONDS.fullmatch(timestamp) is None:
        raise ErrorResponse(403, 403201, "signature invalid: x-timestamp is not in Unix seconds")
    skew_s = abs(to_us(now) // SECOND_US - int(timestamp.split(".")[0]))
    if not rules.allows_skew(timedelta(seconds=skew_s)):
        raise ErrorResponse(403, 403201, f"signature invalid: x-timestamp is {skew_s} s off")
    return key


def parse_query(
    params: Mapping[str, str], *, accounts: tuple[str, ...], rules: Rules[PageNumber], language: str | None
) -> FlowQuery:
    """Return the query in a request's parameters. Raises WireError naming the parameter that is not valid."""
    since, last = (_required_seconds(params, name) for name in ("start_time", "end_time"))
    if since > last:
        raise WireError("end_time", f"expected start_time {params['start_time']} or later, got {params['end_time']}")
    paging = rules.paging
    size = parse_integer("size", params.get("size", str(paging.size_default)), least=1, most=paging.size_max)
    page = parse_integer("page", params.get("page", str(paging.first)), least=paging.first, most=PAGE_MAX)
    where = []
    if "business_type" in params:
        category = parse_choice("business_type", params["business_type"], _CATEGORY_OF)
        where.append(one_of("category", category.value))
    if params.get("symbol"):
        where.append(one_of("symbol", params["symbol"]))
    return FlowQuery(
        accounts=accounts,
        since=since,
        until=exclusive_end(last, rules.resolution),
        limit=size,
        offset=(page - paging.first) * size,
        where=tuple(where),
        language=language,
    )


def read_cash_flows(
    reader: FlowReader, query: FlowQuery, *, dialect: str, write: Callable[[Flow, str | None], bytes]
) -> bytes:
    """Return `data` of an answer with a page of cash flows."""
    page = reader.read_page(dialect, query, lambda flow: write(flow, query.language))
    return b'{"list":[' + page.rows + b"]}"


def _required_seconds(params: Mapping[str, str], name: str) -> datetime:
    if name not in params:
        raise WireError(name, "expected Unix seconds, but missing")
    return parse_unix_seconds(name, params[name])
