"""Declares a route of the API once: the signature of its handler names the parameters, the body and the answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from http import HTTPStatus
from inspect import getdoc, iscoroutinefunction
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, get_type_hints

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Operation
from litestar.params import PathParameter

from liushui.client.models import Problem
from liushui.ledger.access.tokens import Scope
from liushui.server.api.errors import PROBLEM_JSON
from liushui.server.api.params import NoParams, is_repeatable, without_metadata, without_none
from liushui.server.context import require_scope

PathText: TypeAlias = Annotated[str, PathParameter(min_length=1)]
"""Annotates a handler's parameter that is a part of the path."""

Method = Literal["GET", "POST", "PATCH", "DELETE"]


@dataclass
class ApiOperation(Operation):
    """An operation whose query parameters are the fields of a struct.

    To Litestar the struct is a dependency like any other, so that it does not describe the fields.
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
    **options: Any,  # noqa: ANN401 - Litestar's own
) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """Make a function a route of the API. Callers without the scope are refused; None: any known caller is answered.

    The function may take `context: NamedDependency[RequestContext]`, `params: NamedDependency[STRUCT]` (the query
    parameters) and `data: JSONBody[STRUCT]` (the body). Functions that are not coroutines run in a thread. Its
    docstring is the summary, and after an empty line the description, of the operation in the OpenAPI document.
    """

    def declare(handler: Callable[..., Any]) -> HTTPRouteHandler:
        types = get_type_hints(handler)
        query = types.get("params", NoParams)

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
            # Generated clients name their methods after the id: it outlives renames of the function.
            operation_id=operation_id or getattr(handler, "__name__", None),
            summary=" ".join(summary.split()),
            description=" ".join(description.split()) or None,
            tags=[path.split("/")[1] or "about"],
            response_description=status.phrase,
            responses=dict(_other_responses(method, path, query, is_stream="media_type" in options)),
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
    """What a route may answer besides success, by status."""
    described = dict(_ALWAYS)
    fields = query.__struct_fields__
    if "{" in path or "account" in fields or method == "POST":
        described[HTTPStatus.NOT_FOUND] = "It does not exist, or the caller may not see it."
    if fields or method == "POST":
        described[HTTPStatus.UNPROCESSABLE_ENTITY] = "The request is well-formed, but not possible."
    if method in ("POST", "PATCH"):
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
        if "$ref" in schema:  # an enumeration: its values stand in the parameter itself
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
