"""Declares a route of the API: the signature of its handler names the parameters, the body and the answer.

Parameters are read here too, and the answer names each invalid one.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from http import HTTPStatus
from inspect import getdoc, iscoroutinefunction
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from litestar import Request
from litestar.enums import RequestEncodingType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Operation
from litestar.params import PathParameter
from litestar.typing import FieldDefinition

from liushui.client.models import Fault, Problem
from liushui.errors import short_repr
from liushui.ledger.access.tokens import Scope
from liushui.ledger.read.filters import FilterError, read_bound
from liushui.server.api.errors import PROBLEM_JSON, ProblemError, bad_request, decode_json
from liushui.server.context import require_scope

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

BODY_MAX: Final = 1024 * 1024
BODY_TIMEOUT_S: Final = 30
"""How long a body may take to arrive. Meanwhile its request counts as in progress."""

_INSTANT = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)$", re.ASCII)
_EXAMPLE: Final = "an ISO 8601 time with its offset such as 2024-01-31T09:30:00Z (in a URL + is %2B)"


def read_query(request: Request[Any, Any, Any], type_: type[S]) -> S:
    """Return the query parameters as a struct. Raises ProblemError with all unknown, repeated or invalid ones."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    faults: list[Fault] = []
    values: dict[str, object] = {}
    for name, texts in request.query_params.dict().items():
        field = fields.get(name)
        if field is None:
            known = ", ".join(fields) or "none"
            faults.append(
                Fault(parameter=name, expected=f"a parameter that is known here: {known}", got=short_repr(name))
            )
        elif is_repeatable(field.type):
            values[field.name] = [_read(name, text, _item(field.type), faults) for text in texts]
        elif len(texts) > 1:
            faults.append(Fault(parameter=name, expected="one value", got=f"{len(texts)} of them"))
        else:
            values[field.name] = _read(name, texts[0], without_none(field.type), faults)
    faults += [
        Fault(parameter=name, expected="a value", got="nothing")
        for name, field in fields.items()
        if field.required and field.name not in values and not any(fault.parameter == name for fault in faults)
    ]
    if faults:
        raise bad_request(faults)
    return type_(**values)


class NoParams(msgspec.Struct, frozen=True):
    """The query parameters of a route that has none."""


class ApiRequest(Request[Any, Any, Any]):
    """A request whose JSON body we decode, because Litestar's errors do not say where in the body a fault is."""

    async def json(self) -> Any:  # noqa: ANN401 - whichever struct the handler takes
        """Return the body as the struct of the handler's `data`. Raises ProblemError."""
        decoder = msgspec.json.Decoder(_signature(self)["data"].annotation)
        value = decode_json(decoder.decode, await within_timeout(self.body()))
        if isinstance(value, Fault):
            raise bad_request([value])
        return value


async def within_timeout(part: Awaitable[T], limit_s: int | None = None) -> T:
    """Return a body, or a part of one, if it arrives within `limit_s` (default: BODY_TIMEOUT_S). Raises
    ProblemError."""
    limit_s = BODY_TIMEOUT_S if limit_s is None else limit_s
    try:
        async with asyncio.timeout(limit_s):
            return await part
    except TimeoutError as error:
        detail = f"body: expected all of it within {limit_s} s"
        raise ProblemError(HTTPStatus.REQUEST_TIMEOUT, detail) from error


def provide_params(request: Request[Any, Any, Any]) -> Any:  # noqa: ANN401 - whichever struct the handler takes
    """The query parameters as the struct that the handler's `params` names. Raises ProblemError."""
    return read_query(request, _signature(request)["params"].annotation)


async def check_request(request: Request[Any, Any, Any]) -> None:
    """Refuse what Litestar accepts: parameters on a route without parameters, and a body that is missing or not
    JSON."""
    signature = _signature(request)
    if "params" not in signature:
        read_query(request, NoParams)
    if "data" in signature:
        check_media_type(request, [RequestEncodingType.JSON.value])
        if not await within_timeout(request.body()):
            raise bad_request([Fault(pointer="", expected="JSON", got="nothing")])


