"""Logging in to the page through an OpenID Connect provider, and logging out there.

The browser stores the started login in an encrypted cookie, so any worker process can finish it.
"""

import base64
import logging
from typing import Final

import msgspec
from litestar import get
from litestar.response import Response

from liushui.ledger.access.audit import Face, begin_action
from liushui.ledger.access.identities import (
    OIDC,
    IdentityProvider,
    LoginRefused,
    Refusal,
    find_identity_provider,
    log_in_person,
)
from liushui.ledger.access.vault import shared_secret
from liushui.ledger.engine import Ledger
from liushui.server.audit import DONE, REFUSED
from liushui.server.oidc import CALLBACK_PATH, Attempt, Failure, OidcError
from liushui.server.web.guard import OPEN
from liushui.server.web.login import begin_login, enter_login, login_form, may_attempt, too_many_attempts
from liushui.server.web.page import CurrentPage, Page, own_address, redirect
from liushui.server.web.sessions import make_cookie
from liushui.services.access import USER_PREFIX

COOKIE: Final = "liushui_oidc"
ATTEMPT_LIFETIME_S: Final = 600
"""How long a person may take to log in at the provider."""

_log = logging.getLogger(__name__)


@get("/login/oidc", sync_to_thread=True, opt={OPEN: True})
def begin_oidc_login(page: CurrentPage) -> Response[str]:
    """Send the browser to the provider."""
    next_address = own_address(page.request.query_params.get("next", "/"))
    if not may_attempt(page):
        return too_many_attempts(page, next_address)
    provider = find_identity_provider(page.ledger)
    if provider is None:
        return redirect("/login")
    try:
        address, attempt = page.web.oidc.begin(provider, _redirect_uri(page), next_address)
    except OidcError as error:
        return _failed(page, provider, error, next_address)
    cookie = make_cookie(COOKIE, _sealed(page.ledger, attempt), age_s=ATTEMPT_LIFETIME_S, secure=page.is_secure)
    return redirect(address, [cookie])


@get(CALLBACK_PATH, sync_to_thread=True, opt={OPEN: True})
def finish_oidc_login(page: CurrentPage) -> Response[str]:
    """Log in the person whom the provider sends back."""
    if not may_attempt(page):
        return too_many_attempts(page, "/")
    provider = find_identity_provider(page.ledger)
    if provider is None:
        return redirect("/login")
    attempt = _opened(page.ledger, page.request.cookies.get(COOKIE, ""))
    if attempt is None:
        error = page.say("This login has expired, or it was begun in another browser. Try again.")
        return login_form(page, "/", error=error, status=403)
    next_address = own_address(attempt.next)
    try:
        person = page.web.oidc.finish(provider, _redirect_uri(page), attempt, page.request.query_params)
        user, is_new = log_in_person(page.ledger, provider, person)
    except OidcError as error:
        answer = _failed(page, provider, error, next_address)
    except LoginRefused as error:
        _log.warning("%s", error)
        enter_login(page, OIDC, REFUSED)
        answer = login_form(page, next_address, error=_refusal_text(page, provider, error.refusal), status=403)
    else:
        who = f"{USER_PREFIX}{user.name}"
        if is_new:
            begin_action(page.ledger, who=OIDC, through=Face.PAGE, action="user add", subject=user.name, outcome=DONE)
        answer = begin_login(page, OIDC, next_address, user.token, who=who)
    answer.cookies.append(make_cookie(COOKIE, "", age_s=0, secure=page.is_secure))
    return answer


@get("/login/oidc/logout", sync_to_thread=True, opt={OPEN: True})
def log_out_at_provider(page: CurrentPage) -> Response[str]:
    """Redirect the browser to the address where it ends its session at the provider."""
    provider = find_identity_provider(page.ledger)
    if provider is None or not may_attempt(page):
        return redirect("/login")
    try:
        address = page.web.oidc.logout_address(provider, f"{page.app_context.url}/login")
    except OidcError as error:
        return _failed(page, provider, error, "/")
    return redirect(address or "/login")


def _redirect_uri(page: Page) -> str:
    """Return the address to which the provider redirects browsers: the server's own, independent of the request's
    host."""
    return f"{page.app_context.url}{CALLBACK_PATH}"


# ---------------------------------------------------------------- a login that has begun


def _sealed(ledger: Ledger, attempt: Attempt) -> str:
    from cryptography.fernet import Fernet

    at_s = int(ledger.clock().timestamp())
    return Fernet(_key(ledger)).encrypt_at_time(msgspec.json.encode(attempt), at_s).decode()


def _opened(ledger: Ledger, cookie: str) -> Attempt | None:
    """Return the login in a cookie. None: the cookie is forged or too old."""
    from cryptography.fernet import Fernet, InvalidToken

    at_s = int(ledger.clock().timestamp())
    try:
        content = Fernet(_key(ledger)).decrypt_at_time(cookie.encode(), ATTEMPT_LIFETIME_S, at_s)
    except InvalidToken:
        return None
    return msgspec.json.decode(content, type=Attempt)


def _key(ledger: Ledger) -> bytes:
    return base64.urlsafe_b64encode(shared_secret(ledger, "oidc"))


# ---------------------------------------------------------------- errors


def _failed(page: Page, provider: IdentityProvider, error: OidcError, next_address: str) -> Response[str]:
    """Return the login page with advice on a failure. Only the log has the details."""
    _log.warning("%s", error)
    enter_login(page, OIDC, REFUSED)
    status = 502 if error.failure is Failure.UNREACHABLE else 403
    return login_form(page, next_address, error=_failure_text(page, provider, error.failure), status=status)


def _failure_text(page: Page, provider: IdentityProvider, failure: Failure) -> str:
    values = {"provider": provider.title}
    match failure:
        case Failure.UNREACHABLE:
            text = page.say("%(provider)s does not answer as it should. Try again later.", **values)
        case Failure.DENIED:
            text = page.say("%(provider)s did not let you log in.", **values)
        case Failure.CLOCK:
            text = page.say("The clocks of this server and of %(provider)s differ too much.", **values)
        case Failure.INVALID:
            text = page.say("The answer of %(provider)s is not valid for this login. Try again.", **values)
    more = page.say("See the server's log for what happened.")
    return f"{text} {more}"


def _refusal_text(page: Page, provider: IdentityProvider, refusal: Refusal) -> str:
    values = {"provider": provider.title}
    match refusal:
        case Refusal.UNKNOWN:
            return page.say("Nobody has added you as a user. Ask an owner.")
        case Refusal.UNVERIFIED:
            return page.say("%(provider)s has not verified your e-mail address.", **values)
        case Refusal.OTHER_SUBJECT:
            return page.say("Your e-mail address is that of a user who has another identity. Ask an owner.")
        case Refusal.NO_ROLE:
            return page.say("%(provider)s gives you no role any more. Ask an owner.", **values)
        case Refusal.NAME_TAKEN:
            return page.say("Another user has your name already. Ask an owner.")
        case Refusal.NO_ACCOUNTS:
            return page.say("No account is left that you may see. Ask an owner.")
