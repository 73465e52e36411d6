"""Longbridge cash flow, the end that answers: as the official SDKs expect it. A function of request and reader."""

import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from liushui.errors import WireError
from liushui.instant import to_us, unix_seconds
from liushui.provider import FlowQuery, FlowReader, Key, Route
from liushui.providers.longbridge.codec import CATEGORIES, write
from liushui.providers.longbridge.rules import RULES
from liushui.providers.longbridge.socket import one_time_password
from liushui.providers.longbridge.wire import SocketToken
from liushui.where import among
from liushui.wire.faults import WireFault
from liushui.wire.fields import choice, whole_number
from liushui.wire.http import Request, Response
from liushui.wire.ranges import end_after
from liushui.wire.signing import SIGNED_HEADERS, longbridge_signature, longbridge_signature_fits

NAME = "longbridge"
CASH_FLOW = "/v1/asset/cashflow"
SOCKET_TOKENS = ("/v1/socket/token", "/v2/socket/token")
ROUTES = (CASH_FLOW, *SOCKET_TOKENS)
PAGE_MAX = 10**9
SOCKETS_MAX = 10

_SIZE = re.compile(r"(?:^|&)size=([0-9]{1,6})(?:&|$)")
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)


class LongbridgeServer:
    """The routes an official client calls to read cash flows."""

    routes: Sequence[Route] = (*(Route("GET", path) for path in ROUTES),)

    def rows_asked(self, request: Request) -> int:
        found = _SIZE.search(request.query)
        return int(found[1]) if found else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """The answer, in the envelope, an error's included."""
        try:
            if request.method != "GET" or request.route not in ROUTES:
                raise WireFault(404, 404001, "api not found")
            key = authenticated(request, reader)
            if not reader.admit(key, RULES.rate).admitted:
                raise WireFault(429, 429002, "api request is limited, please slow down request frequency")
            data = cash_flows(request, key, reader) if request.route == CASH_FLOW else socket_token(key, reader)
        except WireError as error:
            return _enveloped(request, 400, 202202, f"parameter error: {error}")
        except WireFault as fault:
            return _enveloped(request, fault.status, fault.code, fault.message)
        return _enveloped(request, 200, 0, "success", data)


def authenticated(request: Request, reader: FlowReader) -> Key:
    """The key whose signature the request carries. Raises WireFault."""
    headers = request.headers
    key = reader.key(NAME, headers.get("x-api-key", ""))
    if key is None:
        raise WireFault(403, 403203, "apikey illegal")
    now = reader.now()
    token = headers.get("authorization", "").encode()
    if not hmac.compare_digest(token, key.credentials["access_token"].encode()):
        raise WireFault(401, 401003, "token expired or invalid")
    if key.expires_at is not None and now >= key.expires_at:
        raise WireFault(401, 401003, "token expired")
    if any(name not in headers for name in SIGNED_HEADERS):
        raise WireFault(403, 403201, "signature invalid: x-timestamp is missing")
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
        raise WireFault(403, 403201, "signature invalid")
    if _SECONDS.fullmatch(timestamp) is None:
        raise WireFault(403, 403201, "signature invalid: x-timestamp is not in Unix seconds")
    off = abs(to_us(now) // 1_000_000 - int(timestamp.split(".")[0]))
    if not RULES.is_timely(timedelta(seconds=off)):
        raise WireFault(403, 403201, f"signature invalid: x-timestamp is {off} s off")
    return key


def cash_flows(request: Request, key: Key, reader: FlowReader) -> bytes:
    """`data` of a page of cash flows. Raises WireError naming the parameter."""
    query = query_of(request, key)
    language = query.language
    page = reader.page(NAME, query, lambda flow: write(flow, language))
    return b'{"list":[' + page.rows + b"]}"


def query_of(request: Request, key: Key) -> FlowQuery:
    """The request's parameters. Raises WireError naming the one that does not fit."""
    given = request.parameters()
    since, last = (_required_seconds(given, name) for name in ("start_time", "end_time"))
    if since > last:
        raise WireError("end_time", f"expected start_time {given['start_time']} or later, got {given['end_time']}")
    paging = RULES.paging
    size = whole_number("size", given.get("size", str(paging.size_default)), least=1, most=paging.size_max)
    page = whole_number("page", given.get("page", str(paging.first)), least=paging.first, most=PAGE_MAX)
    where = []
    if "business_type" in given:
        codes = {str(code): known for code, known in CATEGORIES.items()}
        where.append(among("category", choice("business_type", given["business_type"], codes).value))
    if given.get("symbol"):
        where.append(among("symbol", given["symbol"]))
    return FlowQuery(
        accounts=key.accounts,
        since=since,
        until=end_after(last, RULES.resolution),
        limit=size,
        offset=(page - paging.first) * size,
        where=tuple(where),
        language=request.headers.get("accept-language"),
    )


def _required_seconds(given: dict[str, str], name: str) -> datetime:
    if name not in given:
        raise WireError(name, "expected Unix seconds, but missing")
    return unix_seconds(name, given[name])


def socket_token(key: Key, reader: FlowReader) -> bytes:
    """`data` of a one-time password for the WebSocket."""
    return msgspec.json.encode(SocketToken(otp=one_time_password(key, reader.now()), limit=SOCKETS_MAX, online=1))


def _enveloped(request: Request, status: int, code: int, message: str, data: bytes | None = None) -> Response:
    body = b'{"code":%d,"message":%b' % (code, msgspec.json.encode(message))
    if data is not None:
        body += b',"data":' + data
    return Response(
        status,
        [("content-type", "application/json; charset=utf-8"), ("x-trace-id", request.trace)],
        body + b"}",
    )
