"""The pages, at /."""

from collections.abc import Sequence
from typing import Any

from litestar import Router
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.server.context import AppContext
from liushui.server.web import error_pages, keys, preferences, providers, sources, static_routes
from liushui.server.web.auth import login
from liushui.server.web.auth.guard import AuthGuard, guarded
from liushui.server.web.auth.sessions import BrowserSessions
from liushui.server.web.flows import page as flows_page
from liushui.server.web.overview import page as overview_page
from liushui.server.web.page import AnyRequest, make_web


def page_routes(app_context: AppContext) -> Sequence[ControllerRouterHandler]:
    """What a browser is shown."""
    web, sessions = make_web(app_context), BrowserSessions(app_context.ledger)
    guard = AuthGuard(app_context, sessions)

    async def admit(request: AnyRequest) -> Response[Any] | None:
        return await guard.admit(request)  # a function: Litestar copies what it is given, and a guard is one

    handlers = [
        *static_routes.static_routes(web.assets),
        *login.routes(web, sessions),
        *preferences.routes(web),
        *overview_page.routes(web),
        *flows_page.routes(web),
        *sources.routes(web),
        *keys.routes(web),
        *providers.routes(web),
        *error_pages.routes(),
    ]
    return [
        Router(
            "/",
            route_handlers=handlers,
            before_request=admit,
            after_request=guarded,
            exception_handlers=error_pages.handlers(web),
            include_in_schema=False,
            opt={"whole": True},  # packed answers would tell by their length what secrets stand in them
        )
    ]
