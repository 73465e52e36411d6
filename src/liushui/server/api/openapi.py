"""The document of the API, OpenAPI 3.1: put together from the routes, and the structs that they read and write."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final, get_args

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from liushui import __version__
from liushui.client import models
from liushui.server.api.auth import OPEN
from liushui.server.api.errors import PROBLEM_JSON
from liushui.server.api.params import BODY, IN_LINES, QUERY, STREAM, bare_type, is_many, plain_type

_REF: Final = "#/components/schemas/{name}"
_SKIPPED: Final = frozenset({"OPTIONS", "HEAD"})

ABOUT: Final = """One ledger for every fund flow. Amounts are exact decimal text, no JSON numbers; currencies are never
added together; times are ISO 8601, in UTC in answers. What a caller may not see is answered as if it were not there.
400: the request is not as this document says. 422: it is, and cannot be meant. Both name what was expected and came.
"""

_ALWAYS: Final = {
    HTTPStatus.UNAUTHORIZED: "No valid token.",
    HTTPStatus.FORBIDDEN: "The token has not the scope.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many calls: wait as Retry-After says.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Another process is writing for long: wait as Retry-After says.",
    HTTPStatus.BAD_REQUEST: "The request is not as this document says.",
}


def document(app: Litestar, root: str) -> dict[str, Any]:
    """The document of the routes under a path."""
    types: set[Any] = {models.Problem}
    paths: dict[str, dict[str, Any]] = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith(root):
            for handler in route.route_handlers:
                for method in handler.http_methods - _SKIPPED if QUERY in handler.opt or BODY in handler.opt else ():
                    path = route.path_format
                    paths.setdefault(path, {})[method.lower()] = _operation(handler, method, route, types)
    return {
        "openapi": "3.1.0",
        "info": {"title": "liushui", "version": __version__, "description": ABOUT},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _components(types),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "`liushui token create`"}},
        },
        "security": [{"token": []}],
    }


def _operation(handler: HTTPRouteHandler, method: str, route: HTTPRoute, types: set[Any]) -> dict[str, Any]:
    query, body = handler.opt.get(QUERY), handler.opt.get(BODY)
    said = (getattr(handler.fn, "func", handler.fn).__doc__ or "").strip().split("\n\n", 1)
    operation: dict[str, Any] = {
        "operationId": f"{handler.handler_name}",
        "summary": " ".join(said[0].split()),
        "parameters": [_path_parameter(name) for name in route.path_parameters],
        "responses": {str(status.value): _problem(text) for status, text in _ALWAYS.items()},
        "tags": [(*route.path.split("/")[3:], "about")[0]],
    }
    if len(said) > 1:
        operation["description"] = " ".join(said[1].split())
    if query is not None:
        operation["parameters"] += _parameters(query, types)
    if body is not None:
        operation["requestBody"] = _body(handler, body, types)
        operation["parameters"] += [_KEY] if handler.opt.get(IN_LINES) else []
    responses = operation["responses"]
    responses |= {str(status.value): _problem(text) for status, text in _possible(handler, method, route).items()}
    responses[str(handler.status_code)] = _answer(handler, types)
    if method == "GET" and not handler.opt.get(STREAM):
        responses["304"] = {"description": "As the caller has it: If-None-Match named its ETag."}
    return operation


def _possible(handler: HTTPRouteHandler, method: str, route: HTTPRoute) -> dict[HTTPStatus, str]:
    """The refusals that only some routes know."""
    found = {}
    query = handler.opt.get(QUERY)
    fields = () if query is None else query.__struct_fields__
    if route.path_parameters or "account" in fields or method == "POST":
        found[HTTPStatus.NOT_FOUND] = "There is none, or none that the caller may see."
    if fields or method == "POST":
        found[HTTPStatus.UNPROCESSABLE_ENTITY] = "It is as the document says, and cannot be meant."
    if handler.opt.get(BODY) is not None:
        found[HTTPStatus.UNSUPPORTED_MEDIA_TYPE] = "Another type of body."
        found[HTTPStatus.REQUEST_ENTITY_TOO_LARGE] = "Too large a body."
        found[HTTPStatus.CONFLICT] = "It contradicts what is there."
    return found


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Under a key the same write is done once, however often it is sent. Not with mode=each.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,200}$"},
}


def _parameters(query: type[msgspec.Struct], types: set[Any]) -> list[dict[str, Any]]:
    found = []
    for field in msgspec.structs.fields(query):
        type_ = plain_type(field.type)
        (schema,), _ = msgspec.json.schema_components([type_], ref_template=_REF)
        types.add(type_)
        parameter: dict[str, Any] = {"name": field.encode_name, "in": "query", "required": field.required}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if bare_type(type_) is datetime:
            schema = {**schema, "format": "date-time"}
        if is_many(type_):
            parameter |= {"style": "form", "explode": True}
        elif not field.required and field.default not in (None, msgspec.NODEFAULT):
            schema = {**schema, "default": msgspec.to_builtins(field.default)}
        found.append({**parameter, "schema": schema})
    return found


def _body(handler: HTTPRouteHandler, body: type[msgspec.Struct], types: set[Any]) -> dict[str, Any]:
    types.add(body)
    schema: dict[str, Any] = {"$ref": _REF.format(name=body.__name__)}
    example = EXAMPLES.get(body)
    content: dict[str, Any] = {}
    if handler.opt.get(IN_LINES):
        content["application/x-ndjson"] = {"schema": {"type": "string", "description": f"{body.__name__}, one a line."}}
        schema = {"anyOf": [schema, {"type": "array", "items": schema, "maxItems": 20_000}]}
    content["application/json"] = {"schema": schema, **({} if example is None else {"example": example})}
    return {"required": True, "content": content}


def _answer(handler: HTTPRouteHandler, types: set[Any]) -> dict[str, Any]:
    headers = {name: {"schema": {"type": "string"}, "description": text} for name, text in _HEADERS.items()}
    found: dict[str, Any] = {"description": HTTPStatus(handler.status_code).phrase, "headers": headers}
    if handler.opt.get(STREAM):
        return {**found, "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    word = _word(handler.parsed_fn_signature.return_type.annotation)
    if word is None:
        return found
    types.add(word)
    example = EXAMPLES.get(word)
    content: dict[str, Any] = {
        "application/json": {
            "schema": {"$ref": _REF.format(name=word.__name__)},
            **({} if example is None else {"example": example}),
        }
    }
    if handler.opt.get(IN_LINES):
        types.add(models.RecordedRow)
        content["application/x-ndjson"] = {"schema": {"type": "string", "description": "RecordedRow, one a line."}}
    return {**found, "content": content}


_HEADERS: Final = {
    "RateLimit-Limit": "Calls a minute.",
    "RateLimit-Remaining": "How many of them are left.",
    "RateLimit-Reset": "Seconds until all of them are.",
}


def _word(annotation: Any) -> Any:  # noqa: ANN401 - an annotation
    """The struct in what a handler returns."""
    if isinstance(annotation, type) and issubclass(annotation, models.Word):
        return annotation
    return next((found for one in get_args(annotation) if (found := _word(one)) is not None), None)


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {PROBLEM_JSON: {"schema": {"$ref": _REF.format(name="Problem")}}}}


def _components(types: Iterable[Any]) -> dict[str, Any]:
    _, found = msgspec.json.schema_components(list(types), ref_template=_REF)
    return dict(sorted(found.items()))


@cache
def page(url: str, script: str) -> bytes:
    """A page that shows the document; nothing of it comes from elsewhere."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>liushui API</title></head><body><redoc spec-url="{url}" disable-search></redoc>
