"""The pages, at /."""

from litestar import MediaType, get
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.server.house import House
from liushui.server.index import HEADERS, index_page


def page_routes(house: House) -> list[ControllerRouterHandler]:
    """What a browser is shown."""
    index = index_page(house.providers)

    @get("/", media_type=MediaType.HTML, include_in_schema=False, sync_to_thread=False)
    def overview() -> Response[bytes]:
        return Response(index, headers=dict(HEADERS))

    return [overview]
