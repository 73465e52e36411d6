"""A request to the API: who calls and how often, the accounts that the caller may see, and answers with their ETag."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from litestar import MediaType, Request, Response
from litestar.di import NamedDependency
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation

from liushui.client.models import Model
from liushui.errors import LedgerError
from liushui.ledger.access.audit import Face
from liushui.ledger.access.tokens import store_use
from liushui.ledger.engine import Ledger
from liushui.ledger.read.accounts import read_heads
from liushui.ledger.read.cursors import EXPECTED, CursorError, bound_to_names, read_cursor, sign_cursor
from liushui.ledger.read.model import ReadModel
from liushui.provider import Provider, RateCheck
from liushui.rules import Rate
from liushui.server.api.errors import HEADERS, ProblemError, invalid_parameter, not_found
from liushui.server.audit import NOT_AUDITED, begin_audit
from liushui.server.context import (
    CHALLENGE,
    NO_NUL,
    PRINCIPAL,
    SAFE_METHODS,
    AppContext,
    Connection,
    find_nul,
    principal_of,
)
from liushui.services.access import Principal

FEED: Final = "feed"
"""The kind of query of the feed."""

T = TypeVar("T")

APP_CONTEXT: Final = "liushui_context"
"""The key of the AppContext in the application's state."""


@dataclass(frozen=True)
class RequestContext:
    """A request of a known principal."""

    request: Request[Any, Any, Any]
    app_context: AppContext
    principal: Principal

    @property
    def ledger(self) -> Ledger:
        """The ledger that is served."""
        return self.app_context.ledger

    @property
    def read_model(self) -> ReadModel:
        """Answers questions about the accounts that the caller may see."""
        return self.app_context.read_model.restricted_to(self.principal.accounts)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The installed providers by name."""
        return self.app_context.providers

    def accounts(self, named: Collection[str] = ()) -> tuple[str, ...]:
        """Return the named accounts; without names, all that the caller may see, perhaps none.

        Raises ProblemError for an account that does not exist, and with the same message for one that is not visible.
        """
        for name in named:
            if "\0" in name:  # no account has it in its name, and PostgreSQL refuses it in a question
                raise not_found("account", name)
        heads = read_heads(self.ledger, sorted(named) if named else None)
        visible = tuple(name for name in heads if self.principal.sees(name))
        for name in named:
            if name not in visible:
                raise not_found("account", name)
        return visible

    def query_name(self, kind: str, accounts: Collection[str], *parameters: object) -> str:
        """Return what cursors are bound to: the kind of query, its parameters, the accounts that the caller may see,
        and their names."""
        visible = None if self.principal.accounts is None else sorted(self.principal.accounts)
        query = msgspec.json.encode((kind, sorted(set(accounts)), parameters, visible)).decode()
        # The positions of the feed are batch numbers, which a rename does not change: see feed_page.
        return query if kind == FEED else bound_to_names(self.ledger, query)

    def read_cursor(self, query: str, text: str, type_: type[T], parameter: str = "cursor") -> T:
        """The position of a cursor. Raises ProblemError for a cursor of another query or caller."""
        try:
            return read_cursor(self.ledger, query, text, type_)
        except CursorError as error:
            raise invalid_parameter(parameter, EXPECTED, text) from error

    def sign_cursor(self, query: str, position: object) -> str:
        """The cursor of a position."""
        return sign_cursor(self.ledger, query, position)

    def answer(self, model: Model, status: HTTPStatus = HTTPStatus.OK) -> Response[Any]:
        """An answer that is not cached."""
        return Response(
            msgspec.json.encode(model),
            status_code=status,
            media_type=MediaType.JSON,
            headers={"Cache-Control": "no-store"},
        )

    def answer_tagged(self, names: tuple[str, ...], make: Callable[[], Model]) -> Response[Any]:
        """An answer with an ETag that changes with the accounts. A client that has it already gets 304, and `make` is
        not called.

        `names`: the accounts that the answer is about.
        """
        tag = self._tag(names)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie, Accept-Encoding"}
        if not {tag, ANY_TAG}.isdisjoint(_tags(self.request.headers.get("if-none-match", ""))):
            return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, media_type=MediaType.JSON, headers=headers)
        body = msgspec.json.encode(make())
        if self._tag(names) != tag:  # a commit came in between: the answer may show either state
            del headers["ETag"]
        return Response(body, media_type=MediaType.JSON, headers=headers)

    def _tag(self, names: tuple[str, ...]) -> str:
        """Differs for every state of the accounts, every query, and every compression of the answer."""
        about = (
            str(self.request.url.path),
            sorted(self.request.query_params.multi_items()),
            self.request.headers.get("accept-encoding", ""),
            self.read_model.fingerprints(names),
        )
        return f'"{sha256(msgspec.json.encode(about)).hexdigest()[:32]}"'


# msgspec cannot validate the values in the context
Context: TypeAlias = NamedDependency[SkipValidation[RequestContext]]
"""Annotates the parameter of a handler that takes the context."""


def provide_context(request: Request[Any, Any, Any]) -> RequestContext:
    """The context of a request that has passed the guard of the routes."""
    return RequestContext(request, request.app.state[APP_CONTEXT], principal_of(request))


ANY_TAG: Final = "*"
"""In If-None-Match: the client has some answer, whichever it is."""


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


# ---------------------------------------------------------------- the guard of every route

WINDOW: Final = timedelta(minutes=1)
_WINDOW_S: Final = str(WINDOW // timedelta(seconds=1))

RATE_HEADERS: Final = {
    "RateLimit-Limit": "Calls a minute.",
    "RateLimit-Remaining": "How many of them are left.",
    "RateLimit-Reset": "Seconds until all of them are available again.",
}
"""Headers in every answer to a known caller, and their values."""

PENDING_USES: Final = "liushui_pending_uses"
"""Key in the application's state of the tasks that store the last use of a token.

At most one task, so that tasks do not pile up while the ledger is busy.
"""


async def authenticate(connection: Connection, handler: BaseRouteHandler) -> None:
    """Find the principal of a request and count the call.

    Raises for another host's name, an unknown caller, and too many calls.
    """
    app_context: AppContext = connection.app.state[APP_CONTEXT]
    app_context.check_host(connection)
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
    if (found := find_nul(connection)) is not None:
        raise invalid_parameter(found[0], NO_NUL, found[1])
    if connection.scope.get("method") not in SAFE_METHODS and not handler.opt.get(NOT_AUDITED):
        await begin_audit(connection.scope, app_context.ledger, principal, Face.API)
    if principal.token is not None and principal.touches_token and not uses:
        task = asyncio.create_task(asyncio.to_thread(_store_use, app_context, principal.token))
        uses.add(task)  # not awaited, because another process may hold the write lock for long
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
