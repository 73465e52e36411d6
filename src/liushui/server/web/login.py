"""Logging in: as a user, by the link that is printed at start, by password or by token. Logging out, and settings.

`oidc` has the login through an identity provider.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final

from litestar import get, post
from litestar.response import Response

from liushui.errors import PermissionDenied
from liushui.instant import is_zone
from liushui.ledger.access.audit import Face, begin_action
from liushui.ledger.access.identities import OIDC, provider_title
from liushui.ledger.access.saved_views import ACCOUNT_ZONE
from liushui.ledger.access.sessions import PasswordMatch, has_password, redeem_login_code, verify_password
from liushui.ledger.access.tokens import find_token
from liushui.ledger.access.users import check_login, has_users
from liushui.rules import Rate
from liushui.server.audit import DONE, LOGIN, OWNER, REFUSED
from liushui.server.rsgi_app import IS_HEAD
from liushui.server.web.guard import OPEN
from liushui.server.web.i18n import TAGS
from liushui.server.web.page import (
    LANGUAGE_COOKIE,
    RISE_COOKIE,
    RISES,
    THEME_COOKIE,
    THEMES,
    ZONE_COOKIE,
    CurrentPage,
    Page,
    own_address,
    redirect,
)
from liushui.server.web.sessions import make_cookie
from liushui.services.access import USER_PREFIX, opens_page

ATTEMPTS_PER_ADDRESS: Final = Rate(calls=10, per=timedelta(minutes=1))
ATTEMPTS: Final = Rate(calls=60, per=timedelta(minutes=1))
"""Counted over all addresses, because an attacker may have many."""


@get("/login", sync_to_thread=True, opt={OPEN: True})
def show_login(page: CurrentPage) -> Response[str]:
    """The form; with a code in the address, the login itself."""
    query = page.request.query_params
    code, next_address = query.get("code"), own_address(query.get("next", "/"))
    if code is None or page.request.scope.get(IS_HEAD):  # a program that looks at a link must not use it up
        return redirect(next_address) if page.is_logged_in else login_form(page, next_address)
    if not may_attempt(page):
        return too_many_attempts(page, next_address)
    if redeem_login_code(page.ledger, code):
        return begin_login(page, "link", next_address)
    if page.is_logged_in:  # the same link again, in the browser that it logged in
        return redirect(next_address)
    enter_login(page, OWNER, REFUSED)
    error = page.say("This link has already been used or has expired.")
    return login_form(page, next_address, error=error, status=403)


@post("/login", sync_to_thread=True, opt={OPEN: True})
def log_in(page: CurrentPage) -> Response[str]:
    """Log in as a user with a password; without a user's name with the owner's password, or a token."""
    secret, name = page.form.get("secret", ""), page.form.get("user", "").strip()
    if not may_attempt(page):
        return too_many_attempts(page, page.next)
    if name:
        known = check_login(page.ledger, name, secret)
        if known is not None:
            user, match = known
            with suppress(PermissionDenied):
                return begin_login(page, "user", page.next, user.token, who=f"{USER_PREFIX}{user.name}", match=match)
        enter_login(page, f"{USER_PREFIX}{name}", REFUSED)
        error = page.say("Wrong user name or password.")
        return login_form(page, page.next, error=error, status=403, name=name)
    owner_match = verify_password(page.ledger, secret)
    if owner_match is not None:
        with suppress(PermissionDenied):
            return begin_login(page, "password", page.next, match=owner_match)
    token = find_token(page.ledger, secret.strip())
    if token is not None and opens_page(token):
        return begin_login(page, "token", page.next, token.id, who=f"token {token.id}")
    enter_login(page, OWNER, REFUSED)
    error = page.say("Wrong password or token.")
    if token is not None:
        error = page.say("This token is not enough: the page needs one that may read and manage all accounts.")
    return login_form(page, page.next, error=error, status=403)


@post("/logout", sync_to_thread=True, opt={OPEN: True})
def log_out(page: CurrentPage) -> Response[str]:
    """End the session."""
    session = page.session
    cookies = [page.web.sessions.end(session, secure=page.is_secure)] if session else []
    # The browser is still logged in at the provider. A form must not redirect there, because browsers refuse such
    # redirects.
    is_at_provider = session is not None and session.session.method == OIDC
    return redirect(f"/login?left={OIDC}" if is_at_provider else "/login", cookies)


def begin_login(
    page: Page,
    method: str,
    next_address: str,
    token: str | None = None,
    *,
    who: str = OWNER,
    match: PasswordMatch | None = None,
) -> Response[str]:
    """Begin a session, and enter the login in the audit log. Raises PermissionDenied as `begin_session` does."""
    agent = page.request.headers.get("user-agent", "")
    cookie = page.web.sessions.begin(method, agent=agent, secure=page.is_secure, token=token, match=match)
    enter_login(page, who, DONE)
    return redirect(next_address, [cookie])


def enter_login(page: Page, who: str, outcome: str) -> None:
    """Enter a login in the audit log, with the address that it came from."""
    client = page.request.client
    address = client.host if client else ""
    begin_action(page.ledger, who=who, through=Face.PAGE, action=LOGIN, subject=address, outcome=outcome)


def may_attempt(page: Page) -> bool:
    """Whether the client may try to log in now. Counts the attempt."""
    client = page.request.client
    limits = page.app_context.limits
    return (
        limits.admit(f"login {client.host if client else ''}", ATTEMPTS_PER_ADDRESS).admitted
        and limits.admit("login", ATTEMPTS).admitted
    )


def login_form(page: Page, next_address: str, *, error: str = "", status: int = 200, name: str = "") -> Response[str]:
    """The form with all available ways to log in."""
    return page.render(
        "login.html",
        status=status,
        then=next_address,
        wrong=error,
        has_password=has_password(page.ledger),
        has_users=has_users(page.ledger),
        provider=provider_title(page.ledger),
        left_provider=page.request.query_params.get("left") == OIDC,
        name=name,
    )


def too_many_attempts(page: Page, next_address: str) -> Response[str]:
    """The form, for a client that has tried too often."""
    error = page.say("Too many attempts. Wait a minute and try again.")
    answer = login_form(page, next_address, error=error, status=429)
    answer.headers["retry-after"] = "60"
    return answer


# ---------------------------------------------------------------- display settings

# Kept in cookies: language, theme, the colour of money that comes in, the zone of times.


YEAR_S: Final = 365 * 86_400

SETTINGS: Final[Mapping[str, tuple[str, Callable[[str], bool]]]] = {
    "language": (LANGUAGE_COOKIE, TAGS.__contains__),
    "theme": (THEME_COOKIE, THEMES.__contains__),
    "rise": (RISE_COOKIE, RISES.__contains__),
    "zone": (ZONE_COOKIE, lambda zone: zone == ACCOUNT_ZONE or is_zone(zone)),
}
"""The cookie of each form field, and a check whether a value is valid."""


@post("/preferences", sync_to_thread=False, opt={OPEN: True})
def set_preferences(page: CurrentPage) -> Response[str]:
    """Store the settings that were sent."""
    cookies = [
        make_cookie(cookie, page.form[field], age_s=YEAR_S, secure=page.is_secure)
        for field, (cookie, is_value) in SETTINGS.items()
        if field in page.form and is_value(page.form[field])
    ]
    return redirect(page.next, cookies)
