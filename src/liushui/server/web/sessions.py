"""A browser's session over HTTP: a signed cookie, and the CSRF token that its changes must carry."""

import hmac
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final, NamedTuple

from litestar.datastructures import Cookie

from liushui.ledger.access.sessions import (
    SESSION_LIFETIME,
    PasswordMatch,
    Session,
    begin_session,
    end_session,
    find_session,
)
from liushui.ledger.access.tokens import list_tokens
from liushui.ledger.access.users import find_user_of
from liushui.ledger.access.vault import shared_secret
from liushui.ledger.engine import Ledger
from liushui.server.context import SAFE_METHODS, Connection
from liushui.services.access import Principal, bearer, is_valid, owner, user_principal

PAGE: Final = "page"
"""The name of the principal of a session that began with a link or the password."""

COOKIE: Final = "liushui_session"
CSRF_HEADER: Final = "x-csrf-token"
CSRF_FIELD: Final = "csrf_token"
AGENT_MAX: Final = 200
_NAME_MAX: Final = 200


class BrowserSession(NamedTuple):
    """A session that is stored in the ledger, and the CSRF token of its requests."""

    session: Session
    csrf: str
    principal: Principal
    """Whom it acts for. A session that began with a token has at most the token's rights."""

    @property
    def id(self) -> str:
        """The id of the stored session."""
        return self.session.id


@dataclass(frozen=True)
class BrowserSessions:
    """The sessions of the page of one ledger."""

    ledger: Ledger

    def begin(
        self,
        method: str,
        *,
        agent: str,
        secure: bool,
        token: str | None = None,
        match: PasswordMatch | None = None,
    ) -> Cookie:
        """Begin a session. `method`: link, password, token, user or oidc. Returns the cookie that carries the session.

        `match`: the password that the login relied on. Raises PermissionDenied if it was changed meanwhile.
        """
        name = begin_session(self.ledger, method, agent=agent[:AGENT_MAX], token=token, match=match)
        value = f"{name}.{self._signature('session', name)}"
        return make_cookie(COOKIE, value, age_s=SESSION_LIFETIME.days * 86_400, secure=secure)

    def find(self, cookie: str | None) -> BrowserSession | None:
        """The session of a cookie. None: the cookie is forged, or its session has ended."""
        name, _, signature = (cookie or "").partition(".")
        # The signature is checked first; otherwise every forged cookie would cost a query.
        if not name or len(name) > _NAME_MAX or not _equal(signature, self._signature("session", name)):
            return None
        session = find_session(self.ledger, name)
        if session is None:
            return None
        principal = self._principal(session)
        return None if principal is None else BrowserSession(session, self._signature("csrf", name), principal)

    def end(self, session: BrowserSession, *, secure: bool) -> Cookie:
        """End a session. Returns the cookie that deletes the browser's."""
        end_session(self.ledger, session.id)
        return make_cookie(COOKIE, "", age_s=0, secure=secure)

    def principal(self, connection: Connection) -> Principal | None:
        """Return the principal of a request to the API by its session. None: nobody is logged in, or the CSRF token is
        wrong."""
        session = self.find(connection.cookies.get(COOKIE))
        if session is None:
            return None
        is_safe = connection.scope.get("method") in SAFE_METHODS
        # The browser sends the cookie with requests from any page; only our pages know the token.
        if not is_safe and not verify_csrf(session, connection.headers.get(CSRF_HEADER)):
            return None
        return session.principal

    def _principal(self, session: Session) -> Principal | None:
        """Return the principal of a session: the owner, a user, or its token. None: the token has ended."""
        if session.token is None:
            return owner(PAGE)
        found = find_user_of(self.ledger, session.token)
        if found is not None:
            return user_principal(*found)
        now = self.ledger.clock()
        valid = (one for one in list_tokens(self.ledger) if one.id == session.token and is_valid(one, now))
        token = next(valid, None)
        return None if token is None else bearer(f"token {token.id}", token)

    def _signature(self, purpose: str, name: str) -> str:
        return hmac.new(self._secret, f"{purpose}:{name}".encode(), sha256).hexdigest()

    @cached_property
    def _secret(self) -> bytes:
        return shared_secret(self.ledger, "page")


def verify_csrf(session: BrowserSession, token: str | None) -> bool:
    """Whether a request carries the CSRF token of its session."""
    return token is not None and _equal(token, session.csrf)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def make_cookie(name: str, value: str, *, age_s: int, secure: bool) -> Cookie:
    """A cookie that scripts cannot read and other sites' requests do not carry. An age of 0 deletes it."""
    return Cookie(name, value=value, max_age=age_s, secure=secure, httponly=True, samesite="lax")
