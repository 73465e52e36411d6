"""Errors of the API as problem details (RFC 9457): which field, what was expected there and what came."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from liushui.client.models import Fault, Problem
from liushui.errors import (
    AlreadyExists,
    ConfigError,
    InvalidField,
    LedgerBusy,
    LiushuiError,
    NotFound,
    NotReconciled,
    PermissionDenied,
    short_repr,
)
from liushui.ledger.read.filters import FaultKind, FilterError
from liushui.ledger.write.record import NotOwnAccount
from liushui.wire.decoding import DECODE_ERRORS

_log = logging.getLogger(__name__)

PROBLEM_JSON: Final = "application/problem+json"
HEADERS: Final = "liushui_headers"
"""The key in a request's state of headers that every answer to the request has, also an error."""
BUSY_RETRY_S: Final = 5


class ProblemError(Exception):
    """Ends a request with problem details."""

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


def bad_request(faults: Sequence[Fault]) -> ProblemError:
    """400: the request does not fit the OpenAPI document."""
    return ProblemError(HTTPStatus.BAD_REQUEST, _detail_of(faults), faults)


def filter_problem(error: FilterError) -> ProblemError:
    """Return the problem of an unusable filter: 422 if its values contradict each other, else 400."""
    faults = [Fault(parameter=fault.field, expected=fault.expected, got=fault.got) for fault in error.faults]
    problem = bad_request(faults)
    if all(fault.kind in (FaultKind.REVERSED_RANGE, FaultKind.REVERSED_AMOUNTS) for fault in error.faults):
        return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), faults)
    return problem


def invalid_parameter(parameter: str, expected: str, got: object) -> ProblemError:
    """422: a parameter is well-formed, but not possible (for example since > until)."""
    return _unprocessable(Fault(parameter=parameter, expected=expected, got=short_repr(got)))


def invalid_body(pointer: str, expected: str, got: object) -> ProblemError:
    """422: a value in the body is well-formed, but not possible."""
    return _unprocessable(Fault(pointer=pointer, expected=expected, got=short_repr(got)))


def conflict(faults: Sequence[Fault]) -> ProblemError:
    """409: the request contradicts what is recorded."""
    return ProblemError(HTTPStatus.CONFLICT, _detail_of(faults), faults)


def not_found(kind: str, name: object) -> ProblemError:
    """404, with the same message if the thing does not exist and if the caller may not see it."""
    return ProblemError(HTTPStatus.NOT_FOUND, f"{kind}: there is none named {short_repr(name)}")


def _unprocessable(fault: Fault) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, _detail_of([fault]), [fault])


def _detail_of(faults: Sequence[Fault]) -> str:
    first = faults[0]
    return f"{first.parameter or first.pointer or 'body'}: expected {first.expected}, got {first.got}"


# ---------------------------------------------------------------- decoding errors

# msgspec states the fault in JSON, and its place, only in the text of its errors.
_WHERE = re.compile(r"^(?P<message>.*?)(?: - at `(?P<key>key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected (?P<expected>.*?)(?:, got (?P<got>.*))?$", re.DOTALL)
_FIELD = re.compile(r"^Object (?P<problem>contains unknown|missing required) field `(?P<name>.*)`$", re.DOTALL)

_INSTANT: Final = "an ISO 8601 time with its offset such as 2024-01-31T09:30:00Z"
_PLAIN_TEXTS: Final = {
    "Invalid RFC3339 encoded datetime": _INSTANT,
    "datetime with a timezone component": _INSTANT,
    "Invalid enum value": "one of the values in the OpenAPI document",
}
"""Beginnings of msgspec's messages, with plain English replacements."""


