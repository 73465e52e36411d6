"""Serves Longbridge's first draft as its documentation describes it."""

import re
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from liushui.errors import WireError
from liushui.http import Request, Response
from liushui.provider import FlowReader, Key, Route
from liushui.providers._longbridge import server as shared
from liushui.providers._longbridge import wire as shared_wire
from liushui.providers.longbridge_legacy.codec import write
from liushui.providers.longbridge_legacy.rules import BAD_REQUEST, FORBIDDEN, LIMITED, NAME, NOT_FOUND, RULES
from liushui.providers.longbridge_legacy.wire import PATH, RequestBody
from liushui.wire.decoding import RowReader
from liushui.wire.errors import ErrorResponse

ROUTE = Route("POST", PATH)
MESSAGE_KEYS = ("msg", "message")
"""The document puts the message under `msg`; clients of the current generation need `message`."""

_SIZE = re.compile(rb'"size"\s*:\s*"?([0-9]{1,6})\b')
_body = RowReader(RequestBody, "the parameters of a request")


class LongbridgeLegacyServer:
    """Serves the document's only route."""

    routes: Sequence[Route] = (ROUTE,)

    def estimate_rows(self, request: Request) -> int:
        size = _SIZE.search(request.body)
        return int(size[1]) if size else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """Return the answer in the document's envelope. Errors use it too."""
        try:
            if Route(request.method, request.route) != ROUTE:
                raise ErrorResponse(404, NOT_FOUND, "api not found")
            key = authenticate(request, reader)
            if not reader.admit(key, RULES.rate).admitted:
                raise ErrorResponse(429, LIMITED, "too many requests")
            data = _cash_flows(request, key, reader)
        except WireError as error:
            return _respond(request, 400, BAD_REQUEST, f"bad request: {error}")
        except ErrorResponse as error:
            return _respond(request, error.status, error.code, error.message)
        return _respond(request, 200, 0, "success", data)


def authenticate(request: Request, reader: FlowReader) -> Key:
    """Return the key that signed a request. Raises ErrorResponse, with the same code for every reason, as in the
    document."""
    try:
        return shared.authenticate(request, reader, dialect=NAME, rules=RULES)
    except ErrorResponse as error:
        raise ErrorResponse(403, FORBIDDEN, f"request forbidden: {error.message}") from error


def _cash_flows(request: Request, key: Key, reader: FlowReader) -> bytes:
    """Return `data` of a page of cash flows. Raises WireError naming the parameter that is not valid."""
    language = request.headers.get("accept-language")
    query = shared.parse_query(parse_body(request.body), accounts=key.accounts, rules=RULES, language=language)
    return shared.read_cash_flows(reader, query, dialect=NAME, write=write)


def parse_body(body: bytes) -> dict[str, str]:
    """Return the parameters in a request body, as text. A null parameter is left out.

    Raises WireError. It names the parameter that is missing or has another type, or `body` if that is not a JSON
    object.
    """
    try:
        params = _body.read(body)
    except WireError as error:
        raise WireError("body" if error.field == "row" else error.field, error.reason) from error
    return {
        name: str(value)
        for name, value in msgspec.structs.asdict(params).items()
        if value is not None and value is not UNSET
    }


def _respond(request: Request, status: int, code: int, message: str, data: bytes | None = None) -> Response:
    return shared_wire.respond(request, status, code, message, data, message_keys=MESSAGE_KEYS)
