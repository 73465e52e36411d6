"""Our own site: the API under /api/v1 and the pages, one Litestar application."""

from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsPlugin

from liushui import __version__
from liushui.server.api import api_routes
from liushui.server.house import House
from liushui.server.web import page_routes


def make_site(house: House) -> Litestar:
    """The application of a house."""
    return Litestar(
        route_handlers=[*api_routes(house), *page_routes(house)],
        openapi_config=OpenAPIConfig(title="liushui", version=__version__, path="/api/v1/openapi"),
        plugins=[ProblemDetailsPlugin(ProblemDetailsConfig(enable_for_all_http_exceptions=True))],
        logging_config=None,
    )
