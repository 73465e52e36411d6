"""Coming in: by the link that is printed at start, by password, or by a token of the API. And going out."""

from datetime import timedelta
from typing import Final

from litestar import get, post
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.ledger.access.sessions import has_password, redeem_login_code, verify_password
from liushui.ledger.access.tokens import find_token
from liushui.rules import Rate
from liushui.server.exposure import is_full
from liushui.server.web.auth.guard import OPEN
from liushui.server.web.auth.sessions import BrowserSessions
from liushui.server.web.page import AnyRequest, Page, Web, own_address, redirect

TRIES: Final = Rate(calls=10, per=timedelta(minutes=1))
"""How often one address may try to come in."""
TRIES_OF_ALL: Final = Rate(calls=60, per=timedelta(minutes=1))
"""How often all of them together may."""


def routes(web: Web, sessions: BrowserSessions) -> list[ControllerRouterHandler]:
    """The login page, and the way out."""
    app_context = web.app_context

    def let_in(page: Page, how: str, then: str, token: str | None = None) -> Response[str]:
        agent = page.request.headers.get("user-agent", "")
        return redirect(then, [sessions.begin(how, agent=agent, secure=page.is_secure, token=token)])

    def may_try(page: Page) -> bool:
        client = page.request.client
        address = client.host if client else ""
        return (
            app_context.limits.admit(f"login {address}", TRIES).admitted
            and app_context.limits.admit("login", TRIES_OF_ALL).admitted
        )

    def shown(page: Page, then: str, *, wrong: str = "", status: int = 200) -> Response[str]:
        has = has_password(app_context.ledger)
        return page.render("login.html", status=status, then=then, wrong=wrong, has_password=has)

    def too_many(page: Page, then: str) -> Response[str]:
        answer = shown(page, then, wrong=page.say("Too many attempts. Wait a minute and try again."), status=429)
        answer.headers["retry-after"] = "60"
        return answer

    @get("/login", sync_to_thread=True, opt={OPEN: True})
    def login(request: AnyRequest) -> Response[str]:
        page, code = web.page(request), request.query_params.get("code")
        then = own_address(request.query_params.get("next", "/"))
        if code is None:
            return redirect(then) if page.is_logged_in else shown(page, then)
        if not may_try(page):
            return too_many(page, then)
        if redeem_login_code(app_context.ledger, code):
            return let_in(page, "link", then)
        if page.is_logged_in:  # the same link once more, in a browser that it let in
            return redirect(then)
        return shown(page, then, wrong=page.say("This link has already been used or has expired."), status=403)

    @post("/login", sync_to_thread=True, opt={OPEN: True})
    def enter(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        given = page.form.get("secret", "")
        if not may_try(page):
            return too_many(page, page.next)
        if verify_password(app_context.ledger, given):
            return let_in(page, "password", page.next)
        token = find_token(app_context.ledger, given.strip())
        if token is not None and is_full(token):
            return let_in(page, "token", page.next, token.id)
        wrong = page.say("Wrong password or token.")
        if token is not None:
            wrong = page.say("This token is not enough: the page needs one that may read and manage all accounts.")
        return shown(page, page.next, wrong=wrong, status=403)

    @post("/logout", sync_to_thread=True, opt={OPEN: True})
    def leave(request: AnyRequest) -> Response[str]:
        page = web.page(request)
        session = page.session
        return redirect("/login", [sessions.end(session, secure=page.is_secure)] if session else [])

    return [login, enter, leave]
