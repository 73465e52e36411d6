"""The guard of every page (right host, same site, logged in), the headers of answers, and error pages."""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NoReturn
from urllib.parse import quote, urlsplit

from litestar import get
from litestar.datastructures import UploadFile
from litestar.enums import MediaType
from litestar.exceptions import (
    ClientException,
    HTTPException,
    NotAuthorizedException,
    NotFoundException,
    PermissionDeniedException,
)
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ExceptionHandlersMap

from liushui.errors import LedgerBusy, LiushuiError, short_repr
from liushui.ledger.access.audit import Face
from liushui.ledger.access.tokens import Scope
from liushui.server.audit import NOT_AUDITED, begin_audit
from liushui.server.context import NO_NUL, SAFE_METHODS, find_nul
from liushui.server.security_headers import SECURITY_HEADERS
from liushui.server.uploads import UPLOAD_MAX
from liushui.server.web.page import OWNER, AnyRequest, Page, provide_page, web_context_of
from liushui.server.web.sessions import (
    COOKIE,
    CSRF_FIELD,
    CSRF_HEADER,
    verify_csrf,
)
from liushui.services.access import Principal

FORM_TYPE: Final = "application/x-www-form-urlencoded"
BODY_MAX: Final = 256 * 1024
FORM_TIMEOUT_S: Final = 30
"""How long a form may take to arrive. Meanwhile its request counts as in progress."""
UPLOAD_TYPE: Final = "multipart/form-data"
UPLOAD_TIMEOUT_S: Final = 600
"""How long a form with a file may take to arrive."""
FIELDS_MAX: Final = 64 * 1024
"""The most bytes of a form without its file."""

OPEN: Final = "open"
"""Key in a handler's `opt` that opens it without a login."""

UPLOADS: Final = "uploads"
"""Key in a handler's `opt` that says that its form has a file. `file` in the request's state is that file, if any."""

NEEDS: Final = "needs"
"""Key in a handler's `opt` with the required scope, or OWNER. Without it, reading needs the scope to read, and changes
need the owner."""


async def guard_page(request: AnyRequest) -> Response[Any] | None:
    """Check a request before its handler: return None if it may be answered, else a redirect to the login.

    Puts `session`, `csrf` and `form` into the request's state. Raises HTTPException for a request to another host, from
    another site, or without the CSRF token of its session.
    """
    web = web_context_of(request)
    web.app_context.check_host(request)
    if request.route_handler.opt.get("static"):
        return None
    if (found := find_nul(request)) is not None:
        _refuse_nul(*found)
    cookie = request.cookies.get(COOKIE)
    session = None if cookie is None else await asyncio.to_thread(web.sessions.find, cookie)
    request.state["session"], request.state["csrf"] = session, session.csrf if session else ""
    if request.method not in SAFE_METHODS:
        check_origin(request.headers, request.headers.get("host", ""), web.app_context.url)
        if request.route_handler.opt.get(UPLOADS):  # readers who may not import store nothing here either
            if session is None:
                return _to_login(request)
            _check_rights(request, session.principal)
        form = request.state["form"] = await _read_form(request)
        token = request.headers.get(CSRF_HEADER) or form.get(CSRF_FIELD, [None])[-1]
        if session is not None and not verify_csrf(session, token):
            raise PermissionDeniedException("csrf_token: expected the one of this session: load the page again")
    if request.route_handler.opt.get(OPEN):
        return None
    if session is None:
        return _to_login(request)
    if request.method not in SAFE_METHODS and not request.route_handler.opt.get(NOT_AUDITED):
        await begin_audit(request.scope, web.app_context.ledger, session.principal, Face.PAGE)
    _check_rights(request, session.principal)
    return None


def _check_rights(request: AnyRequest, principal: Principal) -> None:
    """Raise PermissionDeniedException if the principal lacks the rights for the handler."""
    needed = request.route_handler.opt.get(NEEDS, Scope.READ if request.method in SAFE_METHODS else OWNER)
    if not principal.is_owner and needed not in principal.scopes:
        page = provide_page(request)
        raise PermissionDeniedException(_missing_right(page, needed, page.labels.role(principal.role)))


