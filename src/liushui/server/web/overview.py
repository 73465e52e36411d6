"""The first page: what there is, and what needs somebody's eye."""

from litestar import get
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.server.web.page import AnyRequest, Web


def routes(web: Web) -> list[ControllerRouterHandler]:
    """The overview."""

    @get("/", sync_to_thread=True)
    def overview(request: AnyRequest) -> Response[str]:
        return web.page(request).render("overview/index.html")

    return [overview]
