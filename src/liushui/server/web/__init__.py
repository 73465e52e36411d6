"""The pages, at /."""

from typing import Any

from litestar import Router
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from liushui.server.house import House
from liushui.server.web import flows, overview, preferences
from liushui.server.web.door import Door
from liushui.server.web.headers import guarded
from liushui.server.web.page import AnyRequest, make_web
from liushui.server.web.statics import static_routes


def page_routes(house: House) -> list[ControllerRouterHandler]:
    """What a browser is shown."""
    web = make_web(house)
    door = Door(house)

    async def admit(request: AnyRequest) -> Response[Any] | None:
        return await door.admit(request)  # a function: Litestar copies what it is given, and a door is one

    handlers = [*static_routes(web.assets), *preferences.routes(web), *overview.routes(web), *flows.routes(web)]
    return [Router("/", route_handlers=handlers, before_request=admit, after_request=guarded, include_in_schema=False)]
