"""The first guard of every route of the API: who calls, and whether the caller has calls left."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler

from liushui.errors import LedgerError
from liushui.ledger.access.tokens import store_use
from liushui.provider import RateCheck
from liushui.rules import Rate
from liushui.server.api.context import APP_CONTEXT
from liushui.server.api.errors import HEADERS, ProblemError
from liushui.server.context import CHALLENGE, PRINCIPAL, AppContext, Connection
from liushui.services.access import Principal

WINDOW: Final = timedelta(minutes=1)
_WINDOW_S: Final = str(WINDOW // timedelta(seconds=1))

RATE_HEADERS: Final = {
    "RateLimit-Limit": "Calls a minute.",
    "RateLimit-Remaining": "How many of them are left.",
    "RateLimit-Reset": "Seconds until all of them are available again.",
}
"""The headers that every answer to a known caller has, and what they say."""

PENDING_USES: Final = "liushui_pending_uses"
"""The key in the application's state of the tasks that store the last use of a token.

There is at most one, so that they do not pile up while the ledger is busy.
"""


async def authenticate(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Find the principal of a request and count the call. Raises for an unknown caller, and for a call too many."""
    app_context: AppContext = connection.app.state[APP_CONTEXT]
    uses: set[asyncio.Task[None]] = connection.app.state[PENDING_USES]
    identified = await asyncio.to_thread(_identify, app_context, connection)
    if identified is None:
        detail = "expected a valid token: Authorization: Bearer lsk_…"
        raise NotAuthorizedException(detail, headers=dict(CHALLENGE))
    principal, check = identified
    limit = principal.calls_per_minute
    values = (str(limit), str(max(0, limit - check.used)), _WINDOW_S)
    connection.scope["state"][HEADERS] = dict(zip(RATE_HEADERS, values, strict=True))
    connection.scope["state"][PRINCIPAL] = principal
    if not check.admitted:
        detail = f"expected at most {limit} calls a minute"
        raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": _WINDOW_S})
    if principal.token_to_touch is not None and not uses:
        task = asyncio.create_task(asyncio.to_thread(_store_use, app_context, principal.token_to_touch))
        uses.add(task)  # not awaited: another process may hold the write lock for long
        task.add_done_callback(uses.discard)


def _identify(app_context: AppContext, connection: Connection) -> tuple[Principal, RateCheck] | None:
    principal = app_context.authenticate(connection)
    if principal is None:
        return None
    rate = Rate(principal.calls_per_minute, WINDOW)
    return principal, app_context.limits.admit(f"api:{principal.name}", rate)


def _store_use(app_context: AppContext, token_id: str) -> None:
    with suppress(LedgerError):  # a later call stores it
        store_use(app_context.ledger, token_id)
