"""The context of API and page handlers: the application, and the principal of a request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, TypeAlias

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from liushui.errors import short_repr
from liushui.formats import load_formats
from liushui.ledger.access.tokens import Scope, find_token, should_store_use
from liushui.ledger.engine import Ledger
from liushui.ledger.read.model import ReadModel
from liushui.provider import Provider, RateLimiter
from liushui.services.access import LOOPBACK, Principal, bearer, host_of, is_loopback

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
"""A request, as guards receive it."""

SessionLookup: TypeAlias = Callable[[Connection], Principal | None]
"""Returns the principal of the request's browser session. None: it has no session."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

CHALLENGE: Final[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="liushui"'}
_BEARER: Final = "bearer "


def no_session(_connection: Connection) -> Principal | None:
    """The lookup of a server without pages."""
    return None


@dataclass(frozen=True)
class AppContext:
    """The application context of one server."""

    ledger: Ledger
    providers: Mapping[str, Provider]
    """The installed providers by name."""
    url: str
    """The base URL of the providers' APIs for clients: the public address, if there is one."""
    socket_url: str
    limits: RateLimiter
    """Counts calls over all processes that serve the ledger."""
    sessions: SessionLookup = no_session
    listening_url: str = ""
    """The address on which the server listens, if it differs from `url`."""

    @cached_property
    def read_model(self) -> ReadModel:
        """Answers every question about the ledger."""
        rules = {name: format_.rules for name, format_ in load_formats().items()}
        rules |= {name: provider.rules for name, provider in self.providers.items()}
        return ReadModel(self.ledger, rules)

    def check_host(self, connection: Connection) -> None:
        """Raise PermissionDeniedException for another host's name, if the server is for this machine only.

        Against DNS rebinding: a foreign name that resolves to this machine must not get access.
        """
        host = host_of(f"//{connection.headers.get('host', '')}")
        own = LOOPBACK | {host_of(self.url)}
        if is_loopback(self.listening_url or self.url) and host not in own:
            expected = " or ".join(sorted(own))
            raise PermissionDeniedException(f"host: expected {expected}, got {short_repr(host)}")

    def authenticate(self, connection: Connection) -> Principal | None:
        """Return the principal of a request: by its token, or else by its session. None: unknown."""
        header = connection.headers.get("authorization", "")
        if header[: len(_BEARER)].lower() != _BEARER:
            return self.sessions(connection)
        token = find_token(self.ledger, header[len(_BEARER) :].strip())
        if token is None:
            return None
        is_stale = should_store_use(token, self.ledger.clock())
        return replace(bearer(f"token {token.id}", token), touches_token=is_stale)


NO_NUL: Final = "text without the character U+0000"
"""Expected of every text of a request: PostgreSQL stores no other, and no text of a ledger has the character."""


def find_nul(connection: Connection) -> tuple[str, str] | None:
    """The first parameter of the path or the query that has U+0000, and its value."""
    given = [*connection.path_params.items(), *connection.query_params.multi_items()]
    return next(((name, str(value)) for name, value in given if "\0" in f"{name}{value}"), None)


UNCOMPRESSED: Final = "uncompressed"
"""The key in a handler's `opt` that keeps its answers from being compressed."""

PRINCIPAL: Final = "liushui_principal"
"""Key of a request's principal in the request's state. The first guard stores it."""


def principal_of(connection: Connection) -> Principal:
    """The principal of a request that has passed the first guard."""
    principal = connection.scope["state"].get(PRINCIPAL)
    if not isinstance(principal, Principal):
        raise NotAuthorizedException("expected a token: Authorization: Bearer lsk_…", headers=dict(CHALLENGE))
    return principal


def require_scope(scope: Scope) -> Callable[[Connection, BaseRouteHandler], None]:
    """A guard that refuses principals without a scope. The handler checks which accounts they may see."""

    def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        scopes = principal_of(connection).scopes
        if scope not in scopes:
            yours = ", ".join(sorted(scopes)) or "none"
            raise PermissionDeniedException(f"this needs the scope {scope}; yours: {yours}")

    return guard
