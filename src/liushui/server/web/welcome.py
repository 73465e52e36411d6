"""The first steps in an empty ledger: add flows, and set up a login."""

import shlex

from litestar import get, post
from litestar.exceptions import PermissionDeniedException
from litestar.response import Response

from liushui.ledger.access.sessions import PASSWORD_MAX, PASSWORD_MIN, has_password, set_password
from liushui.ledger.access.tokens import Scope
from liushui.ledger.access.users import has_users
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import OWNER, CurrentPage, Page, redirect
from liushui.services.accounts import has_accounts


@get("/welcome", sync_to_thread=True, opt={NEEDS: Scope.MANAGE})
def show_first_steps(page: CurrentPage) -> Response[str]:
    """Show the steps, and which of them are done."""
    return _first_steps(page, {})


@post("/welcome/password", sync_to_thread=True, opt={NEEDS: OWNER})
def set_first_password(page: CurrentPage) -> Response[str]:
    """Set the page's password if it has none. This browser stays logged in."""
    if not _may_set_password(page):
        raise PermissionDeniedException(
            page.say("A password outlives a token, so a login with a token cannot set one.")
        )
    form = Form(page)
    # Read as it was typed: spaces are part of a password.
    password, again = page.form.get("password", ""), page.form.get("again", "")
    if has_password(page.ledger):
        form.wrong("password", page.say("There is a password already. `liushui password set` changes it."))
    elif not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        form.wrong("password", page.say("Use %(least)s to %(most)s characters.", least=PASSWORD_MIN, most=PASSWORD_MAX))
    elif password != again:
        form.wrong("again", page.say("This differs from the first."))
    if form.is_wrong:
        return _first_steps(page, form.errors)
    set_password(page.ledger, password)
    agent = page.request.headers.get("user-agent", "")
    return redirect("/welcome", [page.web.sessions.begin("password", agent=agent, secure=page.is_secure)])


def _first_steps(page: Page, errors: dict[str, str]) -> Response[str]:
    return page.render(
        "welcome/index.html",
        status=422 if errors else 200,
        providers=list(page.providers.values()),
        ledger=shlex.quote(page.ledger.name),
        has_accounts=has_accounts(page.ledger),
        has_password=has_password(page.ledger),
        has_users=has_users(page.ledger),
        password_min=PASSWORD_MIN,
        may_set_password=_may_set_password(page),
        errors=errors,
    )


def _may_set_password(page: Page) -> bool:
    """Rights never grow: a session that began with a token ends with the token, and so must everything that it
    creates."""
    return page.principal.token is None
