"""Who asks, and what they may see and do: the same for a token of the API and for a browser that is logged in."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from liushui.ledger.access.tokens import Scope, find_token, should_store_use
from liushui.ledger.engine import Ledger
from liushui.services.access import Principal

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
"""A request, as guards see it."""

CHALLENGE: Final[Mapping[str, str]] = {"WWW-Authenticate": 'Bearer realm="liushui"'}
BEARER: Final = "bearer "


SessionLookup: TypeAlias = Callable[[Connection], Principal | None]
"""Says whose browser a request came from. None: nobody's who is logged in, or it may not be trusted to be theirs."""


def no_session(_connection: Connection) -> Principal | None:
    """Where browsers do not log in."""
    return None


def bearer_principal(ledger: Ledger, connection: Connection) -> Principal | None:
    """Whose token a request carries. None: it carries none that is valid."""
    said = connection.headers.get("authorization", "")
    token = find_token(ledger, said[len(BEARER) :].strip()) if said[: len(BEARER)].lower() == BEARER else None
    if token is None:
        return None
    due = token.id if should_store_use(token, ledger.clock()) else None
    return Principal(f"token {token.id}", token.accounts, token.scopes, token.calls_per_minute, due)


PRINCIPAL: Final = "liushui_principal"
"""Where a request keeps who made it, from the first guard on."""


def principal_of(connection: Connection) -> Principal:
    """Who makes a request that has passed the first guard."""
    found = connection.scope["state"].get(PRINCIPAL)
    if not isinstance(found, Principal):
        raise NotAuthorizedException("expected a token: Authorization: Bearer lsk_…", headers=dict(CHALLENGE))
    return found


def require_scope(scope: Scope) -> Callable[[Connection, BaseRouteHandler], None]:
    """A guard that lets those through who have the scope. Of which accounts, the handler sees to."""

    def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        check_scope(principal_of(connection), scope)

    return guard


def check_scope(principal: Principal, scope: Scope) -> None:
    """Raises PermissionDeniedException where somebody has not the scope."""
    if scope not in principal.scopes:
        has = ", ".join(sorted(principal.scopes)) or "none"
        raise PermissionDeniedException(f"this needs the scope {scope}; yours: {has}")
