"""Answers that say why there is no other: problem details after RFC 9457, with what was expected and what came."""

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from liushui.client.models import Fault, Problem
from liushui.errors import ConfigError, LedgerBusy, short_repr

_log = logging.getLogger(__name__)

PROBLEM_JSON: Final = "application/problem+json"
HEADERS: Final = "liushui_headers"
"""Where a request keeps the headers that every answer to it has."""
BUSY_S: Final = 5


class Refusal(Exception):
    """A request that is not answered."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        faults: Sequence[Fault] = (),
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults, self.headers = status, detail, list(faults), dict(headers or {})


def malformed(faults: Sequence[Fault]) -> Refusal:
    """The request is not as the document says."""
    return Refusal(HTTPStatus.BAD_REQUEST, _said(faults), faults)


def unacceptable(parameter: str, expected: str, got: object) -> Refusal:
    """The request is as the document says, and cannot be meant."""
    fault = Fault(parameter=parameter, expected=expected, got=_shown(got))
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, _said([fault]), [fault])


def unacceptable_body(pointer: str, expected: str, got: object) -> Refusal:
    """A body that is as the document says, and cannot be meant."""
    fault = Fault(pointer=pointer, expected=expected, got=_shown(got))
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, _said([fault]), [fault])


def conflict(faults: Sequence[Fault]) -> Refusal:
    """What is asked for contradicts what is there."""
    return Refusal(HTTPStatus.CONFLICT, _said(faults), faults)


def missing(what: str, got: object) -> Refusal:
    """There is no such thing, or none that the caller may see: both are said in the same words."""
    return Refusal(HTTPStatus.NOT_FOUND, f"{what}: there is none named {_shown(got)}")


def _shown(value: object) -> str:
    return value if isinstance(value, str) and value.startswith("nothing") else short_repr(value)


def _said(faults: Sequence[Fault]) -> str:
    first = faults[0]
    return f"{first.parameter or first.pointer or 'body'}: expected {first.expected}, got {first.got}"


# ---------------------------------------------------------------- what a body does not fit


_WHERE = re.compile(r"^(?P<said>.*?)(?: - at `(?P<key>key in )?\$(?P<place>.*)`)?$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected (?P<expected>.*?)(?:, got (?P<got>.*))?$", re.DOTALL)
_FIELD = re.compile(r"^Object (?P<what>contains unknown|missing required) field `(?P<name>.*)`$", re.DOTALL)


class _Number(str):
    """A JSON number as it came, shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


_values = msgspec.json.Decoder(object, float_hook=_Number).decode
_PLAINER: Final = {
    "Invalid RFC3339 encoded datetime": "an ISO 8601 time with its offset such as 2024-01-31T09:30:00Z",
    "datetime with a timezone component": "an ISO 8601 time with its offset such as 2024-01-31T09:30:00Z",
    "Invalid enum value": "one of the words that the document names",
}


def fault_of(error: msgspec.MsgspecError, body: bytes, prefix: str = "") -> Fault:
    """What is wrong with a body of JSON, in it the place, what was expected there and what came."""
    found = _WHERE.match(str(error))
    said = found["said"] if found else str(error)
    pointer = prefix + _pointer(found["place"] or "" if found else "")
    if field := _FIELD.match(said):
        known = field["what"] == "missing required"
        pointer = f"{pointer}/{field['name']}"
        expected = "a value" if known else "no field of that name"
        return Fault(pointer=pointer, expected=expected, got="nothing" if known else short_repr(field["name"]))
    if not isinstance(error, msgspec.ValidationError):
        return Fault(pointer=prefix, expected="JSON", got=f"{short_repr(body[:40])}: {said}")
    fit = _EXPECTED.match(said)
    what = fit["expected"].replace("`", "") if fit else said
    what = next((plainer for said, plainer in _PLAINER.items() if what.startswith(said)), what)
    return Fault(pointer=pointer, expected=what, got=_found(body, pointer.removeprefix(prefix)))


def _pointer(place: str) -> str:
    """A JSON pointer of msgspec's path: `.rows[0].amount` is `/rows/0/amount`. Of a name that it does not tell, to
    where the name is."""
    return re.sub(r"\[(\d+)\]", r"/\1", place.partition("[...]")[0]).replace(".", "/")


def _found(body: bytes, pointer: str) -> str:
    """What stands at a place."""
    try:
        value: Any = _values(body)
        for step in pointer.split("/")[1:]:
            value = value[int(step)] if isinstance(value, list) else value[step]
    except (msgspec.MsgspecError, LookupError, ValueError, TypeError):
        return "something else"
    return short_repr(value)


# ---------------------------------------------------------------- handlers


def handlers() -> ExceptionHandlersMap:
    """What becomes of exceptions in handlers of the API."""
    return {
        Refusal: _refused,
        HTTPException: _http,
        ConfigError: _config,
        LedgerBusy: _busy,
        Exception: _fault,
    }


def _refused(request: Request[Any, Any, Any], error: Refusal) -> Response[bytes]:
    return answer(request, error.status, error.detail, error.faults, error.headers)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _fault(request, error)
    return answer(request, status, error.detail, (), error.headers or {})


def _config(request: Request[Any, Any, Any], error: ConfigError) -> Response[bytes]:
    """What a user may say wrong, and only the ledger can tell."""
    return answer(request, HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def _busy(request: Request[Any, Any, Any], error: LedgerBusy) -> Response[bytes]:
    return answer(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error), (), {"Retry-After": str(BUSY_S)})


def _fault(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A fault of ours. It is logged without what was asked."""
    _log.error("no answer to %s %s", request.method, request.scope["path"], exc_info=error)
    return answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "this is a fault of liushui: its log says where")


def answer(
    request: Request[Any, Any, Any],
    status: HTTPStatus,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """An answer with problem details."""
    problem = Problem(title=status.phrase, status=status.value, detail=detail, errors=list(faults))
    usual = request.scope["state"].get(HEADERS, {})
    return Response(
        msgspec.json.encode(problem),
        status_code=status.value,
        media_type=PROBLEM_JSON,
        headers={**usual, **(headers or {}), "Cache-Control": "no-store"},
    )
