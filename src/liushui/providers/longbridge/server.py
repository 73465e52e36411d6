"""Serves Longbridge's API as the official SDKs expect it."""

import re
from collections.abc import Sequence

import msgspec

from liushui.errors import NotRepresentable, WireError
from liushui.http import Request, Response
from liushui.provider import FlowReader, Key, Route
from liushui.providers._longbridge.server import authenticate, parse_query, read_cash_flows
from liushui.providers._longbridge.wire import respond
from liushui.providers.longbridge.codec import write
from liushui.providers.longbridge.rules import NAME, RULES
from liushui.providers.longbridge.socket import one_time_password
from liushui.providers.longbridge.wire import PATH, SOCKET_TOKEN_PATHS, SocketToken
from liushui.wire.errors import ErrorResponse

PATHS = (PATH, *SOCKET_TOKEN_PATHS)
SOCKETS_MAX = 10

_SIZE = re.compile(r"(?:^|&)size=([0-9]{1,6})(?:&|$)")


class LongbridgeServer:
    """Serves the routes that an official client calls to read cash flows."""

    routes: Sequence[Route] = (*(Route("GET", path) for path in PATHS),)

    def estimate_rows(self, request: Request) -> int:
        size = _SIZE.search(request.query)
        return int(size[1]) if size else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer in Longbridge's envelope. Errors use it too."""
        try:
            if request.method != "GET" or request.route not in PATHS:
                raise ErrorResponse(404, 404001, "api not found")
            key = authenticate(request, reader, dialect=NAME, rules=RULES)
            if not reader.admit(key, RULES.rate).admitted:
                raise ErrorResponse(429, 429002, "api request is limited, please slow down request frequency")
            data = _cash_flows(request, key, reader) if request.route == PATH else _socket_token(key, reader)
        except WireError as error:
            return respond(request, 400, 202202, f"parameter error: {error}")
        except NotRepresentable as error:
            return respond(request, 400, 202202, f"a cash flow of this time cannot be represented in this api: {error}")
        except ErrorResponse as error:
            return respond(request, error.status, error.code, error.message)
        return respond(request, 200, 0, "success", data)


def _cash_flows(request: Request, key: Key, reader: FlowReader) -> bytes:
    """Return `data` of a page of cash flows. Raises WireError naming the parameter that is not valid."""
    language = request.headers.get("accept-language")
    query = parse_query(request.query_params(), accounts=key.accounts, rules=RULES, language=language)
    return read_cash_flows(reader, query, dialect=NAME, write=write)


def _socket_token(key: Key, reader: FlowReader) -> bytes:
    """Return `data` of a one-time password for the WebSocket."""
    return msgspec.json.encode(SocketToken(otp=one_time_password(key, reader.now()), limit=SOCKETS_MAX, online=1))