class _Number(str):
    """A JSON number as received. In error messages it has no quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


_values = msgspec.json.Decoder(object, float_hook=_Number).decode


def decoding_fault(error: msgspec.MsgspecError, body: bytes, prefix: str = "") -> Fault:
    """Return what is wrong with a JSON body: the place as a JSON pointer after `prefix`, what was expected and what
    came."""
    where = _WHERE.match(str(error))
    message = where["message"] if where else str(error)
    pointer = prefix + _pointer(where["path"] or "" if where else "")
    if field := _FIELD.match(message):
        is_missing = field["problem"] == "missing required"
        return Fault(
            pointer=f"{pointer}/{field['name']}",
            expected="a value" if is_missing else "no field of that name",
            got="nothing" if is_missing else short_repr(field["name"]),
        )
    if not isinstance(error, msgspec.ValidationError):
        return Fault(pointer=prefix, expected="JSON", got=f"{short_repr(body[:40])}: {message}")
    match = _EXPECTED.match(message)
    expected = match["expected"].replace("`", "") if match else message
    expected = next((plain for text, plain in _PLAIN_TEXTS.items() if expected.startswith(text)), expected)
    return Fault(pointer=pointer, expected=expected, got=_value_at(body, pointer.removeprefix(prefix)))


def _pointer(path: str) -> str:
    """msgspec's path `.rows[0].amount` as the JSON pointer `/rows/0/amount`.

    `[...]` stands for a key of a dict that msgspec does not name: the pointer ends at the dict.
    """
    return re.sub(r"\[(\d+)\]", r"/\1", path.partition("[...]")[0]).replace(".", "/")


def _value_at(body: bytes, pointer: str) -> str:
    try:
        value: Any = _values(body)
        for step in pointer.split("/")[1:]:
            value = value[int(step)] if isinstance(value, list) else value[step]
    except (*DECODE_ERRORS, LookupError, ValueError, TypeError):
        return "something else"
    return short_repr(value)


T = TypeVar("T")

TOO_DEEP: Final = Fault(pointer="", expected="JSON of few levels", got="JSON that is nested too deep")


def decode_json(decode: Callable[[bytes], T], body: bytes, prefix: str = "") -> T | Fault:
    """Decode JSON with a decoder of msgspec. Returns what is wrong with it, at a JSON pointer after `prefix`.

    A key that an object has twice is a fault: msgspec takes the last value, other programs take the first.
    """
    try:
        value: T | Fault
        try:
            value = decode(body)
        except msgspec.ValidationError as error:  # it is JSON, so a repeated key may be the cause
            value = decoding_fault(error, body, prefix)
        repeated = _repeated_key(body.decode())
    except msgspec.MsgspecError as error:
        return decoding_fault(error, body, prefix)
    except UnicodeDecodeError:
        return Fault(pointer=prefix, expected="UTF-8", got=short_repr(body[:40]))
    except RecursionError:
        return msgspec.structs.replace(TOO_DEEP, pointer=prefix)
    if repeated is not None:
        return Fault(pointer=prefix + repeated, expected="each key once", got="one that occurs twice")
    return value


class _Pairs(list[tuple[str, object]]):
    """The (key, value) pairs of a JSON object, repeated keys included."""


def _repeated_key(text: str) -> str | None:
    """The JSON pointer to the first key that occurs twice in its object. None if each key occurs once."""
    has_repeated = False

    def collect(pairs: list[tuple[str, object]]) -> _Pairs:
        nonlocal has_repeated
        has_repeated |= len({key for key, _ in pairs}) < len(pairs)
        return _Pairs(pairs)

    try:
        value = json.loads(text, object_pairs_hook=collect, parse_int=str, parse_float=str)
    except json.JSONDecodeError:  # the repeated key comes after the fault that msgspec found
        return None
    return next(_repeated_keys(value), None) if has_repeated else None


def _repeated_keys(value: object) -> Iterator[str]:
    """The JSON pointers to all keys that occur twice."""
    if isinstance(value, _Pairs):
        keys: set[str] = set()
        for key, inner in value:
            step = "/" + key.replace("~", "~0").replace("/", "~1")
            if key in keys:
                yield step
            keys.add(key)
            yield from (step + pointer for pointer in _repeated_keys(inner))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from (f"/{number}{pointer}" for pointer in _repeated_keys(inner))


# ---------------------------------------------------------------- handlers


def handlers() -> ExceptionHandlersMap:
    """Return the answer for each class of error that a handler of the API raises."""
    return {
        ProblemError: _problem,
        HTTPException: _http_error,
        InvalidField: _invalid_field,
        NotFound: _with_status(HTTPStatus.NOT_FOUND),
        AlreadyExists: _with_status(HTTPStatus.CONFLICT),
        NotReconciled: _not_reconciled,
        NotOwnAccount: _with_status(HTTPStatus.CONFLICT),
        PermissionDenied: _with_status(HTTPStatus.FORBIDDEN),
        ConfigError: _with_status(HTTPStatus.UNPROCESSABLE_ENTITY),
        LedgerBusy: _busy,
        Exception: _internal_error,
    }


def _problem(request: Request[Any, Any, Any], error: ProblemError) -> Response[bytes]:
    return problem_response(request, error.status, error.detail, error.faults, error.headers)


def _http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _internal_error(request, error)
    return problem_response(request, status, error.detail, (), error.headers or {})


def _invalid_field(request: Request[Any, Any, Any], error: InvalidField) -> Response[bytes]:
    fault = Fault(pointer=f"/{error.field}", expected=error.expected, got=error.got)
    return problem_response(request, HTTPStatus.UNPROCESSABLE_ENTITY, _detail_of([fault]), [fault])


def _not_reconciled(request: Request[Any, Any, Any], error: NotReconciled) -> Response[bytes]:
    faults = [
        Fault(pointer="/period", expected=f"{line} to pass or be explained", got=got) for line, got in error.lines
    ]
    return problem_response(request, HTTPStatus.CONFLICT, str(error), faults)


def _with_status(status: HTTPStatus) -> Callable[[Request[Any, Any, Any], LiushuiError], Response[bytes]]:
    def respond(request: Request[Any, Any, Any], error: LiushuiError) -> Response[bytes]:
        return problem_response(request, status, str(error))

    return respond


def _busy(request: Request[Any, Any, Any], error: LedgerBusy) -> Response[bytes]:
    headers = {"Retry-After": str(BUSY_RETRY_S)}
    return problem_response(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error), (), headers)


def _internal_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    # The query is not logged, because it may contain names and amounts.
    _log.error("no answer to %s %s", request.method, request.scope["path"], exc_info=error)
    detail = "internal error: see the log of liushui"
    return problem_response(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def problem_response(
    request: Request[Any, Any, Any],
    status: HTTPStatus,
    detail: str,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """An answer with problem details."""
    problem = Problem(title=status.phrase, status=status.value, detail=detail, errors=list(faults))
    common = request.scope["state"].get(HEADERS, {})
    return Response(
        msgspec.json.encode(problem),
        status_code=status.value,
        media_type=PROBLEM_JSON,
        headers={**common, **(headers or {}), "Cache-Control": "no-store"},
    )
