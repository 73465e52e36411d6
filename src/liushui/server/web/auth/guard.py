"""Who may come in: requests for this host, from this site's own pages, of somebody who has logged in."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from litestar.enums import MediaType
from litestar.exceptions import ClientException, NotAuthorizedException, PermissionDeniedException
from litestar.response import Response

from liushui.errors import short_repr
from liushui.server.context import AppContext
from liushui.server.exposure import LOOPBACK, host_of, is_loopback
from liushui.server.web.auth.sessions import COOKIE, CSRF_FIELD, CSRF_HEADER, SAFE, BrowserSessions, verify_csrf
from liushui.server.web.page import AnyRequest

FORM_TYPE: Final = "application/x-www-form-urlencoded"
BODY_MAX: Final = 256 * 1024

OPEN: Final = "open"
"""Marks handlers, in their `opt`, for which nobody has to log in."""


class AuthGuard:
    """Looks at every request of the page before it is answered."""

    def __init__(self, app_context: AppContext, sessions: BrowserSessions) -> None:
        self._sessions = sessions
        self._hosts = LOOPBACK if is_loopback(app_context.url) else None

    async def admit(self, request: AnyRequest) -> Response[Any] | None:
        """None where the request may be answered; else the way to the login.

        What the handler needs is in the request's state: `session`, `csrf`, `form`. Raises HTTPException where a
        request is for another host, was sent by another site's page, or brings no token of its session.
        """
        self._check_host(request)
        if request.route_handler.opt.get("static"):
            return None
        session = await asyncio.to_thread(self._sessions.of, request.cookies.get(COOKIE))
        request.state["session"], request.state["csrf"] = session, session.csrf if session else ""
        if request.method not in SAFE:
            check_origin(request.headers, request.headers.get("host", ""))
            form = request.state["form"] = await _form_of(request)
            given = request.headers.get(CSRF_HEADER) or form.get(CSRF_FIELD, [None])[-1]
            if session is not None and not verify_csrf(session, given):
                raise PermissionDeniedException("csrf_token: expected the one of this session: load the page again")
        if session is None and not request.route_handler.opt.get(OPEN):
            return _to_login(request)
        return None

    def _check_host(self, request: AnyRequest) -> None:
        """A page of elsewhere whose name was made to lead here must not be taken for one of ours."""
        host = host_of(f"//{request.headers.get('host', '')}")
        if self._hosts is not None and host not in self._hosts:
            raise PermissionDeniedException(
                f"host: expected {' or '.join(sorted(self._hosts))}, got {short_repr(host)}"
            )


def check_origin(headers: Mapping[str, str], host: str) -> None:
    """Raise where a request that changes something was not sent by a page of this host: browsers say whose it is."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
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
    address = "/login" if request.method not in SAFE or here == "/" else f"/login?next={quote(here, safe='/')}"
    if request.headers.get("hx-request") == "true":
        return Response("", status_code=401, headers={"hx-redirect": "/login"}, media_type=MediaType.TEXT)
    return Response("", status_code=303, headers={"location": address}, media_type=MediaType.TEXT)


async def _form_of(request: AnyRequest) -> dict[str, list[str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > BODY_MAX:
        raise ClientException(f"the form is larger than {BODY_MAX} bytes", status_code=413)
    if length == "0":
        return {}
    if kind != FORM_TYPE:
        raise ClientException(f"content-type: expected {FORM_TYPE}, got {short_repr(kind)}", status_code=415)
    form = await request.form()
    return {name: [str(value) for value in form.getall(name)] for name in form}


POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing from elsewhere, and nothing that stands in the page itself: no inline script, no inline style."""

HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def guarded(response: Response[Any]) -> Response[Any]:
    """The answer, with those headers. What belongs to one reader is kept by nobody, unless it says otherwise."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("cache-control", "no-store")
    return response
