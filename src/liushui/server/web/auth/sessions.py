"""A browser's session over HTTP: a signed cookie, and the token that its changes must bring."""

import hmac
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final, NamedTuple

from litestar.datastructures import Cookie

from liushui.ledger.access.sessions import SESSION_LIFETIME, Session, begin_session, end_session, find_session
from liushui.ledger.access.tokens import Scope, list_tokens
from liushui.ledger.access.vault import shared_secret
from liushui.ledger.engine import Ledger
from liushui.server.auth import Connection
from liushui.services.access import Principal

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

COOKIE: Final = "liushui_session"
CSRF_HEADER: Final = "x-csrf-token"
CSRF_FIELD: Final = "csrf_token"
AGENT_MAX: Final = 200
_NAME_MAX: Final = 200


class BrowserSession(NamedTuple):
    """A request of a browser that has logged in."""

    session: Session
    csrf: str
    """What its requests that change something have to bring, as a header or a field."""


@dataclass(frozen=True)
class BrowserSessions:
    """The sessions of one ledger's page."""

    ledger: Ledger

    def begin(self, how: str, *, agent: str, secure: bool, token: str | None = None) -> Cookie:
        """Begin a session: the cookie that carries it."""
        name = begin_session(self.ledger, how, agent=agent[:AGENT_MAX], token=token)
        age_s = SESSION_LIFETIME.days * 86_400
        return cookie(COOKIE, f"{name}.{self._signed('session', name)}", age_s=age_s, secure=secure)

    def of(self, cookie_text: str | None) -> BrowserSession | None:
        """The session that a cookie stands for. None: it is not ours, or its session is over."""
        name, _, signature = (cookie_text or "").partition(".")
        if not name or len(name) > _NAME_MAX or not _equal(signature, self._signed("session", name)):
            return None
        session = find_session(self.ledger, name)
        if session is None or not self._is_let_in(session):
            return None
        return BrowserSession(session, self._signed("csrf", name))

    def end(self, session: BrowserSession, *, secure: bool) -> Cookie:
        """End a session: the cookie that takes the other's place."""
        end_session(self.ledger, session.session.id)
        return cookie(COOKIE, "", age_s=0, secure=secure)

    def principal(self, connection: Connection) -> Principal | None:
        """Who a request to the API is from, by its session: somebody who may do everything. One that changes something
        must bring the session's token as a header, or it may have been sent by any page."""
        session = self.of(connection.cookies.get(COOKIE))
        if session is None or (
            connection.scope.get("method") not in SAFE and not verify_csrf(session, connection.headers.get(CSRF_HEADER))
        ):
            return None
        return Principal("page", None, frozenset(Scope))

    def _is_let_in(self, session: Session) -> bool:
        """Whether what a session began with still lets it in: a token may be over."""
        if session.token is None:
            return True
        now = self.ledger.clock()
        return any(
            token.id == session.token
            and token.revoked_at is None
            and (token.expires_at is None or now < token.expires_at)
            for token in list_tokens(self.ledger)
        )

    def _signed(self, what: str, name: str) -> str:
        return hmac.new(self._secret, f"{what}:{name}".encode(), sha256).hexdigest()

    @cached_property
    def _secret(self) -> bytes:
        return shared_secret(self.ledger, "page")


def verify_csrf(session: BrowserSession, given: str | None) -> bool:
    """Whether a request that changes something was sent by a page of ours, shown in this session."""
    return given is not None and _equal(given, session.csrf)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def cookie(name: str, value: str, *, age_s: int, secure: bool) -> Cookie:
    """A cookie that no script may read and no other site sends. An age of 0 ends it."""
    return Cookie(name, value=value, max_age=age_s, secure=secure, httponly=True, samesite="lax")
