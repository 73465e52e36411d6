"""The routes of the API, put together."""

from typing import Any

from litestar import Response, Router
from litestar.datastructures import ResponseHeader
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from liushui import __version__
from liushui.client import models
from liushui.server.api import balances, credentials, feed, flows, record, review, sources
from liushui.server.api.auth import authenticate
from liushui.server.api.context import Context, provide_context
from liushui.server.api.endpoint import endpoint
from liushui.server.api.errors import handlers
from liushui.server.api.openapi import openapi_document
from liushui.server.api.params import BODY_MAX, ApiRequest, check_request, provide_params
from liushui.server.context import AppContext

ROOT = "/api/v1"


def api_routes(app_context: AppContext) -> list[ControllerRouterHandler]:
    """What answers under /api/v1."""
    return [
        Router(
            ROOT,
            route_handlers=[
                about,
                flows.list_accounts,
                flows.show_account,
                flows.list_flows,
                flows.show_flow,
                balances.list_balances,
                balances.show_summary,
                balances.show_coverage,
                record.create_account,
                record.record_flows,
                feed.read_feed,
                feed.stream_events,
                sources.list_sources,
                sources.show_source,
                sources.pause_source,
                sources.request_sync,
                sources.show_sync_request,
                sources.list_runs,
                review.list_findings,
                review.list_quarantined,
                credentials.list_keys,
                credentials.create_key,
                credentials.revoke_key,
                credentials.list_tokens,
                credentials.create_token,
                credentials.revoke_token,
            ],
            guards=[authenticate(app_context)],
            before_request=check_request,
            dependencies={
                "context": Provide(provide_context, sync_to_thread=False),
                "params": Provide(provide_params, sync_to_thread=False),
            },
            request_class=ApiRequest,
            request_max_body_size=BODY_MAX,
            exception_handlers=handlers(),
            after_request=_with_headers,
            response_headers=[
                ResponseHeader(name=name, value="", description=text, documentation_only=True)
                for name, text in RATE_HEADERS.items()
            ],
        ),
        Router(ROOT, route_handlers=[openapi_document], after_request=_with_headers),
    ]


RATE_HEADERS = {
    "RateLimit-Limit": "Calls a minute.",
    "RateLimit-Remaining": "How many of them are left.",
    "RateLimit-Reset": "Seconds until all of them are available again.",
}
"""Every answer to a known caller has them: the guard of the routes sees to it."""


@endpoint("GET", "/", scope=None)
def about(context: Context) -> Response[models.About]:
    """Which liushui answers, and what the caller may see and do."""
    principal = context.principal
    names = None if principal.accounts is None else sorted(principal.accounts)
    return context.answer(
        models.About(name="liushui", version=__version__, accounts=names, scopes=sorted(principal.scopes))
    )


def _with_headers(response: Response[Any]) -> Response[Any]:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