def _missing_right(page: Page, needed: str, role: str) -> str:
    """Return why the reader may not do what needs a scope, or the owner."""
    match needed:
        case Scope.READ:
            return page.say("this needs a role that may read; yours: %(role)s", role=role)
        case Scope.RECORD:
            return page.say("this needs a role that may decide and record; yours: %(role)s", role=role)
        case Scope.MANAGE:
            return page.say("this needs a role that may manage sources and keys; yours: %(role)s", role=role)
        case _:
            return page.say("this needs a role that may administer users; yours: %(role)s", role=role)


def check_origin(headers: Mapping[str, str], host: str, url: str) -> None:
    """Raise PermissionDeniedException if the browser says that another site's page sent the request.

    `url`: the server's address. A proxy may pass on another host than the browser's.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin == f"{urlsplit(url).scheme}://{urlsplit(url).netloc}":
        return
    if origin is not None:
        if not host or origin.partition("://")[2] != host:
            raise PermissionDeniedException(f"origin: expected this server's own, got {short_repr(origin)}")
    elif site not in ("same-origin", "none"):
        raise PermissionDeniedException("origin: expected this server's own, got none")


def _to_login(request: AnyRequest) -> Response[Any]:
    if request.url.path.startswith("/page/"):
        raise NotAuthorizedException("log in first")
    query = request.scope["query_string"].decode("latin-1")
    here = request.scope["path"] + (f"?{query}" if query else "")
    is_first_page = request.method not in SAFE_METHODS or here == "/"
    address = "/login" if is_first_page else f"/login?next={quote(here, safe='/')}"
    if request.headers.get("hx-request") == "true":  # htmx would put the redirect's page into a part of this page
        return Response("", status_code=401, headers={"hx-redirect": "/login"}, media_type=MediaType.TEXT)
    return Response("", status_code=303, headers={"location": address}, media_type=MediaType.TEXT)


def _refuse_nul(name: str, value: str) -> NoReturn:
    raise ClientException(
        f"{name if name.isprintable() else short_repr(name)}: expected {NO_NUL}, got {short_repr(value)}"
    )


async def _read_form(request: AnyRequest) -> dict[str, list[str]]:
    """The texts of a form. A file in the form goes into the request's state, as a temporary file."""
    takes_file = bool(request.route_handler.opt.get(UPLOADS))
    expected = UPLOAD_TYPE if takes_file else FORM_TYPE
    most = UPLOAD_MAX + FIELDS_MAX if takes_file else BODY_MAX
    timeout_s = UPLOAD_TIMEOUT_S if takes_file else FORM_TIMEOUT_S
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise ClientException(_too_large(request, takes_file=takes_file), status_code=413)
    if length == "0":
        return {}
    if kind != expected:
        raise ClientException(f"content-type: expected {expected}, got {short_repr(kind)}", status_code=415)
    try:
        async with asyncio.timeout(timeout_s):
            form = await request.form()
    except TimeoutError as error:
        raise ClientException(f"the form did not arrive within {timeout_s} s", status_code=408) from error
    texts: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            request.state["file"] = value
        else:
            if "\0" in f"{name}{value}":
                _refuse_nul(name, str(value))
            texts.setdefault(name, []).append(str(value))
    return texts


def _too_large(request: AnyRequest, *, takes_file: bool) -> str:
    if not takes_file:
        return f"the form is larger than {BODY_MAX} bytes"
    return provide_page(request).say(
        "The file is larger than %(most)s MiB. Import it with `liushui import`, or export fewer months.",
        most=UPLOAD_MAX // 1024**2,
    )


def add_security_headers(response: Response[Any]) -> Response[Any]:
    """Add the headers to an answer. It is not cached unless it says otherwise, because most answers are for one
    reader."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("cache-control", "no-store")
    return response


# ---------------------------------------------------------------- errors


_log = logging.getLogger(__name__)

BUSY_RETRY_S: Final = 5
PROBLEM_JSON: Final = "application/problem+json"


@get("/{rest:path}", sync_to_thread=False, opt={OPEN: True})
def no_page(rest: FromPath[str]) -> None:
    """Answer any address without a handler."""
    raise NotFoundException(f"nothing is served at {rest}")


def error_handlers() -> ExceptionHandlersMap:
    """The answer to each class of error of a handler: a page for readers, problem details for programs."""
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
    # The query and the form are not logged, because they may contain secrets.
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
