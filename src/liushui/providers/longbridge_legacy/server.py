"""Longbridge's first draft, the end that answers: as the document says. A function of request and reader."""

import re
from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from liushui.errors import WireError
from liushui.http import Request, Response
from liushui.provider import FlowReader, Key, Route
from liushui.providers._longbridge import server
from liushui.providers._longbridge.envelope import enveloped
from liushui.providers.longbridge_legacy.codec import BAD_REQUEST, FORBIDDEN, LIMITED, NOT_FOUND, write
from liushui.providers.longbridge_legacy.rules import RULES
from liushui.providers.longbridge_legacy.wire import PATH, Asked
from liushui.wire.decoding import RowReader
from liushui.wire.errors import ErrorResponse

NAME = "longbridge_legacy"
CASH_FLOWS = Route("POST", PATH)
SAID_IN = ("msg", "message")
"""Where an answer's words stand: the document says `msg`, clients of the current generation insist on `message`."""

_SIZE = re.compile(rb'"size"\s*:\s*"?([0-9]{1,6})\b')
_asked = RowReader(Asked, "the parameters of a request")


class LongbridgeLegacyServer:
    """The one route of the document."""

    routes: Sequence[Route] = (CASH_FLOWS,)

    def estimate_rows(self, request: Request) -> int:
        found = _SIZE.search(request.body)
        return int(found[1]) if found else RULES.paging.size_default

    def answer(self, request: Request, reader: FlowReader) -> Response:
        """The answer, in the envelope, an error's included."""
        try:
            if Route(request.method, request.route) != CASH_FLOWS:
                raise ErrorResponse(404, NOT_FOUND, "api not found")
            key = authenticated(request, reader)
            if not reader.admit(key, RULES.rate).admitted:
                raise ErrorResponse(429, LIMITED, "too many requests")
            data = cash_flows(request, key, reader)
        except WireError as error:
            return _enveloped(request, 400, BAD_REQUEST, f"bad request: {error}")
        except ErrorResponse as fault:
            return _enveloped(request, fault.status, fault.code, fault.message)
        return _enveloped(request, 200, 0, "success", data)


def authenticated(request: Request, reader: FlowReader) -> Key:
    """The key whose signature the request carries. Raises ErrorResponse: the document has one code for every reason."""
    try:
        return server.authenticated(request, reader, dialect=NAME, rules=RULES)
    except ErrorResponse as fault:
        raise ErrorResponse(403, FORBIDDEN, f"request forbidden: {fault.message}") from fault


def cash_flows(request: Request, key: Key, reader: FlowReader) -> bytes:
    """`data` of a page of cash flows. Raises WireError naming the parameter."""
    language = request.headers.get("accept-language")
    query = server.query_of(parameters_of(request.body), accounts=key.accounts, rules=RULES, language=language)
    return server.cash_flows(reader, query, dialect=NAME, write=write)


def parameters_of(body: bytes) -> dict[str, str]:
    """The parameters in a body, each as text; those that are null are not given. Raises WireError naming the one that
    is missing or of another type, and `body` where it is no JSON object."""
    try:
        asked = _asked.read(body)
    except WireError as error:
        raise WireError("body" if error.field == "row" else error.field, error.reason) from error
    given = msgspec.structs.asdict(asked)
    return {name: str(value) for name, value in given.items() if value is not None and value is not UNSET}


def _enveloped(request: Request, status: int, code: int, message: str, data: bytes | None = None) -> Response:
    return enveloped(request, status, code, message, data, said_in=SAID_IN)
