"""Longbridge cash flow, the end that answers: as the official SDKs expect it. A function of request and reader."""

import re
from collections.abc import Sequence

import msgspec

from liushui.errors import WireError
from liushui.http import Request, Response
from liushui.provider import FlowReader, Key, Route
from liushui.providers._longbridge import server
from liushui.providers._longbridge.envelope import enveloped
from liushui.providers.longbridge.codec import write
from liushui.providers.longbridge.rules import RULES
from liushui.providers.longbridge.socket import one_time_password
from liushui.providers.longbridge.wire import PATH, SocketToken
from liushui.wire.errors import ErrorResponse

NAME = "longbridge"
SOCKET_TOKENS = ("/v1/socket/token", "/v2/socket/token")
ROUTES = (PATH, *SOCKET_TOKENS)
SOCKETS_MAX = 10

_SIZE = re.compile(r"(?:^|&)size=([0-9]{1,6})(?:&|$)")


class LongbridgeServer:
    """The routes an official client calls to read cash flows."""

    routes: Sequence[Route] = (*(Route("GET", path) for path in ROUTES),)

    def estimate_rows(self, request: Request) -> int:
        found = _SIZE.search(request.query)
        return int(found[1]) if found else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """The answer, in the envelope, an error's included."""
        try:
            if request.method != "GET" or request.route not in ROUTES:
                raise ErrorResponse(404, 404001, "api not found")
            key = server.authenticated(request, reader, dialect=NAME, rules=RULES)
            if not reader.admit(key, RULES.rate).admitted:
                raise ErrorResponse(429, 429002, "api request is limited, please slow down request frequency")
            data = cash_flows(request, key, reader) if request.route == PATH else socket_token(key, reader)
        except WireError as error:
            return enveloped(request, 400, 202202, f"parameter error: {error}")
        except ErrorResponse as fault:
            return enveloped(request, fault.status, fault.code, fault.message)
        return enveloped(request, 200, 0, "success", data)


def cash_flows(request: Request, key: Key, reader: FlowReader) -> bytes:
    """`data` of a page of cash flows. Raises WireError naming the parameter."""
    language = request.headers.get("accept-language")
    query = server.query_of(request.query_params(), accounts=key.accounts, rules=RULES, language=language)
    return server.cash_flows(reader, query, dialect=NAME, write=write)


def socket_token(key: Key, reader: FlowReader) -> bytes:
    """`data` of a one-time password for the WebSocket."""
    return msgspec.json.encode(SocketToken(otp=one_time_password(key, reader.now()), limit=SOCKETS_MAX, online=1))
