"""The routes of the API, put together."""

from typing import Any

from litestar import Request, Response, Router, get
from litestar.types import ControllerRouterHandler

from liushui import __version__
from liushui.client import models
from liushui.server.api import balances, credentials, feed, flows, record, review, sources
from liushui.server.api import openapi as docs
from liushui.server.api.auth import authenticate
from liushui.server.api.context import context_of
from liushui.server.api.errors import handlers
from liushui.server.api.params import QUERY, Nothing, no_query
from liushui.server.context import AppContext

ROOT = "/api/v1"


def api_routes(app_context: AppContext) -> list[ControllerRouterHandler]:
    """What answers under /api/v1."""
    return [
        Router(
            ROOT,
            route_handlers=[
                about,
                docs.openapi,
                docs.docs,
                docs.redoc,
                flows.list_accounts,
                flows.show_account,
                flows.list_flows,
                flows.show_flow,
                balances.list_balances,
                balances.show_summary,
                balances.show_coverage,
                record.make_account,
                record.record,
                feed.read,
                feed.events,
                sources.list_all,
                sources.show,
                sources.change,
                sources.sync,
                sources.show_request,
                sources.runs,
                review.list_findings,
                review.list_quarantined,
                credentials.keys,
                credentials.make_key,
                credentials.end_key,
                credentials.tokens,
                credentials.make_token,
                credentials.end_token,
            ],
            guards=[authenticate(app_context)],
            exception_handlers=handlers(),
            after_request=_with_headers,
        )
    ]


@get("/", sync_to_thread=False, opt={QUERY: Nothing})
def about(request: Request[Any, Any, Any]) -> Response[models.About]:
    """Which liushui answers, and what the caller may see and do."""
    context = context_of(request)
    no_query(request)
    principal = context.principal
    names = None if principal.accounts is None else sorted(principal.accounts)
    return context.answer(
        models.About(name="liushui", version=__version__, accounts=names, scopes=sorted(principal.scopes))
    )


def _with_headers(response: Response[Any]) -> Response[Any]:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