def _signature(request: Request[Any, Any, Any]) -> Mapping[str, FieldDefinition]:
    return request.route_handler.parsed_fn_signature.parameters


def check_media_type(request: Request[Any, Any, Any], known: Sequence[str]) -> str:
    """The media type of the body. Raises ProblemError if it is unknown."""
    header = request.headers.get("content-type", "")
    media_type = header.partition(";")[0].strip().lower()
    if media_type not in known:
        expected = " or ".join(known)
        fault = Fault(parameter="Content-Type", expected=expected, got=short_repr(header) if header else "nothing")
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type: expected {expected}", [fault])
    return media_type


def is_repeatable(type_: Any) -> bool:  # noqa: ANN401 - an annotation
    """Whether a parameter may be repeated."""
    return get_origin(without_metadata(without_none(type_))) in (list, tuple)


def _item(type_: Any) -> Any:  # noqa: ANN401 - an annotation
    return get_args(without_metadata(without_none(type_)))[0]


def without_metadata(type_: Any) -> Any:  # noqa: ANN401 - an annotation
    """A type without its metadata."""
    return get_args(type_)[0] if get_origin(type_) is Annotated else type_


def without_none(type_: Any) -> Any:  # noqa: ANN401 - an annotation
    """A type without None: a parameter has a value or is left out."""
    if get_origin(type_) in (Union, UnionType):
        return next(one for one in get_args(type_) if one is not NoneType)
    return type_


def _read(name: str, text: str, type_: Any, faults: list[Fault]) -> object:  # noqa: ANN401 - an annotation
    """Read one value. An invalid value adds a fault."""
    bare = without_metadata(type_)
    try:
        if bare is date:
            return read_bound(name, text)
        if bare is datetime:
            return _instant(text)
        if bare is bool and text not in ("true", "false"):
            raise ValueError("true or false")
        if bare is int and not (text.isascii() and text.removeprefix("-").isdecimal()):
            raise ValueError("a whole number")
        return msgspec.convert(text, type_, strict=False)
    except FilterError as error:
        faults += [Fault(parameter=name, expected=fault.expected, got=fault.got) for fault in error.faults]
    except msgspec.ValidationError as error:
        expected = str(error).removeprefix("Expected ").replace("`", "").partition(", got ")[0]
        if isinstance(bare, type) and issubclass(bare, str) and hasattr(bare, "__members__"):
            expected = f"one of {', '.join(member.value for member in bare.__members__.values())}"
        faults.append(Fault(parameter=name, expected=expected, got=short_repr(text)))
    except ValueError as error:
        faults.append(Fault(parameter=name, expected=str(error), got=short_repr(text)))
    return None


def _instant(text: str) -> datetime:
    if not _INSTANT.match(text):
        raise ValueError(_EXAMPLE)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{_EXAMPLE}, of the years 1 to 9999") from error


# ---------------------------------------------------------------- endpoints


