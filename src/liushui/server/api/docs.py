"""The document of the API over HTTP, and a page that shows it: for whoever asks, without anything from elsewhere."""

from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar import MediaType, Request, Response, get

from liushui.server.api.document import document, page
from liushui.server.api.guards import OPEN

VENDORED: Final = "redoc-2.5.4/redoc.standalone.js"
_HEADERS: Final = {
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
    return Response(body, media_type=MediaType.HTML, headers={**_HEADERS, **_FOR_A_WHILE})


@get("/docs/redoc.js", sync_to_thread=False, opt={OPEN: True}, include_in_schema=False)
def redoc() -> Response[bytes]:
    """What draws the page."""
    return Response(_script(), media_type="text/javascript", headers=_FOR_A_WHILE)


@cache
def _script() -> bytes:
    return files("liushui.server.web").joinpath("static", "vendor", VENDORED).read_bytes()


def _root(request: Request[Any, Any, Any]) -> str:
    return "/" + "/".join(request.scope["path"].split("/")[1:3])
