"""Our own site: the API under /api/v1 and the pages, one Litestar application."""

from litestar import Litestar
from litestar.config.compression import CompressionConfig
from litestar.datastructures import MutableScopeHeaders, State
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsPlugin
from litestar.types import Message, Scope

from liushui.server.api import ROOT, api_routes
from liushui.server.api.context import APP_CONTEXT
from liushui.server.api.errors import HEADERS
from liushui.server.api.openapi import ModelSchemas, openapi_config
from liushui.server.context import AppContext
from liushui.server.web import page_routes
from liushui.server.web.page import WEB_CONTEXT, make_web_context
from liushui.server.web.static_files import ASSETS


def make_site(app_context: AppContext) -> Litestar:
    """The application of a app_context: its API and its pages."""
    web = make_web_context(app_context)
    return Litestar(
        route_handlers=[*api_routes(app_context), *page_routes(web)],
        openapi_config=openapi_config(ROOT),
        plugins=[ModelSchemas(), ProblemDetailsPlugin(ProblemDetailsConfig(enable_for_all_http_exceptions=True))],
        compression_config=CompressionConfig(backend="brotli", minimum_size=1_000, exclude_opt_key="whole"),
        before_send=[_add_headers],
        state=State({APP_CONTEXT: app_context, WEB_CONTEXT: web, ASSETS: web.assets}),
        logging_config=None,
    )


async def _add_headers(message: Message, scope: Scope) -> None:
    """Give an answer the headers that its request was promised, whatever became of it."""
    if message["type"] == "http.response.start":
        promised = scope["state"].get(HEADERS, {})
        headers = MutableScopeHeaders.from_message(message)
        for name, value in promised.items():
            headers[name] = value
