"""Errors as pages for readers, and as problem details for programs."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from litestar import get
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ExceptionHandlersMap

from liushui.errors import LedgerBusy, LiushuiError
from liushui.server.web.guard import OPEN, add_security_headers
from liushui.server.web.page import AnyRequest, Page, provide_page

_log = logging.getLogger(__name__)

BUSY_RETRY_S: Final = 5
PROBLEM_JSON: Final = "application/problem+json"


@get("/{rest:path}", sync_to_thread=False, opt={OPEN: True})
def no_page(rest: FromPath[str]) -> None:
    """Any address that no other handler has."""
    raise NotFoundException(f"nothing is served at {rest}")


def handlers() -> ExceptionHandlersMap:
    """The answer to each class of error that a handler of the page raises."""
    return {HTTPException: _http_error, LedgerBusy: _busy, LiushuiError: _expected_error, Exception: _internal_error}


def _http_error(request: AnyRequest, error: HTTPException) -> Response[Any]:
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _internal_error(request, error)
    return _error_page(request, error.status_code, error.detail, error.headers)


def _busy(request: AnyRequest, error: LedgerBusy) -> Response[Any]:
    headers = {"retry-after": str(BUSY_RETRY_S)}
    return _error_page(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers)


def _expected_error(request: AnyRequest, error: LiushuiError) -> Response[Any]:
    return _error_page(request, HTTPStatus.CONFLICT, str(error))


def _internal_error(request: AnyRequest, error: Exception) -> Response[Any]:
    # The log must not have the query or the form: they may hold secrets.
    _log.error("no answer to %s %s", request.method, request.scope["path"], exc_info=error)
    detail = provide_page(request).say("See the server's log for what happened.")
    return _error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def _error_page(
    request: AnyRequest, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response[Any]:
    page = provide_page(request)
    if "text/html" not in request.headers.get("accept", "") and not page.is_part:
        problem = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
        answer: Response[Any] = Response(problem, status_code=status, media_type=PROBLEM_JSON)
    else:
        template = "parts/refusal.html" if page.is_part else "refusal.html"
        answer = page.render(template, status=status, title=_title(page, status), detail=detail)
    answer.headers.update(headers or {})
    return add_security_headers(answer)


def _title(page: Page, status: int) -> str:
    titles = {
        403: page.say("Not allowed"),
        404: page.say("Page not found"),
        405: page.say("This request is not supported"),
        503: page.say("The ledger is busy"),
    }
    return titles.get(status) or (page.say("That did not work") if status < 500 else page.say("Internal error"))