<script src="{script}"></script></body></html>
""".encode()


VENDORED: Final = "redoc-2.5.4/redoc.standalone.js"
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_FOR_A_WHILE: Final = {"Cache-Control": "public, max-age=3600"}
_PLACE: Final = "liushui_document"


@get("/openapi.json", sync_to_thread=False, opt={OPEN: True}, include_in_schema=False)
def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The document: OpenAPI 3.1."""
    state = request.app.state
    if _PLACE not in state:
        state[_PLACE] = msgspec.json.encode(document(request.app, _root(request)))
    return Response(state[_PLACE], media_type=MediaType.JSON, headers=_FOR_A_WHILE)


@get("/docs", sync_to_thread=False, opt={OPEN: True}, include_in_schema=False)
def docs(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A page that shows the document."""
    root = _root(request)
    body = page(f"{root}/openapi.json", f"{root}/docs/redoc.js")
    return Response(body, media_type=MediaType.HTML, headers={**_PAGE_HEADERS, **_FOR_A_WHILE})


@get("/docs/redoc.js", sync_to_thread=False, opt={OPEN: True}, include_in_schema=False)
def redoc() -> Response[bytes]:
    """What draws the page."""
    return Response(_script(), media_type="text/javascript", headers=_FOR_A_WHILE)


@cache
def _script() -> bytes:
    return files("liushui.server.web").joinpath("static", "vendor", VENDORED).read_bytes()


def _root(request: Request[Any, Any, Any]) -> str:
    return "/" + "/".join(request.scope["path"].split("/")[1:3])


_FLOW: Final = {
    "key": "k6R0b210zwAGYMAsrO-A2SBmMjdh",
    "account": "trader-1",
    "id": "f27a4c3378adcb2d5c2a6fef5c1f327b",
    "at": "2024-01-31T02:34:54Z",
    "amount": "-248.60",
    "currency": "USD",
    "direction": "out",
    "kind": "trade",
    "category": "stock",
    "label": "Buy Contract-Stock",
    "subaccount": "",
    "balance_after": None,
    "settled_at": None,
    "ref": None,
    "order_ref": None,
    "symbol": "AAPL.US",
    "name": None,
    "price": None,
    "quantity": None,
    "note": "Apple",
    "fx": None,
    "detail": None,
    "batch": 11,
}

EXAMPLES: Final[dict[Any, Any]] = {
    models.FlowPage: {"flows": [_FLOW], "next": None},
    models.FeedPage: {
        "steps": [
            {
                "change": "added",
                "key": _FLOW["key"],
                "account": "trader-1",
                "batch": 11,
                "recorded_at": "2024-01-31T02:40:00Z",
                "ended_as": None,
                "flow": _FLOW,
            }
        ],
        "cursor": "kY3vBQ",
        "more": False,
    },
    models.Balances: {
        "balances": [
            {
                "account": "trader-1",
                "subaccount": "",
                "currency": "USD",
                "amount": "1274000.575000",
                "flows": 1729,
                "at": "2024-01-31T00:00:00Z",
                "covered": True,
            }
        ],
        "covered": True,
        "gaps": [],
    },
    models.RecordFlow: {
        "account": "shop",
        "reference": "order-1017",
        "at": "2024-01-31T09:30:00+08:00",
        "amount": "-12.50",
        "currency": "CNY",
        "kind": "fee",
        "label": "January",
    },
    models.Recorded: {
        "added": 1,
        "known": 0,
        "restated": 0,
        "again": False,
        "rows": [{"row": 0, "outcome": "added", "account": "shop", "reference": "order-1017", "key": _FLOW["key"]}],
    },
    models.MakeAccount: {"account": "shop", "zone": "Asia/Shanghai"},
    models.MakeKey: {"dialect": "longbridge", "accounts": ["trader-1"]},
    models.MakeToken: {"scopes": ["read"], "accounts": ["trader-1"], "name": "the dashboard"},
    models.AskSync: {"everything": False},
    models.ChangeSource: {"paused": True},
}
