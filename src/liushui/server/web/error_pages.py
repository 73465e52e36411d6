"""What a reader is shown where a page cannot be: in words. Programs are told in JSON."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from litestar import get
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from liushui.errors import LedgerBusy, LiushuiError
from liushui.server.web.auth.guard import OPEN, guarded
from liushui.server.web.page import AnyRequest, Web

_log = logging.getLogger(__name__)

BUSY_S: Final = 5
PROBLEM: Final = "application/problem+json"
"""What programs are told in, which ask for no HTML."""


def routes() -> list[ControllerRouterHandler]:
    """What answers where nothing else does."""

    @get("/{rest:path}", sync_to_thread=False, opt={OPEN: True})
    def nothing(rest: FromPath[str]) -> None:
        raise NotFoundException(f"nothing is served at {rest}")

    return [nothing]


def handlers(web: Web) -> ExceptionHandlersMap:
    """What becomes of exceptions in handlers of the page."""

    def shown(request: AnyRequest, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response[Any]:
        if "text/html" not in request.headers.get("accept", "") and request.headers.get("hx-request") != "true":
            problem = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
            return guarded(Response(problem, status_code=status, media_type=PROBLEM, headers=dict(headers or {})))
        page = web.page(request)
        titles = {
            403: page.say("Not allowed"),
            404: page.say("Page not found"),
            405: page.say("This request is not supported"),
            503: page.say("The ledger is busy"),
        }
        title = titles.get(status) or (page.say("That did not work") if status < 500 else page.say("Internal error"))
        template = "parts/refusal.html" if page.is_part else "refusal.html"
        answer = page.render(template, status=status, title=title, detail=detail)
        answer.headers.update(headers or {})
        return guarded(answer)

    def http(request: AnyRequest, error: HTTPException) -> Response[Any]:
        if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return fault(request, error)
        return shown(request, error.status_code, error.detail, error.headers)

    def said(request: AnyRequest, error: LiushuiError) -> Response[Any]:
        if isinstance(error, LedgerBusy):
            return shown(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"retry-after": str(BUSY_S)})
        return shown(request, HTTPStatus.CONFLICT, str(error))

    def fault(request: AnyRequest, error: Exception) -> Response[Any]:
        _log.error("no answer to %s %s", request.method, request.scope["path"], exc_info=error)
        detail = web.page(request).say("See the server's log for what happened.")
        return shown(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)

    return {HTTPException: http, LiushuiError: said, Exception: fault}
