"""What every call of the API passes first: who asks is known, and has calls left."""

import asyncio
from collections.abc import Awaitable, Callable
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
from liushui.server.api.errors import HEADERS, ProblemError
from liushui.server.context import CHALLENGE, PRINCIPAL, AppContext, Connection
from liushui.services.access import Principal

WINDOW: Final = timedelta(minutes=1)
_WINDOW_S: Final = str(WINDOW // timedelta(seconds=1))

OPEN: Final = "open"
"""Of a route: whoever asks is answered, known or not."""


def authenticate(app_context: AppContext) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """The first guard of all routes."""
    notes: set[asyncio.Task[None]] = set()

    def look(connection: Connection) -> tuple[Principal, RateCheck] | None:
        principal = app_context.authenticate(connection)
        if principal is None:
            return None
        return principal, app_context.limits.admit(f"api:{principal.name}", Rate(principal.calls_per_minute, WINDOW))

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        if handler.opt.get(OPEN):
            return
        found = await asyncio.to_thread(look, connection)
        if found is None:
            detail = "expected a valid token: Authorization: Bearer lsk_…"
            raise NotAuthorizedException(detail, headers=dict(CHALLENGE))
        principal, tally = found
        left = principal.calls_per_minute - tally.used
        headers = {
            "RateLimit-Limit": str(principal.calls_per_minute),
            "RateLimit-Remaining": str(max(0, left)),
            "RateLimit-Reset": _WINDOW_S,
        }
        connection.scope["state"][HEADERS] = headers
        connection.scope["state"][PRINCIPAL] = principal
        if not tally.admitted:
            said = f"expected at most {principal.calls_per_minute} calls a minute"
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, said, headers={"Retry-After": _WINDOW_S})
        if principal.token_to_touch is not None and not notes:
            note = asyncio.create_task(asyncio.to_thread(_note, app_context, principal.token_to_touch))
            notes.add(note)  # one at a time, and nobody waits for it: another process may be writing for long
            note.add_done_callback(notes.discard)

    return guard


def _note(app_context: AppContext, token: str) -> None:
    with suppress(LedgerError):  # it is kept with a later call
        store_use(app_context.ledger, token)