PathText: TypeAlias = Annotated[str, PathParameter(min_length=1)]
"""Annotates a handler's parameter that is a part of the path."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass
class ApiOperation(Operation):
    """An operation whose query parameters are the fields of a struct.

    Litestar sees the struct as an ordinary dependency, so it does not describe the fields.
    """

    params: ClassVar[type[msgspec.Struct]] = NoParams

    def to_schema(self) -> dict[str, Any]:
        """The operation as OpenAPI has it."""
        schema = super().to_schema()
        schema["parameters"] = [*schema.get("parameters", ()), *_query_parameters(self.params)]
        return schema


def endpoint(
    method: Method,
    path: str,
    *,
    scope: Scope | None,
    status: HTTPStatus = HTTPStatus.OK,
    operation_id: str | None = None,
    operation: type[ApiOperation] = ApiOperation,
    created: type[msgspec.Struct] | None = None,
    **options: Any,  # noqa: ANN401 - Litestar's own
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """Make a function a route of the API. Callers without the scope are refused; None: any known caller is accepted.

    The function may take `context: NamedDependency[RequestContext]`, `params: NamedDependency[STRUCT]` (the query
    parameters) and `data: JSONBody[STRUCT]` (the body). `created`: the answer with status 201, for a route that answers
    200 if nothing is new. Functions that are not coroutines run in a thread. The function's docstring is the summary,
    and after an empty line the description, of the operation in the OpenAPI document.
    """

    def declare(handler: Callable[..., Any]) -> HTTPRouteHandler:
        types = get_type_hints(handler)
        query = types.get("params", NoParams)

        others = dict(_other_responses(method, path, query, is_stream="media_type" in options))
        if created is not None:
            others[HTTPStatus.CREATED.value] = ResponseSpec(created, description=HTTPStatus.CREATED.phrase)

        class ThisOperation(operation):  # type: ignore[misc, valid-type] # mypy takes no variable for a base
            params = query

        summary, _, description = (getdoc(handler) or "").partition("\n\n")
        return HTTPRouteHandler(
            path,
            http_method=method,
            guards=[] if scope is None else [require_scope(scope)],
            status_code=status,
            sync_to_thread=None if iscoroutinefunction(handler) else True,
            operation_class=ThisOperation,
            # Generated clients name their methods after the id, so it stays when functions are renamed.
            operation_id=operation_id or getattr(handler, "__name__", None),
            summary=" ".join(summary.split()),
            description=" ".join(description.split()) or None,
            tags=[path.split("/")[1] or "about"],
            response_description=status.phrase,
            responses=others,
            **options,
        )(handler)

    return declare


_ALWAYS: Final = {
    HTTPStatus.BAD_REQUEST: "The request does not fit this document.",
    HTTPStatus.UNAUTHORIZED: "There is no valid token.",
    HTTPStatus.FORBIDDEN: "The token lacks the scope.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many calls: wait as long as Retry-After says.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Another process is writing to the ledger: wait as long as Retry-After says.",
}


def _other_responses(
    method: Method, path: str, query: type[msgspec.Struct], *, is_stream: bool
) -> Iterator[tuple[int, ResponseSpec]]:
    """The errors that a route may answer, by status."""
    described = dict(_ALWAYS)
    fields = query.__struct_fields__
    if "{" in path or "account" in fields or method == "POST":
        described[HTTPStatus.NOT_FOUND] = "It does not exist, or the caller may not see it."
    if fields or method in ("POST", "PUT"):
        described[HTTPStatus.UNPROCESSABLE_ENTITY] = "The request is well-formed, but not possible."
    if method in ("POST", "PUT", "PATCH"):
        described[HTTPStatus.REQUEST_TIMEOUT] = "The body did not arrive in time."
        described[HTTPStatus.UNSUPPORTED_MEDIA_TYPE] = "The body is of another type."
        described[HTTPStatus.REQUEST_ENTITY_TOO_LARGE] = "The body is too large."
        described[HTTPStatus.CONFLICT] = "It contradicts what is recorded."
    for status, text in described.items():
        yield status.value, ResponseSpec(Problem, description=text, media_type=PROBLEM_JSON, generate_examples=False)
    if method == "GET" and not is_stream:
        text = "The answer has not changed since the ETag in If-None-Match."
        yield HTTPStatus.NOT_MODIFIED.value, ResponseSpec(None, description=text)


def _query_parameters(query: type[msgspec.Struct]) -> Iterator[dict[str, Any]]:
    for field in msgspec.structs.fields(query):
        type_ = without_none(field.type)
        (schema,), components = msgspec.json.schema_components([type_], ref_template="{name}")
        if "$ref" in schema:  # an enumeration: its values are listed in the parameter itself
            schema = components[schema.pop("$ref")] | schema
        parameter = {"name": field.encode_name, "in": "query", "required": field.required}
        if description := schema.pop("description", None):
            parameter["description"] = description
        if without_metadata(type_) is date:  # a day of the account's own zone, or a time
            schema = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
        if without_metadata(type_) is datetime:
            schema["format"] = "date-time"
        if is_repeatable(type_):
            parameter |= {"style": "form", "explode": True}
        elif field.default not in (None, msgspec.NODEFAULT):
            schema["default"] = msgspec.to_builtins(field.default)
        yield parameter | {"schema": schema}
